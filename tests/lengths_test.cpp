// SPDX-License-Identifier: Apache-2.0
// Every row length where a vector, a tail or a chunk begins or ends, with guard pages on both
// sides.
#include <tuple>

#include "test_util.h"

namespace halnorm_test {
namespace {

std::vector<int64_t> lengths() {
  std::vector<int64_t> all;
  for (int64_t n = 1; n <= 130; ++n) all.push_back(n);
  // 1024 is the chunk of the row tree, 64 the block of the column tree.
  for (int64_t middle : {192, 256, 512, 1024, 2048, 4096, 10240}) {
    for (int64_t n = middle - 1; n <= middle + 1; ++n) all.push_back(n);
  }
  return all;
}

class Lengths : public testing::TestWithParam<std::tuple<Operation, Dtype, int64_t>> {};

TEST_P(Lengths, AreAccurateAndStayWithinTheirPages) {
  const auto [operation, dtype, rows] = GetParam();
  Problem problem;
  problem.operation = operation;
  problem.dtype = dtype;
  problem.gamma = problem.statistics = true;
  problem.beta = operation == Operation::layer_norm_forward;
  problem.narrow_parameters = dtype != Dtype::f32;
  RunOptions options;
  for (int64_t length : lengths()) {
    problem.shape = {rows, length};
    for (Placement placement :
         {Placement::end_flush, Placement::start_flush, Placement::odd_offset}) {
      options.placement = placement;
      ASSERT_TRUE(accurate_on_all_targets(problem, options));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Lengths,
    testing::Combine(testing::ValuesIn(kOperations), testing::ValuesIn(kDtypes),
                     testing::Values(int64_t{1}, int64_t{3}, int64_t{8}, int64_t{17})),
    [](const auto &info) {
      return std::string(name(std::get<0>(info.param))) + "_" + name(std::get<1>(info.param)) +
             "_" + std::to_string(std::get<2>(info.param)) + "_rows";
    });

}  // namespace
}  // namespace halnorm_test
