// SPDX-License-Identifier: Apache-2.0
// The last pass of every norm that does not run as one kernel: each element of y or dx from those
// of x and dy, once the statistics of its row are known. gamma and beta lie along the row (layer
// and RMS norm) or belong to it (instance, group and batch norm: a row is a run of a channel).
//
// RMS norm is layer norm with a mean of 0 and beta = -0, exactly; its gradient has a mean_g of 0.
// The gradient through fixed statistics is Apply on dy, with a mean of 0 and beta = -0.
#include "norm_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using Halide::Tuple;
using std::vector;

template <typename T>
class ApplyGenerator : public CpuGenerator<T> {
 public:
  // Rows are neighbours in memory; else the elements of a row are.
  Halide::GeneratorParam<bool> columns{"columns", false};
  Halide::GeneratorParam<bool> gamma_along_rows{"gamma_along_rows", true};

 protected:
  // Defines output(element, row), in the order of memory, as result(values, element).
  template <typename Output>
  void define(Output *output, const vector<Expr> &values_of_element,
              const std::function<Expr(const Values &values, const Expr &i)> &result) {
    const Halide::Var i = this->vars_.i, row = this->vars_.row;
    if (columns) {
      (*output)(row, i) = this->narrowed(result(values_of_element, i));
      this->roles_.output = *output;
      return;
    }
    Func values("values");
    values(i, row) = Tuple(values_of_element);
    const Expr n = this->length(output->dim(0).extent());
    this->define_rows(output, values, window_of(values, n, this->vars_), n, result);
  }
  vector<Expr> place() const {
    const Expr i = this->vars_.i, row = this->vars_.row;
    return columns ? vector<Expr>{row, i} : vector<Expr>{i, row};
  }
  // Where the parameters of an element are.
  Expr parameter_at(const Expr &i) const { return gamma_along_rows ? i : Expr(this->vars_.row); }

  void schedule_last_pass() {
    if (columns) {
      schedule_column_apply(this->roles(), this->knobs, this->get_target());
    } else {
      schedule_row_apply(this->roles(), this->knobs, this->get_target());
    }
  }
};

class Apply : public ApplyGenerator<Apply> {
 public:
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> high{"high"}, low{"low"}, rstd{"rstd"};  // of rows
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Output<Halide::Buffer<>> y{"y", 2};

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const Expr row = vars_.row;
    define(&y, {widened(x(place()))}, [&](const Values &v, const Expr &i) {
      const Expr at = parameter_at(i);
      return layer_normalized(v[0], high(row), low(row), rstd(row), gamma(at), beta(at),
                              corrected());
    });
    roles_.inputs = {x};
  }

  void schedule() {
    make_dense(&x);
    make_dense(&y);
    for (auto *vector : {&high, &low, &rstd, &gamma, &beta}) make_dense(vector);
    schedule_last_pass();
  }
};

class ApplyBackward : public ApplyGenerator<ApplyBackward> {
 public:
  Input<Halide::Buffer<>> dy{"dy", 2}, x{"x", 2};
  Input<Halide::Buffer<float, 1>> mean{"mean"}, rstd{"rstd"};        // of rows
  Input<Halide::Buffer<float, 1>> mean_g{"mean_g"}, slope{"slope"};  // of rows
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Output<Halide::Buffer<>> dx{"dx", 2};

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(storage_type(storage));
    dx.set_type(storage_type(storage));
  }

  void generate() {
    const Expr row = vars_.row;
    define(&dx, {widened(dy(place())), widened(x(place()))}, [&](const Values &v, const Expr &i) {
      return input_gradient(v[0] * gamma(parameter_at(i)), v[1], mean(row), rstd(row), mean_g(row),
                            slope(row));
    });
    roles_.inputs = {dy, x};
  }

  void schedule() {
    for (auto *tensor : {&dy, &x}) make_dense(tensor);
    make_dense(&dx);
    for (auto *vector : {&mean, &rstd, &mean_g, &slope, &gamma}) make_dense(vector);
    schedule_last_pass();
  }
};

// gamma or beta in f32, with what is to be added to it: 1 where gamma is stored as gamma - 1, else
// -0, which changes nothing.
class Parameter : public CpuGenerator<Parameter> {
 public:
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
    make_dense(&parameter);
    make_dense(&stored);
    schedule_vector(&roles_, get_target());
  }
};

// dgamma or dbeta as it is stored.
class ParameterGradient : public CpuGenerator<ParameterGradient> {
 public:
  Input<Halide::Buffer<float, 1>> gradient{"gradient"};
  Output<Halide::Buffer<>> stored{"stored", 1};

  void configure() { stored.set_type(storage_type(storage)); }

  void generate() {
    stored(vars_.i) = narrowed(gradient(vars_.i));
    roles_.vars = vars_;
    roles_.output = stored;
  }

  void schedule() {
    make_dense(&gradient);
    make_dense(&stored);
    schedule_vector(&roles_, get_target());
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::Apply, apply)
HALIDE_REGISTER_GENERATOR(halnorm::ApplyBackward, apply_backward)
HALIDE_REGISTER_GENERATOR(halnorm::Parameter, parameter)
HALIDE_REGISTER_GENERATOR(halnorm::ParameterGradient, parameter_gradient)
