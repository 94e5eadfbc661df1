// SPDX-License-Identifier: Apache-2.0
// The norms as a user of Halide writes them down: the formulas of runtime/halnorm.h, where their
// sources stand, in f32, with no order of a sum fixed and no schedule. An autoscheduler does the
// rest, or nobody: then sums and statistics are computed before the output, in plain loops.
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "Halide.h"
#include "generators/norm_math.h"

namespace halnorm {
namespace {

using Halide::cast;
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Type;
using Halide::Var;
using std::string;
using std::vector;

// The dimensions of a tensor are letters: i, the elements of a row; r, the rows of layer and RMS
// norm; c, channels; n, samples; g, groups, and k, the channels of one. Neighbours in memory are
// those of the first. The numbers are the extents that an autoscheduler is told to expect.
struct Dimension {
  char letter;
  int estimate;
};
using Dimensions = vector<Dimension>;
struct Form {
  const char *norm = nullptr;
  Dimensions rows, columns;  // of x, where neighbours are elements of a row, and where they are not
  string reduced, parameter;  // those that a statistic is of, and those of gamma
};
const Form kForms[] = {
    {"layer", {{'i', 768}, {'r', 64}}, {{'r', 784}, {'i', 96}, {'n', 8}}, "i", "i"},
    {"rms", {{'i', 768}, {'r', 64}}, {{'r', 784}, {'i', 96}, {'n', 8}}, "i", "i"},
    {"instance", {{'i', 784}, {'c', 128}, {'n', 8}}, {{'c', 128}, {'i', 784}, {'n', 8}}, "i", "c"},
    {"group",
     {{'i', 4096}, {'k', 10}, {'g', 32}, {'n', 2}},
     {{'k', 10}, {'g', 32}, {'i', 4096}, {'n', 2}},
     "ik",
     "kg"},
    {"batch", {{'i', 784}, {'c', 128}, {'n', 8}}, {{'c', 128}, {'i', 784}, {'n', 8}}, "in", "c"},
};

string without(const string &dimensions, const string &others) {
  string left;
  for (char d : dimensions) {
    if (others.find(d) == string::npos) left += d;
  }
  return left;
}

vector<Var> vars(const string &dimensions) {
  vector<Var> all;
  for (char d : dimensions) all.emplace_back(string(1, d));
  return all;
}

class PlainNorm : public Halide::Generator<PlainNorm> {
 public:
  GeneratorParam<string> norm{"norm", "layer"};
  GeneratorParam<string> pass{"pass", "forward"};  // or training, inference, backward
  GeneratorParam<bool> columns{"columns", false};
  GeneratorParam<Type> storage{"storage", Halide::Float(32)};
  GeneratorParam<Type> parameters{"parameters", Halide::Float(32)};  // storage of gamma and beta
  // Of x, in the order of its dimensions with an x between, in place of those of kForms.
  GeneratorParam<string> extents{"extents", ""};

  // Arguments are in this order.
  void configure() {
    for (const Form &form : kForms) {
      if (norm.value() == form.norm) form_ = form;
    }
    if (form_.norm == nullptr) {
      std::cerr << "norm=" << norm.value() << ": expected one of kForms in plain_norms.cpp\n";
      std::exit(1);
    }
    Dimensions &dimensions = columns ? form_.columns : form_.rows;
    std::istringstream numbers(extents.value());
    for (Dimension &d : dimensions) {
      all_ += d.letter;
      if (extents.value().empty()) continue;
      numbers >> d.estimate;
      numbers.ignore();
    }
    statistic_ = without(all_, form_.reduced);
    centered_ = norm.value() != "rms";
    backward_ = pass.value() == "backward";
    const bool inference = pass.value() == "inference";
    if (backward_) dy_ = input("dy", storage, all_);
    x_ = input("x", storage, all_);
    gamma_ = input("gamma", parameters, form_.parameter);
    if (!backward_ && centered_) beta_ = input("beta", parameters, form_.parameter);
    if (backward_ || inference) {
      if (centered_) given_mean_ = input("given_mean", Halide::Float(32), statistic_);
      given_spread_ = input("given_spread", Halide::Float(32), statistic_);  // rstd or variance
    }
    if (!backward_) eps_ = add_input<float>("eps");
    result_ = output(backward_ ? "dx" : "y", storage, all_);
    if (backward_) {
      dgamma_ = output("dgamma", parameters, form_.parameter);
      if (centered_) dbeta_ = output("dbeta", parameters, form_.parameter);
    } else if (!inference) {
      if (centered_) mean_ = output("mean", Halide::Float(32), statistic_);
      rstd_ = output("rstd", Halide::Float(32), statistic_);
    }
  }

