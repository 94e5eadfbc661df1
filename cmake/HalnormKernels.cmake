# SPDX-License-Identifier: Apache-2.0
# From operations, targets and schedule rows to one object a kernel, and to libraries of them.

# What a kernel may leave out: the runtime checks arguments, and no kernel calls Halide's runtime.
set(_halnorm_kernel_features strict_float-no_asserts-no_bounds_query-no_runtime)
set(_halnorm_dtypes f32 f16 bf16)

# The rows of schedules/targets.txt into <prefix>_names and <prefix>_<name>_{triple,features,parent}.
function(halnorm_read_targets file prefix)
  file(STRINGS "${file}" lines REGEX "^[^#]")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  set(names)
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "^([a-z0-9_]+) *\\| *([^ |]+) *\\| *([^|]*[^ |]) *\\| *([a-z0-9_]*) *$")
      message(FATAL_ERROR "${file}: '${line}' is not 'name | Halide target | features | parent'")
    endif()
    list(APPEND names "${CMAKE_MATCH_1}")
    set(${prefix}_${CMAKE_MATCH_1}_triple "${CMAKE_MATCH_2}" PARENT_SCOPE)
    set(${prefix}_${CMAKE_MATCH_1}_features "${CMAKE_MATCH_3}" PARENT_SCOPE)
    set(${prefix}_${CMAKE_MATCH_1}_parent "${CMAKE_MATCH_4}" PARENT_SCOPE)
  endforeach()
  set(${prefix}_names "${names}" PARENT_SCOPE)
endfunction()

