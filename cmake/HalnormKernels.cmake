# SPDX-License-Identifier: Apache-2.0
# From operations, targets and schedule rows to one object a kernel and the tables of them all.

# What a kernel may leave out: the runtime checks arguments, and no kernel calls Halide's runtime.
set(_halnorm_kernel_features strict_float-no_asserts-no_bounds_query-no_runtime)

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
    list(APPEND rows "${key} ${longest} ${fewest_bytes}|${knobs_and_launch}")
  endforeach()
  set(${out} "${rows}" PARENT_SCOPE)
endfunction()

# The rows of a target followed by those of its parents.
function(halnorm_rows_of_target directory target prefix out)
  set(rows)
  while(target)
    halnorm_read_schedule("${directory}/${target}.sched" own)
    list(APPEND rows ${own})
    set(target "${${prefix}_${target}_parent}")
  endwhile()
  set(${out} "${rows}" PARENT_SCOPE)
endfunction()

# The rows that serve one kernel: each that matches, up to the first without a bound, but none whose
# bounds an earlier one has.
function(halnorm_rows_of_kernel rows operation part dtype out)
  set(matching)
  set(bounds_before)
  set(unbounded)
  set(default_row)
  foreach(row IN LISTS rows)
    string(REGEX MATCH "^([a-z_*]+) ([a-z_*]+) ([a-z0-9*]+) ([0-9]* [0-9]*)\\|" _ "${row}")
    set(bounds "${CMAKE_MATCH_4}")
    set(keys "${CMAKE_MATCH_1}" "${CMAKE_MATCH_2}" "${CMAKE_MATCH_3}")
    set(values "${operation}" "${part}" "${dtype}")
    set(matches TRUE)
    foreach(key value IN ZIP_LISTS keys values)
      if(NOT key STREQUAL "*" AND NOT key STREQUAL value)
        set(matches FALSE)
      endif()
    endforeach()
    if(matches AND NOT unbounded)
      if(bounds IN_LIST bounds_before)
        continue()
      endif()
      list(APPEND bounds_before "${bounds}")
      list(APPEND matching "${row}")
      if(bounds STREQUAL " ")
        set(unbounded "${row}")
      endif()
    elseif(matches AND row MATCHES "^\\* ${part} \\*  ")
      set(default_row "${row}")
    endif()
  endforeach()
  if(unbounded)
    # A benchmark compares with the default row even where a tuned one stands before it: last and
    # so never chosen. Not twice: the schedule is part of the symbol.
    string(REGEX REPLACE "^[^|]*" "" schedule "${unbounded}")
    string(REGEX REPLACE "^[^|]*" "" default_schedule "${default_row}")
    if(HALNORM_BENCHMARKS AND default_row AND NOT default_schedule STREQUAL schedule)
      list(APPEND matching "${default_row}")
    endif()
    set(${out} "${matching}" PARENT_SCOPE)
    return()
  endif()
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

# Adds the command that compiles one kernel.
function(halnorm_add_kernel symbol generator halide_target directory)
  add_custom_command(
    OUTPUT "${directory}/${symbol}.o"
    COMMAND halnorm_generators -g ${generator} -f ${symbol} -n ${symbol} -o "${directory}"
            -e object target=${halide_target}-${_halnorm_kernel_features} ${ARGN}
    DEPENDS halnorm_generators
    COMMENT "Kernel ${symbol}"
    VERBATIM)
endfunction()

# Adds the command that makes Halide's own runtime, for programs that hold it beside halnorm, and
# sets `out` to its object.
function(halnorm_add_halide_runtime directory out)
  add_custom_command(
    OUTPUT "${directory}/halide_runtime.o"
    COMMAND halnorm_generators -r halide_runtime -o "${directory}" -e object target=x86-64-linux
    DEPENDS halnorm_generators
    COMMENT "Halide's runtime"
    VERBATIM)
  set(${out} "${directory}/halide_runtime.o" PARENT_SCOPE)
endfunction()
