// SPDX-License-Identifier: Apache-2.0
// The caller's floating-point modes do not matter, and its modes and flags stay as they are.
// bits_test.cpp has the modes over all problems; here is the data that they are about.
#include <cmath>

#include "call.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

class FloatEnvironment : public testing::TestWithParam<std::tuple<Operation, Dtype>> {
 protected:
  FloatEnvironment() : operation_(std::get<0>(GetParam())), dtype_(std::get<1>(GetParam())) {}

  // In all modes with these options: bits as in the standard mode on one thread, and the state as
  // before the call.
  void expect_no_matter(const Problem &problem, RunOptions options) {
    RunOptions standard = options;
    standard.threads = 1;
    const Result expected = run(problem, standard);
    for (FloatMode mode : kFloatModes) {
      if (!available(mode)) continue;
      SCOPED_TRACE(name(mode));
      options.float_mode = mode;
      const Result result = run(problem, options);
      EXPECT_TRUE(same_bits(problem, standard, expected, problem, options, result));
      EXPECT_TRUE(result.float_state_untouched) << command(problem, options);
    }
  }

  const Operation operation_;
  const Dtype dtype_;
};

// On both trees.
TEST_P(FloatEnvironment, DoesNotMatterToDataOfAnyKind) {
  for (Data::Kind kind :
       {Data::Kind::normal, Data::Kind::subnormal, Data::Kind::extremes, Data::Kind::special}) {
    for (Layout layout : {Layout::dense, Layout::gaps}) {
      Problem problem = full_problem(operation_, dtype_, {3, 4, 70});
      problem.layout = layout;
      if (kind == Data::Kind::subnormal) problem.eps = 0x1p-140;
      RunOptions options;
      options.data.kind = kind;
      expect_no_matter(problem, options);
    }
  }
}

// The pool's threads are started in the first mode that there is, and serve all.
TEST_P(FloatEnvironment, DoesNotMatterToThreads) {
  RunOptions options;
  options.threads = 4;
  expect_no_matter(full_problem(operation_, dtype_, {4, 16, 3000}), options);
}

INSTANTIATE_TEST_SUITE_P(All, FloatEnvironment,
                         testing::Combine(testing::ValuesIn(kOperations),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

TEST(FloatTraps, AreThereOrSaidToBeMissing) {
  if (!available(FloatMode::traps)) GTEST_SKIP() << "this processor has no floating-point traps";
  EXPECT_EXIT(
      {
        const FloatModeScope scope(FloatMode::traps);
        volatile double zero = 0;
        zero = 1 / zero;
      },
      testing::KilledBySignal(SIGFPE), "");
}

// Looking at a number that is none traps, too.
TEST(FloatTraps, DoNotReachArgumentChecks) {
  if (!available(FloatMode::traps)) GTEST_SKIP() << "this processor has no floating-point traps";
  for (Operation operation : kOperations) {
    for (double wrong : {static_cast<double>(NAN), HUGE_VAL, -5e-324}) {
      for (bool in_eps : {true, false}) {
        Problem problem = full_problem(operation, Dtype::f32, {3, 4, 70});
        (in_eps ? problem.eps : problem.momentum) = wrong;
        if (in_eps ? problem.is_backward() : operation != Operation::batch_norm_training) continue;
        Tensors tensors(full_problem(operation, Dtype::f32, {3, 4, 70}), Placement::end_flush);
        tensors.fill(Data(), 1);
        tensors.problem = problem;
        for (FloatMode mode : {FloatMode::flush, FloatMode::traps}) {
          const FloatModeScope scope(mode);
          const halnorm_status status = tensors.call(nullptr);
          EXPECT_EQ(status, HALNORM_INVALID_ARGUMENT) << print(problem) << " " << name(mode);
        }
      }
    }
  }
}

}  // namespace
}  // namespace halnorm_test
