# SPDX-License-Identifier: Apache-2.0
# cmake -DMODULE=HalnormKernels.cmake -DCALL=... -D... -P schedules_probe.cmake: what the functions
# of the build make of a directory of schedules, one line of stdout for each row.
include("${MODULE}")
if(CALL STREQUAL "read")  # FILE, PROVENANCE or nothing
  halnorm_read_schedule("${FILE}" rows ${PROVENANCE})
elseif(CALL STREQUAL "targets")  # FILE
  halnorm_read_targets("${FILE}" target)
  set(rows)
  foreach(name IN LISTS target_names)
    list(APPEND rows
         "${name}|${target_${name}_triple}|${target_${name}_features}|${target_${name}_parent}")
  endforeach()
elseif(CALL STREQUAL "kernel")  # DIRECTORY with targets.txt, TARGET, OPERATION, PART, DTYPE
  halnorm_read_targets("${DIRECTORY}/targets.txt" target)
  halnorm_rows_of_target("${DIRECTORY}" "${TARGET}" target of_target)
  halnorm_rows_of_kernel("${of_target}" "${OPERATION}" "${PART}" "${DTYPE}" rows)
else()
  message(FATAL_ERROR "CALL=${CALL}")
endif()
foreach(row IN LISTS rows)
  execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${row}")
endforeach()
