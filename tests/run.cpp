// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "fault_reporter.h"

namespace halnorm_test {
namespace {

bool is_for_cuda(const std::string &target) { return target.rfind("cuda", 0) == 0; }

// A context made from the options.
class Session {
 public:
  explicit Session(const RunOptions &options)
      : float_mode_(options.float_mode), on_cuda_(is_for_cuda(options.target)) {
    status_ = halnorm_context_create(&context_);
    if (status_ == HALNORM_OK && !options.target.empty()) {
      status_ = halnorm_context_set_target(context_, options.target.c_str());
    }
    if (status_ == HALNORM_OK) {
      status_ = halnorm_context_set_num_threads(context_, options.threads);
    }
    if (status_ == HALNORM_OK && options.parallel_for != nullptr) {
      status_ = halnorm_context_set_parallel_for(context_, options.parallel_for, options.pool);
    }
    if (status_ == HALNORM_OK && !options.kernel.empty()) {
      status_ = halnorm_context_set_kernel(context_, options.kernel.c_str());
    }
  }
  ~Session() { halnorm_context_destroy(context_); }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  // The status of the call, or of what was refused before it.
  halnorm_status call(Tensors *tensors, int64_t part) {
    if (status_ != HALNORM_OK) return status_;
    const FloatModeScope scope(float_mode_);
    const FloatState before = float_state();
    const halnorm_status status =
        on_cuda_ ? tensors->call_on_cuda(context_, part) : tensors->call(context_, part);
    float_state_untouched_ = float_state() == before;
    return status;
  }

  bool float_state_untouched() const { return float_state_untouched_; }

 private:
  halnorm_context *context_ = nullptr;
  halnorm_status status_;
  const FloatMode float_mode_;
  bool float_state_untouched_ = true;
  const bool on_cuda_;
};

// Rows of a tensor: [first, last).
struct RowRange {
  int64_t first, last;
};

RowRange rows_of_part(const Problem &problem, const Output &output, int64_t part) {
  const int64_t all =
      output.extent == Extent::elements ? problem.row_count() : problem.statistic_count();
  const int64_t each = all / problem.part_count();
  return {part * each, (part + 1) * each};
}

// The rows that a run with these options writes.
RowRange rows_written(const Problem &problem, const Output &output, int64_t part) {
  if (part == kAllParts) return {0, output.actual->rows()};
  if (output.extent == Extent::whole) return {0, 0};
  return rows_of_part(problem, output, part);
}

void append_bits(const Tensor &tensor, RowRange rows, std::vector<uint32_t> *bits) {
  for (int64_t row = rows.first; row < rows.last; ++row) {
    for (int64_t i = 0; i < tensor.row_length(); ++i) {
      bits->push_back(canonical_bits(tensor.dtype(), tensor.bits(row, i)));
    }
  }
}

void append_part(const Problem &problem, const std::vector<Output> &outputs, int64_t part,
                 std::vector<uint32_t> *bits) {
  // Problems without elements may have no parts; then these outputs have no bits either.
  for (const Output &output : outputs) {
    if (output.extent == Extent::whole) continue;
    append_bits(*output.actual, rows_of_part(problem, output, part), bits);
  }
}

std::string format(const char *pattern, double a, double b, double c) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, a, b, c);
  return text;
}

// Returns the first element that is off, in words; `report` may be null.
std::string compare(const Output &output, RowRange rows, Report *report) {
  std::string failure;
  double worst_ratio = -1;
  const int64_t length = output.actual->row_length();
  for (int64_t row = rows.first; row < rows.last; ++row) {
    for (int64_t i = 0; i < length; ++i) {
      const size_t at = static_cast<size_t>(row * length + i);
      const double value = static_cast<double>(output.actual->value(row, i));
      const double expected = (*output.expected)[at], bound = (*output.bound)[at];
      if (failure.empty() && !within(output, at)) {
        failure = std::string(output.name) + " row " + std::to_string(row) + " element " +
                  std::to_string(i) +
                  format(": is %.9g, expected %.9g within %.3g", value, expected, bound);
      }
      const double error = std::fabs(value - expected);
      if (report != nullptr && error > worst_ratio * bound) {
        worst_ratio = error / bound;
        report->worst_error = error;
        report->worst_bound = bound;
      }
    }
  }
  return failure;
}

