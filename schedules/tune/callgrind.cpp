// SPDX-License-Identifier: Apache-2.0
// The format is described in Valgrind's manual, "Callgrind Format Specification".
#include "callgrind.h"

#include <regex>
#include <sstream>

namespace halnorm_tune {

std::optional<std::map<std::string, int64_t>> instructions_of_functions(
    const std::string &callgrind_out_text) {
  std::map<std::string, std::string> names;  // "(7) name" is "(7)" from then on
  const auto name_of = [&names](const std::string &text) {
    const size_t end = text.find(") ");
    if (text[0] != '(' || text.back() == ')') return names.count(text) ? names[text] : text;
    return names[text.substr(0, end + 1)] = text.substr(end + 2);
  };
  std::map<std::string, int64_t> instructions;
  std::string function;
  bool counts_instructions = false, within_call = false;
  std::istringstream lines(callgrind_out_text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("positions:", 0) == 0 && line != "positions: line") return std::nullopt;
    if (line.rfind("events: Ir", 0) == 0) counts_instructions = true;
    if (line.rfind("fn=", 0) == 0) function = name_of(line.substr(3));
    if (line.rfind("cfn=", 0) == 0) name_of(line.substr(4));
    if (line.rfind("calls=", 0) == 0) {
      within_call = true;  // the next line has what the called function cost
      continue;
    }
    const bool is_cost =
        !line.empty() && std::string("0123456789+-*").find(line[0]) != std::string::npos;
    if (is_cost && !within_call) {
      std::istringstream fields(line);
      std::string position;
      int64_t count = 0;
      fields >> position >> count;
      instructions[function] += count;
    }
    within_call = false;
  }
  if (!counts_instructions) return std::nullopt;
  return instructions;
}

std::optional<int64_t> instructions_in(const std::string &callgrind_out_text,
                                       const std::string &function_pattern) {
  const auto functions = instructions_of_functions(callgrind_out_text);
  if (!functions) return std::nullopt;
  const std::regex pattern(function_pattern);
  std::optional<int64_t> sum;
  for (const auto &[name, count] : *functions) {
    if (std::regex_match(name, pattern)) sum = sum.value_or(0) + count;
  }
  return sum;
}

}  // namespace halnorm_tune
