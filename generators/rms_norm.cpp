// SPDX-License-Identifier: Apache-2.0
// Root mean square layer normalization, forward (Zhang, Sennrich, "Root Mean Square Layer
// Normalization", 2019, eq. 4), with eps as its implementations have it:
//   rstd = 1 / sqrt(sum(x^2) / n + eps), y = x * rstd * gamma.
#include "norm_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Func;

class RmsNormForward : public NormGenerator<RmsNormForward> {
 public:
  Input<Halide::Buffer<>> x{"x", 2};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Input<float> eps{"eps"};
  Output<Halide::Buffer<>> y{"y", 2};
  Output<Func> statistics{"statistics", {Halide::Float(32)}, 1};  // rstd

  void configure() {
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const Halide::Var row = vars_.row;
    const Func value = rows_of(x);

    const Sum squares =
        sum("squares", [](const Values &v) { return std::vector<Expr>{v[0] * v[0]}; });
    const Expr mean_square = cast<float>(value_of(squares.total, 0, {row}) / count());
    statistics(row) = 1.0f / sqrt(mean_square + eps);

    const Func rstd = statistics;
    define_output(&y, value,
                  [&](const Expr &v, const Expr &at) { return v * rstd(row) * gamma(at); });
  }

  void schedule() {
    schedule_norm(&x, &y, statistics);
    one_per_element(&gamma);
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::RmsNormForward, rms_norm_forward)
