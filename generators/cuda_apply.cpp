// SPDX-License-Identifier: Apache-2.0
// The last pass on CUDA, once the statistics of rows are known, as apply.cpp has it for CPUs; and
// copies between layouts.
#include "cuda_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using std::vector;

template <typename T>
class CudaApplyGenerator : public CudaGenerator<T> {
 public:
  Halide::GeneratorParam<bool> columns{"columns", false};
  Halide::GeneratorParam<bool> gamma_along_rows{"gamma_along_rows", true};

 protected:
  // What an element of the output is made of: its word, where in that it is, and whose it is.
  struct Element {
    Expr place, i, row;
  };
  Expr of_tensor(const Halide::GeneratorInput<Halide::Buffer<>> &tensor,
                 const Element &element) const {
    return this->element_of(tensor(words()), element.place);
  }
  Expr parameter_at(const Element &element) const {
    return gamma_along_rows ? element.i : element.row;
  }
  template <typename Output>
  void define(Output *output, const std::function<Expr(const Element &element)> &value) {
    const CudaVars &vars = this->roles_.vars;
    const int elements = this->elements_of_a_word();
    const Expr word = this->word_of([&](int k) {
      return columns ? value({k, vars.i, vars.row * elements + k})
                     : value({k, vars.i * elements + k, vars.row});
    });
    this->roles_.inner = columns ? vars.row : vars.i;
    this->roles_.next = columns ? vars.i : vars.row;
    (*output)(this->roles_.inner, this->roles_.next, vars.outer) = word;
    this->roles_.output = *output;
    this->roles_.words_at_once = this->words_at_once();
  }

 private:
  vector<Expr> words() const {
    const CudaVars &vars = this->roles_.vars;
    return columns ? vector<Expr>{vars.row, vars.i, vars.outer}
                   : vector<Expr>{vars.i, vars.row, vars.outer};
  }
};

class CudaApply : public CudaApplyGenerator<CudaApply> {
 public:
  Input<Halide::Buffer<>> x{"x", 3};
  Input<Halide::Buffer<float, 2>> high{"high"}, low{"low"}, rstd{"rstd"};  // of rows
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<int32_t> rows_of_a_statistic{"rows_of_a_statistic"};
  Output<Halide::Buffer<>> y{"y", 3};

  void configure() {
    x.set_type(word_type());
    y.set_type(word_type());
  }

  void generate() {
    const Expr outer = roles_.vars.outer;
    define(&y, [&](const Element &element) {
      const Expr statistic = element.row / rows_of_a_statistic;
      const Expr at = parameter_at(element);
      return layer_normalized(of_tensor(x, element), high(statistic, outer), low(statistic, outer),
                              rstd(statistic, outer), gamma(at), beta(at), corrected());
    });
  }

  void schedule() {
    constrain_tensor(&x);
    constrain_tensor(&y);
    for (auto *of_rows : {&high, &low, &rstd}) from_zero(of_rows);
    for (auto *parameter : {&gamma, &beta}) constrain_parameter(parameter);
    schedule_cuda_elements(roles_, knobs);
  }
};

class CudaApplyBackward : public CudaApplyGenerator<CudaApplyBackward> {
 public:
  Input<Halide::Buffer<>> dy{"dy", 3}, x{"x", 3};
  Input<Halide::Buffer<float, 2>> mean{"mean"}, rstd{"rstd"};        // of rows
  Input<Halide::Buffer<float, 2>> mean_g{"mean_g"}, slope{"slope"};  // of rows
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Input<int32_t> rows_of_a_statistic{"rows_of_a_statistic"};
  Output<Halide::Buffer<>> dx{"dx", 3};

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(word_type());
    dx.set_type(word_type());
  }

  void generate() {
    const Expr outer = roles_.vars.outer;
    define(&dx, [&](const Element &element) {
      const Expr statistic = element.row / rows_of_a_statistic;
      const Expr g = of_tensor(dy, element) * gamma(parameter_at(element));
      return input_gradient(g, of_tensor(x, element), mean(statistic, outer),
                            rstd(statistic, outer), mean_g(statistic, outer),
                            slope(statistic, outer));
    });
  }

  void schedule() {
    for (auto *tensor : {&dy, &x}) constrain_tensor(tensor);
    constrain_tensor(&dx);
    for (auto *of_rows : {&mean, &rstd, &mean_g, &slope}) from_zero(of_rows);
    constrain_parameter(&gamma);
    schedule_cuda_elements(roles_, knobs);
  }
};

// From any strides to any: as it is stored, or a parameter in f32 with what is to be added to it
// (see Parameter of apply.cpp).
class CudaCopy : public CudaGenerator<CudaCopy> {
 public:
  Halide::GeneratorParam<bool> to_f32{"to_f32", false};

  void configure() {
    from_ = add_input<Halide::Buffer<>>("from", storage_type(storage), 3);
    if (to_f32) offset_ = add_input<float>("offset");
    to_ = add_output<Halide::Buffer<>>("to", to_f32 ? Halide::Float(32) : storage_type(storage), 3);
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr stored = (*from_)(vars.i, vars.row, vars.outer);
    (*to_)(vars.i, vars.row, vars.outer) = to_f32 ? widened(stored) + *offset_ : stored;
    roles_.output = *to_;
    roles_.inner = vars.i;
    roles_.next = vars.row;
  }

  void schedule() {
    from_zero(from_);
    from_zero(to_);
    schedule_cuda_elements(roles_, knobs);
  }

 private:
  Halide::GeneratorInput<Halide::Buffer<>> *from_ = nullptr;
  Halide::GeneratorInput<float> *offset_ = nullptr;
  Halide::GeneratorOutput<Halide::Buffer<>> *to_ = nullptr;
};

class CudaFill : public CudaGenerator<CudaFill> {
 public:
  Input<float> value{"value"};
  Output<Halide::Buffer<>> to{"to", 1};

  void configure() { to.set_type(storage_type(storage)); }

  void generate() {
    to(roles_.vars.i) = narrowed(value);
    roles_.output = to;
    roles_.inner = roles_.vars.i;
  }

  void schedule() {
    from_zero(&to);
    schedule_cuda_vector(Halide::Func(to), roles_.inner, knobs);
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaApply, cuda_apply)
HALIDE_REGISTER_GENERATOR(halnorm::CudaApplyBackward, cuda_apply_backward)
HALIDE_REGISTER_GENERATOR(halnorm::CudaCopy, cuda_copy)
HALIDE_REGISTER_GENERATOR(halnorm::CudaFill, cuda_fill)
