// SPDX-License-Identifier: Apache-2.0
// The templates for CUDA as another compiler and another runtime have them.
#include <gtest/gtest.h>

#include <functional>

#include "launch.h"
#include "order.h"
#include "stages.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

class OpenCl : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = why_no_pocl();
    if (!why.empty()) GTEST_SKIP() << why;
  }
};
class OpenClOf : public OpenCl, public testing::WithParamInterface<Dtype> {};

void expect_bits(const std::optional<Tensor> &tensor, const std::vector<float> &expected) {
  if (!tensor) return;
  for (int64_t k = 0; k < static_cast<int64_t>(expected.size()); ++k) {
    const int64_t length = tensor->row_length();
    const uint32_t bits = narrow(tensor->dtype(), expected[static_cast<size_t>(k)]);
    ASSERT_EQ(tensor->bits(k / length, k % length), bits)
        << "element " << k << ": " << tensor->value(k / length, k % length) << ", not "
        << widen(tensor->dtype(), bits);
  }
}

// Within the bounds of the trees, and the bits of their order.
void expect_norm(Operation operation, Dtype dtype, const std::vector<int64_t> &shape,
                 const std::function<void(Stages *)> &run) {
  const Problem problem = full_problem(operation, dtype, shape);
  SCOPED_TRACE(print(problem));
  Tensors tensors(problem, Placement::end_flush);
  tensors.fill({Data::Kind::normal, 3, 2}, 1);
  const Expected expected = reference(tensors);
  Stages stages(&tensors);
  run(&stages);
  EXPECT_TRUE(as_expected(&tensors, expected));
  const InOrder order = in_order(tensors);
  if (problem.is_backward()) {
    expect_bits(tensors.dx, order.dx);
    expect_bits(tensors.dgamma, order.dgamma);
    expect_bits(tensors.dbeta, order.dbeta);
  } else {
    expect_bits(tensors.y, order.y);
    expect_bits(tensors.mean, order.mean);
    expect_bits(tensors.rstd, order.rstd);
  }
}

TEST_P(OpenClOf, RowsInAWarp) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{1, 8}, {5, 256}, {6, 504}}) {
    expect_norm(Operation::layer_norm_forward, GetParam(), shape,
                [](Stages *stages) { stages->forward_by("norm"); });
  }
}

TEST_F(OpenCl, RowsOfTwoChunksInAWarp) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{2, 1000}, {3, 1544}, {1, 2048}}) {
    expect_norm(Operation::rms_norm_forward, Dtype::bf16, shape,
                [](Stages *stages) { stages->forward_by("norm_of_chunks"); });
  }
}

TEST_P(OpenClOf, RowsInABlock) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{2, 3080}, {1, 4096}}) {
    expect_norm(Operation::layer_norm_forward, GetParam(), shape,
                [](Stages *stages) { stages->forward_by("wide_norm"); });
  }
}

TEST_P(OpenClOf, ForwardInStages) {
  for (const Operation operation : {Operation::layer_norm_forward, Operation::rms_norm_forward}) {
    expect_norm(operation, GetParam(), {5, 1544}, [](Stages *stages) { stages->forward(true); });
  }
}

TEST_F(OpenCl, ForwardOfAnyRowsInStages) {
  expect_norm(Operation::layer_norm_forward, Dtype::bf16, {5, 1027},
              [](Stages *stages) { stages->forward(false); });
}

TEST_P(OpenClOf, BackwardOfRowsInAWarp) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{5, 8}, {3, 520}, {1, 1024}}) {
    expect_norm(Operation::layer_norm_backward, GetParam(), shape, [](Stages *stages) {
      stages->dgamma_and_dbeta(true);
      stages->dx_by("backward");
    });
  }
}

TEST_P(OpenClOf, BackwardOfRowsInABlock) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{2, 2056}, {1, 4096}}) {
    expect_norm(Operation::rms_norm_backward, GetParam(), shape, [](Stages *stages) {
      stages->dgamma_and_dbeta(true);
      stages->dx_by("wide_backward");
    });
  }
}

TEST_P(OpenClOf, GradientsOfRowsInOneSweep) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{1, 8}, {33, 256}, {65, 248}}) {
    expect_norm(Operation::layer_norm_backward, GetParam(), shape,
                [](Stages *stages) { stages->gradients_by("gradients", 256); });
  }
}

TEST_P(OpenClOf, BackwardInStages) {
  expect_norm(Operation::layer_norm_backward, GetParam(), {70, 1032}, [](Stages *stages) {
    stages->dgamma_and_dbeta(true);
    stages->dx(true);
  });
}

TEST_F(OpenCl, BackwardOfAnyRowsInStages) {
  expect_norm(Operation::layer_norm_backward, Dtype::bf16, {70, 1027}, [](Stages *stages) {
    stages->dgamma_and_dbeta(false);
    stages->dx(false);
  });
}

INSTANTIATE_TEST_SUITE_P(All, OpenClOf, testing::Values(Dtype::f32, Dtype::bf16),
                         [](const auto &p) { return std::string(name(p.param)); });

}  // namespace
}  // namespace halnorm_test
