// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <list>
#include <stdexcept>
#include <string>
#include <vector>

#include "onednn.h"
#include "peer.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Layout;
using halnorm_test::Norm;
using halnorm_test::Operation;
using halnorm_test::Problem;

// Empty when oneDNN may have a primitive for the problem; else what it lacks.
std::string unsuitable(const Problem &problem) {
  switch (problem.norm()) {
    case Norm::rms:
    case Norm::group:
      return "has no such operation";
    case Norm::layer:
      if (problem.layout != Layout::dense) return "compared on dense rows only";
      break;
    case Norm::instance:
      if (problem.layout != Layout::dense) return "has instance norm as a batch norm of NCHW only";
      break;
    case Norm::batch:
      if (problem.layout != Layout::dense && problem.layout != Layout::channels_last) {
        return "compared on dense NCHW and NHWC only";
      }
      break;
  }
  if (problem.zero_centered || problem.parameter_dtype() != halnorm_test::Dtype::f32) {
    return "takes gamma and beta in f32 only, without 1 + gamma";
  }
  if (problem.no_dx) return "always writes dx";
  return "";
}

OneDnnPrimitive::Kind kind_of(Operation operation) {
  switch (operation) {
    case Operation::layer_norm_forward:
      return OneDnnPrimitive::Kind::layer_norm_forward;
    case Operation::layer_norm_backward:
      return OneDnnPrimitive::Kind::layer_norm_backward;
    case Operation::batch_norm_inference:
      return OneDnnPrimitive::Kind::batch_norm_inference;
    case Operation::instance_norm_backward:
    case Operation::batch_norm_backward:
      return OneDnnPrimitive::Kind::batch_norm_backward;
    default:
      return OneDnnPrimitive::Kind::batch_norm_training;
  }
}

// Layer norm is of rows and columns. Instance norm is the batch norm of one sample that has the
// channels of all: the same memory, the same statistics.
std::vector<int64_t> shape_of(const Problem &problem) {
  if (problem.norm() == Norm::layer) return {problem.row_count(), problem.row_length()};
  std::vector<int64_t> shape = problem.shape;
  if (problem.norm() == Norm::instance) {
    shape[1] *= shape[0];
    shape[0] = 1;
  }
  return shape;
}

class OneDnnSolver : public Solver {
 public:
  OneDnnSolver(const Problem &problem, const PeerTensors &tensors, int threads)
      : problem_(problem),
        tensors_(tensors),
        parameters_(problem_.row_length()),
        statistics_(problem_.statistic_count()) {
    if (problem_.has_channels()) parameters_ = problem_.shape[1];
    if (problem_.norm() == Norm::instance) samples_ = problem_.shape[0];

    operands_.x = data_of(tensors_.x);
    if (problem_.is_backward()) {
      bind_backward();
    } else {
      bind_forward();
    }
    OneDnnPrimitive::Options options;
    options.kind = kind_of(problem_.operation);
    options.dtype = halnorm_test::name(problem_.dtype);
    options.shape = shape_of(problem_);
    options.channels_last = problem_.layout == Layout::channels_last;
    options.fixed_statistics = problem_.fixed;
    options.threads = threads;
    options.eps = static_cast<float>(problem_.eps);
    primitive_ = std::make_unique<OneDnnPrimitive>(options, operands_);
  }

  std::string implementation() const { return primitive_->implementation(); }

  bool run() override { return primitive_->execute(); }
  std::string failure() const override { return "oneDNN reports an error"; }

  void hand_over(halnorm_test::Tensors *) override {
    if (problem_.is_backward()) {
      sum_samples(operands_.dgamma, data_of<float>(tensors_.dgamma));
      sum_samples(operands_.dbeta, data_of<float>(tensors_.dbeta));
      return;
    }
    if (problem_.operation == Operation::batch_norm_inference) return;
    // oneDNN gives the variance where halnorm gives rstd.
    if (float *rstd = data_of<float>(tensors_.rstd)) {
      for (int64_t i = 0; i < statistics_; ++i) {
        rstd[i] = static_cast<float>(
            1 / std::sqrt(static_cast<double>(operands_.variance[i]) + problem_.eps));
      }
    }
    // Its users bring the running statistics up to date on their own.
    if (problem_.running) {
      const double n = static_cast<double>(problem_.statistic_length());
      update(data_of<float>(tensors_.running_mean), operands_.mean, 1);
      update(data_of<float>(tensors_.running_var), operands_.variance,
             problem_.biased ? 1 : n / (n - 1));
    }
  }