std::vector<std::string> targets(bool usable) {
  std::vector<std::string> names;
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    // The tensors here are in host memory.
    const std::string target = halnorm_target_name(i);
    if (is_for_cuda(target)) continue;
    if ((halnorm_target_usable(i) != 0) == usable) names.push_back(target);
  }
  return names;
}

}  // namespace

std::string command(const Problem &problem, const RunOptions &options) {
  const RunOptions defaults;
  std::string text = "halnorm_check " + print(problem);
  if (!options.target.empty()) text += " --target=" + options.target;
  if (!options.kernel.empty()) text += " --kernel=" + options.kernel;
  if (options.threads != defaults.threads) text += " --threads=" + std::to_string(options.threads);
  if (print(options.data) != print(defaults.data)) text += " --data=" + print(options.data);
  if (options.seed != defaults.seed) text += " --seed=" + std::to_string(options.seed);
  if (options.part != defaults.part) text += " --part=" + std::to_string(options.part);
  if (options.placement != defaults.placement) {
    text += " --placement=" + std::string(name(options.placement));
  }
  return text;
}

Result run(const Problem &problem, const RunOptions &options) {
  Tensors tensors(problem, options.placement);
  tensors.fill(options.data, options.seed);
  const FaultReporter reporter(command(problem, options));
  Session session(options);
  Result result;
  result.status = session.call(&tensors, options.part);
  result.float_state_untouched = session.float_state_untouched();
  if (result.status != HALNORM_OK) {
    result.error = halnorm_last_error();
    return result;
  }
  result.kernel = halnorm_last_kernel();
  const Expected nothing;
  const std::vector<Output> outputs = outputs_of(tensors, nothing);
  if (options.part != kAllParts) {
    append_part(problem, outputs, options.part, &result.bits);
    result.bits_of_part = result.bits.size();
    return result;
  }
  for (int64_t part = 0; part < problem.part_count(); ++part) {
    append_part(problem, outputs, part, &result.bits);
    if (part == 0) result.bits_of_part = result.bits.size();
  }
  for (const Output &output : outputs) {
    if (output.extent != Extent::whole) continue;
    append_bits(*output.actual, {0, output.actual->rows()}, &result.bits);
  }
  return result;
}

std::vector<uint32_t> bits_of(Tensors *tensors) {
  std::vector<uint32_t> bits;
  const Expected nothing;
  for (const Output &output : outputs_of(*tensors, nothing)) {
    append_bits(*output.actual, {0, output.actual->rows()}, &bits);
  }
  return bits;
}

Expected expected_of(const Problem &problem, const RunOptions &options) {
  Tensors tensors(problem, options.placement);
  tensors.fill(options.data, options.seed);
  return reference(tensors);
}

Report check(const Problem &problem, const RunOptions &options) {
  return check(problem, options, expected_of(problem, options));
}

Report check(const Problem &problem, const RunOptions &options, const Expected &expected) {
  Tensors tensors(problem, options.placement);
  tensors.fill(options.data, options.seed);
  Report report;
  const FaultReporter reporter(command(problem, options));
  Session session(options);
  if (session.call(&tensors, options.part) != HALNORM_OK) {
    report.failure = "refused: " + std::string(halnorm_last_error());
  } else {
    report.kernel = halnorm_last_kernel();
    Report *first = &report;
    for (const Output &output : outputs_of(tensors, expected)) {
      if (!report.failure.empty()) break;
      report.failure = compare(output, rows_written(problem, output, options.part), first);
      first = nullptr;
    }
    if (report.failure.empty()) report.failure = tensors.damage();
  }
  if (!report.failure.empty()) report.failure += "\n  repeat: " + command(problem, options);
  return report;
}

std::vector<std::string> usable_targets() { return targets(true); }
std::vector<std::string> unusable_targets() { return targets(false); }

}  // namespace halnorm_test
