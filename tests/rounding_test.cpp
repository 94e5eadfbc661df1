// SPDX-License-Identifier: Apache-2.0
// What rarely shows in data: ties of 16-bit results, NaNs of any payload, and variances that
// rounding makes negative.
#include <cmath>
#include <limits>

#include "test_util.h"

namespace halnorm_test {
namespace {

// Calls on each target that this machine can run.
class Rounding : public testing::Test {
 protected:
  Rounding() { EXPECT_EQ(halnorm_context_create(&context_), HALNORM_OK) << halnorm_last_error(); }
  ~Rounding() override { halnorm_context_destroy(context_); }

  template <typename Expect>
  void call_on_all_targets(Tensors *tensors, const Expect &expect) {
    for (const std::string &target : usable_targets()) {
      SCOPED_TRACE(print(tensors->problem) + " on " + target);
      ASSERT_EQ(halnorm_context_set_target(context_, target.c_str()), HALNORM_OK);
      ASSERT_EQ(tensors->call(context_), HALNORM_OK) << halnorm_last_error();
      expect();
    }
  }

  halnorm_context *context_ = nullptr;
};

// Rows of ones have an rstd of 1, so that y is gamma: halfway between two neighbours, of which the
// even one is above or below.
TEST_F(Rounding, OfTiesIsToEven) {
  for (Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    const float step = dtype == Dtype::f16 ? 0x1p-10f : 0x1p-7f;
    for (int64_t n : {7, 40, 2100}) {
      Problem problem = full_problem(Operation::rms_norm_forward, dtype, {3, n});
      problem.eps = 0;
      Tensors tensors(problem, Placement::end_flush);
      tensors.fill({Data::Kind::constant, 1, 0}, 1);
      for (int64_t i = 0; i < n; ++i) {
        tensors.gamma->set(0, i, 1 + step * (static_cast<float>(i % 4) + 0.5f));
      }
      call_on_all_targets(&tensors, [&] {
        for (int64_t i = 0; i < n; ++i) {
          const float even = static_cast<float>((i % 4 + 1) / 2 * 2);
          ASSERT_EQ(tensors.y->value(1, i), 1 + step * even) << "element " << i;
        }
      });
    }
  }
}

TEST_F(Rounding, OfANanIsANan) {
  constexpr int64_t kParameter = 2;
  for (Operation operation : kOperations) {
    for (Dtype dtype : kDtypes) {
      for (const std::vector<int64_t> &shape : {std::vector<int64_t>{3, 4, 50}, {2, 4, 1100}}) {
        for (Layout layout : {Layout::dense, Layout::gaps}) {
          for (uint32_t nan : {0x7fffffffu, 0xffffffffu, 0x7fc00000u, 0x7f800001u}) {
            Problem problem = full_problem(operation, dtype, shape);
            problem.layout = layout;
            Tensors tensors(problem, Placement::end_flush);
            tensors.fill(Data(), 1);
            tensors.gamma->set_bits(0, kParameter, nan);
            call_on_all_targets(&tensors, [&] {
              const Tensor &output = *tensors.output();
              for (int64_t row = 0; row < output.rows(); ++row) {
                for (int64_t i = 0; i < output.row_length(); ++i) {
                  if (problem.parameter_of(row, i) != kParameter) continue;
                  ASSERT_TRUE(std::isnan(output.value(row, i))) << row << ", " << i;
                }
              }
            });
          }
        }
      }
    }
  }
}

// Of equal elements whose mean is not a float, the corrected variance is a difference of numbers
// that differ in their last bits; and of elements a unit apart, whose squares are subnormal. Where
// it is taken to be 0, rstd is infinite.
TEST_F(Rounding, NeverMakesAVarianceNegative) {
  for (Operation operation : kOperations) {
    Problem problem = full_problem(operation, Dtype::f32, {2, 4, 1});
    if (!problem.statistics || problem.norm() == Norm::rms) continue;
    for (int64_t n : {3, 7, 37, 100, 999, 1023, 1500, 2999}) {
      problem.shape.back() = n;
      problem.eps = 0;
      for (int k = 1; k <= 20; ++k) {
        for (bool subnormal : {false, true}) {
          const double value = (1.0 + 0.1234567 * k) * (subnormal ? 0x1p-52 : 1);
          Tensors tensors(problem, Placement::end_flush);
          tensors.fill({Data::Kind::constant, value, 0}, 1);
          for (int64_t row = 0; subnormal && row < tensors.x.rows(); ++row) {
            for (int64_t i = 0; i < n; i += 4) {
              tensors.x.set(row, i, std::nextafter(tensors.x.value(row, i), 1.0f));
            }
          }
          call_on_all_targets(&tensors, [&] {
            ASSERT_GT(tensors.rstd->value(0, 0), 0) << "of " << n << " elements, number " << k;
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace halnorm_test
