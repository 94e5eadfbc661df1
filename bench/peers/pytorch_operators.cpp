// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/_fused_rms_norm.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/native_group_norm.h>
#include <ATen/ops/native_group_norm_backward.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/rms_norm.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "pytorch.h"

namespace halnorm_bench {
namespace {

using at::Tensor;
using halnorm_test::Operation;
using halnorm_test::Problem;
// What an operator gives back: y, mean and rstd, or dx, dgamma and dbeta.
using Results = std::array<Tensor, 3>;

class OperatorSolver : public PyTorchSolver {
 public:
  OperatorSolver(const Problem &problem, const PeerTensors &tensors, int threads)
      : PyTorchSolver(problem, tensors, threads) {
    if (p_.operation != Operation::rms_norm_backward) return;
    inputs_.push_back(t_.x.requires_grad_());
    if (p_.dgamma) inputs_.push_back(t_.gamma.requires_grad_());
    recorded_ = at::rms_norm(t_.x, p_.parameter_shape(), t_.gamma, p_.eps);
  }

  std::string name() const override {
    switch (p_.operation) {
      case Operation::layer_norm_forward:
        return "native_layer_norm";
      case Operation::layer_norm_backward:
        return "native_layer_norm_backward";
      case Operation::rms_norm_forward:
        return p_.statistics ? "_fused_rms_norm" : "rms_norm";
      case Operation::rms_norm_backward:
        return "autograd of rms_norm";
      case Operation::group_norm_forward:
        return "native_group_norm";
      case Operation::group_norm_backward:
        return "native_group_norm_backward";
      case Operation::instance_norm_forward:
        return "native_batch_norm of one sample";
      case Operation::instance_norm_backward:
        return "native_batch_norm_backward of one sample";
      case Operation::batch_norm_inference:
      case Operation::batch_norm_training:
        return "native_batch_norm";
      case Operation::batch_norm_backward:
        return "native_batch_norm_backward";
    }
    return "";
  }

  void hand_over(halnorm_test::Tensors *) override {
    const Results wanted =
        p_.is_backward() ? Results{t_.dx, t_.dgamma, t_.dbeta} : Results{t_.y, t_.mean, t_.rstd};
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (!wanted[i].defined() || !results_[i].defined()) continue;
      wanted[i].detach().copy_(results_[i].view_as(wanted[i]));
    }
  }

 private:
  void compute() override {
    // First, so that the allocator has the memory of the last call to give.
    results_ = Results();
    if (p_.operation == Operation::rms_norm_backward) {
      std::vector<Tensor> gradients =
          torch::autograd::grad({recorded_}, inputs_, {t_.dy}, /*retain_graph=*/true);
      std::move(gradients.begin(), gradients.end(), results_.begin());
      return;
    }
    const c10::InferenceMode nothing_is_recorded;
    results_ = results();
  }

  Results results() {
    const std::vector<int64_t> &shape = p_.shape;
    switch (p_.operation) {
      case Operation::layer_norm_forward:
        return all(at::native_layer_norm(t_.x, parameter_shape_, t_.gamma, t_.beta, p_.eps));
      case Operation::layer_norm_backward:
        // Of beta it needs to know that there is one, and its shape.
        return all(at::native_layer_norm_backward(t_.dy, t_.x, parameter_shape_, t_.mean, t_.rstd,
                                                  t_.gamma, t_.dbeta, t_.wanted()));
      case Operation::rms_norm_forward: {
        if (!p_.statistics) return {at::rms_norm(t_.x, parameter_shape_, t_.gamma, p_.eps)};
        auto [y, rstd] = at::_fused_rms_norm(t_.x, parameter_shape_, t_.gamma, p_.eps);
        return {y, Tensor(), rstd};
      }
      case Operation::group_norm_forward:
        return all(at::native_group_norm(t_.x, t_.gamma, t_.beta, shape[0], shape[1],
                                         p_.row_length(), p_.groups, p_.eps));
      case Operation::group_norm_backward:
        return all(at::native_group_norm_backward(t_.dy, t_.x, t_.mean, t_.rstd, t_.gamma, shape[0],
                                                  shape[1], p_.row_length(), p_.groups,
                                                  t_.wanted()));
      case Operation::instance_norm_backward: {
        Results one_sample = batch_norm_backward();
        for (size_t i = 1; i < 3; ++i) {
          if (one_sample[i].defined()) {
            one_sample[i] = one_sample[i].view({shape[0], shape[1]}).sum(0);
          }
        }
        return one_sample;
      }
      case Operation::batch_norm_backward:
        return batch_norm_backward();
      default: {
        const bool training = p_.operation != Operation::batch_norm_inference;
        Tensor y = t_.y, mean = t_.mean, rstd = t_.rstd;
        at::native_batch_norm_out(y, mean, rstd, t_.x, t_.gamma, t_.beta, t_.running_mean,
                                  t_.running_var, training, p_.momentum, p_.eps);
        return {};
      }
    }
  }

  Results batch_norm_backward() const {
    return all(at::native_batch_norm_backward(t_.dy, t_.x, t_.gamma, t_.running_mean,
                                              t_.running_var, t_.mean, t_.rstd, !p_.fixed, p_.eps,
                                              t_.wanted()));
  }

  static Results all(std::tuple<Tensor, Tensor, Tensor> results) {
    return std::apply([](auto... result) { return Results{std::move(result)...}; },
                      std::move(results));
  }

  const std::vector<int64_t> parameter_shape_ = p_.parameter_shape();
  std::vector<Tensor> inputs_;  // of what was recorded
  Tensor recorded_;
  Results results_;
};

}  // namespace

std::unique_ptr<PyTorchSolver> make_pytorch_operator(const Problem &problem,
                                                     const PeerTensors &tensors, int threads) {
  return std::make_unique<OperatorSolver>(problem, tensors, threads);
}

}  // namespace halnorm_bench
