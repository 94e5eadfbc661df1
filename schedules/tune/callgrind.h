// SPDX-License-Identifier: Apache-2.0
// Instructions by function, from what `valgrind --tool=callgrind` writes to its output file.
#ifndef HALNORM_SCHEDULES_TUNE_CALLGRIND_H_
#define HALNORM_SCHEDULES_TUNE_CALLGRIND_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace halnorm_tune {

// Of each function without those that it calls. Nothing where the text is no such output.
std::optional<std::map<std::string, int64_t>> instructions_of_functions(
    const std::string &callgrind_out_text);

// The sum over the functions whose whole name matches a regular expression. Nothing where the text
// is no such output or none of them ran.
std::optional<int64_t> instructions_in(const std::string &callgrind_out_text,
                                       const std::string &function_pattern);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_CALLGRIND_H_
