// SPDX-License-Identifier: Apache-2.0
// What the gtest files share.
#ifndef HALNORM_TESTS_TEST_UTIL_H_
#define HALNORM_TESTS_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "run.h"

namespace halnorm_test {

// The letters and digits of `text`, everything else turned into '_': a legal name of a test.
inline std::string test_name(std::string text) {
  for (char &c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return text;
}

// `word` in `text`, not as a part of a longer word.
inline bool contains_word(const std::string &text, const std::string &word) {
  const auto in_word = [&](size_t at) {
    return at < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    if ((at == 0 || !in_word(at - 1)) && !in_word(at + word.size())) return true;
  }
  return false;
}

// Within the bound of the reference, on one target or on all that this machine can run.
inline testing::AssertionResult accurate(const Problem &problem, const RunOptions &options) {
  const Report report = check(problem, options);
  if (report.failure.empty()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << print(problem) << ": " << report.failure;
}

inline testing::AssertionResult accurate_on_all_targets(const Problem &problem,
                                                        RunOptions options) {
  for (const std::string &target : usable_targets()) {
    options.target = target;
    const testing::AssertionResult result = accurate(problem, options);
    if (!result) return result;
  }
  return testing::AssertionSuccess();
}

// Both runs succeed and give the same bits.
inline testing::AssertionResult same_bits(const Problem &a, const RunOptions &a_options,
                                          const Result &a_result, const Problem &b,
                                          const RunOptions &b_options, const Result &b_result) {
  const std::string both =
      "\n  one:     " + command(a, a_options) + "\n  another: " + command(b, b_options);
  for (const Result *result : {&a_result, &b_result}) {
    if (result->status != HALNORM_OK) {
      return testing::AssertionFailure() << "refused: " << result->error << both;
    }
  }
  if (a_result.bits.size() != b_result.bits.size()) {
    return testing::AssertionFailure() << "different numbers of outputs" << both;
  }
  for (size_t i = 0; i < a_result.bits.size(); ++i) {
    if (a_result.bits[i] == b_result.bits[i]) continue;
    char values[64];
    std::snprintf(values, sizeof values, "%zu: 0x%08x and 0x%08x", i, a_result.bits[i],
                  b_result.bits[i]);
    return testing::AssertionFailure() << "bits differ first at output " << values << "; kernels "
                                       << a_result.kernel << " and " << b_result.kernel << both;
  }
  return testing::AssertionSuccess();
}

// How gtest prints parameters.
inline void PrintTo(Operation operation, std::ostream *out) { *out << name(operation); }
inline void PrintTo(Dtype dtype, std::ostream *out) { *out << name(dtype); }

constexpr Operation kOperations[] = {Operation::layer_norm_forward, Operation::rms_norm_forward};
constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f16, Dtype::bf16};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_TEST_UTIL_H_
