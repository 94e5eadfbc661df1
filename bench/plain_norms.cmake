# SPDX-License-Identifier: Apache-2.0
# halnorm_plain_norms, which compiles the norms of plain_norms.cpp as an autoscheduler has them: for
# the benchmark on CPUs and for that on GPUs.
include_guard(GLOBAL)
add_executable(halnorm_plain_norms EXCLUDE_FROM_ALL
  "${CMAKE_CURRENT_LIST_DIR}/plain_norms.cpp" "${PROJECT_SOURCE_DIR}/generators/norm_math.cpp")
target_include_directories(halnorm_plain_norms PRIVATE "${PROJECT_SOURCE_DIR}")
target_link_libraries(halnorm_plain_norms PRIVATE Halide::Generator)
