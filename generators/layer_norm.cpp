// SPDX-License-Identifier: Apache-2.0
// Layer normalization, forward (Ba, Kiros, Hinton, "Layer Normalization", 2016, eq. 3 and 4):
//   mean = sum(x) / n, variance = sum((x - mean)^2) / n, rstd = 1 / sqrt(variance + eps),
//   y = (x - mean) * rstd * gamma + beta.
// The mean of f32 rows is kept as high + low, see layer_moments(). Instance normalization of rows
// that are a run of a channel differs in where gamma and beta are alone.
//
// A kernel that looks ahead is given high and takes the sums of the next rows beside the deviations
// of these, so that memory is read while there is something to compute. It writes the y of its
// first rows, as many as y has: none, where only the sums of the first rows of all are wanted.
#include "norm_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::Tuple;

class LayerNormForward : public NormGenerator<LayerNormForward> {
 public:
  Halide::GeneratorParam<bool> gamma_along_rows{"gamma_along_rows", true};
  Halide::GeneratorParam<bool> ahead{"ahead", false};
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<float> eps{"eps"};
  Output<Halide::Buffer<>> y{"y", 2};
  // The high part of the mean (of the next rows by a kernel that looks ahead), the low part, the
  // mean, rstd.
  Output<Func> statistics{"statistics", {4, Halide::Float(32)}, 1};

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
    if (!ahead) return;
    next_ = add_input<Halide::Buffer<>>("next", storage_type(storage), 2);
    high_ = add_input<Halide::Buffer<float, 1>>("high");
  }

  void generate() {
    const Halide::Var i = vars_.i, row = vars_.row;
    std::vector<Expr> beside;
    // There may be fewer next rows than rows; the sums of those that are not there are not used.
    if (ahead) beside = {widened((*next_)(i, min(row, next_->dim(1).extent() - 1)))};
    const Func value = rows_of(x, beside);
    const Expr n = count();

    Func high("high");
    if (ahead) {
      high(row) = (*high_)(row);
    } else {
      const Sum sums = sum("sum", [](const Values &v) { return v; });
      high(row) = cast<float>(value_of(sums.total, 0, {row}) / n);
      roles_.between = {high};
    }
    const Sum central = sum("central", [&](const Values &v) {
      std::vector<Expr> terms = deviation_terms(v[0] - high(row), corrected());
      if (ahead) terms.push_back(v[1]);
      return terms;
    });
    const Moments moments = layer_moments(central.total, {row}, n, corrected());
    const size_t last = static_cast<size_t>(central.total.outputs()) - 1;
    const Expr next_high = cast<float>(value_of(central.total, last, {row}) / n);
    statistics(row) = Tuple(ahead ? next_high : Expr(high(row)), moments.low,
                            high(row) + moments.low, 1.0f / sqrt(moments.variance + eps));

    const Func s = statistics;
    define_output(&y, value, [&](const Expr &v, const Expr &at_i) {
      const Expr at = gamma_along_rows ? at_i : Expr(row);
      const Expr center = ahead ? Expr(high(row)) : Expr(s(row)[0]);
      return layer_normalized(v, center, s(row)[1], s(row)[3], gamma(at), beta(at), corrected());
    });
  }

  void schedule() {
    schedule_norm(&x, &y, statistics, !ahead);
    if (ahead) {
      make_dense(next_);
      make_dense(high_);
    }
    for (auto *parameter : {&gamma, &beta}) {
      if (gamma_along_rows) {
        one_per_element(parameter);
      } else {
        make_dense(parameter);
      }
    }
  }

 private:
  Input<Halide::Buffer<>> *next_ = nullptr;
  Input<Halide::Buffer<float, 1>> *high_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::LayerNormForward, layer_norm_forward)
