// SPDX-License-Identifier: Apache-2.0
#include "tokens.h"

#include <errno.h>
#include <stdlib.h>

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace halnorm_ptx {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' ||
         c == '.';
}

// Where a comment that begins at `at` ends, or `at`.
size_t after_comment(const std::string &text, size_t at) {
  for (const auto &[begin, end] : {std::pair("//", "\n"), std::pair("/*", "*/")}) {
    if (text.compare(at, 2, begin) != 0) continue;
    const size_t found = text.find(end, at + 2);
    if (found == std::string::npos) return text.size();
    return *end == '\n' ? found : found + 2;
  }
  return at;
}

uint32_t bits_of(char kind) { return kind == 'p' ? 1 : kind == 'h' ? 16 : kind == 'r' ? 32 : 64; }

}  // namespace

std::vector<Token> tokenize(const std::string &text) {
  std::vector<Token> tokens;
  uint32_t line = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t end = after_comment(text, at);
    if (end != at || std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      const size_t next = std::max(end, at + 1);
      line +=
          static_cast<uint32_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                           text.begin() + static_cast<std::ptrdiff_t>(next), '\n'));
      at = next;
      continue;
    }
    size_t length = 0;
    while (at + length < text.size() && in_word(text[at + length])) ++length;
    length = std::max(length, size_t{1});
    tokens.push_back({text.substr(at, length), line});
    at += length;
  }
  tokens.push_back({"", line});
  return tokens;
}

bool parse_number(const std::string &text, char kind, uint64_t *value) {
  const size_t digits = text[0] == '-' ? 1 : 0;
  const std::string prefix = text.substr(digits, 2);
  const bool is_float = prefix == "0f" || prefix == "0F";
  const bool is_double = prefix == "0d" || prefix == "0D";
  if (is_float || is_double) {
    if (text.size() != (is_float ? 10u : 18u) || bits_of(kind) != (is_float ? 32 : 64))
      return false;
  }
  char *end = nullptr;
  errno = 0;
  *value = is_float || is_double ? strtoull(text.c_str() + 2, &end, 16)
                                 : strtoull(text.c_str() + digits, &end, 0);
  if (*end == 'U') ++end;
  if (*end != '\0' || errno != 0 || text.size() == digits || text[digits] == '-') return false;
  const uint32_t bits = bits_of(kind);
  const uint64_t most = bits == 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
  if (*value > most) return false;
  if (digits != 0) *value = (0 - *value) & most;
  return true;
}

}  // namespace halnorm_ptx
