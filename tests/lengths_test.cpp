// SPDX-License-Identifier: Apache-2.0
// Every row length where a vector, a tail or a chunk begins or ends, with guard pages on both
// sides.
#include <initializer_list>
#include <tuple>
#include <utility>

#include "test_util.h"

namespace halnorm_test {
namespace {

// 1024 is the chunk of the row tree, 64 the block of the column tree.
std::vector<int64_t> lengths(int64_t each_up_to, std::initializer_list<int64_t> around) {
  std::vector<int64_t> all;
  for (int64_t n = 1; n <= each_up_to; ++n) all.push_back(n);
  for (int64_t middle : around) {
    for (int64_t n = middle - 1; n <= middle + 1; ++n) all.push_back(n);
  }
  return all;
}

Problem problem_of(Operation operation, Dtype dtype, std::vector<int64_t> shape) {
  Problem problem = full_problem(operation, dtype, std::move(shape));
  problem.narrow_parameters = dtype != Dtype::f32;
  if (problem.statistic_length() == 1) problem.biased = problem.running;
  return problem;
}

class Lengths : public testing::TestWithParam<std::tuple<Operation, Dtype>> {};

TEST_P(Lengths, AreAccurateAndStayWithinTheirPages) {
  const auto [operation, dtype] = GetParam();
  for (int64_t rows :
       is_backward(operation) ? std::vector<int64_t>{1, 17} : std::vector<int64_t>{1, 3, 8, 17}) {
    for (int64_t length : lengths(130, {192, 256, 512, 1024, 2048, 4096, 10240})) {
      ASSERT_TRUE(accurate_at_any_address(problem_of(operation, dtype, {rows, length})));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Lengths,
                         testing::Combine(testing::ValuesIn(operations(/*with_channels=*/false)),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

// The length of a channel's row, and the number of channels, which in NHWC is the dense one.
class SpatialLengths : public testing::TestWithParam<std::tuple<Operation, Dtype>> {};

TEST_P(SpatialLengths, AreAccurateAndStayWithinTheirPages) {
  const auto [operation, dtype] = GetParam();
  for (Layout layout : {Layout::dense, Layout::channels_last}) {
    for (int64_t length : lengths(66, {96, 128, 256, 1024, 2048})) {
      Problem problem = problem_of(operation, dtype, {2, 4, length});
      problem.layout = layout;
      ASSERT_TRUE(accurate_at_any_address(problem));
    }
  }
}

TEST_P(SpatialLengths, OfAnyNumberOfChannelsAreAccurate) {
  const auto [operation, dtype] = GetParam();
  for (int64_t channels : lengths(66, {96, 128, 256})) {
    Problem problem = problem_of(operation, dtype, {2, channels, 3});
    problem.layout = Layout::channels_last;
    ASSERT_TRUE(accurate_at_any_address(problem));
  }
}

INSTANTIATE_TEST_SUITE_P(All, SpatialLengths,
                         testing::Combine(testing::ValuesIn(operations(/*with_channels=*/true)),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

}  // namespace
}  // namespace halnorm_test
