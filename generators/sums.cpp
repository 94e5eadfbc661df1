// SPDX-License-Identifier: Apache-2.0
// The sums of every norm that does not run as one kernel: of long rows, of rows that lie side by
// side, of runs of a channel, and of all gradients. What is summed is one choice (Summands), where
// it lies another: along dense rows (RowTotals, RowChunks) or across rows that are neighbours
// (ColumnSums). The runtime turns totals into statistics (runtime/statistics.h).
#include "norm_generator.h"

namespace halnorm {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using std::vector;

template <typename T>
class SumsGenerator : public CpuGenerator<T> {
 public:
  Halide::GeneratorParam<Summands> summands{"summands", Summands::values, summands_by_name()};

 protected:
  using Tensor = Halide::GeneratorInput<Halide::Buffer<>>;
  using Vector = Halide::GeneratorInput<Halide::Buffer<float, 1>>;

  // Tensors first, then what goes with each row, then with each element.
  void add_inputs() {
    if (of_gradients()) {
      dy_ = this->template add_input<Halide::Buffer<>>("dy", storage_type(this->storage), 2);
    }
    x_ = this->template add_input<Halide::Buffer<>>("x", storage_type(this->storage), 2);
    if (summands == Summands::deviations) center_ = add_vector("center");
    if (of_gradients()) mean_ = add_vector("mean");
    if (summands == Summands::parameter_gradients) rstd_ = add_vector("rstd");
    if (summands == Summands::weighted_gradients) gamma_ = add_vector("gamma");
  }

  vector<Halide::Type> types(const Halide::Type &type) const {
    return vector<Halide::Type>(summands == Summands::values ? 1 : 2, type);
  }

  // Of element i of a row; in memory either is dimension 0.
  Func values(bool columns) const {
    const Expr i = this->vars_.i, row = this->vars_.row;
    const vector<Expr> at = columns ? vector<Expr>{row, i} : vector<Expr>{i, row};
    const Expr x = this->widened((*x_)(at));
    vector<Expr> all;
    if (of_gradients()) all.push_back(this->widened((*dy_)(at)));
    all.push_back(x);
    if (gamma_ != nullptr) all.push_back((*gamma_)(i));
    if (summands == Summands::parameter_gradients) {
      all.push_back((*mean_)(i));
      all.push_back((*rstd_)(i));
    }
    Func values("values");
    values(this->vars_.i, this->vars_.row) = Tuple(all);
    return values;
  }

  vector<Expr> terms(const Values &v) const {
    const Expr row = this->vars_.row;
    switch (summands) {
      case Summands::values:
        return {v[0]};
      case Summands::deviations:
        return deviation_terms(v[0] - (*center_)(row), true);
      case Summands::gradients:
        return gradient_terms(v[0], v[1] - (*mean_)(row));
      case Summands::weighted_gradients:
        return gradient_terms(v[0] * v[2], v[1] - (*mean_)(row));
      case Summands::parameter_gradients:
        break;
    }
    return gradient_terms(v[0], (v[1] - v[2]) * v[3]);
  }

  void constrain_inputs() {
    for (Tensor *tensor : {dy_, x_}) {
      if (tensor != nullptr) make_dense(tensor);
    }
    for (Vector *vector : {center_, mean_, rstd_, gamma_}) {
      if (vector != nullptr) make_dense(vector);
    }
  }

  const Tensor &x() const { return *x_; }

 private:
  bool of_gradients() const {
    return summands != Summands::values && summands != Summands::deviations;
  }
  Vector *add_vector(const std::string &name) {
    return this->template add_input<Halide::Buffer<float, 1>>(name);
  }

  Tensor *dy_ = nullptr, *x_ = nullptr;
  Vector *center_ = nullptr, *mean_ = nullptr, *rstd_ = nullptr, *gamma_ = nullptr;
};

// Totals of rows of one chunk. Those of parameters are but a block of theirs, and stay f32.
class RowTotals : public SumsGenerator<RowTotals> {
 public:
  void configure() {
    add_inputs();
    totals_ = add_output<Func>("totals", types(total_type()), 1);
  }

  void generate() {
    // With vectors of 16 the window lies in memory of its own.
    const bool blank = get_target().natural_vector_size<float>() >= kLanes / 2;
    const Summation summation(Tree::one_chunk, values(false), length(x().dim(0).extent()), vars_,
                              blank, pairs());
    const Sum sum = summation.sum("sum", [&](const Values &v) { return terms(v); });
    vector<Expr> totals;
    for (const Expr &total : values_of(sum.total, {vars_.row})) {
      totals.push_back(cast(total_type(), total));
    }
    (*totals_)(vars_.row) = Tuple(totals);
    roles_.window = summation.window();
    roles_.n = length(x().dim(0).extent());
    roles_.sums = {sum};
    roles_.statistics = *totals_;
  }

