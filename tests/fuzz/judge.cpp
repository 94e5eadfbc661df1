// SPDX-License-Identifier: Apache-2.0
#include "judge.h"

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "bent_call.h"
#include "reference.h"
#include "run.h"
#include "statistics.h"

namespace halnorm_test {
namespace {

constexpr halnorm_device kCpu = {HALNORM_CPU, 0};

// A context for each usable target.
class Session {
 public:
  struct Target {
    std::string name;
    halnorm_context *context;
  };

  Session() : workspace_(size_t{1} << 20) {
    for (const std::string &name : usable_targets()) {
      halnorm_context *context = nullptr;
      if (halnorm_context_create(&context) != HALNORM_OK ||
          halnorm_context_set_target(context, name.c_str()) != HALNORM_OK) {
        std::abort();
      }
      targets_.push_back({name, context});
    }
  }
  ~Session() {
    for (const Target &target : targets_) halnorm_context_destroy(target.context);
  }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  const std::vector<Target> &targets_for(const Attempt &attempt) {
    const Workspace &workspace = attempt.workspace;
    size_t bytes = workspace_.size();
    if (workspace.kind == Workspace::Kind::own) bytes = 0;
    if (workspace.kind == Workspace::Kind::small) bytes = workspace.bytes;
    uint8_t *data = workspace_.data() + workspace_.size() - bytes;
    if (workspace.kind == Workspace::Kind::own) data = nullptr;
    const int32_t kernels = halnorm_kernel_count();
    const int32_t kernel = attempt.kernel % (kernels + 1);
    for (const Target &target : targets_) {
      halnorm_context_set_workspace(target.context, kCpu, data, bytes);
      halnorm_context_set_kernel(target.context, halnorm_kernel_name(kernel - 1));
    }
    return targets_;
  }

 private:
  std::vector<Target> targets_;
  GuardedPages workspace_;
};

void take_form(const Form &form, const Problem &problem, Placement placement, bool is_parameter,
               Tensor *tensor) {
  *tensor = Tensor(form.dtype, is_parameter ? problem.parameter_shape() : problem.shape,
                   form.strides, is_parameter ? 0 : problem.first_reduced(), placement);
}

void take_forms(const Attempt &attempt, Tensors *tensors) {
  const auto take = [&](const Form &form, bool is_parameter, std::optional<Tensor> *tensor) {
    if (*tensor) take_form(form, attempt.problem, attempt.placement, is_parameter, &**tensor);
  };
  take_form(attempt.x, attempt.problem, attempt.placement, false, &tensors->x);
  take(attempt.y, false, &tensors->y);
  take(attempt.dy, false, &tensors->dy);
  take(attempt.dx, false, &tensors->dx);
  take(attempt.gamma, true, &tensors->gamma);
  take(attempt.beta, true, &tensors->beta);
  take(attempt.dgamma, true, &tensors->dgamma);
  take(attempt.dbeta, true, &tensors->dbeta);
}

bool is_empty(const Tensors &tensors) {
  return tensors.x.rows() == 0 || tensors.x.row_length() == 0;
}

// The reference bounds the error where a set without spread has eps to divide by.
bool is_bounded(const Tensors &tensors) {
  if (tensors.problem.eps >= 1e-5 || is_empty(tensors)) return true;
  for (const Statistic &statistic : statistics_of(tensors.problem, tensors.x)) {
    const long double least = 1e-9L * statistic.mean_absolute * statistic.mean_absolute;
    if (!(statistic.variance > std::max(least, 1e-30L))) return false;
  }
  return true;
}

// The first output that is off, in words.
std::string error_of(Tensors *tensors, const Expected &expected) {
  for (const Output &output : outputs_of(*tensors, expected)) {
    if (is_empty(*tensors) && std::string(output.name).rfind("running_", 0) == 0) {
      if (!output.actual->unchanged()) return std::string(output.name) + " was written";
      continue;
    }
    for (size_t i = 0; i < output.expected->size(); ++i) {
      if (within(output, i)) continue;
      const int64_t length = output.actual->row_length(), at = static_cast<int64_t>(i);
      return std::string(output.name) + " " + std::to_string(i) + " is " +
             print_number(static_cast<double>(output.actual->value(at / length, at % length))) +
             ", expected " + print_number((*output.expected)[i]) + " within " +
             print_number((*output.bound)[i]);
    }
  }
  return "";
}

class Judge {
 public:
  explicit Judge(const Attempt &attempt)
      : attempt_(attempt), tensors_(attempt.problem, attempt.placement) {
    take_forms(attempt, &tensors_);
    tensors_.fill(attempt.data, attempt.seed);
  }

  Judgement run(const std::vector<Session::Target> &targets) {
    for (const Session::Target &target : targets) {
      make_call(target);
      if (!judgement_.failure.empty()) {
        judgement_.failure += " (" + target.name + ")";
        return judgement_;
      }
      if (judgement_.refused) return judgement_;  // for all targets alike, or for lack of memory
    }
    tensors_.restore();
    if (!is_bounded(tensors_)) return judgement_;
    const Expected expected = reference(tensors_);
    make_call(targets.front());
    if (judgement_.failure.empty()) judgement_.failure = error_of(&tensors_, expected);
    judgement_.compared = true;
    return judgement_;
  }

 private:
  void make_call(const Session::Target &target) {
    tensors_.restore();
    halnorm_context_create(nullptr);  // its message shows whether the call leaves one
    BentCall bent(attempt_);
    std::fesetround(attempt_.rounding);
    const halnorm_status status =
        tensors_.call_bent(target.context, [&](Arguments *arguments) { bent.bend(arguments); });
    std::fesetround(FE_TONEAREST);
    bent.move_home(status == HALNORM_OK);
    if (status != HALNORM_OK) {
      check_refusal(bent, status, halnorm_last_error());
      return;
    }
    if (!bent.is_valid()) return fail("it was not refused");
    const std::string damage = tensors_.damage();
    if (!damage.empty()) return fail(damage);
    judgement_.kernels.push_back(halnorm_last_kernel());
    const std::vector<uint32_t> bits = bits_of(&tensors_);
    if (!bits_) bits_ = bits;
    if (bits != *bits_) fail("other bits than with another target");
  }

  void check_refusal(const BentCall &bent, halnorm_status status, const std::string &message) {
    judgement_.refused = true;
    const std::string change = tensors_.change();
    if (!change.empty()) return fail("it was refused and " + change);
    if (status == HALNORM_OUT_OF_MEMORY) {
      const bool is_small = attempt_.workspace.kind == Workspace::Kind::small;
      if (is_small && bent.is_valid() && message.find("bytes") != std::string::npos) return;
    }
    const bool is_undecided_overlap = status == HALNORM_INVALID_ARGUMENT && is_undecided(message);
    if (!bent.deserves(status) && !is_undecided_overlap) {
      return fail("status " + std::to_string(status) + " with the message '" + message + "'");
    }
    const std::string complaint = bent.complaint(message);
    if (!complaint.empty()) fail("of the message '" + message + "': " + complaint);
  }

  void fail(const std::string &what) { judgement_.failure = what; }

  const Attempt &attempt_;
  Tensors tensors_;
  Judgement judgement_;
  std::optional<std::vector<uint32_t>> bits_;  // of the first target
};

}  // namespace

Judgement judge(const Attempt &attempt) {
  static Session session;
  return Judge(attempt).run(session.targets_for(attempt));
}

}  // namespace halnorm_test
