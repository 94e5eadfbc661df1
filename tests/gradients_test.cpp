// SPDX-License-Identifier: Apache-2.0
// The oracle against itself: what the reference says of a backward is the slope of what it says of
// the forward. No call of the library here; the other tests hold the library to the reference.
#include <cmath>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

struct Case {
  const char *forward, *backward;
};

constexpr Case kCases[] = {
    {"layer_norm_forward:f32:3x7:", "layer_norm_backward:f32:3x7:"},
    {"layer_norm_forward:f32:3x7:gamma,beta", "layer_norm_backward:f32:3x7:gamma,dgamma,dbeta"},
    {"layer_norm_forward:f32:2x3x4:gamma,beta,zero_centered,axis=1,eps=0.5",
     "layer_norm_backward:f32:2x3x4:gamma,dgamma,dbeta,zero_centered,axis=1,eps=0.5"},
    {"rms_norm_forward:f32:3x7:", "rms_norm_backward:f32:3x7:"},
    {"rms_norm_forward:f32:3x7:gamma", "rms_norm_backward:f32:3x7:gamma,dgamma"},
    {"rms_norm_forward:f32:3x7:gamma,zero_centered,eps=0.5",
     "rms_norm_backward:f32:3x7:gamma,dgamma,zero_centered,eps=0.5"},
    {"instance_norm_forward:f32:2x3x7:", "instance_norm_backward:f32:2x3x7:"},
    {"instance_norm_forward:f32:2x3x2x4:gamma,beta,eps=0.5",
     "instance_norm_backward:f32:2x3x2x4:gamma,dgamma,dbeta,eps=0.5"},
    {"instance_norm_forward:f32:2x3x7:gamma,beta,zero_centered",
     "instance_norm_backward:f32:2x3x7:gamma,dgamma,dbeta,zero_centered"},
    {"group_norm_forward:f32:2x6x5:groups=2", "group_norm_backward:f32:2x6x5:groups=2"},
    {"group_norm_forward:f32:2x6x5:gamma,beta,groups=3,eps=0.5",
     "group_norm_backward:f32:2x6x5:gamma,dgamma,dbeta,groups=3,eps=0.5"},
    {"group_norm_forward:f32:2x6:gamma,beta,zero_centered,groups=2",
     "group_norm_backward:f32:2x6:gamma,dgamma,dbeta,zero_centered,groups=2"},
    {"batch_norm_training:f32:4x3:", "batch_norm_backward:f32:4x3:"},
    {"batch_norm_training:f32:2x3x5:gamma,beta,eps=0.5",
     "batch_norm_backward:f32:2x3x5:gamma,dgamma,dbeta,eps=0.5"},
    {"batch_norm_training:f32:2x3x5:gamma,beta,zero_centered",
     "batch_norm_backward:f32:2x3x5:gamma,dgamma,dbeta,zero_centered"},
    // Inference takes its statistics as given, as the backward with fixed ones does.
    {"batch_norm_inference:f32:2x3x5:", "batch_norm_backward:f32:2x3x5:fixed"},
    {"batch_norm_inference:f32:2x3x5:gamma,beta,zero_centered",
     "batch_norm_backward:f32:2x3x5:gamma,dgamma,dbeta,zero_centered,fixed"},
};

class Gradients : public testing::TestWithParam<Case> {
 protected:
  Gradients()
      : forward_(must_parse(GetParam().forward), Placement::end_flush),
        backward_(must_parse(GetParam().backward), Placement::end_flush) {
    // The same seed: the same x and gamma in both.
    forward_.fill(Data(), 1);
    backward_.fill(Data(), 1);
    if (forward_.running_mean) fix_statistics();
  }

  void fix_statistics() {
    for (int64_t s = 0; s < backward_.problem.statistic_count(); ++s) {
      const float variance = forward_.running_var->value(s, 0);
      backward_.mean->set(s, 0, forward_.running_mean->value(s, 0));
      backward_.rstd->set(s, 0, 1 / std::sqrt(variance + static_cast<float>(forward_.problem.eps)));
    }
  }

  // The loss whose gradient with respect to y is dy.
  double loss() const {
    const std::vector<double> y = reference(forward_).y;
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i), length = backward_.dy->row_length();
      sum += y[i] * static_cast<double>(backward_.dy->value(at / length, at % length));
    }
    return sum;
  }

  // The loss's slope at one element of an input of the forward. The data are multiples of 2^-16
  // below 8, so that this step to either side is exact in f32; the error of the difference is of
  // the order of its square.
  double slope(Tensor *tensor, int64_t row, int64_t i) const {
    constexpr float kStep = 0x1p-10f;
    const float value = tensor->value(row, i);
    tensor->set(row, i, value + kStep);
    const double above = loss();
    tensor->set(row, i, value - kStep);
    const double below = loss();
    tensor->set(row, i, value);
    return (above - below) / (2 * static_cast<double>(kStep));
  }

  void expect_slopes(const char *what, Tensor *input, const std::vector<double> &gradient) const {
    ASSERT_EQ(static_cast<int64_t>(gradient.size()), input->rows() * input->row_length()) << what;
    for (int64_t row = 0; row < input->rows(); ++row) {
      for (int64_t i = 0; i < input->row_length(); ++i) {
        const double expected = slope(input, row, i);
        EXPECT_NEAR(gradient[static_cast<size_t>(row * input->row_length() + i)], expected,
                    1e-4 * (1 + std::fabs(expected)))
            << what << " of row " << row << " element " << i;
      }
    }
  }

  Tensors forward_, backward_;
};

TEST_P(Gradients, AreTheSlopesOfTheForward) {
  const Expected expected = reference(backward_);
  expect_slopes("dx", &forward_.x, expected.y);
  if (backward_.dgamma) expect_slopes("dgamma", &*forward_.gamma, expected.dgamma);
  if (backward_.dbeta) expect_slopes("dbeta", &*forward_.beta, expected.dbeta);
}

INSTANTIATE_TEST_SUITE_P(All, Gradients, testing::ValuesIn(kCases),
                         [](const auto &info) { return test_name(info.param.backward); });

}  // namespace
}  // namespace halnorm_test
