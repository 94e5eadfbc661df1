// SPDX-License-Identifier: Apache-2.0
// Launches that fail, each of every operation in turn: the call returns the driver's error, and the
// next one works. Only the driver of tests/ptx/ fails on demand.
#include <gtest/gtest.h>

#include <string>

#include "cuda_device.h"
#include "halnorm.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

class CudaFailures : public testing::TestWithParam<Operation> {
 protected:
  void SetUp() override {
    const std::string why = CudaDevice::why_none();
    if (!why.empty()) GTEST_SKIP() << why;
    calls_ = symbol<long(const char *)>("halnorm_ptx_calls");
    fail_ = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
    if (fail_ == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  }

  template <typename Function>
  static Function *symbol(const char *name) {
    return reinterpret_cast<Function *>(CudaDevice::get().symbol(name));
  }

  void expect_every_failure(const Problem &problem) {
    RunOptions options;
    options.target = "cuda_sm80";
    const long before = calls_("cuLaunchKernel");
    const Result whole = run(problem, options);
    ASSERT_EQ(whole.status, HALNORM_OK) << print(problem) << ": " << whole.error;
    const int launches = static_cast<int>(calls_("cuLaunchKernel") - before);
    EXPECT_GT(launches, 0) << print(problem);
    for (int turn = 1; turn <= launches; ++turn) {
      fail_("cuLaunchKernel", turn, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
      const Result broken = run(problem, options);
      EXPECT_EQ(broken.status, HALNORM_DEVICE_ERROR) << print(problem) << ", launch " << turn;
      EXPECT_EQ(broken.error, "cuLaunchKernel: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES");
    }
    EXPECT_TRUE(same_bits(problem, options, whole, problem, options, run(problem, options)));
  }

 private:
  long (*calls_)(const char *) = nullptr;
  void (*fail_)(const char *, int, int) = nullptr;
};

TEST_P(CudaFailures, OfLaunchesComeBack) {
  for (Layout layout : {Layout::dense, Layout::channels_last, Layout::gaps}) {
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{2, 4, 3, 5},
                                              {2, 2, 3, 16},
                                              {2, 2, 2, 700},
                                              {2, 2, 2, 2, 8},
                                              {2, 2, 2, 3, 5}}) {
      Problem problem = full_problem(GetParam(), Dtype::f16, shape);
      problem.layout = layout;
      problem.narrow_parameters = true;
      std::string unused;
      if (parse(print(problem), &unused)) expect_every_failure(problem);
    }
  }
}

TEST_P(CudaFailures, WithoutParametersComeBack) {
  Problem problem;
  problem.operation = GetParam();
  problem.shape = {2, 4, 30};
  expect_every_failure(problem);
  if (problem.norm() != Norm::batch || !problem.is_backward()) return;
  problem.fixed = true;
  expect_every_failure(problem);
}

TEST_P(CudaFailures, OfFillingTheResultsOfNothingComeBack) {
  Problem problem = full_problem(GetParam(), Dtype::f32, {0, 4, 3});
  if (!problem.has_rstd() || !problem.has_channels()) return;  // those of rows have no elements
  if (problem.operation != Operation::batch_norm_training && !problem.is_backward()) return;
  expect_every_failure(problem);
}

INSTANTIATE_TEST_SUITE_P(All, CudaFailures, testing::ValuesIn(kOperations),
                         [](const auto &info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace halnorm_test
