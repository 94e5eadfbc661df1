// SPDX-License-Identifier: Apache-2.0
// dx of layer and RMS norm on CUDA, and what it adds to dgamma and dbeta, in one sweep: of aligned
// rows that a warp holds in its registers. A warp takes the rows of a part one after the other. The
// formulas, and the bits, are those of the kernels that it stands for (cuda_norm.cpp,
// cuda_sums.cpp); parts are added by folds.
#include "cuda_row_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

class CudaNormGradients : public CudaRowGenerator<CudaNormGradients> {
 public:
  Input<Halide::Buffer<>> dy{"dy", 3}, x{"x", 3};
  Input<Halide::Buffer<float, 2>> mean{"mean"}, rstd{"rstd"};  // (row, outer)
  Input<Halide::Buffer<float, 1>> gamma{"gamma"};
  Input<int32_t> has_mean{"has_mean"};   // layer norm, else RMS norm
  Output<Halide::Buffer<>> dx{"dx", 4};  // (element, row of the part, part, outer)
  // Parts of dbeta and dgamma, (element, part, outer). All elements that a warp has room for are
  // stored, whatever the length of a row.
  Output<Func> sums{"sums", {Float(32), Float(32)}, 3};

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(word_type());
    dx.set_type(word_type());
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr row = vars.row, outer = vars.outer, lane = vars.lane;
    const Expr is_there = row < x.dim(1).extent(), present = min(row, x.dim(1).extent() - 1);
    load_row(
        length_of_row(x, row),
        [&](const Expr &word) {
          return Values{dy(word, row, outer), x(word, row, outer)};
        },
        [&](const Expr &i) { return Values{gamma(i)}; }, groups());
    roles_.warp_sums = {sum_chunk("sum", length_of_row(x, row), [&](const Values &v) {
      return gradient_terms(v[0] * v[2], v[1] - mean(present, outer));
    })};
    const Func totals = totals_of(roles_.warp_sums[0], 2);
    const GradientMeans of_row = gradient_means(totals, {lane, row, outer}, count_of_row(x),
                                                rstd(present, outer), has_mean != 0);
    Func means("means");
    means(vars.lane, vars.row, vars.outer) = Tuple(of_row.mean_g, of_row.slope);
    roles_.of_lanes = {means};

    // Both updates go over lanes and rows by variables of the same names: they share these loops.
    const auto loops = [&](int places) {
      return RDom(0, places, 0, roles_.groups, 0, kWarp, 0, kRowsOfAPart, "elements");
    };
    const int elements = elements_of_a_word();
    roles_.elements = loops(words_of_a_vector());
    roles_.added = loops(vector_length());
    const auto row_of = [&](const RDom &domain) { return vars.rows * kRowsOfAPart + domain.w; };
    {
      RDom to = roles_.elements;
      const Expr at = row_of(to), first = first_of(to.y, to.z, 0);
      to.where(is_in_row(to.x * elements, first, length_of_row(x, at)));
      const Expr word = word_of([&](int k) {
        const vector<Expr> of_lane = {to.z, at, outer};
        const Expr one = Halide::min(at, x.dim(1).extent() - 1);
        const Values v = loaded_at(to.x * elements + k, to.y, to.z, 0, at);
        return input_gradient(v[0] * v[2], v[1], mean(one, outer), rstd(one, outer),
                              value_of(means, 0, of_lane), value_of(means, 1, of_lane));
      });
      // Loops that are shared are of one kind, and rows are added in order. Halide must not see
      // that they could be stored in any.
      const Expr row_of_part = Halide::min(to.w, dx.dim(1).extent() - 1);
      dx(vars.i, vars.row, vars.rows, vars.outer) = Halide::undef(dx.type());
      dx(first / elements + to.x, row_of_part, vars.rows, vars.outer) = word;
      roles_.output = dx;
    }
    {
      const RDom &from = roles_.added;
      Func terms("terms");
      const Values v = loaded_at(vars.place, vars.group, lane, 0, row);
      const auto of_row_or_zero = [&](const Expr &value) { return select(is_there, value, 0.0f); };
      terms(vars.place, vars.group, vars.lane, vars.row, vars.outer) =
          Tuple(gradient_terms(v[0], (v[1] - of_row_or_zero(mean(present, outer))) *
                                         of_row_or_zero(rstd(present, outer))));
      const vector<Expr> to = {first_of(from.y, from.z, 0) + from.x, vars.rows, outer};
      sums(vars.i, vars.rows, vars.outer) = Tuple(Halide::undef<float>(), Halide::undef<float>());
      vector<Expr> added = values_of(terms, {from.x, from.y, from.z, row_of(from), outer});
      for (size_t k = 0; k < added.size(); k++) added[k] = value_of(sums, k, to) + added[k];
      sums(to) = Tuple(added);
      roles_.terms = terms;
      roles_.sums = sums;
    }
  }

  void schedule() {
    for (auto *tensor : {&dy, &x}) constrain_tensor(tensor);
    constrain_tensor(&dx);
    dx.dim(1).set_extent(kRowsOfAPart);
    for (auto *of_rows : {&mean, &rstd}) from_zero(of_rows);
    constrain_parameter(&gamma);
    vector<Halide::OutputImageParam> buffers = Func(sums).output_buffers();
    buffers[0].dim(0).set_bounds(0, roles_.groups * kWarp * vector_length());
    for (int d = 1; d < 3; d++) buffers[0].dim(d).set_min(0).set_extent(dx.dim(d + 1).extent());
    for (Halide::OutputImageParam &buffer : buffers) {
      for (int d = 1; d < 3; d++) {
        buffer.dim(d).set_stride(buffer.dim(d).stride() / kVectorWords * kVectorWords);
      }
      buffer.set_host_alignment(kVectorBytes);
    }
    schedule_cuda_norm_gradients(roles_, get_pipeline());
  }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaNormGradients, cuda_norm_gradients)
