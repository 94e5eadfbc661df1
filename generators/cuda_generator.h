// SPDX-License-Identifier: Apache-2.0
// What the generators of CUDA kernels have in common. Tensors are (element, row, outer), or (row,
// element, outer) where rows are neighbours in memory; what belongs to rows is (statistic, outer).
#ifndef HALNORM_GENERATORS_CUDA_GENERATOR_H_
#define HALNORM_GENERATORS_CUDA_GENERATOR_H_

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "Halide.h"
#include "cuda_roles.h"
#include "norm_math.h"
#include "schedules/cuda.h"
#include "storage_generator.h"

namespace halnorm {

template <typename T>
class CudaGenerator : public StorageGenerator<T> {
 public:
  // Rows begin at whole vectors, and have a whole number of them; or of halves of vectors.
  Halide::GeneratorParam<bool> aligned{"aligned", false}, halves{"halves", false};
  CudaKnobs knobs;

 protected:
  using Expr = Halide::Expr;
  using Statistic = Halide::GeneratorInput<Halide::Buffer<float, 2>>;  // (statistic, outer)

  Statistic *add_statistic(const std::string &name) {
    return this->template add_input<Halide::Buffer<float, 2>>(name);
  }

  // The tests compile these generators for OpenCL, too.
  Lanes lanes() const {
    return this->get_target().has_feature(Halide::Target::CUDA) ? Lanes::shuffle : Lanes::share;
  }

  // A vector of 16-bit elements is loaded and stored at once only as words of 32 bits: aligned
  // tensors of such are of pairs of elements along dimension 0.
  int vector_length() const { return kVectorBytes / storage_type(this->storage).bytes(); }
  int words_of_a_vector() const { return aligned ? kVectorWords : vector_length(); }
  int elements_of_a_word() const { return vector_length() / words_of_a_vector(); }
  // What is loaded and stored at once.
  int words_at_once() const { return !aligned ? 1 : halves ? kVectorWords / 2 : kVectorWords; }
  int elements_at_once() const { return words_at_once() * elements_of_a_word(); }
  Halide::Type word_type() const {
    return elements_of_a_word() == 2 ? Halide::UInt(32) : storage_type(this->storage);
  }
  // Element `place` of a word, and a word of elements.
  Expr element_of(const Expr &word, const Expr &place) const {
    if (elements_of_a_word() == 1) return this->widened(word);
    return this->widened(Halide::cast<uint16_t>(word >> Halide::cast<uint32_t>(16 * place)));
  }
  Expr word_of(const std::function<Expr(int place)> &element) const {
    const Expr first = this->narrowed(element(0));
    if (elements_of_a_word() == 1) return first;
    const Expr second = this->narrowed(element(1));
    return Halide::cast<uint32_t>(first) | (Halide::cast<uint32_t>(second) << 16);
  }

  // Of a tensor of elements.
  template <typename Tensor>
  void constrain_tensor(Tensor *tensor) {
    const auto whole = [&](const Expr &words) { return words / words_at_once() * words_at_once(); };
    tensor->dim(0).set_bounds(0, whole(tensor->dim(0).extent())).set_stride(1);
    for (int d = 1; d < tensor->dimensions(); d++) {
      tensor->dim(d).set_min(0).set_stride(whole(tensor->dim(d).stride()));
    }
    if (aligned) tensor->set_host_alignment(words_at_once() * kVectorBytes / kVectorWords);
  }
  // Of the elements of rows, or of the rows.
  template <typename Parameter>
  void constrain_parameter(Parameter *parameter) {
    parameter->dim(0).set_min(0).set_stride(1);
    if (aligned) parameter->set_host_alignment(kVectorBytes);
  }
  // Of any strides.
  template <typename Buffer>
  void from_zero(Buffer *buffer) {
    buffer->dim(0).set_stride(Expr());
    for (int d = 0; d < buffer->dimensions(); d++) buffer->dim(d).set_min(0);
  }
  // Those of several values have the bounds of the first, and strides of their own.
  void outputs_from_zero(const Halide::Func &output) {
    Halide::OutputImageParam first = output.output_buffers()[0];
    from_zero(&first);
    for (Halide::OutputImageParam buffer : output.output_buffers()) {
      buffer.dim(0).set_stride(Expr());
    }
  }

  // Where a lane finds elements of a chunk.
  Expr first_of(const Expr &group, const Expr &lane, const Expr &part) const {
    return part * kChunk + group * (kWarp * vector_length()) + lane * vector_length();
  }
  Expr is_in_row(const Expr &place, const Expr &first, const Expr &n) const {
    const int count = elements_at_once();
    return count == vector_length() ? first < n : first + place / count * count < n;
  }

