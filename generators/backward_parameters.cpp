// SPDX-License-Identifier: Apache-2.0
// The last pass of layer and RMS norm's gradients with what the rows add to dgamma and dbeta, so
// that each element is loaded once for all three. Of rows of whole groups of kLanes, which need no
// window; the rows add up in order, as in column_sums_parameters.
#include "norm_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;

class BackwardParameters : public CpuGenerator<BackwardParameters> {
 public:
  Input<Halide::Buffer<>> dy{"dy", 2}, x{"x", 2};
  Input<Halide::Buffer<float, 1>> mean{"mean"}, rstd{"rstd"};        // of rows
  Input<Halide::Buffer<float, 1>> mean_g{"mean_g"}, slope{"slope"};  // of rows
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Output<Halide::Buffer<>> dx{"dx", 2};
  Output<Func> sums{"sums", {Halide::Float(32), Halide::Float(32)}, 1};  // of dbeta and dgamma

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(storage_type(storage));
    dx.set_type(storage_type(storage));
  }

  void generate() {
    const Expr i = vars_.i, rows = dx.dim(1).extent();
    const int step = knobs.last_rows;
    Steps &order = roles_.steps;
    order.steps = RDom(0, step, 0, rows / step, "steps");
    order.rest = RDom(0, rows % step, "rest");
    dx(i, vars_.row) = Halide::undef(dx.type());
    sums(i) = Tuple(Halide::undef<float>(), Halide::undef<float>());
    for (const Expr &place :
         {order.steps.y * step + order.steps.x, rows - rows % step + order.rest}) {
      // Always below; but loops run together only if all have an order, and those of dx would not.
      const Expr row = min(place, rows - 1);
      const Expr g = widened(dy(i, row)), value = widened(x(i, row));
      dx(i, row) = narrowed(
          input_gradient(g * gamma(i), value, mean(row), rstd(row), mean_g(row), slope(row)));
      const auto terms = gradient_terms(g, (value - mean(row)) * rstd(row));
      sums(i) = Tuple(value_of(sums, 0, {i}) + terms[0], value_of(sums, 1, {i}) + terms[1]);
    }
    roles_.output = dx;
    roles_.gradients = sums;
  }

  void schedule() {
    const Expr n = length(dx.dim(0).extent()) / kLanes * kLanes;
    for (auto *tensor : {&dy, &x}) make_dense(tensor);
    make_dense(&dx);
    dx.dim(0).set_extent(n);
    make_outputs_dense(sums)[0].dim(0).set_extent(n);
    for (auto *vector : {&mean, &rstd, &mean_g, &slope, &gamma}) make_dense(vector);
    schedule_row_backward_parameters(roles(), knobs, get_target());
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::BackwardParameters, backward_parameters)
