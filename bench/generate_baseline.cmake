# SPDX-License-Identifier: Apache-2.0
# cmake -DGENERATOR=program -DCC=compiler -DDIRECTORY=... -DSYMBOL=... -DARGUMENTS=... -P this:
# DIRECTORY/SYMBOL.o, a plain norm as Halide schedules it. Where an autoscheduler fails or takes too
# long, the object says why, and the build goes on.
set(seconds 120)
execute_process(
  COMMAND "${GENERATOR}" -g plain_norm -f ${SYMBOL} -n ${SYMBOL} -o "${DIRECTORY}" -e object
          ${ARGUMENTS}
  TIMEOUT ${seconds} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  return()
endif()
string(REGEX REPLACE "[\\\"\n\t ]+" " " reason "${result}: ${output}")
string(SUBSTRING "${reason}" 0 200 reason)
message(STATUS "${SYMBOL}: ${reason}")
file(WRITE "${DIRECTORY}/${SYMBOL}.c" "const char ${SYMBOL}_why_not[] = \"${reason}\";\n")
execute_process(COMMAND "${CC}" -fPIC -c -o "${DIRECTORY}/${SYMBOL}.o" "${DIRECTORY}/${SYMBOL}.c"
                COMMAND_ERROR_IS_FATAL ANY)
