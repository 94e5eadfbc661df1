// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_PTX_TOKENS_H_
#define HALNORM_TESTS_PTX_TOKENS_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace halnorm_ptx {

// A name with the dots in it (ld.global.b32, %tid.x, .reg), a number, or a punctuation mark.
struct Token {
  std::string text;
  uint32_t line;
};

// The last one is empty.
std::vector<Token> tokenize(const std::string &text);

// The value of a number as an operand of 1, 16, 32 or 64 bits (p, h, r, d); false if it is none
// that fits.
bool parse_number(const std::string &text, char kind, uint64_t *value);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_TOKENS_H_
