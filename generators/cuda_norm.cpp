// SPDX-License-Identifier: Apache-2.0
// Layer and RMS norm on CUDA, forward, of aligned rows that a warp holds in its registers, or
// several warps a chunk each: x is read once. The formulas, and the bits, are those of the kernels
// that it stands for (cuda_sums.cpp, cuda_fold.cpp, cuda_apply.cpp).
#include "cuda_row_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

class CudaNorm : public CudaRowGenerator<CudaNorm> {
 public:
  // Layer norm, else RMS norm.
  Halide::GeneratorParam<bool> has_mean{"has_mean", true};
  Input<Halide::Buffer<>> x{"x", 3};
  Input<Halide::Buffer<float, 1>> gamma{"gamma"}, beta{"beta"};
  Input<float> eps{"eps"};
  Output<Halide::Buffer<>> y{"y", 3};
  Output<Func> statistics{"statistics", {Float(32), Float(32)}, 2};  // mean, rstd: (row, outer)

  void configure() {
    x.set_type(word_type());
    y.set_type(word_type());
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr row = vars.row, outer = vars.outer, lane = vars.lane;
    const Expr n = length_of_row(x, row), count = count_of_row(x);
    const auto words = [&](const Expr &word) { return Values{x(word, row, outer)}; };
    begin_pass(n, words);

    // Of each lane, the same in all.
    const vector<Expr> at = {lane, row, outer};
    Func high("high"), moments("moments");
    if (has_mean) {
      roles_.warp_sums.push_back(sum_chunk("sum", n, [](const Values &v) { return v; }));
      high(vars.lane, vars.row, vars.outer) =
          cast<float>(totals_of(roles_.warp_sums[0], 1)(lane, row, outer) / count);
    } else {
      high(vars.lane, vars.row, vars.outer) = 0.0f;
    }
    if (has_mean) begin_pass(n, words);
    const Func center = has_mean ? for_pass(high) : high;
    roles_.warp_sums.push_back(sum_chunk("central", n, [&](const Values &v) {
      return deviation_terms(v[0] - center(lane, row, outer), has_mean);
    }));
    const WarpSum &central = roles_.warp_sums.back();
    const Func totals = totals_of(central, has_mean ? 2 : 1);
    const Moments m = layer_moments(totals, {lane, row, outer}, count, has_mean);
    moments(vars.lane, vars.row, vars.outer) = Tuple(m.low, 1.0f / sqrt(m.variance + eps));
    roles_.of_lanes = {moments};
    if (has_mean) roles_.of_lanes.push_back(high);

    roles_.affine = load_chunk("affine", 1, n, [&](const Expr &i) {
      return Values{gamma(i), beta(i)};
    });
    begin_pass(n, words);
    const Func last_center = has_mean ? for_pass(high) : high, last_moments = for_pass(moments);
    const Func words_of_y = define_words([&](const Values &v, const Expr &place) {
      const Values affine =
          values_of(roles_.affine.loaded, {place, vars.group, lane, vars.part, row, outer});
      return layer_normalized(v[0], last_center(lane, row, outer), value_of(last_moments, 0, at),
                              value_of(last_moments, 1, at), affine[0], affine[1], corrected());
    });
    define_rows(&y, n, words_of_y);
    // Of the first lane, by an update, which is to have a condition.
    RDom first(0, 1, "first");
    first.where(row < x.dim(1).extent());
    statistics(vars.row, vars.outer) = Tuple(Halide::undef<float>(), Halide::undef<float>());
    statistics(vars.row, vars.outer) = Tuple(
        high(first, row, outer) + moments(first, row, outer)[0], moments(first, row, outer)[1]);
    roles_.statistics = statistics;
    roles_.first = first;
  }

  void schedule() {
    constrain_tensor(&x);
    constrain_tensor(&y);
    for (auto *parameter : {&gamma, &beta}) constrain_parameter(parameter);
    outputs_from_zero(statistics);
    Halide::OutputImageParam first = Func(statistics).output_buffers()[0];
    for (int d = 0; d < 2; d++) first.dim(d).set_extent(y.dim(d + 1).extent());
    schedule_rows();
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaNorm, cuda_norm)
