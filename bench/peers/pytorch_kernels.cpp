// SPDX-License-Identifier: Apache-2.0
#include <ATen/native/batch_norm.h>
#include <ATen/native/group_norm.h>
#include <c10/core/InferenceMode.h>

// Its names for two types are those of the header above, with another meaning.
#define forward_fn layer_norm_forward_fn
#define backward_fn layer_norm_backward_fn
#include <ATen/native/layer_norm.h>

#include "pytorch.h"

namespace halnorm_bench {
namespace {

using at::Tensor;
using halnorm_test::Layout;
using halnorm_test::Operation;
using halnorm_test::Problem;

const char *name_of(Operation operation) {
  switch (operation) {
    case Operation::layer_norm_forward:
      return "LayerNormKernel";
    case Operation::layer_norm_backward:
      return "LayerNormBackwardKernel";
    case Operation::group_norm_forward:
      return "GroupNormKernel";
    case Operation::group_norm_backward:
      return "GroupNormBackwardKernel";
    case Operation::batch_norm_backward:
      return "batch_norm_cpu_backward_stub";
    default:
      return "";
  }
}

class KernelSolver : public PyTorchSolver {
 public:
  using PyTorchSolver::PyTorchSolver;

  std::string name() const override { return name_of(p_.operation); }

 private:
  void compute() override {
    const c10::InferenceMode nothing_is_recorded;
    const int64_t rows = p_.row_count(), length = p_.row_length();
    Tensor y = t_.y, mean = t_.mean, rstd = t_.rstd;
    Tensor dx = t_.dx, dgamma = t_.dgamma, dbeta = t_.dbeta;
    switch (p_.operation) {
      case Operation::layer_norm_forward:
        at::native::LayerNormKernel(at::kCPU, t_.x, t_.gamma, t_.beta, rows, length, p_.eps, &y,
                                    p_.statistics ? &mean : nullptr,
                                    p_.statistics ? &rstd : nullptr);
        break;
      case Operation::layer_norm_backward:
        at::native::LayerNormBackwardKernel(at::kCPU, t_.dy, t_.x, mean, rstd, t_.gamma, rows,
                                            length, &dx, &dgamma, &dbeta);
        break;
      case Operation::group_norm_forward:
        at::native::GroupNormKernel(at::kCPU, t_.x, t_.gamma, t_.beta, p_.shape[0], p_.shape[1],
                                    length, p_.groups, p_.eps, y, mean, rstd);
        break;
      case Operation::group_norm_backward:
        at::native::GroupNormBackwardKernel(at::kCPU, t_.dy, t_.x, mean, rstd, t_.gamma,
                                            p_.shape[0], p_.shape[1], length, p_.groups, dx, dgamma,
                                            dbeta);
        break;
      default:
        at::native::batch_norm_cpu_backward_stub(at::kCPU, dx, dgamma, dbeta, t_.dy, t_.x, t_.gamma,
                                                 t_.running_mean, t_.running_var, mean, rstd,
                                                 !p_.fixed, p_.eps);
    }
  }
};

}  // namespace

bool pytorch_has_kernel(const Problem &problem) {
  return (problem.layout == Layout::dense || problem.layout == Layout::channels_last) &&
         *name_of(problem.operation) != '\0';
}

std::unique_ptr<PyTorchSolver> make_pytorch_kernel(const Problem &problem,
                                                   const PeerTensors &tensors, int threads) {
  return std::make_unique<KernelSolver>(problem, tensors, threads);
}

}  // namespace halnorm_bench
