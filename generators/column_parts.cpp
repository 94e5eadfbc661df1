// SPDX-License-Identifier: Apache-2.0
// Long rows side by side, some elements of them at a time: moments, added to those of the elements
// before; statistics from the moments of all; and the last pass. Every sum is that of
// Tree::columns, bit for bit, if each part but the last is whole blocks. As row_parts.cpp, they
// serve all norms.
#include "norm_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::Tuple;

class ColumnMoments : public StorageGenerator<ColumnMoments> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> center{"center"};
  Input<Halide::Buffer<double, 1>> squares_before{"squares_before"};
  Input<Halide::Buffer<double, 1>> deviations_before{"deviations_before"};
  Output<Func> moments{"moments", {2, Float(64)}, 1};  // sums of d^2 and of d, d = x - center

  void configure() { x.set_type(storage_type(storage)); }

  void generate() {
    const Halide::Var i = vars_.i, row = vars_.row;
    Func value("value");
    value(i, row) = widened(x(row, i));
    const Summation summation(Tree::columns, value, x.dim(1).extent(), vars_);
    const Sum sum = summation.columns(
        "central", [&](const Expr &v) { return deviation_terms(v - center(row), true); },
        {squares_before(row), deviations_before(row)});
    moments(row) = Tuple(value_of(sum.total, 0, {row}), value_of(sum.total, 1, {row}));
    roles_.vars = vars_;
    roles_.sums = {sum};
    roles_.output = moments;
  }

  void schedule() {
    x.dim(0).set_min(0).set_stride(1);
    x.dim(1).set_min(0);
    side_by_side(&center);
    side_by_side(&squares_before);
    side_by_side(&deviations_before);
    schedule_column_part(&roles_, knobs, get_target());
  }

 private:
  template <typename Parameter>
  void side_by_side(Parameter *parameter) {
    parameter->dim(0).set_min(0).set_stride(1);
  }

  Roles roles_;
};

class ColumnFold : public StorageGenerator<ColumnFold> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<double, 1>> squares{"squares"}, deviations{"deviations"};
  Input<double> n{"n"};
  Input<float> eps{"eps"};
  Input<bool> has_mean{"has_mean"};
  // The sum of d over n, which is what center lacks to be the mean, and rstd.
  Output<Func> statistics{"statistics", {2, Float(32)}, 1};

  void generate() {
    Func total("total");
    total(vars_.row) = Tuple(squares(vars_.row), deviations(vars_.row));
    statistics(vars_.row) = part_statistics(total, {vars_.row}, n, eps, corrected(), has_mean);
    roles_.vars = vars_;
    roles_.output = statistics;
  }

  void schedule() {
    squares.dim(0).set_min(0).set_stride(1);
    deviations.dim(0).set_min(0).set_stride(1);
    schedule_column_part(&roles_, knobs, get_target());
  }

 private:
  Roles roles_;
};

class ColumnApply : public StorageGenerator<ColumnApply> {
 public:
  Knobs knobs;
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<Halide::Buffer<float, 1>> high{"high"}, low{"low"}, rstd{"rstd"};
  Output<Halide::Buffer<>> y{"y", 2};

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const Halide::Var i = vars_.i, row = vars_.row;
    y(row, i) = narrowed(layer_normalized(widened(x(row, i)), high(row), low(row), rstd(row),
                                          gamma(i), beta(i), corrected()));
    roles_.vars = vars_;
    roles_.output = y;
  }

  void schedule() {
    for (int d : {0, 1}) {
      x.dim(d).set_min(0);
      y.dim(d).set_min(0);
    }
    x.dim(0).set_stride(1);
    y.dim(0).set_stride(1);
    for (auto *parameter : {&gamma, &beta, &high, &low, &rstd}) {
      parameter->dim(0).set_min(0).set_stride(1);
    }
    schedule_column_part(&roles_, knobs, get_target());
  }

 private:
  Roles roles_;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::ColumnMoments, column_moments)
HALIDE_REGISTER_GENERATOR(halnorm::ColumnFold, column_fold)
HALIDE_REGISTER_GENERATOR(halnorm::ColumnApply, column_apply)
