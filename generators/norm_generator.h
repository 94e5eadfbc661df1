// SPDX-License-Identifier: Apache-2.0
// What the generators of a norm's kernels have in common: a tensor of rows goes in, the same tensor
// normalized and a few statistics of each row come out.
#ifndef HALNORM_GENERATORS_NORM_GENERATOR_H_
#define HALNORM_GENERATORS_NORM_GENERATOR_H_

#include <memory>
#include <string>
#include <vector>

#include "Halide.h"
#include "norm_math.h"
#include "roles.h"
#include "schedules/cpu.h"

namespace halnorm {

template <typename T>
class StorageGenerator : public Halide::Generator<T> {
 public:
  Halide::GeneratorParam<Storage> storage{
      "storage",
      Storage::f32,
      {{"f32", Storage::f32}, {"f16", Storage::f16}, {"bf16", Storage::bf16}}};

 protected:
  Halide::Expr widened(const Halide::Expr &stored) const {
    return widen(stored, storage, this->get_target());
  }
  Halide::Expr narrowed(const Halide::Expr &value) const {
    return narrow(value, storage, this->get_target());
  }
  // A 16-bit format cannot express a deviation so small against its mean that it needs correction.
  bool corrected() const { return storage == Storage::f32; }

  Vars vars_;
};

template <typename T>
class NormGenerator : public StorageGenerator<T> {
 public:
  Halide::GeneratorParam<Tree> tree{"tree",
                                    Tree::one_chunk,
                                    {{"one_chunk", Tree::one_chunk},
                                     {"many_chunks", Tree::many_chunks},
                                     {"columns", Tree::columns},
                                     {"any_order", Tree::any_order}}};
  // What an autoscheduler is told to expect.
  Halide::GeneratorParam<int> estimated_rows{"estimated_rows", 64};
  Halide::GeneratorParam<int> estimated_n{"estimated_n", 768};
  Knobs knobs;

 protected:
  // Element i of a row; must come first in generate().
  template <typename X>
  Halide::Func rows_of(const X &x) {
    const Halide::Var i = this->vars_.i, row = this->vars_.row;
    Halide::Func value("value");
    if (side_by_side()) {
      value(i, row) = this->widened(x(row, i));
    } else {
      value(i, row) = this->widened(x(i, row));
    }
    n_ = x.dim(side_by_side() ? 1 : 0).extent();
    summation_ = std::make_unique<Summation>(tree, value, n_, this->vars_);
    return value;
  }
  Sum sum(const std::string &name, const Terms &terms) {
    roles_.sums.push_back(summation_->sum(name, terms));
    return roles_.sums.back();
  }
  // n, in the type of the sums.
  Halide::Expr count() const {
    return tree == Tree::many_chunks || side_by_side() ? Halide::cast<double>(n_)
                                                       : Halide::cast<float>(n_);
  }
  // y of element i of a row from its value. In a row tree whole groups of kLanes elements come
  // first; what is left of a row is written as its last kLanes elements, whose values the window
  // still has where y has overwritten x.
  template <typename Y>
  void define_output(Y *y, const Halide::Func &value,
                     const std::function<Halide::Expr(const Halide::Expr &value,
                                                      const Halide::Expr &i)> &normalized) {
    const Halide::Var i = this->vars_.i, row = this->vars_.row;
    const auto stored = [&](const Halide::Expr &v, const Halide::Expr &at) {
      return this->narrowed(normalized(v, at));
    };
    if (side_by_side()) {
      (*y)(row, i) = stored(value(i, row), i);
      return;
    }
    if (tree == Tree::any_order) {
      (*y)(i, row) = stored(value(i, row), i);
      return;
    }
    LastPass &pass = roles_.last_pass;
    pass.groups = Halide::RDom(0, kLanes, 0, n_ / kLanes, "groups");
    pass.rest = Halide::RDom(0, kLanes, "rest");
    pass.rest.where(n_ % kLanes != 0 && n_ >= kLanes);
    pass.few = Halide::RDom(0, n_ % kLanes, "few");
    pass.few.where(n_ < kLanes);
    const Halide::Expr in_group = pass.groups.y * kLanes + pass.groups.x;
    const Halide::Expr in_rest = n_ - kLanes + pass.rest;
    (*y)(i, row) = Halide::undef(y->type());
    (*y)(in_group, row) = stored(value(in_group, row), in_group);
    (*y)(in_rest, row) = stored(summation_->window()(pass.rest, row), in_rest);
    (*y)(pass.few, row) = stored(value(pass.few, row), pass.few);
  }

  template <typename X, typename Y>
  void schedule_norm(X *x, Y *y, const Halide::Func &statistics) {
    const int element = side_by_side() ? 1 : 0, row = 1 - element;
    const Halide::Expr rows = y->dim(row).extent();
    for (int d : {0, 1}) {
      x->dim(d).set_min(0);
      y->dim(d).set_min(0);
    }
    x->dim(0).set_stride(1);
    y->dim(0).set_stride(1);
    y->dim(element).set_extent(n_);
    x->dim(row).set_extent(rows);
    std::vector<Halide::OutputImageParam> outputs = Halide::Func(statistics).output_buffers();
    outputs[0].dim(0).set_bounds(0, rows);
    for (Halide::OutputImageParam &output : outputs) output.dim(0).set_stride(1);
    if (this->using_autoscheduler()) {
      x->set_estimates({{0, estimated_n}, {0, estimated_rows}});
      y->set_estimates({{0, estimated_n}, {0, estimated_rows}});
      for (Halide::OutputImageParam &output : outputs) output.set_estimates({{0, estimated_rows}});
      return;
    }
    roles_.vars = this->vars_;
    roles_.input = static_cast<Halide::ImageParam>(*x);
    roles_.window = summation_->window();
    roles_.statistics = statistics;
    roles_.output = *y;
    roles_.row_count = rows;
    roles_.n = n_;
    schedule_cpu(tree, &roles_, knobs, this->get_target());
  }
  template <typename Parameter>
  void one_per_element(Parameter *parameter) {
    parameter->dim(0).set_bounds(0, n_).set_stride(1);
    if (this->using_autoscheduler()) parameter->set_estimates({{0, estimated_n}});
  }

  Roles roles_;

 private:
  bool side_by_side() const { return tree == Tree::columns; }

  std::unique_ptr<Summation> summation_;
  Halide::Expr n_;
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_NORM_GENERATOR_H_
