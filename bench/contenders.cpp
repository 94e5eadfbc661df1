// SPDX-License-Identifier: Apache-2.0
#include "contenders.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <regex>
#include <utility>

#include "baselines.h"
#include "copy.h"
#include "halnorm.h"
#include "peers/onednn.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Operation;
using halnorm_test::Problem;
using halnorm_test::Tensor;

// The public API, as a program calls it that keeps its context and its descriptions of tensors.
class HalnormSolver : public Solver {
 public:
  // An empty kernel leaves the choice to the library.
  HalnormSolver(Workload *workload, const Options &options, const std::string &kernel)
      : problem_(workload->problem()) {
    halnorm_test::Tensors &tensors = workload->tensors();
    x_ = tensors.x.view();
    y_ = tensors.y->view();
    gamma_ = view(&tensors.gamma);
    beta_ = view(&tensors.beta);
    mean_ = view(&tensors.mean);
    rstd_ = view(&tensors.rstd);
    flags_ = problem_.zero_centered ? HALNORM_ZERO_CENTERED_GAMMA : 0;
    ready_ = halnorm_context_create(&context_) == HALNORM_OK &&
             halnorm_context_set_target(context_, options.target.c_str()) == HALNORM_OK &&
             halnorm_context_set_num_threads(context_, options.threads) == HALNORM_OK &&
             halnorm_context_set_kernel(context_, kernel.empty() ? nullptr : kernel.c_str()) ==
                 HALNORM_OK;
  }
  ~HalnormSolver() override { halnorm_context_destroy(context_); }
  HalnormSolver(const HalnormSolver &) = delete;
  HalnormSolver &operator=(const HalnormSolver &) = delete;

  bool run() override {
    if (!ready_) return false;
    if (problem_.operation == Operation::layer_norm_forward) {
      return halnorm_layer_norm(context_, &x_, given(&gamma_), given(&beta_), problem_.axis,
                                problem_.eps, &y_, given(&mean_), given(&rstd_),
                                flags_) == HALNORM_OK;
    }
    return halnorm_rms_norm(context_, &x_, given(&gamma_), problem_.axis, problem_.eps, &y_,
                            given(&rstd_), flags_) == HALNORM_OK;
  }
  std::string failure() const override { return halnorm_last_error(); }

 private:
  static std::optional<halnorm_tensor> view(std::optional<Tensor> *tensor) {
    if (!*tensor) return std::nullopt;
    return (*tensor)->view();
  }
  static halnorm_tensor *given(std::optional<halnorm_tensor> *tensor) {
    return *tensor ? &**tensor : nullptr;
  }

  const Problem problem_;
  halnorm_context *context_ = nullptr;
  halnorm_tensor x_, y_;
  std::optional<halnorm_tensor> gamma_, beta_, mean_, rstd_;
  uint32_t flags_;
  bool ready_;
};

class OneDnnSolver : public Solver {
 public:
  OneDnnSolver(Workload *workload, std::unique_ptr<OneDnnLayerNorm> primitive)
      : primitive_(std::move(primitive)),
        x_(workload->x()),
        y_(workload->y()),
        gamma_(data(&workload->tensors().gamma)),
        beta_(data(&workload->tensors().beta)),
        mean_(data(&workload->tensors().mean)),
        eps_(workload->problem().eps),
        variance_(static_cast<size_t>(workload->problem().row_count())) {}

  bool run() override {
    primitive_->execute(x_, gamma_, beta_, y_, mean_, variance_.data());
    return !primitive_->failed();
  }
  std::string failure() const override { return "oneDNN reports an error"; }

  // oneDNN gives the variance where halnorm gives rstd.
  void hand_over(halnorm_test::Tensors *tensors) override {
    if (!tensors->rstd) return;
    for (size_t row = 0; row < variance_.size(); ++row) {
      const double rstd = 1 / std::sqrt(static_cast<double>(variance_[row]) + eps_);
      tensors->rstd->set(static_cast<int64_t>(row), 0, static_cast<float>(rstd));
    }
  }

 private:
  static float *data(std::optional<Tensor> *tensor) {
    return *tensor ? static_cast<float *>((*tensor)->view().data) : nullptr;
  }

  std::unique_ptr<OneDnnLayerNorm> primitive_;
  const void *x_;
  void *y_;
  const float *gamma_, *beta_;
  float *mean_;
  double eps_;
  std::vector<float> variance_;
};

Contender one_dnn(Workload *workload, const Options &options) {
  const Problem &problem = workload->problem();
  Contender contender = {Kind::peer, "oneDNN", "", "", nullptr, {}};
  if (problem.operation != Operation::layer_norm_forward) {
    contender.trouble = "absent: has no such operation";
  } else if (problem.layout != halnorm_test::Layout::dense) {
    contender.trouble = "absent: compared on dense tensors only";
  } else if (problem.zero_centered || problem.parameter_dtype() != halnorm_test::Dtype::f32) {
    contender.trouble = "absent: takes gamma and beta in f32 only, without 1 + gamma";
  }
  if (!contender.trouble.empty()) return contender;

  OneDnnLayerNorm::Options wanted;
  wanted.dtype = halnorm_test::name(problem.dtype);
  wanted.rows = problem.row_count();
  wanted.columns = problem.row_length();
  wanted.gamma = problem.gamma;
  wanted.beta = problem.beta;
  wanted.statistics = problem.statistics;
  wanted.threads = options.threads;
  wanted.eps = static_cast<float>(problem.eps);
  std::string why_not;
  std::unique_ptr<OneDnnLayerNorm> primitive = OneDnnLayerNorm::create(wanted, &why_not);
  if (primitive == nullptr) {
    contender.trouble = "absent: " + why_not;
    return contender;
  }
  contender.detail = primitive->implementation();
  contender.solver = std::make_unique<OneDnnSolver>(workload, std::move(primitive));
  return contender;
}

