# SPDX-License-Identifier: Apache-2.0
# halnorm-generate: cmake -P HalnormGenerate.cmake -- OPTION...
cmake_policy(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/HalnormFunctions.cmake")

# The values of options, "--op" into op, out of the words after "--".
function(halnorm_read_options)
  set(known --op --n --dtype --target --rows -o)
  set(flags --all-schedules --help)
  set(expected "")
  set(begun FALSE)
  foreach(number RANGE ${CMAKE_ARGC})
    set(word "${CMAKE_ARGV${number}}")
    if(NOT begun OR number EQUAL CMAKE_ARGC)
      string(COMPARE EQUAL "${word}" "--" begun)
      continue()
    endif()
    if(NOT expected STREQUAL "")
      string(REPLACE "," ";" value "${word}")
      set(option_${expected} "${value}" PARENT_SCOPE)
      set(expected "")
      continue()
    endif()
    halnorm_check_words(option "${word}" "${known};${flags}")
    string(REGEX REPLACE "^-+" "" name "${word}")
    if(word IN_LIST flags)
      set(option_${name} TRUE PARENT_SCOPE)
    else()
      set(expected ${name})
    endif()
  endforeach()
  if(NOT expected STREQUAL "")
    halnorm_refuse("${expected} wants a value")
  endif()
endfunction()

function(halnorm_print_help)
  halnorm_read_functions()
  string(JOIN ", " ops ${function_names})
  string(JOIN ", " dtypes ${_halnorm_dtypes})
  string(JOIN ", " targets ${target_names})
  execute_process(COMMAND "${CMAKE_COMMAND}" -E echo
"usage: halnorm-generate --op OP --n N --dtype DTYPE,... --target TARGET,... -o FOLDER
                        [--rows ROWS] [--all-schedules]
Writes functions for rows of N elements: OP_nN.h, and libOP_nN_TARGET.a for each target.
  OP      ${ops}
  N       elements of a row (of instance and batch norm: of a channel of a sample, of group_norm: of
          a group of channels of a sample)
  DTYPE   ${dtypes}
  TARGET  ${targets}
  ROWS    of a call that the schedules are chosen for; 1, if it is not given
  --all-schedules  a function more for each schedule that there is")
endfunction()

# Of each target, the kernels, then the library.
function(halnorm_compile_functions name directory)
  halnorm_check_functions("${option_op}" "${option_n}" "${option_rows}" "${option_dtype}"
                          "${option_target}")
  halnorm_find_program(halnorm_generators generators)
  halnorm_find_program(halnorm_archive archive)
  foreach(action IN ITEMS "make_directory;${directory}" "touch;${directory}/${name}.h")
    execute_process(COMMAND "${CMAKE_COMMAND}" -E ${action} RESULT_VARIABLE failed ERROR_QUIET)
    if(failed)
      halnorm_refuse("cannot write to '${directory}'")
    endif()
  endforeach()
  halnorm_plan_functions(${name} "${directory}" ${option_op} ${option_n} ${option_rows}
                         "${option_dtype}" "${option_target}" ${option_all-schedules})
  set(work "${directory}/${name}.objects")
  foreach(target IN LISTS option_target)
    file(MAKE_DIRECTORY "${work}")
    set(objects)
    set(of_target "${kernels}")
    list(FILTER of_target INCLUDE REGEX "^[^|]*\\|${target}\\|")
    foreach(kernel IN LISTS of_target)
      halnorm_arguments_of_plan("${kernel}" linux "${work}" symbol arguments)
      execute_process(COMMAND ${generators} ${arguments} COMMAND_ERROR_IS_FATAL ANY)
      list(APPEND objects "${work}/${symbol}.o")
    endforeach()
    set(library "${directory}/lib${name}_${target}.a")
    execute_process(COMMAND ${archive} ${target_${target}_triple} "${library}" ${objects}
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${library}")
    file(REMOVE_RECURSE "${work}")
  endforeach()
  execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${directory}/${name}.h")
endfunction()

function(halnorm_generate)
  halnorm_begin(halnorm-generate)
  set(option_rows 1)
  set(option_all-schedules FALSE)
  halnorm_read_options()
  halnorm_read_targets("${_halnorm_data}/schedules/targets.txt" target)
  # Functions of one length run on CPUs.
  list(FILTER target_names EXCLUDE REGEX "^cuda_")
  set(possible_targets ${target_names})
  if(option_help)
    halnorm_print_help()
    return()
  endif()
  if("${option_o}" STREQUAL "")
    halnorm_refuse("no -o, the folder to write to")
  endif()
  get_filename_component(directory "${option_o}" ABSOLUTE)
  halnorm_compile_functions(${option_op}_n${option_n} "${directory}")
endfunction()

halnorm_generate()
