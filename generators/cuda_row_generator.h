// SPDX-License-Identifier: Apache-2.0
// What generators of CUDA kernels of whole rows have in common: aligned rows that a warp holds in
// its registers.
#ifndef HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_
#define HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_

#include <algorithm>
#include <functional>
#include <vector>

#include "cuda_generator.h"

namespace halnorm {

template <typename T>
class CudaRowGenerator : public CudaGenerator<T> {
 protected:
  using Expr = Halide::Expr;

  // What a warp holds of a row, in whole groups.
  int chunks() const { return (this->knobs.held + kChunk - 1) / kChunk; }
  int groups() const { return std::max(1, this->knobs.held / (kWarp * this->vector_length())); }

  // Elements of the row of a warp, one of x. There are warps without one, beyond the last, which
  // sum up nothing: Halide takes shuffles out of the condition that would have them do nothing.
  Expr length_of_row(const Halide::GeneratorInput<Halide::Buffer<>> &x, const Expr &row) const {
    return Halide::select(row < x.dim(1).extent(), x.dim(0).extent() * this->elements_of_a_word(),
                          0);
  }
  Expr count_of_row(const Halide::GeneratorInput<Halide::Buffer<>> &x) const {
    return Halide::cast<double>(x.dim(0).extent() * this->elements_of_a_word());
  }

  // The sums of rows, of each lane the same: parts as folds add them up, by halves, in f64.
  Halide::Func totals_of(const WarpSum &sum, size_t count) const {
    const CudaVars &vars = this->roles_.vars;
    std::vector<Expr> totals;
    for (size_t k = 0; k < count; k++) {
      std::vector<Expr> parts;
      for (int part = 0; part < chunks(); part++) {
        parts.push_back(Halide::cast<double>(
            value_of(sum.total(), k, {vars.lane, part, vars.row, vars.outer})));
      }
      for (size_t half = parts.size() / 2; half >= 1; half /= 2) {
        for (size_t part = 0; part < half; part++) parts[part] = parts[part] + parts[part + half];
      }
      totals.push_back(parts[0]);
    }
    Halide::Func of_rows("totals");
    of_rows(vars.lane, vars.row, vars.outer) = Halide::Tuple(totals);
    return of_rows;
  }

  // Writes rows from the values of their elements, at `place` of the vector that a lane has.
  template <typename Output>
  void define_rows(Output *output, const Expr &n,
                   const std::function<Expr(const Values &values, const Expr &place)> &result) {
    CudaRoles &roles = this->roles_;
    const CudaVars &vars = roles.vars;
    const int elements = this->elements_of_a_word();
    Halide::Func words("words");
    const Expr of_word = this->word_of([&](int k) {
      const Expr place = vars.word * elements + k;
      return result(this->loaded_at(place, vars.group, vars.lane, vars.part, vars.row), place);
    });
    words(vars.word, vars.group, vars.lane, vars.part, vars.row, vars.outer) = of_word;
    roles.words = words;
    roles.elements = Halide::RDom(0, this->words_of_a_vector(), 0, roles.groups, 0, chunks(), 0,
                                  kWarp, "elements");
    const Expr word = roles.elements.x, group = roles.elements.y, part = roles.elements.z,
               lane = roles.elements.w, first = this->first_of(group, lane, part);
    roles.elements.where(this->is_in_row(word * elements, first, n));
    (*output)(vars.i, vars.row, vars.outer) = Halide::undef(output->type());
    (*output)(first / elements + word, vars.row, vars.outer) =
        words(word, group, lane, part, vars.row, vars.outer);
    roles.output = *output;
  }
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_
