// SPDX-License-Identifier: Apache-2.0
// Layer normalization, forward (Ba, Kiros, Hinton, "Layer Normalization", 2016, eq. 3 and 4):
//   mean = sum(x) / n, variance = sum((x - mean)^2) / n, rstd = 1 / sqrt(variance + eps),
//   y = (x - mean) * rstd * gamma + beta.
// The mean of f32 rows is kept as high + low, see layer_moments(). Instance normalization of rows
// that are a run of a channel differs in where gamma and beta are alone.
#include "norm_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::Tuple;

class LayerNormForward : public NormGenerator<LayerNormForward> {
 public:
  Halide::GeneratorParam<bool> gamma_along_rows{"gamma_along_rows", true};
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<float> eps{"eps"};
  Output<Halide::Buffer<>> y{"y", 2};
  // The high and the low part of the mean, the mean, rstd.
  Output<Func> statistics{"statistics", {4, Halide::Float(32)}, 1};

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const Halide::Var row = vars_.row;
    const Func value = rows_of(x);
    const Expr n = count();

    const Sum sums = sum("sum", [](const Values &v) { return v; });
    Func high("high");
    high(row) = cast<float>(value_of(sums.total, 0, {row}) / n);
    roles_.between = {high};

    const Sum central = sum(
        "central", [&](const Values &v) { return deviation_terms(v[0] - high(row), corrected()); });
    const Moments moments = layer_moments(central.total, {row}, n, corrected());
    statistics(row) =
        Tuple(high(row), moments.low, high(row) + moments.low, 1.0f / sqrt(moments.variance + eps));

    const Func s = statistics;
    define_output(&y, value, [&](const Expr &v, const Expr &i) {
      const Expr at = gamma_along_rows ? i : Expr(row);
      return layer_normalized(v, s(row)[0], s(row)[1], s(row)[3], gamma(at), beta(at), corrected());
    });
  }

  void schedule() {
    schedule_norm(&x, &y, statistics);
    for (auto *parameter : {&gamma, &beta}) {
      if (gamma_along_rows) {
        one_per_element(parameter);
      } else {
        make_dense(parameter);
      }
    }
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::LayerNormForward, layer_norm_forward)
