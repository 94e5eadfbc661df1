// SPDX-License-Identifier: Apache-2.0
// What the generators of CUDA kernels have in common. Tensors are (element, row, outer), or (row,
// element, outer) where rows are neighbours in memory; what belongs to rows is (statistic, outer).
#ifndef HALNORM_GENERATORS_CUDA_GENERATOR_H_
#define HALNORM_GENERATORS_CUDA_GENERATOR_H_

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
  // Rows begin at whole vectors of kVector elements, and have a whole number of them.
  Halide::GeneratorParam<bool> aligned{"aligned", false};
  CudaKnobs knobs;

 protected:
  using Expr = Halide::Expr;

  // Of a tensor of three dimensions.
  template <typename Tensor>
  void constrain_tensor(Tensor *tensor) {
    const auto whole = [&](const Expr &elements) {
      return aligned ? elements / kVector * kVector : elements;
    };
    tensor->dim(0).set_bounds(0, whole(tensor->dim(0).extent())).set_stride(1);
    for (int d = 1; d < 3; d++) {
      tensor->dim(d).set_min(0).set_stride(whole(tensor->dim(d).stride()));
    }
    if (aligned) tensor->set_host_alignment(kVector * storage_type(this->storage).bytes());
  }
  // Of the elements of rows, or of the rows.
  template <typename Parameter>
  void constrain_parameter(Parameter *parameter) {
    parameter->dim(0).set_min(0).set_stride(1);
    if (aligned) parameter->set_host_alignment(kVector * sizeof(float));
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
    return part * kChunk + group * (kWarp * kVector) + lane * kVector;
  }
  Expr is_in_row(const Expr &place, const Expr &first, const Expr &n) const {
    return aligned ? first < n : first + place < n;
  }

  // Values of the elements of a chunk of a row of n; after its end they are 0.
  WarpChunk load_chunk(const Expr &n, const std::function<Values(const Expr &i)> &values) {
    const CudaVars &vars = roles_.vars;
    WarpChunk chunk;
    chunk.load = Halide::RDom(0, kVector, 0, kGroups, "load");
    const Expr place = chunk.load.x, group = chunk.load.y;
    const Expr first = first_of(group, vars.lane, vars.part);
    chunk.load.where(is_in_row(place, first, n));
    const Values loaded = values(first + place);
    chunk.loaded = Halide::Func("loaded");
    chunk.loaded(vars.place, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
        Halide::Tuple(std::vector<Expr>(loaded.size(), 0.0f));
    chunk.loaded(place, group, vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(loaded);
    return chunk;
  }

  // Sums over such a chunk of what `terms` makes of its values.
  WarpSum sum_chunk(const std::string &name, const WarpChunk &chunk, const Expr &n,
                    const Terms &terms) {
    const CudaVars &vars = roles_.vars;
    const Expr part = vars.part, row = vars.row, outer = vars.outer;
    WarpSum sum;
    sum.steps = Halide::RDom(0, kVector, 0, kGroups, name + "_steps");
    const Expr place = sum.steps.x, group = sum.steps.y;
    sum.steps.where(is_in_row(place, first_of(group, vars.lane, vars.part), n));
    std::vector<Expr> added =
        terms(values_of(chunk.loaded, {place, group, vars.lane, part, row, outer}));
    const std::vector<Expr> zeros(added.size(), 0.0f);
    sum.places = Halide::Func(name + "_places");
    sum.places(vars.place, vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(zeros);
    for (size_t k = 0; k < added.size(); k++) {
      added[k] = value_of(sum.places, k, {place, vars.lane, part, row, outer}) + added[k];
    }
    sum.places(place, vars.lane, vars.part, vars.row, vars.outer) = Halide::Tuple(added);

    std::vector<Expr> pairs;
    for (size_t k = 0; k < added.size(); k++) {
      const auto at = [&](int p) {
        return value_of(sum.places, k, {p, vars.lane, part, row, outer});
      };
      pairs.push_back((at(0) + at(1)) + (at(2) + at(3)));
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
