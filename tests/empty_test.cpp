// SPDX-License-Identifier: Apache-2.0
// Tensors without elements, and statistics of a single one.
#include <cmath>

#include "test_util.h"

namespace halnorm_test {
namespace {

const std::vector<std::vector<int64_t>> kEmptyRows = {{0, 5}, {4, 0}, {0, 0}, {3, 0, 5}, {0, 3, 4}};
const std::vector<std::vector<int64_t>> kEmptyChannels = {
    {0, 6, 4}, {3, 0, 4}, {3, 6, 0}, {0, 0, 0}, {2, 6, 5, 0}, {0, 6}, {3, 0},
};

class Empty : public testing::TestWithParam<std::tuple<Operation, Dtype>> {};

// dgamma and dbeta are sums of nothing, statistics are NaN, running statistics stay, and all else
// has nothing to be written.
TEST_P(Empty, TensorsAreNothingToDo) {
  const auto [operation, dtype] = GetParam();
  Problem of_operation;
  of_operation.operation = operation;
  for (const auto &shape : of_operation.has_channels() ? kEmptyChannels : kEmptyRows) {
    if (of_operation.norm() == Norm::instance && shape.size() < 3) continue;
    const Problem problem = full_problem(operation, dtype, shape);
    SCOPED_TRACE(print(problem));
    Tensors tensors(problem, Placement::end_flush);
    tensors.fill(Data(), 1);
    ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
    EXPECT_EQ(tensors.damage(), "");
    for (const std::optional<Tensor> *sum : {&tensors.dgamma, &tensors.dbeta}) {
      for (int64_t i = 0; *sum && i < (*sum)->row_length(); ++i) EXPECT_EQ((*sum)->value(0, i), 0);
    }
    for (const std::optional<Tensor> *statistic : {&tensors.mean, &tensors.rstd}) {
      if (problem.is_backward() || !*statistic) continue;
      for (int64_t s = 0; s < (*statistic)->rows(); ++s) {
        EXPECT_TRUE(std::isnan((*statistic)->value(s, 0))) << "statistic " << s;
      }
    }
    for (const std::optional<Tensor> *running : {&tensors.running_mean, &tensors.running_var}) {
      EXPECT_TRUE(!*running || (*running)->unchanged());
    }
  }
}

// xhat is 0 (of RMS norm about 1), and so is dx, but for eps.
TEST_P(Empty, StatisticsOfOneElementAreAccurate) {
  const auto [operation, dtype] = GetParam();
  Problem of_operation;
  of_operation.operation = operation;
  const bool channels = of_operation.has_channels();
  for (const auto &shape : channels ? std::vector<std::vector<int64_t>>{{1, 7, 1}, {1, 7, 1, 1}}
                                    : std::vector<std::vector<int64_t>>{{7, 1}, {1}, {2, 1, 1}}) {
    for (Layout layout : {Layout::dense, Layout::channels_last, Layout::gaps}) {
      Problem problem = full_problem(operation, dtype, shape);
      if (layout == Layout::channels_last && !channels) continue;
      problem.layout = layout;
      problem.biased = problem.running;
      if (problem.norm() == Norm::group) problem.groups = 7;
      EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Empty,
                         testing::Combine(testing::ValuesIn(kOperations),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

}  // namespace
}  // namespace halnorm_test
