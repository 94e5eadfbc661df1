// SPDX-License-Identifier: Apache-2.0
// The running statistics of batch norm on CUDA: updated by those of a batch, as PyTorch defines it
// (torch.nn.BatchNorm2d), in f64 and rounded once; or made into rstd.
#include "cuda_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::Tuple;

class CudaRunning : public CudaGenerator<CudaRunning> {
 public:
  Input<Halide::Buffer<float, 1>> high{"high"}, low{"low"}, variance{"variance"};
  // What makes the variance unbiased, or 1.
  Input<double> momentum{"momentum"}, unbias{"unbias"};
  // The mean and the variance, in place.
  Output<Func> running{"running", {2, Halide::Float(32)}, 1};

  void generate() {
    const Halide::Var i = roles_.vars.i;
    const auto blend = [&](const Expr &before, const Expr &now) {
      return cast<float>((Expr(1.0) - momentum) * cast<double>(before) + momentum * now);
    };
    const Expr mean = cast<double>(high(i)) + cast<double>(low(i));
    running(i) = Tuple(Halide::undef<float>(), Halide::undef<float>());
    running(i) =
        Tuple(blend(running(i)[0], mean), blend(running(i)[1], cast<double>(variance(i)) * unbias));
    roles_.output = running;
    roles_.inner = i;
  }

  void schedule() {
    for (auto *input : {&high, &low, &variance}) from_zero(input);
    outputs_from_zero(running);
    schedule_cuda_vector(Halide::Func(running).update(), roles_.inner, knobs);
  }
};

class CudaReciprocalDeviation : public CudaGenerator<CudaReciprocalDeviation> {
 public:
  Input<Halide::Buffer<float, 1>> variance{"variance"};
  Input<float> eps{"eps"};
  Output<Halide::Buffer<float, 1>> rstd{"rstd"};

  void generate() {
    const Halide::Var i = roles_.vars.i;
    rstd(i) = 1.0f / sqrt(variance(i) + eps);
    roles_.output = rstd;
    roles_.inner = i;
  }

  void schedule() {
    from_zero(&variance);
    from_zero(&rstd);
    schedule_cuda_vector(Halide::Func(rstd), roles_.inner, knobs);
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaRunning, cuda_running)
HALIDE_REGISTER_GENERATOR(halnorm::CudaReciprocalDeviation, cuda_reciprocal_deviation)
