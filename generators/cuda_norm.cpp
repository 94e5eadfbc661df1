// SPDX-License-Identifier: Apache-2.0
// Layer and RMS norm on CUDA, forward, and dx of both, of aligned rows that a warp holds in its
// registers: x is read once. The formulas, and the bits, are those of the kernels that it stands
// for (cuda_sums.cpp, cuda_fold.cpp, cuda_apply.cpp).
#include "cuda_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

template <typename T>
class CudaRowGenerator : public CudaGenerator<T> {
 protected:
  // Parts as folds add them up: by halves, in f64.
  Expr total(const WarpSum &sum, size_t k, const vector<Expr> &at) const {
    vector<Expr> parts;
    for (int part = 0; part < this->knobs.chunks; part++) {
      parts.push_back(cast<double>(value_of(sum.total(), k, {at[0], part, at[1], at[2]})));
    }
    for (size_t half = parts.size() / 2; half >= 1; half /= 2) {
      for (size_t part = 0; part < half; part++) parts[part] = parts[part] + parts[part + half];
    }
    return parts[0];
  }

  // Writes rows from the values of their elements; `lane` is the one that has them.
  template <typename Output>
  void define_rows(
      Output *output, const Expr &n,
      const std::function<Expr(const Values &values, const Expr &i, const Expr &lane)> &result) {
    CudaRoles &roles = this->roles_;
    const CudaVars &vars = roles.vars;
    const RDom elements(0, kVector, 0, kGroups, 0, this->knobs.chunks, 0, kWarp, "elements");
    roles.elements = elements;
    const Expr first = this->first_of(elements.y, elements.w, elements.z), i = first + elements.x;
    roles.elements.where(this->is_in_row(elements.x, first, n));
    const Values values = values_of(
        roles.chunk.loaded, {elements.x, elements.y, elements.w, elements.z, vars.row, vars.outer});
    (*output)(vars.i, vars.row, vars.outer) = Halide::undef(output->type());
    (*output)(i, vars.row, vars.outer) = this->narrowed(result(values, i, elements.w));
    roles.output = *output;
  }
};

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
    x.set_type(storage_type(storage));
    y.set_type(storage_type(storage));
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr row = vars.row, outer = vars.outer, lane = vars.lane;
    const Expr n = x.dim(0).extent(), count = cast<double>(n);
    roles_.chunk = load_chunk(n, [&](const Expr &i) { return Values{widened(x(i, row, outer))}; });

    // Of each lane, the same in all.
    Func high("high"), moments("moments");
    if (has_mean) {
      roles_.warp_sums.push_back(
          sum_chunk("sum", roles_.chunk, n, [](const Values &v) { return v; }));
      high(vars.lane, vars.row, vars.outer) =
          cast<float>(total(roles_.warp_sums[0], 0, {lane, row, outer}) / count);
    } else {
      high(vars.lane, vars.row, vars.outer) = 0.0f;
    }
    const auto center = [&](const Expr &at_lane) { return Expr(high(at_lane, row, outer)); };
    roles_.warp_sums.push_back(sum_chunk("central", roles_.chunk, n, [&](const Values &v) {
      return deviation_terms(v[0] - center(lane), has_mean);
    }));
    const WarpSum &central = roles_.warp_sums.back();
    Func totals("totals");
    vector<Expr> all = {total(central, 0, {lane, row, outer})};
    if (has_mean) all.push_back(total(central, 1, {lane, row, outer}));
    totals(vars.lane, vars.row, vars.outer) = Tuple(all);
    const Moments m = layer_moments(totals, {lane, row, outer}, count, has_mean);
    moments(vars.lane, vars.row, vars.outer) = Tuple(m.low, 1.0f / sqrt(m.variance + eps));
    roles_.of_lanes = {moments};
    if (has_mean) roles_.of_lanes.push_back(high);

    define_rows(&y, n, [&](const Values &v, const Expr &i, const Expr &at_lane) {
      const vector<Expr> at = {at_lane, row, outer};
      return layer_normalized(v[0], center(at_lane), value_of(moments, 0, at),
                              value_of(moments, 1, at), gamma(i), beta(i), corrected());
    });
    statistics(vars.row, vars.outer) =
        Tuple(center(0) + moments(0, row, outer)[0], moments(0, row, outer)[1]);
    roles_.statistics = statistics;
  }

  void schedule() {
    constrain_tensor(&x);
    constrain_tensor(&y);
    for (auto *parameter : {&gamma, &beta}) constrain_parameter(parameter);
    outputs_from_zero(statistics);
    Halide::OutputImageParam first = Func(statistics).output_buffers()[0];
    for (int d = 0; d < 2; d++) first.dim(d).set_extent(y.dim(d + 1).extent());
    schedule_cuda_norm(roles_, knobs);
  }
};

class CudaNormBackward : public CudaRowGenerator<CudaNormBackward> {
 public:
  Input<Halide::Buffer<>> dy{"dy", 3}, x{"x", 3};
  Input<Halide::Buffer<float, 2>> mean{"mean"}, rstd{"rstd"};  // (row, outer)
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Input<int32_t> has_mean{"has_mean"};  // layer norm, else RMS norm
  Output<Halide::Buffer<>> dx{"dx", 3};

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(storage_type(storage));
    dx.set_type(storage_type(storage));
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr row = vars.row, outer = vars.outer, lane = vars.lane;
    const Expr n = x.dim(0).extent(), count = cast<double>(n);
    roles_.chunk = load_chunk(n, [&](const Expr &i) {
      return Values{widened(dy(i, row, outer)), widened(x(i, row, outer)), gamma(i)};
    });
    roles_.warp_sums = {sum_chunk("sum", roles_.chunk, n, [&](const Values &v) {
      return vector<Expr>{v[0] * v[2], v[0] * v[2] * (v[1] - mean(row, outer))};
    })};
    const WarpSum &sum = roles_.warp_sums[0];
    const Expr scale = cast<double>(rstd(row, outer));
    Func means("means");  // mean_g and slope, see input_gradient() of norm_math.h
    const Expr mean_g = cast<float>(total(sum, 0, {lane, row, outer}) / count);
    means(vars.lane, vars.row, vars.outer) =
        Tuple(Halide::select(has_mean != 0, mean_g, 0.0f),
              cast<float>(total(sum, 1, {lane, row, outer}) / count * scale * scale));
    roles_.of_lanes = {means};
    define_rows(&dx, n, [&](const Values &v, const Expr &, const Expr &at_lane) {
      const vector<Expr> at = {at_lane, row, outer};
      return input_gradient(v[0] * v[2], v[1], mean(row, outer), rstd(row, outer),
                            value_of(means, 0, at), value_of(means, 1, at));
    });
  }

  void schedule() {
    for (auto *tensor : {&dy, &x}) constrain_tensor(tensor);
    constrain_tensor(&dx);
    for (auto *of_rows : {&mean, &rstd}) from_zero(of_rows);
    constrain_parameter(&gamma);
    schedule_cuda_norm(roles_, knobs);
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaNorm, cuda_norm)
HALIDE_REGISTER_GENERATOR(halnorm::CudaNormBackward, cuda_norm_backward)
