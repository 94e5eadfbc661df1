// SPDX-License-Identifier: Apache-2.0
#include "pytorch.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/headeronly/version.h>

#include <stdexcept>
#include <vector>

namespace halnorm_bench {
namespace {

using at::Tensor;
using halnorm_test::Dtype;
using halnorm_test::Layout;
using halnorm_test::Norm;
using halnorm_test::Problem;

// Empty when PyTorch solves the problem; else what it lacks.
std::string unsuitable(const Problem &problem) {
  if (problem.zero_centered) return "has no 1 + gamma";
  if (problem.biased) return "updates running_var by the unbiased variance only";
  if (problem.dgamma && !problem.gamma) return "has dgamma only where there is gamma";
  if (problem.operation == halnorm_test::Operation::layer_norm_backward &&
      problem.dtype != Dtype::f32 && (problem.dgamma || problem.dbeta)) {
    return "adds up dgamma and dbeta in the type of x, which is too far off to be compared";
  }
  if (problem.norm() == Norm::rms) {
    if (problem.gamma && problem.parameter_dtype() != problem.dtype) {
      return "gives y of RMSNorm in the type of gamma";
    }
    if (problem.no_dx) return "always computes dx";
  } else if (problem.dtype != Dtype::f32 && (problem.has_rstd() || problem.has_running()) &&
             (problem.narrow_parameters || !problem.gamma)) {
    return "has f32 statistics only beside f32 gamma";
  }
  if (!problem.has_channels() || problem.layout == Layout::dense) return "";
  if (problem.layout != Layout::channels_last) return "compared on dense NCHW and NHWC only";
  if (problem.norm() == Norm::instance) return "has instance norm as a batch norm of NCHW only";
  return "";
}

at::ScalarType scalar_type(const halnorm_tensor &tensor) {
  if (tensor.dtype.bits == 32) return at::kFloat;
  const halnorm_dtype bf16 = HALNORM_BF16;
  return tensor.dtype.code == bf16.code ? at::kBFloat16 : at::kHalf;
}

// On the memory of the workload; undefined where the problem has no such tensor.
Tensor wrap(const halnorm_tensor &tensor) {
  if (tensor.data == nullptr) return Tensor();
  const size_t rank = static_cast<size_t>(tensor.ndim);
  return at::from_blob(data_of(tensor), at::IntArrayRef(tensor.shape, rank),
                       at::IntArrayRef(tensor.strides, rank), scalar_type(tensor));
}

}  // namespace

PyTorchTensors::PyTorchTensors(const Problem &problem, const PeerTensors &tensors)
    : x(wrap(tensors.x)),
      y(wrap(tensors.y)),
      dy(wrap(tensors.dy)),
      dx(wrap(tensors.dx)),
      gamma(wrap(tensors.gamma)),
      beta(wrap(tensors.beta)),
      dgamma(wrap(tensors.dgamma)),
      dbeta(wrap(tensors.dbeta)),
      mean(wrap(tensors.mean)),
      rstd(wrap(tensors.rstd)),
      running_mean(wrap(tensors.running_mean)),
      running_var(wrap(tensors.running_var)) {
  // They are computed, wanted or not.
  if (problem.has_channels() && !mean.defined()) {
    mean = at::empty(problem.statistic_shape(), gamma.defined() ? gamma.options() : x.options());
    rstd = mean.clone();
  }
  if (problem.norm() == Norm::instance) become_one_sample(problem);
  if (problem.fixed) {
    running_mean = mean;
    running_var = rstd.pow(-2).sub(problem.eps).clamp_min(0);
  }
}

// That has the channels of all samples: how PyTorch itself computes instance norm.
void PyTorchTensors::become_one_sample(const Problem &problem) {
  std::vector<int64_t> shape = problem.shape;
  shape[1] *= shape[0];
  shape[0] = 1;
  for (Tensor *tensor : {&x, &y, &dy, &dx}) {
    if (tensor->defined()) *tensor = tensor->view(shape);
  }
  for (Tensor *tensor : {&gamma, &beta}) {
    if (tensor->defined()) *tensor = tensor->repeat({problem.shape[0]});
  }
  for (Tensor *tensor : {&mean, &rstd}) *tensor = tensor->view({-1});
}

PyTorchSolver::PyTorchSolver(const Problem &problem, const PeerTensors &tensors, int threads)
    : p_(problem), t_(problem, tensors) {
  at::set_num_threads(threads);
}

bool PyTorchSolver::run() {
  try {
    compute();
    return true;
  } catch (const c10::Error &error) {
    failure_ = error.what_without_backtrace();
  } catch (const std::exception &error) {
    failure_ = error.what();
  }
  return false;
}

}  // namespace halnorm_bench

const char *halnorm_bench_peer_version() { return TORCH_VERSION; }

void halnorm_bench_append_peer(const halnorm_test::Problem &problem,
                               const halnorm_bench::PeerTensors &tensors, int threads,
                               std::vector<halnorm_bench::Contender> *contenders) {
  using namespace halnorm_bench;
  const std::string why_not = unsuitable(problem);
  const auto append = [&](const char *name, auto make) {
    const auto create = [&](std::string *detail) {
      auto solver = make(problem, tensors, threads);
      *detail = solver->name();
      return solver;
    };
    append_peer(name, why_not, create, contenders);
  };
  append("PyTorch", make_pytorch_operator);
  if (pytorch_has_kernel(problem)) append("PyTorch's kernel", make_pytorch_kernel);
}