// halnorm_<operation>_<part>_<dtype>[_n<N>][_bytes<N>]__<target>[__<schedule>], taken apart.
struct Symbol {
  std::string choice;  // up to the dtype: rows of the same choice can replace each other
  std::string bounds;  // of the row, "_n256" for example; empty where it serves any problem
  std::string target, schedule;
};

Symbol parse_symbol(const std::string &name) {
  static const std::regex form(
      "(.*_(?:f32|f16|bf16))((?:_n[0-9]+|_bytes[0-9]+)*)__(.*?)(?:__(.*))?");
  std::smatch match;
  if (!std::regex_match(name, match, form)) return {};
  return {match[1], match[2], match[3], match[4]};
}

std::string description(const Symbol &symbol) {
  const std::string schedule = symbol.schedule.empty() ? "no knobs" : symbol.schedule;
  return symbol.bounds.empty() ? schedule : schedule + " (" + symbol.bounds.substr(1) + ")";
}

// The build writes the default row of each part: target, part, schedule.
struct DefaultRow {
  const char *target, *part, *schedule;
};
constexpr DefaultRow kDefaultRows[] = {
#include "default_rows.inc"
};

// Whether a target without tuned rows would take this kernel.
bool is_default_row(const Symbol &symbol, const Problem &problem) {
  return std::any_of(std::begin(kDefaultRows), std::end(kDefaultRows), [&](const DefaultRow &row) {
    return symbol.choice == std::string("halnorm_") + halnorm_test::name(problem.operation) + "_" +
                                row.part + "_" + halnorm_test::name(problem.dtype) &&
           symbol.bounds.empty() && symbol.target == row.target && symbol.schedule == row.schedule;
  });
}

// The rows that could take the place of `chosen`, in the library's order of preference.
std::vector<std::string> rows_beside(const std::string &chosen) {
  const Symbol wanted = parse_symbol(chosen);
  std::vector<std::string> rows;
  for (int32_t i = 0; i < halnorm_kernel_count(); ++i) {
    const Symbol symbol = parse_symbol(halnorm_kernel_name(i));
    if (symbol.choice == wanted.choice && symbol.target == wanted.target) {
      rows.push_back(halnorm_kernel_name(i));
    }
  }
  return rows;
}

// Whether the library runs `kernel` for the problem when it is told to.
bool fits(Workload *workload, const Options &options, const std::string &kernel) {
  HalnormSolver solver(workload, options, kernel);
  return solver.run() && kernel == halnorm_last_kernel();
}

void append_halnorm(Workload *workload, const Options &options,
                    std::vector<Contender> *contenders) {
  auto choice = std::make_unique<HalnormSolver>(workload, options, "");
  if (!choice->run()) {
    contenders->push_back({Kind::chosen_row,
                           "chosen row",
                           "",
                           "failed: " + std::string(halnorm_last_error()),
                           nullptr,
                           {}});
    return;
  }
  const std::string chosen = halnorm_last_kernel();
  const Symbol chosen_symbol = parse_symbol(chosen);
  const std::vector<std::string> rows = rows_beside(chosen);
  const Problem &problem = workload->problem();
  std::vector<Contender> others;
  for (const std::string &row : rows) {
    if (row == chosen || !fits(workload, options, row)) continue;
    const Symbol symbol = parse_symbol(row);
    const bool is_default = is_default_row(symbol, problem);
    others.push_back({is_default ? Kind::default_row : Kind::other_row,
                      is_default ? "default row" : "row " + description(symbol),
                      is_default ? description(symbol) : "",
                      "",
                      std::make_unique<HalnormSolver>(workload, options, row),
                      {}});
  }
  // The default first, then what the library picks, then the rest as the library prefers them.
  std::stable_partition(others.begin(), others.end(), [](const Contender &contender) {
    return contender.kind == Kind::default_row;
  });
  const auto after_default =
      std::find_if(others.begin(), others.end(),
                   [](const Contender &contender) { return contender.kind != Kind::default_row; });
  others.insert(after_default,
                Contender{Kind::chosen_row,
                          "chosen row",
                          description(chosen_symbol) +
                              (is_default_row(chosen_symbol, problem) ? ", the default row" : ""),
                          "",
                          std::move(choice),
                          {}});
  for (Contender &contender : others) contenders->push_back(std::move(contender));
}

Rounding rounding_of(Kind kind) {
  switch (kind) {
    case Kind::default_row:
    case Kind::chosen_row:
    case Kind::other_row:
      return Rounding::trees;
    default:
      return Rounding::any_order;
  }
}

}  // namespace

std::vector<Contender> make_contenders(Workload *workload, const Options &options) {
  std::vector<Contender> contenders;
  append_baselines(workload, options.target, &contenders);
  append_halnorm(workload, options, &contenders);
  contenders.push_back(one_dnn(workload, options));
  append_copies(workload, options.threads, &contenders);

  const std::regex wanted(options.contenders);
  contenders.erase(std::remove_if(contenders.begin(), contenders.end(),
                                  [&](const Contender &contender) {
                                    return !std::regex_search(contender.name, wanted);
                                  }),
                   contenders.end());
  for (Contender &contender : contenders) {
    if (contender.solver == nullptr || contender.kind == Kind::copy) continue;
    contender.trouble = workload->check(contender.solver.get(), rounding_of(contender.kind));
    if (!contender.trouble.empty()) contender.solver.reset();
  }
  workload->drop_reference();
  return contenders;
}

}  // namespace halnorm_bench
