// SPDX-License-Identifier: Apache-2.0
// What the generators of CPU kernels have in common: rows that are written without masks and, for
// whole norms, a tensor of dense rows that goes in and comes out normalized beside a few
// statistics.
#ifndef HALNORM_GENERATORS_NORM_GENERATOR_H_
#define HALNORM_GENERATORS_NORM_GENERATOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "Halide.h"
#include "norm_math.h"
#include "roles.h"
#include "schedules/cpu.h"
#include "storage_generator.h"

namespace halnorm {

template <typename T>
class CpuGenerator : public StorageGenerator<T> {
 public:
  // Elements of each row, where they are known; 0 where not.
  Halide::GeneratorParam<int> n{"n", 0};
  Knobs knobs;

 protected:
  // The length of dense rows, whose buffer has this extent.
  Halide::Expr length(const Halide::Expr &extent) const {
    return n > 0 ? Halide::Expr(static_cast<int>(n)) : extent;
  }

  // What the knob of this name says, which is for the elements of one dtype.
  bool pairs() const {
    if (knobs.pairs != 0 && this->storage != Storage::bf16) {
      throw Halide::CompileError("pairs=1 is for bf16");
    }
    return knobs.pairs != 0;
  }

  // Writes dense rows: element i becomes result(values(i, row), i). Groups of kLanes elements in
  // order; what is no whole group is written as the last kLanes elements of the row, whose values
  // the window still has where the output has overwritten an input.
  template <typename Output>
  void define_rows(
      Output *output, const Halide::Func &values, const Window &window, const Halide::Expr &n,
      const std::function<Halide::Expr(const Values &values, const Halide::Expr &i)> &result) {
    const Halide::Var i = vars_.i, row = vars_.row;
    LastPass &pass = roles_.last_pass;
    pass.groups = Halide::RDom(0, kLanes, 0, (n + kLanes - 1) / kLanes, "groups");
    pass.groups.where(n >= kLanes);
    pass.few = Halide::RDom(0, n % kLanes, "few");
    pass.few.where(n < kLanes);
    const Halide::Expr lane = pass.groups.x, group = pass.groups.y;
    const Halide::Expr whole = Halide::likely(group < n / kLanes);
    const Halide::Expr first = group * kLanes;
    const Halide::Expr element = Halide::min(Halide::likely(first), n - kLanes) + lane;
    Values v = values_of(values, {first + lane, row});
    const Values of_window = values_of(window.values, {lane, row});
    for (size_t k = 0; k < v.size(); k++) v[k] = Halide::select(whole, v[k], of_window[k]);
    (*output)(i, row) = Halide::undef(output->type());
    (*output)(element, row) = this->narrowed(result(v, element));
    (*output)(pass.few, row) = this->narrowed(result(values_of(values, {pass.few, row}), pass.few));
    roles_.window = window;
    roles_.output = *output;
    roles_.n = n;
  }

  // What every schedule is told.
  Roles *roles() {
    roles_.pipeline = this->get_pipeline();
    roles_.vars = vars_;
    roles_.pairs = pairs();
    return &roles_;
  }

  Vars vars_;
  Roles roles_;
};

// A buffer whose elements are neighbours, from index 0.
template <typename Buffer>
void make_dense(Buffer *buffer) {
  buffer->dim(0).set_min(0).set_stride(1);
  for (int d = 1; d < buffer->dimensions(); d++) buffer->dim(d).set_min(0);
}

// The same of an output of several values, which Halide takes to have the bounds of the first.
inline std::vector<Halide::OutputImageParam> make_outputs_dense(const Halide::Func &func) {
  std::vector<Halide::OutputImageParam> outputs = func.output_buffers();
  make_dense(&outputs[0]);
  for (Halide::OutputImageParam &output : outputs) output.dim(0).set_stride(1);
  return outputs;
}

template <typename T>
class NormGenerator : public CpuGenerator<T> {
 public:
  Halide::GeneratorParam<Tree> tree{
      "tree",
      Tree::one_chunk,
      {{"one_chunk", Tree::one_chunk}, {"many_chunks", Tree::many_chunks}}};

 protected:
  // Element i of a row, and what is read beside it; must come first in generate().
  template <typename X>
  Halide::Func rows_of(const X &x, const std::vector<Halide::Expr> &beside = {}) {
    const Halide::Var i = this->vars_.i, row = this->vars_.row;
    Halide::Func value("value");
    std::vector<Halide::Expr> values = {this->widened(x(i, row))};
    values.insert(values.end(), beside.begin(), beside.end());
    value(i, row) = Halide::Tuple(values);
    n_ = this->length(x.dim(0).extent());
    summation_ = std::make_unique<Summation>(tree, value, n_, this->vars_, false, this->pairs());
    return value;
  }
  Sum sum(const std::string &name, const Terms &terms) {
    this->roles_.sums.push_back(summation_->sum(name, terms));
    return this->roles_.sums.back();
  }
  // n, in the type of the sums.
  Halide::Expr count() const {
    return tree == Tree::many_chunks ? Halide::cast<double>(n_) : Halide::cast<float>(n_);
  }
  // y of element i of a row from its value.
  template <typename Y>
  void define_output(Y *y, const Halide::Func &value,
                     const std::function<Halide::Expr(const Halide::Expr &value,
                                                      const Halide::Expr &i)> &normalized) {
    this->define_rows(y, value, summation_->window(), n_,
                      [&](const Values &v, const Halide::Expr &i) { return normalized(v[0], i); });
  }

  // If not all rows of x are written, y may have fewer.
  template <typename X, typename Y>
  void schedule_norm(X *x, Y *y, const Halide::Func &statistics, bool all_rows = true) {
    const Halide::Expr rows = all_rows ? y->dim(1).extent() : x->dim(1).extent();
    make_dense(x);
    make_dense(y);
    y->dim(0).set_extent(n_);
    if (all_rows) x->dim(1).set_extent(rows);
    std::vector<Halide::OutputImageParam> outputs = Halide::Func(statistics).output_buffers();
    outputs[0].dim(0).set_bounds(0, rows);
    for (Halide::OutputImageParam &output : outputs) output.dim(0).set_stride(1);
    this->roles_.inputs = {static_cast<Halide::ImageParam>(*x)};
    this->roles_.statistics = statistics;
    this->roles_.row_count = rows;
    schedule_norm_cpu(tree, this->roles(), this->knobs, this->get_target());
  }
  template <typename Parameter>
  void one_per_element(Parameter *parameter) {
    parameter->dim(0).set_bounds(0, n_).set_stride(1);
  }

 private:
  std::unique_ptr<Summation> summation_;
  Halide::Expr n_;
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_NORM_GENERATOR_H_
