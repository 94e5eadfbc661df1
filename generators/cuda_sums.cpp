// SPDX-License-Identifier: Apache-2.0
// Parts of sums on CUDA: over kChunk elements of a row in the order of a warp, or over kBlock
// elements, one after the other, of rows that are neighbours; of the gradients of parameters, over
// kRowsOfAPart rows.
#include "cuda_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;

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
    sums_ = add_output<Func>("sums", std::vector<Halide::Type>(zeros().size(), Float(32)), 3);
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr i = vars.i, row = vars.row, part = vars.part, outer = vars.outer;
    Func sums = *sums_;
    if (columns) {
      const int elements = elements_of_a_word();
      roles_.vector = vector_length();
      Func words("words"), block("block");
      words(vars.word, vars.i, vars.outer) = Tuple(of_tensors({vars.word, i, outer}));
      const int block_length = summands == Summands::parameter_gradients ? kRowsOfAPart : kBlock;
      roles_.elements = RDom(0, block_length, "elements");
      const Expr at = part * block_length + roles_.elements;
      roles_.elements.where(at < x_->dim(1).extent());
      Values values;
      for (const Expr &word : values_of(words, {row / elements, at, outer})) {
        values.push_back(element_of(word, row % elements));
      }
      for (const Expr &value : of_element(at)) values.push_back(value);
      std::vector<Expr> added = terms(values);
      block(vars.part, vars.row, vars.outer) = Tuple(zeros());
      for (size_t k = 0; k < added.size(); k++) {
        added[k] = value_of(block, k, {part, row, outer}) + added[k];
      }
      block(vars.part, vars.row, vars.outer) = Tuple(added);
      sums(vars.part, vars.row, vars.outer) = Tuple(values_of(block, {part, row, outer}));
      roles_.neighbors = words;
      roles_.block = block;
    } else {
      const Expr n = x_->dim(0).extent() * elements_of_a_word();
      const auto of_word = [&](const Expr &word) { return of_tensors({word, row, outer}); };
      if (of_element(0).empty()) {
        load_row(n, of_word);
      } else {
        load_row(n, of_word, [&](const Expr &at) { return of_element(at); });
      }
      roles_.warp_sums = {sum_chunk("sum", n, [&](const Values &v) { return terms(v); })};
      sums(vars.part, vars.row, vars.outer) =
          Tuple(values_of(roles_.warp_sums[0].total(), {0, part, row, outer}));
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
      sums.dim(1).set_extent(sums.dim(1).extent() / vector_length() * vector_length());
    }
    if (columns) {
      schedule_cuda_column_sums(roles_, aligned, knobs);
    } else {
      schedule_cuda_row_sums(roles_, knobs, lanes());
    }
  }

 private:
  using Tensor = Halide::GeneratorInput<Halide::Buffer<>>;

  bool of_gradients() const {
    return summands != Summands::values && summands != Summands::deviations;
  }
  std::vector<Expr> zeros() const {
    return std::vector<Expr>(summands == Summands::values ? 1 : 2, Expr(0.0f));
  }
  Tensor *add_tensor(const std::string &name) {
    return add_input<Halide::Buffer<>>(name, word_type(), 3);
  }

  // What is read of a word of the tensors, and of element i of each row.
  Values of_tensors(const std::vector<Expr> &at) const {
    Values words;
    if (of_gradients()) words.push_back((*dy_)(at));
    words.push_back((*x_)(at));
    return words;
  }
  Values of_element(const Expr &i) const {
    const Expr outer = roles_.vars.outer;
    if (gamma_ != nullptr) return {(*gamma_)(i)};
    if (rstd_ != nullptr) return {(*mean_)(i, outer), (*rstd_)(i, outer)};
    return {};
  }

  std::vector<Expr> terms(const Values &v) const {
    const Expr statistic = roles_.vars.row / *rows_of_a_statistic_, outer = roles_.vars.outer;
    switch (summands) {
      case Summands::values:
        return {v[0]};
      case Summands::deviations:
        return deviation_terms(v[0] - (*center_)(statistic, outer), true);
      case Summands::gradients:
        return gradient_terms(v[0], v[1] - (*mean_)(statistic, outer));
      case Summands::weighted_gradients:
        return gradient_terms(v[0] * v[2], v[1] - (*mean_)(statistic, outer));
      case Summands::parameter_gradients:
        break;
    }
    return gradient_terms(v[0], (v[1] - v[2]) * v[3]);
  }

  Tensor *dy_ = nullptr, *x_ = nullptr;
  Statistic *center_ = nullptr, *mean_ = nullptr, *rstd_ = nullptr;
  Halide::GeneratorInput<Halide::Buffer<float, 1>> *gamma_ = nullptr;
  Halide::GeneratorInput<int32_t> *rows_of_a_statistic_ = nullptr;
  Halide::GeneratorOutput<Func> *sums_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaSums, cuda_sums)
