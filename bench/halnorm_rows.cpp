// SPDX-License-Identifier: Apache-2.0
#include "halnorm_rows.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <regex>
#include <string>
#include <utility>

#include "halnorm.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Operation;
using halnorm_test::Problem;
using halnorm_test::Tensor;
using halnorm_test::Tensors;

// A description of a tensor for the C API; it converts to null where there is no tensor.
class View {
 public:
  explicit View(std::optional<Tensor> *tensor) : given_(tensor->has_value()) {
    if (given_) view_ = (*tensor)->view();
  }
  explicit View(Tensor *tensor) : given_(true), view_(tensor->view()) {}
  operator halnorm_tensor *() { return given_ ? &view_ : nullptr; }

 private:
  bool given_;
  halnorm_tensor view_ = {};
};

// The public API, as a program calls it that keeps its context and its descriptions of tensors.
// Tensors::call() describes them anew each time, for 0.1 us, which is much of a small call.
class HalnormSolver : public Solver {
 public:
  // An empty kernel leaves the choice to the library.
  HalnormSolver(Workload *workload, const Options &options, const std::string &kernel)
      : HalnormSolver(&workload->tensors()) {
    ready_ = halnorm_context_create(&context_) == HALNORM_OK &&
             halnorm_context_set_target(context_, options.target.c_str()) == HALNORM_OK &&
             halnorm_context_set_num_threads(context_, options.threads) == HALNORM_OK &&
             halnorm_context_set_kernel(context_, kernel.empty() ? nullptr : kernel.c_str()) ==
                 HALNORM_OK;
  }
  ~HalnormSolver() override { halnorm_context_destroy(context_); }
  HalnormSolver(const HalnormSolver &) = delete;
  HalnormSolver &operator=(const HalnormSolver &) = delete;

  bool run() override { return ready_ && call() == HALNORM_OK; }
  std::string failure() const override { return halnorm_last_error(); }

 private:
  explicit HalnormSolver(Tensors *tensors)
      : problem_(tensors->problem),
        x_(&tensors->x),
        y_(&tensors->y),
        dy_(&tensors->dy),
        dx_(&tensors->dx),
        gamma_(&tensors->gamma),
        beta_(&tensors->beta),
        dgamma_(&tensors->dgamma),
        dbeta_(&tensors->dbeta),
        mean_(&tensors->mean),
        rstd_(&tensors->rstd),
        running_mean_(&tensors->running_mean),
        running_var_(&tensors->running_var) {
    if (problem_.zero_centered) flags_ |= HALNORM_ZERO_CENTERED_GAMMA;
    if (problem_.biased) flags_ |= HALNORM_RUNNING_VAR_BIASED;
    if (problem_.fixed) flags_ |= HALNORM_FIXED_STATISTICS;
  }

  halnorm_status call() {
    const int32_t axis = problem_.axis, groups = static_cast<int32_t>(problem_.groups);
    const double eps = problem_.eps;
    switch (problem_.operation) {
      case Operation::layer_norm_forward:
        return halnorm_layer_norm(context_, x_, gamma_, beta_, axis, eps, y_, mean_, rstd_, flags_);
      case Operation::layer_norm_backward:
        return halnorm_layer_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, axis, dx_,
                                           dgamma_, dbeta_, flags_);
      case Operation::rms_norm_forward:
        return halnorm_rms_norm(context_, x_, gamma_, axis, eps, y_, rstd_, flags_);
      case Operation::rms_norm_backward:
        return halnorm_rms_norm_backward(context_, dy_, x_, gamma_, rstd_, axis, dx_, dgamma_,
                                         flags_);
      case Operation::instance_norm_forward:
        return halnorm_instance_norm(context_, x_, gamma_, beta_, eps, y_, mean_, rstd_, flags_);
      case Operation::instance_norm_backward:
        return halnorm_instance_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, dx_, dgamma_,
                                              dbeta_, flags_);
      case Operation::group_norm_forward:
        return halnorm_group_norm(context_, x_, gamma_, beta_, groups, eps, y_, mean_, rstd_,
                                  flags_);
      case Operation::group_norm_backward:
        return halnorm_group_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, groups, dx_,
                                           dgamma_, dbeta_, flags_);
      case Operation::batch_norm_inference:
        return halnorm_batch_norm_inference(context_, x_, gamma_, beta_, running_mean_,
                                            running_var_, eps, y_, flags_);
      case Operation::batch_norm_training:
        return halnorm_batch_norm_training(context_, x_, gamma_, beta_, eps, problem_.momentum,
                                           running_mean_, running_var_, y_, mean_, rstd_, flags_);
      case Operation::batch_norm_backward:
        return halnorm_batch_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, dx_, dgamma_,
                                           dbeta_, flags_);
    }
    std::abort();
  }

  const Problem problem_;
  View x_, y_, dy_, dx_, gamma_, beta_, dgamma_, dbeta_, mean_, rstd_, running_mean_, running_var_;
  uint32_t flags_ = 0;
  halnorm_context *context_ = nullptr;
  bool ready_ = false;
};

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

// Whether a target without tuned rows would take this kernel. Parts that several operations share
// are named after any_norm.
bool is_default_row(const Symbol &symbol, const Problem &problem) {
  const auto is_choice = [&](const char *operation, const char *part) {
    return symbol.choice == std::string("halnorm_") + operation + "_" + part + "_" +
                                halnorm_test::name(problem.dtype);
  };
  return std::any_of(std::begin(kDefaultRows), std::end(kDefaultRows), [&](const DefaultRow &row) {
    return (is_choice(halnorm_test::name(problem.operation), row.part) ||
            is_choice("any_norm", row.part)) &&
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

}  // namespace

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
  const Problem &problem = workload->problem();
  std::vector<Contender> others;
  for (const std::string &row : rows_beside(chosen)) {
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
  // Its whole symbol, which names the part: a problem that a kernel made for its layout serves is
  // told from one that another serves.
  others.insert(
      after_default,
      Contender{Kind::chosen_row,
                "chosen row",
                chosen + (is_default_row(parse_symbol(chosen), problem) ? ", the default row" : ""),
                "",
                std::move(choice),
                {}});
  for (Contender &contender : others) contenders->push_back(std::move(contender));
}

}  // namespace halnorm_bench
