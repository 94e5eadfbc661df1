// SPDX-License-Identifier: Apache-2.0
// The gradients of layer and RMS norm on CUDA, of aligned rows that a warp holds in its registers,
// or several warps a chunk each: dx, and with it what the rows add to dgamma and dbeta. The
// formulas, and the bits, are those of the kernels that these stand for (cuda_sums.cpp,
// cuda_fold.cpp, cuda_apply.cpp).
#include "cuda_row_generator.h"

namespace halnorm {

using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

template <typename T>
class CudaRowGradient : public CudaRowGenerator<T> {
 public:
  Halide::GeneratorInput<Halide::Buffer<>> dy{"dy", 3}, x{"x", 3};
  Halide::GeneratorInput<Halide::Buffer<float, 2>> mean{"mean"}, rstd{"rstd"};  // (row, outer)
  Halide::GeneratorInput<Halide::Buffer<float, 1>> gamma{"gamma"};
  Halide::GeneratorInput<int32_t> has_mean{"has_mean"};  // layer norm, else RMS norm

  void configure() {
    for (auto *tensor : {&dy, &x}) tensor->set_type(this->word_type());
  }

 protected:
  // Elements of a row, and a row that is there in its place.
  virtual Expr length(const Expr &row) const = 0;
  virtual Expr present(const Expr &row) const = 0;

  void begin_gradient_pass() {
    const Expr row = this->roles_.vars.row, outer = this->roles_.vars.outer;
    this->begin_pass(
        length(row),
        [&](const Expr &word) {
          return Values{dy(word, row, outer), x(word, row, outer)};
        },
        [&](const Expr &i) { return Values{gamma(i)}; });
  }
  // What dx takes of rows, for their lanes: mean, rstd, mean_g, slope.
  Func means_of_rows() {
    CudaRoles &roles = this->roles_;
    const CudaVars &vars = roles.vars;
    begin_gradient_pass();
    roles.warp_sums = {this->sum_chunk("sum", length(vars.row), [&](const Values &v) {
      return gradient_terms(v[0] * v[2], v[1] - mean(present(vars.row), vars.outer));
    })};
    const Func totals = this->totals_of(roles.warp_sums[0], 2);
    const GradientMeans result =
        gradient_means(totals, {vars.lane, vars.row, vars.outer}, this->count_of_row(x),
                       rstd(present(vars.row), vars.outer), has_mean != 0);
    Func means("means");
    means(vars.lane, vars.row, vars.outer) =
        Tuple(mean(present(vars.row), vars.outer), rstd(present(vars.row), vars.outer),
              result.mean_g, result.slope);
    roles.of_lanes = {means};
    return means;
  }
  Func words_of_dx(const Func &means) {
    const CudaVars &vars = this->roles_.vars;
    const Values of_row = values_of(means, {vars.lane, vars.row, vars.outer});
    return this->define_words([&](const Values &v, const Expr &) {
      return input_gradient(v[0] * v[2], v[1], of_row[0], of_row[1], of_row[2], of_row[3]);
    });
  }

  void constrain_inputs() {
    for (auto *tensor : {&dy, &x}) this->constrain_tensor(tensor);
    for (auto *of_rows : {&mean, &rstd}) this->from_zero(of_rows);
    this->constrain_parameter(&gamma);
  }
};

class CudaNormBackward : public CudaRowGradient<CudaNormBackward> {
 public:
  Output<Halide::Buffer<>> dx{"dx", 3};

  void configure() {
    CudaRowGradient::configure();
    dx.set_type(word_type());
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Func means = means_of_rows();
    begin_gradient_pass();
    const Func last_means = for_pass(means);
    define_rows(&dx, length(vars.row), words_of_dx(last_means));
  }

  void schedule() {
    constrain_inputs();
    constrain_tensor(&dx);
    schedule_rows();
  }

 private:
  Expr length(const Expr &row) const override { return length_of_row(x, row); }
  Expr present(const Expr &row) const override { return Halide::min(row, x.dim(1).extent() - 1); }
};

// A warp, or a block of them, takes the rows of a part one after the other. Parts of dgamma and
// dbeta are added by folds.
class CudaNormGradients : public CudaRowGradient<CudaNormGradients> {
 public:
  Input<int32_t> rows{"rows"};           // of all parts: the last may have fewer
  Output<Halide::Buffer<>> dx{"dx", 4};  // (element, row of the part, part, outer)
  // Parts of dbeta and dgamma, (element, part, outer). All elements that there is room for are
  // stored, whatever the length of a row.
  Output<Func> sums{"sums", {Float(32), Float(32)}, 3};

