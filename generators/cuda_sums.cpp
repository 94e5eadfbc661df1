// SPDX-License-Identifier: Apache-2.0
// Parts of sums on CUDA: over kChunk elements of a row in the order of a warp, or over kBlock
// elements, one after the other, of rows that are neighbours.
#include "cuda_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

class CudaSums : public CudaGenerator<CudaSums> {
 public:
  Halide::GeneratorParam<Summands> summands{"summands", Summands::values, summands_by_name()};
  Halide::GeneratorParam<bool> columns{"columns", false};

  void configure() {
    if (of_gradients()) dy_ = add_tensor("dy");
    x_ = add_tensor("x");
    if (summands == Summands::deviations) center_ = add_statistic("center");
    if (of_gradients()) mean_ = add_statistic("mean");
    if (summands == Summands::parameter_gradients) rstd_ = add_statistic("rstd");
    if (summands == Summands::weighted_gradients) {
      gamma_ = add_input<Halide::Buffer<float, 1>>("gamma");
    }
    rows_of_a_statistic_ = add_input<int32_t>("rows_of_a_statistic");
    // (part, row, outer)
    sums_ = add_output<Func>("sums", vector<Halide::Type>(zeros().size(), Float(32)), 3);
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    Func sums = *sums_;
    if (columns) {
      Func block("block");
      const RDom elements(0, kBlock, "elements");
      roles_.elements = elements;
      roles_.elements.where(vars.part * kBlock + elements < x_->dim(1).extent());
      vector<Expr> added = terms(values(vars.part * kBlock + roles_.elements));
      block(vars.part, vars.row, vars.outer) = Tuple(zeros());
      for (size_t k = 0; k < added.size(); k++) {
        added[k] = value_of(block, k, {vars.part, vars.row, vars.outer}) + added[k];
      }
      block(vars.part, vars.row, vars.outer) = Tuple(added);
      sums(vars.part, vars.row, vars.outer) =
          Tuple(values_of(block, {vars.part, vars.row, vars.outer}));
      roles_.block = block;
    } else {
      const Expr n = x_->dim(0).extent();
      roles_.chunk = load_chunk(n, [&](const Expr &i) { return values(i); });
      roles_.warp_sums = {
          sum_chunk("sum", roles_.chunk, n, [&](const Values &v) { return terms(v); })};
      sums(vars.part, vars.row, vars.outer) =
          Tuple(values_of(roles_.warp_sums[0].total(), {0, vars.part, vars.row, vars.outer}));
    }
    roles_.output = sums;
  }

  void schedule() {
    for (auto *tensor : {dy_, x_}) {
      if (tensor != nullptr) constrain_tensor(tensor);
    }
    for (auto *statistic : {center_, mean_, rstd_}) {
      if (statistic != nullptr) from_zero(statistic);
    }
    if (gamma_ != nullptr) constrain_parameter(gamma_);
    outputs_from_zero(*sums_);
    if (columns && aligned) {
      Halide::OutputImageParam sums = Func(*sums_).output_buffers()[0];
      sums.dim(1).set_extent(sums.dim(1).extent() / kVector * kVector);
    }
    if (columns) {
      schedule_cuda_column_sums(roles_, aligned, knobs);
    } else {
      schedule_cuda_row_sums(roles_, aligned, knobs);
    }
  }

 private:
  using Tensor = Halide::GeneratorInput<Halide::Buffer<>>;
  using Statistic = Halide::GeneratorInput<Halide::Buffer<float, 2>>;

  bool of_gradients() const {
    return summands != Summands::values && summands != Summands::deviations;
  }
  vector<Expr> zeros() const {
    return vector<Expr>(summands == Summands::values ? 1 : 2, Expr(0.0f));
  }
  Tensor *add_tensor(const std::string &name) {
    return add_input<Halide::Buffer<>>(name, storage_type(storage), 3);
  }
  Statistic *add_statistic(const std::string &name) {
    return add_input<Halide::Buffer<float, 2>>(name);
  }

  // All that is read of element i of a row.
  Values values(const Expr &i) const {
    const Expr row = roles_.vars.row, outer = roles_.vars.outer;
    const vector<Expr> at = columns ? vector<Expr>{row, i, outer} : vector<Expr>{i, row, outer};
    Values all;
    if (of_gradients()) all.push_back(widened((*dy_)(at)));
    all.push_back(widened((*x_)(at)));
    if (gamma_ != nullptr) all.push_back((*gamma_)(i));
    if (summands == Summands::parameter_gradients) {
      all.push_back((*mean_)(i, outer));
      all.push_back((*rstd_)(i, outer));
    }
    return all;
  }

  vector<Expr> terms(const Values &v) const {
    const Expr statistic = roles_.vars.row / *rows_of_a_statistic_, outer = roles_.vars.outer;
    switch (summands) {
      case Summands::values:
        return {v[0]};
      case Summands::deviations:
        return deviation_terms(v[0] - (*center_)(statistic, outer), true);
      case Summands::gradients:
        return {v[0], v[0] * (v[1] - (*mean_)(statistic, outer))};
      case Summands::weighted_gradients:
        return {v[0] * v[2], v[0] * v[2] * (v[1] - (*mean_)(statistic, outer))};
      case Summands::parameter_gradients:
        break;
    }
    return {v[0], v[0] * ((v[1] - v[2]) * v[3])};
  }

  Tensor *dy_ = nullptr, *x_ = nullptr;
  Statistic *center_ = nullptr, *mean_ = nullptr, *rstd_ = nullptr;
  Halide::GeneratorInput<Halide::Buffer<float, 1>> *gamma_ = nullptr;
  Halide::GeneratorInput<int32_t> *rows_of_a_statistic_ = nullptr;
  Halide::GeneratorOutput<Func> *sums_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaSums, cuda_sums)
