// SPDX-License-Identifier: Apache-2.0
// The last pass of layer and RMS norm's gradients with what the rows add to dgamma and dbeta, so
// that each element is loaded once for all three. Of rows of whole groups of kLanes, which need no
// window; the rows add up in order, as in column_sums_parameters. `sums_rows` takes what dx needs
// of a row of one chunk from the row itself rather than as an argument.
#include "norm_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;

class BackwardParameters : public CpuGenerator<BackwardParameters> {
 public:
  Halide::GeneratorParam<bool> sums_rows{"sums_rows", false};
  Output<Halide::Buffer<>> dx{"dx", 2};
  Output<Func> sums{"sums", {Halide::Float(32), Halide::Float(32)}, 1};  // of dbeta and dgamma

  void configure() {
    for (auto [tensor, name] : {std::pair{&dy_, "dy"}, {&x_, "x"}}) {
      *tensor = add_input<Halide::Buffer<>>(name, storage_type(storage), 2);
    }
    mean_ = add_vector("mean");
    rstd_ = add_vector("rstd");
    if (!sums_rows) {
      mean_g_ = add_vector("mean_g");
      slope_ = add_vector("slope");
    }
    gamma_ = add_vector("gamma");
    if (sums_rows) has_mean_ = add_input<int32_t>("has_mean");  // layer norm, else RMS norm
    dx.set_type(storage_type(storage));
  }

  void generate() {
    const Expr i = vars_.i, rows = dx.dim(1).extent();
    const int step = knobs.last_rows;
    Steps &order = roles_.steps;
    order.steps = RDom(0, step, 0, rows / step, "steps");
    order.rest = RDom(0, rows % step, "rest");
    roles_.n = length(dx.dim(0).extent()) / kLanes * kLanes;
    dx(i, vars_.row) = Halide::undef(dx.type());
    sums(i) = Tuple(Halide::undef<float>(), Halide::undef<float>());
    const auto add_stage = [&](const Expr &place, const std::string &name) {
      // Always below; but loops run together only if all have an order, and those of dx would not.
      const Expr row = min(place, rows - 1);
      const Expr mean = (*mean_)(row), rstd = (*rstd_)(row);
      const Expr g = widened((*dy_)(i, row)), value = widened((*x_)(i, row));
      const Func means = means_of_rows(name);
      dx(i, row) = narrowed(input_gradient(g * (*gamma_)(i), value, mean, rstd,
                                           value_of(means, 0, {row}), value_of(means, 1, {row})));
      const auto terms = gradient_terms(g, (value - mean) * rstd);
      sums(i) = Tuple(value_of(sums, 0, {i}) + terms[0], value_of(sums, 1, {i}) + terms[1]);
    };
    add_stage(order.steps.y * step + order.steps.x, "means");
    add_stage(rows - rows % step + order.rest, "means_of_rest");
    roles_.output = dx;
    roles_.gradients = sums;
  }

  void schedule() {
    for (auto *tensor : {dy_, x_}) make_dense(tensor);
    make_dense(&dx);
    dx.dim(0).set_extent(roles_.n);
    make_outputs_dense(sums)[0].dim(0).set_extent(roles_.n);
    for (auto *vector : {mean_, rstd_, mean_g_, slope_, gamma_}) {
      if (vector != nullptr) make_dense(vector);
    }
    schedule_row_backward_parameters(roles(), knobs, get_target());
  }

 private:
  using Vector = Halide::GeneratorInput<Halide::Buffer<float, 1>>;

  Vector *add_vector(const std::string &name) { return add_input<Halide::Buffer<float, 1>>(name); }

  // Of rows: mean_g and slope, which is rstd times the mean of g * xhat. A Func for each stage that
  // wants them, so that each can be computed within its loops.
  Func means_of_rows(const std::string &name) {
    const Expr i = vars_.i, row = vars_.row;
    Func means(name);
    if (!sums_rows) {
      means(row) = Tuple((*mean_g_)(row), (*slope_)(row));
      return means;
    }
    Func value(name + "_value"), totals(name + "_totals");
    value(i, row) = Tuple(widened((*dy_)(i, row)), widened((*x_)(i, row)), (*gamma_)(i));
    const Summation summation(Tree::one_chunk, value, roles_.n, vars_);
    const Sum sum = summation.sum(name + "_sum", [&](const Values &v) {
      return gradient_terms(v[0] * v[2], v[1] - (*mean_)(row));
    });
    totals(row) = Tuple(cast<double>(value_of(sum.total, 0, {row})),
                        cast<double>(value_of(sum.total, 1, {row})));
    const GradientMeans result =
        gradient_means(totals, {row}, cast<double>(roles_.n), (*rstd_)(row), *has_mean_ != 0);
    means(row) = Tuple(result.mean_g, result.slope);
    roles_.sums.push_back(sum);
    roles_.between.push_back(means);
    return means;
  }

  Halide::GeneratorInput<Halide::Buffer<>> *dy_ = nullptr, *x_ = nullptr;
  Vector *mean_ = nullptr, *rstd_ = nullptr, *mean_g_ = nullptr, *slope_ = nullptr;
  Vector *gamma_ = nullptr;
  Halide::GeneratorInput<int32_t> *has_mean_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::BackwardParameters, backward_parameters)
