// SPDX-License-Identifier: Apache-2.0
// A long row in parts, for many threads and for rows of more than 2^31 elements: moments of its
// chunks, their sum, and the last pass. Every sum is that of Tree::many_chunks, bit for bit. With
// center 0 the sum of d is the sum of x, and with high = low = 0 and beta = -0 the last pass of
// layer norm is that of RMS norm, exactly: so these serve all norms.
#include "norm_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using Halide::Tuple;

// Some chunks of a row: sums of d^2 and of d, d = x - center, lane by lane.
class RowMoments : public StorageGenerator<RowMoments> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<>> x{"x", 1};
  Input<float> center{"center"};
  Output<Func> moments{"moments", {2, Halide::Float(32)}, 2};  // (lane, chunk)

  void configure() { x.set_type(storage_type(storage)); }

  void generate() {
    Func value("value");
    value(vars_.i, vars_.row) = widened(x(vars_.i));
    const Summation summation(Tree::many_chunks, value, x.dim(0).extent(), vars_);
    const Sum sum = summation.chunk_sums(
        "central", [&](const Expr &v) { return deviation_terms(v - center, true); });
    const std::vector<Expr> at = {vars_.lane, vars_.part, 0};
    moments(vars_.lane, vars_.part) =
        Tuple(value_of(sum.partial, 0, at), value_of(sum.partial, 1, at));
    roles_.vars = vars_;
    roles_.window = summation.window();
    roles_.n = x.dim(0).extent();
    roles_.sums = {sum};
    roles_.output = moments;
  }

  void schedule() {
    x.dim(0).set_min(0).set_stride(1);
    std::vector<Halide::OutputImageParam> outputs = Func(moments).output_buffers();
    outputs[0].dim(0).set_bounds(0, kLanes);
    outputs[0].dim(1).set_min(0);
    for (Halide::OutputImageParam &output : outputs) {
      output.dim(0).set_stride(1);
      output.dim(1).set_stride(kLanes);
    }
    schedule_chunk_sums(&roles_, knobs, get_target());
  }

 private:
  Roles roles_;
};

// The statistics of a row of n elements from the moments of its chunks.
class RowFold : public StorageGenerator<RowFold> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<float, 2>> squares{"squares"}, deviations{"deviations"};  // (lane, chunk)
  Input<double> n{"n"};
  Input<float> eps{"eps"};
  Input<bool> has_mean{"has_mean"};
  // The sum of d over n, which is what center lacks to be the mean, and rstd.
  Output<Func> statistics{"statistics", {2, Halide::Float(32)}, 1};

  void generate() {
    Sum sum;
    sum.partial = Func("moments");
    sum.partial(vars_.lane, vars_.part, vars_.row) =
        Tuple(squares(vars_.lane, vars_.part), deviations(vars_.lane, vars_.part));
    Summation::add_chunks(&sum, "chunks", squares.dim(1).extent(), vars_);
    statistics(vars_.row) = part_statistics(sum.total, {vars_.row}, n, eps, corrected(), has_mean);
    roles_.vars = vars_;
    roles_.sums = {sum};
    roles_.statistics = statistics;
  }

  void schedule() {
    for (auto *lanes : {&squares, &deviations}) {
      lanes->dim(0).set_bounds(0, kLanes).set_stride(1);
      lanes->dim(1).set_min(0).set_stride(kLanes);
    }
    schedule_fold(&roles_, get_target());
  }

 private:
  Roles roles_;
};

class RowApply : public StorageGenerator<RowApply> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<>> x{"x", 1};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<float> high{"high"}, low{"low"}, rstd{"rstd"};
  Output<Halide::Buffer<>> y{"y", 1};

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const Halide::Var i = vars_.i;
    y(i) =
        narrowed(layer_normalized(widened(x(i)), high, low, rstd, gamma(i), beta(i), corrected()));
    roles_.vars = vars_;
    roles_.output = y;
  }

  void schedule() {
    y.dim(0).set_min(0).set_stride(1);
    for (auto dim : {x.dim(0), gamma.dim(0), beta.dim(0)}) {
      dim.set_bounds(0, y.dim(0).extent()).set_stride(1);
    }
    schedule_apply(&roles_, knobs, get_target());
  }

 private:
  Roles roles_;
};

// gamma or beta in f32, with what is to be added to it: 1 where gamma is stored as gamma - 1, else
// -0, which changes nothing.
class Parameter : public StorageGenerator<Parameter> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<>> stored{"stored", 1};
  Input<float> offset{"offset"};
  Output<Halide::Buffer<float, 1>> parameter{"parameter"};

  void configure() { stored.set_type(storage_type(storage)); }

  void generate() {
    parameter(vars_.i) = widened(stored(vars_.i)) + offset;
    roles_.vars = vars_;
    roles_.output = parameter;
  }

  void schedule() {
    parameter.dim(0).set_min(0).set_stride(1);
    stored.dim(0).set_bounds(0, parameter.dim(0).extent()).set_stride(1);
    schedule_apply(&roles_, knobs, get_target());
  }

 private:
  Roles roles_;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::RowMoments, row_moments)
HALIDE_REGISTER_GENERATOR(halnorm::RowFold, row_fold)
HALIDE_REGISTER_GENERATOR(halnorm::RowApply, row_apply)
HALIDE_REGISTER_GENERATOR(halnorm::Parameter, parameter)
