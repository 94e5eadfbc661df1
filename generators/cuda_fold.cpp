// SPDX-License-Identifier: Apache-2.0
// Parts added up on CUDA, and what is made of the totals. A statistic has all parts of its members
// (samples of a channel, channels of a group; else there is one): they are numbered with the parts
// of a member together, lane l takes parts l, l + kWarp ... in order, and the lanes fold by halves,
// all in f64.
#include "cuda_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

enum class Result {
  center,          // the mean, in f32
  statistics,      // from the sums of d * d and d
  gradient_means,  // mean_g and slope, see gradient_means() of norm_math.h
  gradient,        // of a parameter, as it is stored
};

class CudaFold : public CudaGenerator<CudaFold> {
 public:
  Halide::GeneratorParam<Result> result{"result",
                                        Result::center,
                                        {{"center", Result::center},
                                         {"statistics", Result::statistics},
                                         {"gradient_means", Result::gradient_means},
                                         {"gradient", Result::gradient}}};
  // Each member counts as often as its weight says: gamma of its channel, or rstd of its sample.
  Halide::GeneratorParam<bool> weighted{"weighted", false};

  void configure() {
    const int count = has_two_sums() ? 2 : 1;
    for (int k = 0; k < count; k++) {
      // (part, member, statistic, outer)
      parts_.push_back(add_input<Halide::Buffer<float, 4>>("parts" + std::to_string(k)));
    }
    if (weighted) {
      weight_ = add_input<Halide::Buffer<float, 3>>("weight");  // (member, statistic, outer)
      statistics_of_a_weight_ = add_input<int32_t>("statistics_of_a_weight");
    }
    if (result == Result::statistics) center_ = add_statistic("center");
    if (result == Result::gradient_means) rstd_ = add_statistic("rstd");
    if (result != Result::gradient) count_ = add_input<double>("count");
    if (result == Result::statistics) eps_ = add_input<float>("eps");
    if (has_two_sums()) has_mean_ = add_input<int32_t>("has_mean");
    results_ = add_output<Func>("results", types(), 2);  // (statistic, outer)
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr row = vars.row, outer = vars.outer, lane = vars.lane;
    Fold &fold = roles_.fold;
    const Expr parts = parts_[0]->dim(0).extent(), all = parts * parts_[0]->dim(1).extent();
    fold.steps = RDom(0, (all + kWarp - 1) / kWarp, "steps");
    const Expr number = fold.steps * kWarp + lane;
    fold.steps.where(number < all);
    const Expr member = number / parts;
    fold.lanes = Func("lanes");
    fold.lanes(vars.lane, vars.row, vars.outer) =
        Tuple(vector<Expr>(parts_.size(), cast<double>(0)));
    vector<Expr> next;
    for (size_t k = 0; k < parts_.size(); k++) {
      Expr added = cast<double>((*parts_[k])(number % parts, member, row, outer));
      if (weighted) {
        added *= cast<double>((*weight_)(member, row / *statistics_of_a_weight_, outer));
      }
      next.push_back(value_of(fold.lanes, k, {lane, row, outer}) + added);
    }
    fold.lanes(vars.lane, vars.row, vars.outer) = Tuple(next);
    Func wider = fold.lanes;
    for (int width = kWarp / 2; width >= 1; width /= 2) {
      Func narrower("fold" + std::to_string(width));
      vector<Expr> folded;
      for (size_t k = 0; k < parts_.size(); k++) {
        folded.push_back(value_of(wider, k, {lane, row, outer}) +
                         value_of(wider, k, {lane + width, row, outer}));
      }
      narrower(vars.lane, vars.row, vars.outer) = Tuple(folded);
      fold.folds.push_back(narrower);
      wider = narrower;
    }
    (*results_)(vars.row, vars.outer) = Tuple(results_of(wider));
    roles_.output = *results_;
  }

  void schedule() {
    for (auto *parts : parts_) from_zero(parts);
    if (weight_ != nullptr) from_zero(weight_);
    for (auto *statistic : {center_, rstd_}) {
      if (statistic != nullptr) from_zero(statistic);
    }
    outputs_from_zero(*results_);
    schedule_cuda_fold(roles_, knobs);
  }

 private:
  bool has_two_sums() const {
    return result == Result::statistics || result == Result::gradient_means;
  }
  vector<Halide::Type> types() const {
    switch (result) {
      case Result::center:
        return {Float(32)};
      case Result::statistics:
        return vector<Halide::Type>(5, Float(32));  // low, rstd, variance; mean, rstd
      case Result::gradient_means:
        return vector<Halide::Type>(2, Float(32));
      case Result::gradient:
        break;
    }
    return {storage_type(storage)};
  }

  vector<Expr> results_of(const Func &totals) const {
    const Expr row = roles_.vars.row, outer = roles_.vars.outer;
    const vector<Expr> at = {0, row, outer};
    if (result == Result::gradient) return {narrowed(cast<float>(value_of(totals, 0, at)))};
    if (result == Result::center) return {cast<float>(value_of(totals, 0, at) / *count_)};
    const Expr has_mean = has_mean_ == nullptr ? Expr(true) : *has_mean_ != 0;
    if (result == Result::statistics) {
      const Moments corrected = layer_moments(totals, at, *count_, true);
      const Moments plain = layer_moments(totals, at, *count_, false);
      const Moments moments = {Halide::select(has_mean, corrected.low, plain.low),
                               Halide::select(has_mean, corrected.variance, plain.variance)};
      const Expr rstd = 1.0f / sqrt(moments.variance + *eps_);
      return {moments.low, rstd, moments.variance, (*center_)(row, outer) + moments.low, rstd};
    }
    const GradientMeans means = gradient_means(totals, at, *count_, (*rstd_)(row, outer), has_mean);
    return {means.mean_g, means.slope};
  }

  vector<Halide::GeneratorInput<Halide::Buffer<float, 4>> *> parts_;
  Halide::GeneratorInput<Halide::Buffer<float, 3>> *weight_ = nullptr;
  Halide::GeneratorInput<int32_t> *statistics_of_a_weight_ = nullptr, *has_mean_ = nullptr;
  Statistic *center_ = nullptr, *rstd_ = nullptr;
  Halide::GeneratorInput<double> *count_ = nullptr;
  Halide::GeneratorInput<float> *eps_ = nullptr;
  Halide::GeneratorOutput<Func> *results_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaFold, cuda_fold)