# The schedule rows of a file, as a list of "operation part dtype longest fewest_bytes|knobs|launch".
# With a third argument, only those whose provenance begins with it.
function(halnorm_read_schedule file out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(READ "${file}" lines)
  # What would split or join the elements of a list; only a provenance may contain it.
  string(REGEX REPLACE "[][;]" "|" lines "${lines}")
  string(REPLACE "\n" ";" lines "${lines}")
  set(rows)
  set(number 0)
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    if(line MATCHES "^ *(#.*)?$")
      continue()
    endif()
    if(NOT line MATCHES "^([a-z_*]+) +([a-z_*]+) +([a-z0-9*]+)( +n<=([0-9]+))?( +bytes>=([0-9]+))? *:([a-z0-9_= ]*):([a-z0-9_= ]*)#.+$")
      message(FATAL_ERROR
        "${file}:${number}: '${line}' is not 'operation part dtype [n<=N] [bytes>=B] : knobs : launch  # provenance'; "
        "correct it, or write the file anew with 'make tune'")
    endif()
    set(longest "${CMAKE_MATCH_5}")
    set(fewest_bytes "${CMAKE_MATCH_7}")
    set(key "${CMAKE_MATCH_1} ${CMAKE_MATCH_2} ${CMAKE_MATCH_3}")
    set(knobs_and_launch "${CMAKE_MATCH_8}|${CMAKE_MATCH_9}")
    string(REGEX REPLACE " *\\| *" "|" knobs_and_launch "${knobs_and_launch}")
    string(STRIP "${knobs_and_launch}" knobs_and_launch)
    string(REGEX REPLACE "^[^#]*# *" "" provenance "${line}")
    string(FIND "${provenance}" "${ARGN}" where)
    if(NOT where EQUAL 0)
      continue()
    endif()
    list(APPEND rows "${key} ${longest} ${fewest_bytes}|${knobs_and_launch}")
  endforeach()
  set(${out} "${rows}" PARENT_SCOPE)
endfunction()

# The rows of a target followed by those of its parents; a fifth argument is a provenance, as above.
function(halnorm_rows_of_target directory target prefix out)
  set(rows)
  while(target)
    halnorm_read_schedule("${directory}/${target}.sched" own ${ARGN})
    list(APPEND rows ${own})
    set(target "${${prefix}_${target}_parent}")
  endwhile()
  set(${out} "${rows}" PARENT_SCOPE)
endfunction()

# The rows that match a kernel, whatever their bounds.
function(halnorm_rows_that_match rows operation part dtype out)
  set(values "${operation}" "${part}" "${dtype}")
  set(matching)
  foreach(row IN LISTS rows)
    string(REGEX MATCH "^([a-z_*]+) ([a-z_*]+) ([a-z0-9*]+) " _ "${row}")
    set(keys "${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" "${CMAKE_MATCH_3}")
    set(matches TRUE)
    foreach(key value IN ZIP_LISTS keys values)
      if(NOT key STREQUAL "*" AND NOT key STREQUAL value)
        set(matches FALSE)
      endif()
    endforeach()
    if(matches)
      list(APPEND matching "${row}")
    endif()
  endforeach()
  set(${out} "${matching}" PARENT_SCOPE)
endfunction()

# The rows that serve one kernel: each that matches, up to the first without a bound, but none whose
# bounds an earlier one has.
function(halnorm_rows_of_kernel rows operation part dtype out)
  halnorm_rows_that_match("${rows}" "${operation}" "${part}" "${dtype}" matching)
  set(serving)
  set(bounds_before)
  foreach(row IN LISTS matching)
    string(REGEX MATCH " ([0-9]* [0-9]*)\\|" _ "${row}")
    set(bounds "${CMAKE_MATCH_1}")
    if(bounds IN_LIST bounds_before)
      continue()
    endif()
    list(APPEND bounds_before "${bounds}")
    list(APPEND serving "${row}")
    if(bounds STREQUAL " ")
      set(${out} "${serving}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "no schedule row without a bound serves ${operation} ${part} ${dtype}: "
                      "the file of the family's first target must end in a default '* * *'")
endfunction()

# The words of a row's launch as C++, which schedules/knobs.inc has to know.
function(halnorm_launch_of_row directory target words out)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${directory}/knobs.inc")
  file(STRINGS "${directory}/knobs.inc" known REGEX "^HALNORM_LAUNCH\\(")
  list(TRANSFORM known REPLACE "^HALNORM_LAUNCH\\(([a-z_]+),.*" "\\1")
  separate_arguments(words)
  set(launch "Launch()")
  foreach(word IN LISTS words)
    if(NOT word MATCHES "^([a-z_]+)=([0-9]+)$" OR NOT CMAKE_MATCH_1 IN_LIST known)
      list(TRANSFORM known APPEND "=N")
      message(FATAL_ERROR "${target}.sched: launch '${word}' is not one of: ${known}")
    endif()
    string(APPEND launch ".set_${CMAKE_MATCH_1}(${CMAKE_MATCH_2})")
  endforeach()
  set(${out} "${launch}" PARENT_SCOPE)
endfunction()

# Knobs and launch as they stand in a kernel's symbol.
function(halnorm_schedule_suffix schedule out)
  string(REGEX MATCHALL "[a-z0-9_]+" words "${schedule}")
  string(JOIN "_" suffix ${words})
  string(REGEX REPLACE "_([0-9]+)" "\\1" suffix "${suffix}")
  set(${out} "${suffix}" PARENT_SCOPE)
endfunction()

# Sets `out` to "cuda" for a target of that family, else to nothing.
function(halnorm_is_for_cuda halide_target out)
  string(REGEX MATCH "-(cuda)-" _ ${halide_target})
  set(${out} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# What LLVM is told of a target's kernels: sums and products of strict_float are not contracted but in
# PTX, unless it is told.
function(halnorm_llvm_arguments halide_target out)
  halnorm_is_for_cuda(${halide_target} arguments)
  string(REPLACE "cuda" "-nvptx-fma-level=0" arguments "${arguments}")
  set(${out} "${arguments}" PARENT_SCOPE)
endfunction()

# The words that make halnorm_generators compile one kernel, to <directory>/<symbol>.o.
function(halnorm_generator_arguments symbol generator halide_target directory out)
  set(${out} -g ${generator} -f ${symbol} -n ${symbol} -o "${directory}" -e object
             target=${halide_target}-${_halnorm_kernel_features} ${ARGN} PARENT_SCOPE)
endfunction()

# Adds the command that compiles one kernel, unless another library of this directory has it too.
function(halnorm_add_kernel symbol generator halide_target directory)
  get_source_file_property(known "${directory}/${symbol}.o" GENERATED)
  if(known)
    return()
  endif()
  halnorm_llvm_arguments(${halide_target} llvm_arguments)
  halnorm_generator_arguments(${symbol} ${generator} ${halide_target} "${directory}" arguments
                              ${ARGN})
  add_custom_command(
    OUTPUT "${directory}/${symbol}.o"
    COMMAND "${CMAKE_COMMAND}" -E env HL_LLVM_ARGS=${llvm_arguments}
            $<TARGET_FILE:halnorm_generators> ${arguments}
    DEPENDS halnorm_generators
    COMMENT "Kernel ${symbol}"
    VERBATIM)
endfunction()

# Called by operations.cmake for each kernel, within halnorm_add_kernel_objects(). A target has the
# kernels of its family: templates for CUDA are named so.
function(halnorm_kernel operation part template generator)
  if(NOT part IN_LIST parts)
    list(APPEND parts ${part})
    set(parts "${parts}" PARENT_SCOPE)
  endif()
  set(schedule_words ${schedule_words} ${operation} ${part})
  set(schedule_words "${schedule_words}" PARENT_SCOPE)
  halnorm_is_for_cuda(${halide_target} target_is_for_cuda)
  string(REGEX MATCH "^cuda" template_is_for_cuda ${template})
  if(NOT "${target_is_for_cuda}" STREQUAL "${template_is_for_cuda}")
    return()
  endif()
  set(parameters ${ARGN})
  list(FILTER parameters EXCLUDE REGEX "^dtypes=")
  foreach(dtype IN LISTS dtypes)
    if("${ARGN}" MATCHES "dtypes=" AND NOT "${ARGN}" MATCHES "[=,]${dtype}(,|$)")
      continue()
    endif()
    halnorm_rows_of_kernel("${rows}" ${operation} ${part} ${dtype} kernel_rows)
    foreach(row IN LISTS kernel_rows)
      string(REGEX MATCH " ([0-9]*) ([0-9]*)\\|([^|]*)\\|([^|]*)$" _ "${row}")
      set(longest "${CMAKE_MATCH_1}")
      set(fewest_bytes "${CMAKE_MATCH_2}")
      set(knobs "${CMAKE_MATCH_3}")
      set(launch "${CMAKE_MATCH_4}")
      set(symbol "halnorm_${operation}_${part}_${dtype}")
      if(longest STREQUAL "")
        set(longest kAnyLength)
      else()
        string(APPEND symbol "_n${longest}")
      endif()
      if(fewest_bytes STREQUAL "")
        set(fewest_bytes 0)
      else()
        string(APPEND symbol "_bytes${fewest_bytes}")
      endif()
      string(APPEND symbol "__${target}")
      halnorm_schedule_suffix("${knobs} ${launch}" suffix)
      if(suffix)
        string(APPEND symbol "__${suffix}")
      endif()
      string(REGEX MATCH "(^| )(rows|held)=([0-9]+)" _ "${knobs}")
      set(most_rows "${CMAKE_MATCH_3}")
      if(NOT most_rows)
        set(most_rows 1)
      endif()
      halnorm_launch_of_row("${PROJECT_SOURCE_DIR}/schedules" ${target} "${launch}" launch)
      separate_arguments(knobs)
      halnorm_add_kernel(${symbol} ${generator} ${halide_target} "${kernel_directory}"
                         storage=${dtype} ${parameters} ${knobs})
      list(APPEND kernel_objects "${kernel_directory}/${symbol}.o")
      string(APPEND kernel_table "HALNORM_KERNEL(${symbol}, ${operation}, ${part}, ${dtype}, "
                                 "${target_number}, ${longest}, ${fewest_bytes}, ${most_rows}, ${launch})\n")
    endforeach()
  endforeach()
  set(kernel_objects "${kernel_objects}" PARENT_SCOPE)
  set(kernel_table "${kernel_table}" PARENT_SCOPE)
endfunction()

# The processor and the operating system of this build, as Halide names them: "arm-64", "linux".
function(halnorm_halide_system architecture system)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    set(${architecture} x86-64 PARENT_SCOPE)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    set(${architecture} arm-64 PARENT_SCOPE)
  else()
    message(FATAL_ERROR "CMAKE_SYSTEM_PROCESSOR: '${CMAKE_SYSTEM_PROCESSOR}' is not x86_64 or aarch64")
  endif()
  if(CMAKE_SYSTEM_NAME STREQUAL "Darwin")
    set(${system} osx PARENT_SCOPE)
  elseif(CMAKE_SYSTEM_NAME STREQUAL "Generic")
    # Kernels call no system: firmware takes objects in the form of Linux.
    set(${system} linux PARENT_SCOPE)
  else()
    string(TOLOWER "${CMAKE_SYSTEM_NAME}" name)
    set(${system} ${name} PARENT_SCOPE)
  endif()
endfunction()

# The Halide target of a line of schedules/targets.txt, for an operating system of Halide's.
function(halnorm_halide_target triple system out)
  halnorm_halide_system(architecture _)
  string(REGEX REPLACE "^host-" "${architecture}-${system}-" halide_target "${triple}")
  string(REPLACE "-linux" "-${system}" halide_target "${halide_target}")
  set(${out} "${halide_target}" PARENT_SCOPE)
endfunction()

# The targets whose kernels this build can be of, in the order of the list.
function(halnorm_targets_of_system out)
  cmake_path(GET CMAKE_CURRENT_FUNCTION_LIST_DIR PARENT_PATH source)
  halnorm_read_targets("${source}/schedules/targets.txt" target)
  halnorm_halide_system(architecture system)
  foreach(target IN LISTS target_names)
    if(target_${target}_triple MATCHES "^(${architecture}|host)-")
      list(APPEND targets ${target})
    endif()
  endforeach()
  set(${out} "${targets}" PARENT_SCOPE)
endfunction()

# Adds the commands of the kernels of all HALNORM_TARGETS for an operating system of Halide's
# (linux, android, osx), into `kernel_directory`, and sets kernel_objects and the tables
# kernel_table, target_table and part_table. A third argument leaves only the schedule rows whose
# provenance begins with it.
function(halnorm_add_kernel_objects system kernel_directory)
  halnorm_read_targets("${PROJECT_SOURCE_DIR}/schedules/targets.txt" target)
  halnorm_targets_of_system(possible_targets)
  foreach(target IN LISTS HALNORM_TARGETS)
    if(NOT target IN_LIST target_names)
      message(FATAL_ERROR "HALNORM_TARGETS: '${target}' is not in schedules/targets.txt, "
                          "which has: ${target_names}")
    elseif(NOT target IN_LIST possible_targets)
      message(FATAL_ERROR "HALNORM_TARGETS: '${target}' is for another processor than "
                          "${CMAKE_SYSTEM_PROCESSOR}, for which there are: ${possible_targets}; "
                          "build for it with a toolchain file, such as those of cmake/")
    endif()
  endforeach()
  set(dtypes ${_halnorm_dtypes})
  file(MAKE_DIRECTORY "${kernel_directory}")
  set(operations "${PROJECT_SOURCE_DIR}/generators/operations.cmake")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${operations}")
  set(target_number 0)
  foreach(target IN LISTS target_names)
    if(NOT target IN_LIST HALNORM_TARGETS)
      continue()
    endif()
    halnorm_halide_target("${target_${target}_triple}" ${system} halide_target)
    halnorm_rows_of_target("${PROJECT_SOURCE_DIR}/schedules" ${target} target rows ${ARGN})
    set(schedule_words * ${dtypes})
    include("${operations}")
    foreach(row IN LISTS rows)
      string(REGEX MATCH "^([^ ]+) ([^ ]+) ([^ ]+) " _ "${row}")
      foreach(word IN ITEMS "${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" "${CMAKE_MATCH_3}")
        if(NOT word IN_LIST schedule_words)
          message(FATAL_ERROR "schedules of ${target}: '${word}' is no operation, part or dtype, in "
                              "the row '${row}'; correct it, or write the file anew with 'make tune'")
        endif()
      endforeach()
    endforeach()
    string(APPEND target_table "HALNORM_TARGET(\"${target}\", \"${target_${target}_features}\")\n")
    math(EXPR target_number "${target_number} + 1")
  endforeach()
  list(TRANSFORM parts REPLACE "(.+)" "HALNORM_PART(\\1)\n" OUTPUT_VARIABLE part_table)
  string(JOIN "" part_table ${part_table})
  foreach(result IN ITEMS kernel_objects kernel_table target_table part_table)
    set(${result} "${${result}}" PARENT_SCOPE)
  endforeach()
endfunction()

# What kernels for CUDA call (runtime/cuda_launch.cpp). In the library these have other names, so that
# they never meet those of a Halide in the same process.
set(_halnorm_cuda_imports halide_copy_to_device halide_cuda_device_interface
    halide_cuda_finalize_kernels halide_cuda_initialize_kernels halide_cuda_run)

# Links the objects of a library into one whose only global symbols are the functions of halnorm.h:
# another Halide can live in the same process, and a shared object that it is linked into exports
# nothing of it. The names of kernels have two underscores before the target's.
function(halnorm_link_objects linked objects)
  set(exported "--keep-global-symbol=!halnorm_*__*" "--keep-global-symbol=halnorm_*")
  foreach(symbol IN LISTS _halnorm_cuda_imports)
    string(REGEX REPLACE "^halide_" "launch_" own ${symbol})
    list(APPEND exported --redefine-sym ${symbol}=${own})
  endforeach()
  add_custom_command(
    OUTPUT "${linked}"
    COMMAND "${CMAKE_LINKER}" -r -o "${linked}" ${objects}
    COMMAND "${CMAKE_OBJCOPY}" --wildcard ${exported} "${linked}"
    DEPENDS ${objects}
    COMMAND_EXPAND_LISTS
    COMMENT "Object ${linked}"
    VERBATIM)
endfunction()

# What a library of ours needs besides: of its compiler that of C, of libraries those of C.
function(halnorm_set_up_library name)
  find_package(Threads REQUIRED)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${name} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PRIVATE Threads::Threads m ${CMAKE_DL_LIBS})
  if(HALNORM_COVERAGE)
    target_link_options(${name} INTERFACE --coverage)
  endif()
endfunction()

# Adds the static library <name> of the objects of `runtime` and of the kernels of all
# HALNORM_TARGETS, and, as the target <name>_dynamic, the same as a shared one. A third argument
# leaves only the schedule rows whose provenance begins with it. The tables of the kernels are in the
# folder <name>.
function(halnorm_add_library name runtime)
  set(table_directory "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  file(MAKE_DIRECTORY "${table_directory}")
  halnorm_halide_system(architecture system)
  halnorm_add_kernel_objects(${system} "${CMAKE_CURRENT_BINARY_DIR}/kernels" ${ARGN})
  foreach(table IN ITEMS part kernel target)
    file(CONFIGURE OUTPUT "${table_directory}/${table}_table.inc" CONTENT "${${table}_table}")
  endforeach()

  add_library(${name}_dispatch OBJECT dispatch.cpp)
  target_compile_options(${name}_dispatch PRIVATE
    $<TARGET_PROPERTY:${runtime},COMPILE_OPTIONS>)
  target_include_directories(${name}_dispatch PRIVATE "${table_directory}" "${PROJECT_SOURCE_DIR}")
  set(objects $<TARGET_OBJECTS:${runtime}> $<TARGET_OBJECTS:${name}_dispatch> ${kernel_objects})
  halnorm_link_objects("${table_directory}/${name}.o" "${objects}")
  add_library(${name} STATIC "${table_directory}/${name}.o")
  halnorm_set_up_library(${name})
  if(BUILD_SHARED_LIBS)
    add_library(${name}_dynamic SHARED "${table_directory}/${name}.o")
    # They have an object in common, which only Ninja would not link twice at a time.
    add_dependencies(${name}_dynamic ${name})
    halnorm_set_up_library(${name}_dynamic)
    target_link_options(${name}_dynamic PRIVATE -Wl,-z,relro,-z,now,-z,noexecstack)
    set_target_properties(${name}_dynamic PROPERTIES OUTPUT_NAME ${name} EXPORT_NAME ${name}
      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  endif()
endfunction()

# Adds the command that makes Halide's own runtime, for programs that hold it beside halnorm, and
# sets `out` to its object. A third argument is appended to its Halide target.
function(halnorm_add_halide_runtime directory out)
  halnorm_halide_system(architecture system)
  add_custom_command(
    OUTPUT "${directory}/halide_runtime.o"
    COMMAND halnorm_generators -r halide_runtime -o "${directory}" -e object
            target=${architecture}-${system}${ARGN}
    DEPENDS halnorm_generators
    COMMENT "Halide's runtime"
    VERBATIM)
  set(${out} "${directory}/halide_runtime.o" PARENT_SCOPE)
endfunction()