  void generate() {
    value_(vars(all_)) = widened((*x_)(vars(all_)), storage);
    if (backward_) {
      define_backward();
    } else {
      define_forward();
    }
  }

  void schedule() {
    for (const auto &input : inputs_) bind(input);
    for (const auto &output : outputs_) bind(output);
    if (using_autoscheduler()) {
      if (eps_ != nullptr) eps_->set_estimate(1e-5f);
      return;
    }
    for (Func &sum : sums_) sum.compute_root();
  }

 private:
  using InputBuffer = Input<Halide::Buffer<>>;
  using OutputBuffer = Output<Halide::Buffer<>>;
  template <typename Buffer>
  struct Bound {
    Buffer *buffer;
    string dimensions;
  };

  // Halide 21 does not compile its bfloat for CUDA.
  bool is_integer(const Type &type) const {
    return type.is_bfloat() && get_target().has_gpu_feature();
  }
  Type stored(const Type &type) const { return is_integer(type) ? Halide::UInt(16) : type; }
  Expr widened(const Expr &value, const Type &type) const {
    return is_integer(type) ? widen(value, Storage::bf16, get_target()) : cast<float>(value);
  }
  Expr narrowed(const Expr &value, const Type &type) const {
    return is_integer(type) ? narrow(value, Storage::bf16, get_target()) : cast(type, value);
  }
  template <typename Place>
  Expr parameter(InputBuffer *buffer, const Place &place) const {
    return widened((*buffer)(place), parameters);
  }

  InputBuffer *input(const string &name, const Type &type, const string &dimensions) {
    auto *buffer =
        add_input<Halide::Buffer<>>(name, stored(type), static_cast<int>(dimensions.size()));
    inputs_.push_back({buffer, dimensions});
    return buffer;
  }
  OutputBuffer *output(const string &name, const Type &type, const string &dimensions) {
    auto *buffer =
        add_output<Halide::Buffer<>>(name, stored(type), static_cast<int>(dimensions.size()));
    outputs_.push_back({buffer, dimensions});
    return buffer;
  }

  // All tensors are tied to the extents of x.
  template <typename Buffer>
  void bind(const Bound<Buffer> &bound) {
    for (size_t d = 0; d < bound.dimensions.size(); d++) {
      auto dimension = bound.buffer->dim(static_cast<int>(d));
      dimension.set_min(0);
      if (static_cast<const void *>(bound.buffer) != x_) {
        dimension.set_extent(extent(bound.dimensions[d]));
      }
      if (!using_autoscheduler()) continue;
      for (const Dimension &known : columns ? form_.columns : form_.rows) {
        if (known.letter == bound.dimensions[d]) dimension.set_estimate(0, known.estimate);
      }
    }
  }
  Expr extent(char letter) const { return x_->dim(static_cast<int>(all_.find(letter))).extent(); }

  // The sum over the dimensions `reduced` of term(at), where at(dimensions) is a place in a tensor.
  template <typename Term>
  Func sum(const string &name, const string &reduced, const Term &term) {
    vector<Halide::Range> ranges;
    for (char d : reduced) ranges.emplace_back(0, extent(d));
    const RDom domain(ranges, name + "_all");
    const auto at = [&](const string &dimensions) {
      vector<Expr> place;
      for (char d : dimensions) {
        const size_t found = reduced.find(d);
        place.push_back(found == string::npos ? Expr(Var(string(1, d)))
                                              : Expr(domain[static_cast<int>(found)]));
      }
      return place;
    };
    const vector<Var> kept = vars(without(all_, reduced));
    Func total(name);
    total(kept) = 0.0f;
    total(kept) += term(at);
    sums_.push_back(total);
    return total;
  }
  Expr count() const {
    Expr n = 1;
    for (char d : form_.reduced) n *= extent(d);
    return cast<float>(n);
  }

  // Anderson2021 wants that nothing else is made of an output (halide/Halide#8000).
  void define_statistic(OutputBuffer *buffer, Func *statistic, const Expr &value) {
    const vector<Var> at = vars(statistic_);
    if (get_target().has_gpu_feature()) {
      (*statistic)(at) = value;
      (*buffer)(at) = (*statistic)(at);
    } else {
      (*buffer)(at) = value;
      *statistic = *buffer;
    }
  }

