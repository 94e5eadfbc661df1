// SPDX-License-Identifier: Apache-2.0
// What generators of CUDA kernels of whole rows have in common: aligned rows that a warp holds in
// its registers, or several warps.
#ifndef HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_
#define HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_

#include <algorithm>
#include <functional>
#include <vector>

#include "cuda_generator.h"

namespace halnorm {

template <typename T>
class CudaRowGenerator : public CudaGenerator<T> {
 public:
  // A row has several warps, a chunk each, whose sums meet in shared memory. Halide has no place
  // for what stays in registers across a barrier, so that each pass loads its chunk anew, and LLVM
  // finds that it is there.
  Halide::GeneratorParam<bool> wide{"wide", false};

 protected:
  using Expr = Halide::Expr;

  // What a warp holds of a row, in whole groups.
  int chunks() const { return (this->knobs.held + kChunk - 1) / kChunk; }
  int groups() const { return std::max(1, this->knobs.held / (kWarp * this->vector_length())); }

  // Elements of the row of a warp, one of x. There are warps without one, beyond the last, which
  // sum up nothing: Halide takes shuffles out of the condition that would have them do nothing.
  Expr length_of_row(const Halide::GeneratorInput<Halide::Buffer<>> &x, const Expr &row) const {
    if (wide) return x.dim(0).extent() * this->elements_of_a_word();
    return Halide::select(row < x.dim(1).extent(), x.dim(0).extent() * this->elements_of_a_word(),
                          0);
  }
  Expr count_of_row(const Halide::GeneratorInput<Halide::Buffer<>> &x) const {
    return Halide::cast<double>(x.dim(0).extent() * this->elements_of_a_word());
  }

  // What the pass that begins here reads of a row. No condition stands around a load that a pass
  // after it repeats: lanes beyond the end of the row take its last vector.
  void begin_pass(const Expr &n, const std::function<Values(const Expr &word)> &words,
                  const std::function<Values(const Expr &i)> &of_elements = nullptr) {
    CudaRoles &roles = this->roles_;
    const int length = this->vector_length();
    if (!wide) {
      if (roles.chunks.empty()) this->load_row(n, words, of_elements, groups());
      return;
    }
    roles.vector = length;
    roles.groups = kChunk / (kWarp * length);
    roles.chunks.clear();
    const CudaVars &vars = roles.vars;
    const Expr first =
        Halide::min(this->first_of(vars.group, vars.lane, vars.part), n - length) / length;
    const auto add = [&](const std::string &name, int count,
                         const std::function<Values(const Expr &word)> &values) {
      WarpChunk chunk;
      chunk.words = count;
      chunk.words_at_once = kVectorWords;
      chunk.loaded = Halide::Func(name);
      chunk.loaded(vars.word, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
          Halide::Tuple(values(first * count + vars.word));
      roles.chunks.push_back(chunk);
    };
    const std::string pass = std::to_string(roles.passes.size());
    add("loaded" + pass, this->words_of_a_vector(), words);
    if (of_elements) add("of_elements" + pass, length, of_elements);
    roles.passes.push_back({roles.chunks, {}, Halide::Func()});
  }
  // Of lanes, for this pass.
  Halide::Func for_pass(const Halide::Func &func) {
    if (!wide) return func;
    const CudaVars &vars = this->roles_.vars;
    Halide::Func anew(func.name() + "_anew");
    anew(vars.lane, vars.row, vars.outer) =
        Halide::Tuple(values_of(func, {vars.lane, vars.row, vars.outer}));
    this->roles_.passes.back().of_lanes.push_back(anew);
    return anew;
  }

  // The sums of rows, of each lane the same: parts as folds add them up, by halves, in f64.
  Halide::Func totals_of(const WarpSum &sum, size_t count) {
    const CudaVars &vars = this->roles_.vars;
    Halide::Func of_parts = sum.total();
    if (wide) {
      // Each lane has a place of its own for the sums of its warp.
      Halide::Func shared("shared");
      shared(vars.lane, vars.part, vars.row, vars.outer) =
          Halide::Tuple(values_of(of_parts, {vars.lane, vars.part, vars.row, vars.outer}));
      this->roles_.passes.back().sums = shared;
      of_parts = shared;
    }
    std::vector<Expr> totals;
    for (size_t k = 0; k < count; k++) {
      std::vector<Expr> parts;
      for (int part = 0; part < chunks(); part++) {
        parts.push_back(
            Halide::cast<double>(value_of(of_parts, k, {vars.lane, part, vars.row, vars.outer})));
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

  // The words of rows, from the values of their elements, at `place` of the vector that a lane has.
  Halide::Func define_words(
      const std::function<Expr(const Values &values, const Expr &place)> &result) {
    const CudaVars &vars = this->roles_.vars;
    const int elements = this->elements_of_a_word();
    Halide::Func words("words");
    words(vars.word, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
        this->word_of([&](int k) {
          const Expr place = vars.word * elements + k;
          return result(this->loaded_at(place, vars.group, vars.lane, vars.part, vars.row), place);
        });
    this->roles_.words = words;
    return words;
  }
  // Writes rows of n elements.
  template <typename Output>
  void define_rows(Output *output, const Expr &n, const Halide::Func &words) {
    CudaRoles &roles = this->roles_;
    const CudaVars &vars = roles.vars;
    const int elements = this->elements_of_a_word();
    // The loop over lanes is within that over warps, and around all others.
    const int inner = wide ? kWarp : chunks(), outer = wide ? chunks() : kWarp;
    roles.elements =
        Halide::RDom(0, this->words_of_a_vector(), 0, roles.groups, 0, inner, 0, outer, "elements");
    const Expr word = roles.elements.x, group = roles.elements.y,
               part = wide ? roles.elements.w : roles.elements.z,
               lane = wide ? roles.elements.z : roles.elements.w,
               first = this->first_of(group, lane, part);
    roles.elements.where(this->is_in_row(word * elements, first, n));
    (*output)(vars.i, vars.row, vars.outer) = Halide::undef(output->type());
    (*output)(first / elements + word, vars.row, vars.outer) =
        words(word, group, lane, part, vars.row, vars.outer);
    roles.output = *output;
  }

  void schedule_rows() {
    if (wide) {
      schedule_cuda_wide_norm(this->roles_, chunks(), this->get_pipeline(), this->lanes());
    } else {
      schedule_cuda_norm(this->roles_, chunks(), this->knobs, this->lanes());
    }
  }
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_CUDA_ROW_GENERATOR_H_