  void configure() {
    if (knobs.held > 8 * kChunk) {
      throw Halide::CompileError("held=" + std::to_string(knobs.held) +
                                 ": dy, x and the sums over them take all registers");
    }
    wide.set(knobs.held > kChunk);
    CudaRowGradient::configure();
    dx.set_type(word_type());
  }

  void generate() {
    const CudaVars &vars = roles_.vars;
    const Expr outer = vars.outer;
    const Func means = means_of_rows();

    // Both updates go over lanes, warps and rows by variables of the same names: they share loops.
    const auto loops = [&](int places) {
      return RDom({{0, places}, {0, roles_.groups}, {0, kWarp}, {0, chunks()}, {0, kRowsOfAPart}},
                  "elements");
    };
    const auto row_of = [&](const RDom &domain) { return vars.rows * kRowsOfAPart + domain[4]; };
    begin_gradient_pass();
    const Func last_means = for_pass(means);
    {
      const int elements = elements_of_a_word();
      RDom to = loops(words_of_a_vector());
      const Expr row = row_of(to), first = first_of(to.y, to.z, to.w);
      to.where(is_in_row(to.x * elements, first, length(row)));
      const Expr word = words_of_dx(last_means)(to.x, to.y, to.z, to.w, row, outer);
      // Loops that are shared are of one kind, and rows are added in order. Halide must not see
      // that they could be stored in any.
      const Expr row_of_part = Halide::min(to[4], dx.dim(1).extent() - 1);
      dx(vars.i, vars.row, vars.rows, vars.outer) = Halide::undef(dx.type());
      dx(first / elements + to.x, row_of_part, vars.rows, vars.outer) = word;
      roles_.output = dx;
      roles_.elements = to;
    }
    {
      const RDom from = loops(vector_length());
      const Values v = loaded_at(vars.place, vars.group, vars.lane, vars.part, vars.row);
      Func terms("terms");
      terms(vars.place, vars.group, vars.lane, vars.part, vars.row, vars.outer) =
          Tuple(gradient_terms(v[0], (v[1] - mean(vars.row, outer)) * rstd(vars.row, outer)));
      const vector<Expr> to = {first_of(from.y, from.z, from.w) + from.x, vars.rows, outer};
      sums(vars.i, vars.rows, vars.outer) = Tuple(Halide::undef<float>(), Halide::undef<float>());
      vector<Expr> added = values_of(terms, {from.x, from.y, from.z, from.w, row_of(from), outer});
      for (size_t k = 0; k < added.size(); k++) added[k] = value_of(sums, k, to) + added[k];
      sums(to) = Tuple(added);
      roles_.terms = terms;
      roles_.sums = sums;
      roles_.added = from;
    }
  }

  void schedule() {
    constrain_inputs();
    constrain_tensor(&dx);
    dx.dim(1).set_extent(kRowsOfAPart);
    vector<Halide::OutputImageParam> buffers = Func(sums).output_buffers();
    buffers[0].dim(0).set_bounds(0, chunks() * roles_.groups * kWarp * vector_length());
    for (int d = 1; d < 3; d++) buffers[0].dim(d).set_min(0).set_extent(dx.dim(d + 1).extent());
    for (Halide::OutputImageParam &buffer : buffers) {
      for (int d = 1; d < 3; d++) {
        buffer.dim(d).set_stride(buffer.dim(d).stride() / kVectorWords * kVectorWords);
      }
      buffer.set_host_alignment(kVectorBytes);
    }
    schedule_cuda_norm_gradients(roles_, chunks(), rows, get_pipeline(), lanes());
  }

 private:
  // No row is looked at that is not there.
  Expr length(const Expr &) const override { return x.dim(0).extent() * elements_of_a_word(); }
  Expr present(const Expr &row) const override { return row; }
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::CudaNormBackward, cuda_norm_backward)
HALIDE_REGISTER_GENERATOR(halnorm::CudaNormGradients, cuda_norm_gradients)
