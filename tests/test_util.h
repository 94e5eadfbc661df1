// SPDX-License-Identifier: Apache-2.0
// What the gtest files share.
#ifndef HALNORM_TESTS_TEST_UTIL_H_
#define HALNORM_TESTS_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "reference.h"
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

// What a call wrote to the tensors is within the bound of the reference, and nothing else changed.
inline testing::AssertionResult as_expected(Tensors *tensors, const Expected &expected) {
  for (const Output &output : outputs_of(*tensors, expected)) {
    for (size_t i = 0; i < output.expected->size(); ++i) {
      if (within(output, i)) continue;
      const int64_t length = output.actual->row_length(), at = static_cast<int64_t>(i);
      return testing::AssertionFailure()
             << output.name << ": element " << i << " is "
             << output.actual->value(at / length, at % length) << ", expected "
             << (*output.expected)[i] << " within " << (*output.bound)[i];
    }
  }
  const std::string damage = tensors->damage();
  if (!damage.empty()) return testing::AssertionFailure() << damage;
  return testing::AssertionSuccess();
}

// Of all outputs, one after the other; all NaNs are made one.
inline std::vector<uint32_t> bits_of(Tensors *tensors) {
  std::vector<uint32_t> all;
  const Expected nothing;
  for (const Output &output : outputs_of(*tensors, nothing)) {
    for (int64_t row = 0; row < output.actual->rows(); ++row) {
      for (int64_t i = 0; i < output.actual->row_length(); ++i) {
        all.push_back(canonical_bits(output.actual->dtype(), output.actual->bits(row, i)));
      }
    }
  }
  return all;
}

// Within the bound of the reference, on all targets that this machine can run.
inline testing::AssertionResult accurate_on_all_targets(const Problem &problem, RunOptions options,
                                                        const Expected &expected) {
  for (const std::string &target : usable_targets()) {
    options.target = target;
    const Report report = check(problem, options, expected);
    if (!report.failure.empty()) {
      return testing::AssertionFailure() << print(problem) << ": " << report.failure;
    }
  }
  return testing::AssertionSuccess();
}

inline testing::AssertionResult accurate_on_all_targets(const Problem &problem,
                                                        const RunOptions &options) {
  return accurate_on_all_targets(problem, options, expected_of(problem, options));
}

// The same with the tensors at every place between their guard pages.
inline testing::AssertionResult accurate_at_any_address(const Problem &problem) {
  RunOptions options;
  const Expected expected = expected_of(problem, options);
  for (Placement placement :
       {Placement::end_flush, Placement::start_flush, Placement::odd_offset}) {
    options.placement = placement;
    const testing::AssertionResult result = accurate_on_all_targets(problem, options, expected);
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

// The operations whose rows lie in a matrix, and those of samples and channels.
inline std::vector<Operation> operations(bool with_channels) {
  std::vector<Operation> chosen;
  for (Operation operation : kOperations) {
    Problem problem;
    problem.operation = operation;
    if (problem.has_channels() == with_channels) chosen.push_back(operation);
  }
  return chosen;
}

// How gtest prints parameters.
inline std::string operation_and_dtype(
    const testing::TestParamInfo<std::tuple<Operation, Dtype>> &info) {
  return std::string(name(std::get<0>(info.param))) + "_" + name(std::get<1>(info.param));
}

inline void PrintTo(Operation operation, std::ostream *out) { *out << name(operation); }
inline void PrintTo(Dtype dtype, std::ostream *out) { *out << name(dtype); }

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_TEST_UTIL_H_
