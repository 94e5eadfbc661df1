// SPDX-License-Identifier: Apache-2.0
// The common layouts have kernels of their own, which read and write tensors where they lie: with a
// workspace of an eighth of x no call can pack what it works on, and halnorm_last_kernel() names
// the kernel of the layout.
#include <ostream>

#include "test_util.h"

namespace halnorm_test {
namespace {

struct Case {
  const char *problem, *part;
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.problem; }

constexpr Case kCases[] = {
    // Last axis, and padded rows.
    {"layer_norm_forward:f32:512x500:gamma,beta,statistics", "layer_norm_forward_row_"},
    {"layer_norm_forward:f32:512x500:gamma,beta,statistics,layout=padded",
     "layer_norm_forward_row_"},
    {"layer_norm_forward:f32:64x4000:gamma,beta,statistics", "layer_norm_forward_long_row_"},
    {"rms_norm_forward:f32:512x500:gamma,statistics,layout=padded", "rms_norm_forward_row_"},
    {"layer_norm_backward:f32:512x500:gamma,dgamma,dbeta,layout=padded", "any_norm_row_backward_"},
    {"rms_norm_backward:f32:64x4000:gamma,dgamma", "any_norm_row_backward_"},
    // Channels first.
    {"layer_norm_forward:f32:4x28x28x96:gamma,beta,statistics,layout=channels_first",
     "any_norm_column_apply_f32"},
    {"layer_norm_backward:f32:4x28x28x96:gamma,dgamma,dbeta,layout=channels_first",
     "any_norm_column_backward_f32"},
    // NCHW, of 1 to 3 spatial dimensions.
    {"instance_norm_forward:f32:8x32x1000:gamma,beta,statistics", "row_apply_channel_"},
    {"instance_norm_forward:f32:8x32x10x10x10:gamma,beta,statistics", "row_apply_channel_"},
    {"instance_norm_backward:f32:8x32x32x32:gamma,dgamma,dbeta", "row_backward_channel_"},
    {"group_norm_forward:f32:8x32x32x32:gamma,beta,statistics,groups=8", "row_apply_channel_"},
    {"group_norm_backward:f32:8x32x32x32:gamma,dgamma,dbeta,groups=8", "row_backward_channel_"},
    {"batch_norm_inference:f32:8x32x32x32:gamma,beta", "row_apply_channel_"},
    {"batch_norm_training:f32:8x32x32x32:gamma,beta,statistics,running", "row_apply_channel_"},
    {"batch_norm_training:f32:8x32x32x32:gamma,beta,layout=padded", "row_apply_channel_"},
    {"batch_norm_backward:f32:8x32x1000:gamma,dgamma,dbeta", "row_backward_channel_"},
    // NHWC.
    {"instance_norm_forward:f32:8x64x500:gamma,beta,layout=channels_last", "column_apply_channel_"},
    {"instance_norm_backward:f32:8x64x20x25:gamma,dgamma,dbeta,layout=channels_last",
     "column_backward_channel_"},
    {"group_norm_forward:f32:8x64x20x25:gamma,beta,groups=16,layout=channels_last",
     "column_apply_channel_"},
    {"group_norm_backward:f32:8x64x5x10x10:gamma,dgamma,dbeta,groups=16,layout=channels_last",
     "column_backward_channel_"},
    {"batch_norm_inference:f32:8x64x20x25:gamma,beta,layout=channels_last",
     "column_apply_channel_"},
    {"batch_norm_training:f32:8x64x20x25:gamma,beta,layout=channels_last", "column_apply_channel_"},
    {"batch_norm_backward:f32:8x64x20x25:gamma,dgamma,dbeta,layout=channels_last",
     "column_backward_channel_"},
    // Spatial size 1.
    {"group_norm_forward:f32:1000x256:gamma,beta,groups=32", "column_apply_channel_"},
    {"batch_norm_training:f32:1000x256:gamma,beta,statistics,running", "column_apply_channel_"},
    {"batch_norm_training:f32:1000x256x1x1:gamma,beta", "column_apply_channel_"},
    {"batch_norm_backward:f32:1000x256:gamma,dgamma,dbeta", "column_backward_channel_"},
};

class OwnKernels : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { ASSERT_EQ(halnorm_context_create(&context_), HALNORM_OK); }
  void TearDown() override { halnorm_context_destroy(context_); }

  halnorm_status call_in_little_memory(const Problem &problem) {
    Tensors tensors(problem, Placement::end_flush);
    tensors.fill(Data(), 1);
    size_t elements = 1;
    for (int64_t extent : problem.shape) elements *= static_cast<size_t>(extent);
    workspace_.resize(elements * size_of(problem.dtype) / 8);
    EXPECT_EQ(halnorm_context_set_num_threads(context_, 1), HALNORM_OK);
    EXPECT_EQ(halnorm_context_set_workspace(context_, {HALNORM_CPU, 0}, workspace_.data(),
                                            workspace_.size()),
              HALNORM_OK);
    return tensors.call(context_);
  }

  halnorm_context *context_ = nullptr;
  std::vector<uint8_t> workspace_;
};

TEST_P(OwnKernels, WorkInPlace) {
  ASSERT_EQ(call_in_little_memory(must_parse(GetParam().problem)), HALNORM_OK)
      << halnorm_last_error();
  EXPECT_NE(std::string(halnorm_last_kernel()).find(GetParam().part), std::string::npos)
      << halnorm_last_kernel();
}

INSTANTIATE_TEST_SUITE_P(All, OwnKernels, testing::ValuesIn(kCases),
                         [](const auto &info) { return test_name(info.param.problem); });

// What the memory is too small for.
TEST_F(OwnKernels, AreNotThoseOfTensorsWithGaps) {
  for (const char *problem : {"layer_norm_backward:f32:512x500:gamma,dgamma,dbeta,layout=gaps",
                              "batch_norm_training:f32:8x64x20x25:gamma,beta,layout=gaps"}) {
    EXPECT_EQ(call_in_little_memory(must_parse(problem)), HALNORM_OUT_OF_MEMORY) << problem;
  }
}

}  // namespace
}  // namespace halnorm_test