  void schedule() {
    constrain_inputs();
    roles_.row_count = make_outputs_dense(*totals_)[0].dim(0).extent();
    schedule_row_totals(roles(), knobs, get_target());
  }

 private:
  Halide::Type total_type() const {
    return Float(summands == Summands::parameter_gradients ? 32 : 64);
  }

  Halide::GeneratorOutput<Func> *totals_ = nullptr;
};

// The chunks of longer rows, each in lanes: (lane, chunk, row).
class RowChunks : public SumsGenerator<RowChunks> {
 public:
  void configure() {
    add_inputs();
    chunks_ = add_output<Func>("chunks", types(Float(32)), 3);
  }

  void generate() {
    const Summation summation(Tree::many_chunks, values(false), length(x().dim(0).extent()), vars_,
                              false, pairs());
    const Sum sum = summation.chunk_sums("sum", [&](const Values &v) { return terms(v); });
    (*chunks_)(vars_.lane, vars_.part, vars_.row) =
        Tuple(values_of(sum.by_lanes(), {vars_.lane, vars_.part, vars_.row}));
    roles_.window = summation.window();
    roles_.n = length(x().dim(0).extent());
    roles_.sums = {sum};
    roles_.output = *chunks_;
  }

  void schedule() {
    constrain_inputs();
    vector<Halide::OutputImageParam> outputs = make_outputs_dense(*chunks_);
    outputs[0].dim(0).set_extent(kLanes);
    for (Halide::OutputImageParam &output : outputs) output.dim(1).set_stride(kLanes);
    schedule_row_chunks(roles(), knobs, get_target());
  }

 private:
  Halide::GeneratorOutput<Func> *chunks_ = nullptr;
};

// Totals of long rows from one sum of their chunks.
class RowFold : public CpuGenerator<RowFold> {
 public:
  Input<Halide::Buffer<float, 3>> chunks{"chunks"};  // (lane, chunk, row)
  Output<Halide::Buffer<double, 1>> totals{"totals"};

  void generate() {
    Sum sum;
    sum.partial = Func("partial");
    sum.partial(vars_.lane, vars_.part, vars_.row) = chunks(vars_.lane, vars_.part, vars_.row);
    Summation::add_chunks(&sum, "sum", chunks.dim(1).extent(), vars_, true);
    totals(vars_.row) = sum.total(vars_.row);
    roles_.sums = {sum};
    roles_.statistics = totals;
  }

  void schedule() {
    make_dense(&chunks);
    chunks.dim(0).set_extent(kLanes);
    chunks.dim(1).set_stride(kLanes);
    make_dense(&totals);
    schedule_row_fold(roles(), get_target());
  }
};

// Adds elements to the sums of rows that are neighbours, one element of all of them after another:
// a block of the column tree, or some of it. Halide takes an output that it also reads to be
// aligned to a vector, so that the sums must lie at whole cache lines.
class ColumnSums : public SumsGenerator<ColumnSums> {
 public:
  void configure() {
    add_inputs();
    sums_ = add_output<Func>("sums", types(Float(32)), 1);
  }

  void generate() {
    const Func all = values(true);
    const Expr n = x().dim(1).extent();
    const int step = knobs.elements;
    Steps &order = roles_.steps;
    order.steps = RDom(0, step, 0, n / step, "steps");
    order.rest = RDom(0, n % step, "rest");
    const auto add = [&](const Expr &i) {
      vector<Expr> sums = terms(values_of(all, {i, vars_.row}));
      for (size_t k = 0; k < sums.size(); k++) {
        sums[k] = value_of(*sums_, k, {vars_.row}) + sums[k];
      }
      return Tuple(sums);
    };
    (*sums_)(vars_.row) = Tuple(vector<Expr>(types(Float(32)).size(), Halide::undef<float>()));
    (*sums_)(vars_.row) = add(order.steps.y * step + order.steps.x);
    (*sums_)(vars_.row) = add(n - n % step + order.rest);
    roles_.output = *sums_;
  }

  void schedule() {
    constrain_inputs();
    roles_.row_count = make_outputs_dense(*sums_)[0].dim(0).extent();
    schedule_column_sums(roles(), knobs, get_target());
  }

 private:
  Halide::GeneratorOutput<Func> *sums_ = nullptr;
};

}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::RowTotals, row_totals)
HALIDE_REGISTER_GENERATOR(halnorm::RowChunks, row_chunks)
HALIDE_REGISTER_GENERATOR(halnorm::RowFold, row_fold)
HALIDE_REGISTER_GENERATOR(halnorm::ColumnSums, column_sums)