 private:
  void bind_forward() {
    operands_.y = data_of(tensors_.y);
    operands_.gamma = repeated(data_of<float>(tensors_.gamma));
    operands_.beta = repeated(data_of<float>(tensors_.beta));
    if (problem_.operation == Operation::batch_norm_inference) {
      operands_.mean = data_of<float>(tensors_.running_mean);
      operands_.variance = data_of<float>(tensors_.running_var);
    } else if (problem_.statistics || problem_.running) {
      operands_.mean =
          problem_.statistics ? data_of<float>(tensors_.mean) : scratch(statistics_, 0);
      operands_.variance = scratch(statistics_, 0);
    }
  }

  void bind_backward() {
    const int64_t parameters = samples_ * parameters_;
    operands_.dy = data_of(tensors_.dy);
    operands_.dx = data_of(tensors_.dx);
    operands_.mean = data_of<float>(tensors_.mean);
    operands_.variance = scratch(statistics_, 0);
    const float *rstd = data_of<float>(tensors_.rstd);
    for (int64_t i = 0; i < statistics_; ++i) {
      const double variance = 1 / (static_cast<double>(rstd[i]) * rstd[i]) - problem_.eps;
      operands_.variance[i] = static_cast<float>(std::max(0.0, variance));
    }
    // It has gamma and dgamma, or neither.
    if (problem_.gamma || problem_.dgamma) {
      operands_.gamma =
          problem_.gamma ? repeated(data_of<float>(tensors_.gamma)) : scratch(parameters, 1);
      operands_.dgamma = problem_.dgamma && samples_ == 1 ? data_of<float>(tensors_.dgamma)
                                                          : scratch(parameters, 0);
    }
    if (problem_.dbeta) {
      operands_.dbeta = samples_ == 1 ? data_of<float>(tensors_.dbeta) : scratch(parameters, 0);
    }
  }

  float *scratch(int64_t count, float value) {
    return memory_.emplace_back(static_cast<size_t>(count), value).data();
  }

  // Once for each sample of instance norm. Null stays null.
  const float *repeated(const float *parameter) {
    if (parameter == nullptr || samples_ == 1) return parameter;
    float *all = scratch(samples_ * parameters_, 0);
    for (int64_t n = 0; n < samples_; ++n) {
      std::copy_n(parameter, parameters_, all + n * parameters_);
    }
    return all;
  }

  void sum_samples(const float *gradients, float *total) const {
    if (total == nullptr || total == gradients) return;
    for (int64_t c = 0; c < parameters_; ++c) {
      double sum = 0;
      for (int64_t n = 0; n < samples_; ++n) {
        sum += static_cast<double>(gradients[n * parameters_ + c]);
      }
      total[c] = static_cast<float>(sum);
    }
  }

  void update(float *running, const float *batch, double correction) const {
    for (int64_t i = 0; i < statistics_; ++i) {
      running[i] =
          static_cast<float>((1 - problem_.momentum) * static_cast<double>(running[i]) +
                             problem_.momentum * correction * static_cast<double>(batch[i]));
    }
  }

  const Problem problem_;
  const PeerTensors tensors_;
  int64_t parameters_, statistics_;  // how many
  int64_t samples_ = 1;              // for which parameters are repeated
  std::list<std::vector<float>> memory_;
  OneDnnPrimitive::Operands operands_;
  std::unique_ptr<OneDnnPrimitive> primitive_;
};

}  // namespace
}  // namespace halnorm_bench

const char *halnorm_bench_peer_version() {
  static const std::string version = halnorm_bench::OneDnnPrimitive::version();
  return version.c_str();
}

void halnorm_bench_append_peer(const halnorm_test::Problem &problem,
                               const halnorm_bench::PeerTensors &tensors, int threads,
                               std::vector<halnorm_bench::Contender> *contenders) {
  using namespace halnorm_bench;
  const auto create = [&](std::string *detail) {
    auto solver = std::make_unique<OneDnnSolver>(problem, tensors, threads);
    *detail = solver->implementation();
    if (problem.norm() == Norm::instance) *detail += ", as batch norm of one sample";
    return solver;
  };
  append_peer("oneDNN", unsuitable(problem), create, contenders);
}