  void define_forward() {
    const vector<Var> statistic = vars(statistic_);
    Func mean("mean_of"), rstd("rstd_of");
    if (pass.value() == "inference") {
      mean(statistic) = (*given_mean_)(statistic);
      rstd(statistic) = 1.0f / sqrt((*given_spread_)(statistic) + *eps_);
    } else {
      if (centered_) {
        const Func total =
            sum("total", form_.reduced, [&](const auto &at) { return value_(at(all_)); });
        define_statistic(mean_, &mean, total(statistic) / count());
      }
      const Func squares = sum("squares", form_.reduced, [&](const auto &at) {
        Expr d = value_(at(all_));
        if (centered_) d -= mean(at(statistic_));
        return d * d;
      });
      define_statistic(rstd_, &rstd, 1.0f / sqrt(squares(statistic) / count() + *eps_));
    }
    Expr y = value_(vars(all_));
    if (centered_) y -= mean(statistic);
    y = y * rstd(statistic) * parameter(gamma_, vars(form_.parameter));
    if (centered_) y += parameter(beta_, vars(form_.parameter));
    (*result_)(vars(all_)) = narrowed(y, storage);
  }

  void define_backward() {
    const Func mean = centered_ ? Func(*given_mean_) : Func();
    const auto gradient = [&](const vector<Expr> &at) { return widened((*dy_)(at), storage); };
    const auto xhat = [&](const vector<Expr> &at, const vector<Expr> &statistic) {
      const Expr x = value_(at);
      return (centered_ ? x - mean(statistic) : x) * (*given_spread_)(statistic);
    };
    const vector<Var> parameters_at = vars(form_.parameter), statistic = vars(statistic_);
    const string others = without(all_, form_.parameter);
    const Func total_xhat = sum("total_xhat", others, [&](const auto &at) {
      return gradient(at(all_)) * xhat(at(all_), at(statistic_));
    });
    (*dgamma_)(parameters_at) = narrowed(total_xhat(parameters_at), parameters);
    Func total;
    if (centered_) {
      total = sum("total", others, [&](const auto &at) { return gradient(at(all_)); });
      (*dbeta_)(parameters_at) = narrowed(total(parameters_at), parameters);
    }
    // The means over the elements of a statistic of g = dy * gamma and of g * xhat.
    Expr mean_g, mean_g_xhat;
    if (statistic_ == form_.parameter) {
      mean_g = total(statistic) * parameter(gamma_, parameters_at) / count();
      mean_g_xhat = total_xhat(statistic) * parameter(gamma_, parameters_at) / count();
    } else {
      const auto g = [&](const auto &at) {
        return gradient(at(all_)) * parameter(gamma_, at(form_.parameter));
      };
      if (centered_) mean_g = sum("total_g", form_.reduced, g)(statistic) / count();
      mean_g_xhat =
          sum("total_g_xhat", form_.reduced,
              [&](const auto &at) { return g(at) * xhat(at(all_), at(statistic_)); })(statistic) /
          count();
    }
    const vector<Var> here = vars(all_);
    const vector<Expr> at(here.begin(), here.end());
    const vector<Expr> of(statistic.begin(), statistic.end());
    Expr dx = gradient(at) * parameter(gamma_, parameters_at) - xhat(at, of) * mean_g_xhat;
    if (centered_) dx -= mean_g;
    (*result_)(here) = narrowed(dx * (*given_spread_)(statistic), storage);
  }

  Form form_;
  string all_, statistic_;  // the dimensions of x and of a statistic
  bool centered_ = true, backward_ = false;
  vector<Bound<InputBuffer>> inputs_;
  vector<Bound<OutputBuffer>> outputs_;
  InputBuffer *dy_ = nullptr, *x_ = nullptr, *gamma_ = nullptr, *beta_ = nullptr;
  InputBuffer *given_mean_ = nullptr, *given_spread_ = nullptr;
  Input<float> *eps_ = nullptr;
  OutputBuffer *result_ = nullptr, *dgamma_ = nullptr, *dbeta_ = nullptr;
  OutputBuffer *mean_ = nullptr, *rstd_ = nullptr;
  Func value_{"value"};
  vector<Func> sums_;
};

}  // namespace
}  // namespace halnorm

HALIDE_REGISTER_GENERATOR(halnorm::PlainNorm, plain_norm)