  // `words`, of so many elements each, of a chunk of a row of n; after its end they are 0.
  WarpChunk load_chunk(const std::string &name, int elements, const Expr &n,
                       const std::function<Values(const Expr &word)> &words) const {
    const CudaVars &vars = roles_.vars;
    WarpChunk chunk;
    chunk.words = vector_length() / elements;
    chunk.words_at_once = std::min(kVectorWords, elements_at_once() / elements);
    chunk.load = Halide::RDom(0, chunk.words, name + "_load");
    const Expr word = chunk.load.x, first = first_of(vars.group, vars.lane, vars.part);
    chunk.load.where(is_in_row(word * elements, first, n));
    const Values loaded = words(first / elements + word);
    Values zeros;
    for (const Expr &value : loaded) zeros.push_back(Halide::cast(value.type(), 0));
    chunk.loaded = Halide::Func(name);
    chunk.loaded(vars.word, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
        Halide::Tuple(zeros);
    chunk.loaded(word, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
        Halide::Tuple(loaded);
    return chunk;
  }
  // Of tensors, what is read of a word; then of elements in f32. Groups beyond the given number are
  // taken to be beyond the end of any row.
  void load_row(const Expr &n, const std::function<Values(const Expr &word)> &words,
                const std::function<Values(const Expr &i)> &of_elements = nullptr,
                int groups = kChunk) {
    roles_.vector = vector_length();
    roles_.groups = std::min(groups, kChunk / (kWarp * vector_length()));
    roles_.chunks = {load_chunk("loaded", elements_of_a_word(), n, words)};
    if (of_elements) roles_.chunks.push_back(load_chunk("of_elements", 1, n, of_elements));
  }
  // All that was loaded of an element, in this order.
  Values loaded_at(const Expr &place, const Expr &group, const Expr &lane, const Expr &part,
                   const Expr &row) const {
    Values all;
    for (const WarpChunk &chunk : roles_.chunks) {
      const int elements = vector_length() / chunk.words;
      const std::vector<Expr> at = {place / elements, group, lane, part, row, roles_.vars.outer};
      for (const Expr &word : values_of(chunk.loaded, at)) {
        all.push_back(word.type().is_float() ? word : element_of(word, place % elements));
      }
    }
    return all;
  }

  // Sums over such chunks of what `terms` makes of their elements.
  WarpSum sum_chunk(const std::string &name, const Expr &n, const Terms &terms) const {
    const CudaVars &vars = roles_.vars;
    const Expr part = vars.part, row = vars.row, outer = vars.outer;
    WarpSum sum;
    sum.steps = Halide::RDom(0, vector_length(), 0, roles_.groups, name + "_steps");
    const Expr place = sum.steps.x, group = sum.steps.y;
    sum.steps.where(is_in_row(place, first_of(group, vars.lane, vars.part), n));
    std::vector<Expr> added = terms(loaded_at(place, group, vars.lane, part, row));
    const std::vector<Expr> zeros(added.size(), 0.0f);
    sum.places = Halide::Func(name + "_places");
    sum.places(vars.place, vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(zeros);
    for (size_t k = 0; k < added.size(); k++) {
      added[k] = value_of(sum.places, k, {place, vars.lane, part, row, outer}) + added[k];
    }
    sum.places(place, vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(added);

    std::vector<Expr> pairs;
    for (size_t k = 0; k < added.size(); k++) {
      const std::function<Expr(int, int)> pairwise = [&](int first, int count) {
        if (count == 1) return value_of(sum.places, k, {first, vars.lane, part, row, outer});
        return pairwise(first, count / 2) + pairwise(first + count / 2, count / 2);
      };
      pairs.push_back(pairwise(0, vector_length()));
    }
    sum.pairs = Halide::Func(name + "_pairs");
    sum.pairs(vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(pairs);
    Halide::Func wider = sum.pairs;
    for (int width = kWarp / 2; width >= 1; width /= 2) {
      Halide::Func fold(name + "_fold" + std::to_string(width));
      std::vector<Expr> folded;
      for (size_t k = 0; k < added.size(); k++) {
        folded.push_back(value_of(wider, k, {vars.lane, part, row, outer}) +
                         value_of(wider, k, {(vars.lane + width) % kWarp, part, row, outer}));
      }
      fold(vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(folded);
      sum.folds.push_back(fold);
      wider = fold;
    }
    return sum;
  }

  CudaRoles roles_;
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_CUDA_GENERATOR_H_
