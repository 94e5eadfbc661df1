// SPDX-License-Identifier: Apache-2.0
// Instance, group and batch norm as halnorm.h has them: what each expects of its arguments, and how
// it becomes a NormCall.
#include <stdint.h>

#include "errors.h"
#include "float_environment.h"
#include "halnorm.h"
#include "norm_call.h"
#include "operands.h"
#include "view.h"

namespace halnorm {
namespace {

// Of the operations without groups.
constexpr int32_t kNoGroups = 1;

Sharing sharing_of(Operation operation) {
  switch (operation) {
    case Operation::instance_norm_forward:
    case Operation::instance_norm_backward:
      return Sharing::none;
    case Operation::group_norm_forward:
    case Operation::group_norm_backward:
      return Sharing::groups;
    default:
      return Sharing::batch;
  }
}

halnorm_status check_dimensions(const View &x, Sharing sharing, int32_t groups) {
  const int32_t least_rank = sharing == Sharing::none ? 3 : 2;
  if (x.rank < least_rank) {
    return fail(HALNORM_INVALID_ARGUMENT, "x: ndim is %d; expected at least %d: %s", x.rank,
                least_rank, sharing == Sharing::none ? "(N, C, d1, ...)" : "(N, C, ...)");
  }
  const int64_t channels = x.shape[1];
  if (groups < 1 || channels % groups != 0) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "groups: is %d; expected a divisor of the %lld channels of x, at least 1", groups,
                static_cast<long long>(channels));
  }
  return HALNORM_OK;
}

halnorm_status check_tensors(Sharing sharing, int32_t groups, const Argument *arguments, int count,
                             View *views) {
  if (halnorm_status status = read_arguments(arguments, count, views)) return status;
  const View &x = views[0];
  if (halnorm_status status = check_dimensions(x, sharing, groups)) return status;
  const int64_t *const channels = x.shape + 1;
  const int64_t groups_of_samples[] = {x.shape[0], groups};
  Shape statistic = {x.shape, 2};
  if (sharing == Sharing::groups) statistic = {groups_of_samples, 2};
  if (sharing == Sharing::batch) statistic = {channels, 1};
  return check_together(arguments, count, views, {{x.shape, x.rank}, {channels, 1}, statistic, 0});
}

// The running statistics of training.
halnorm_status check_running(const View &x, const View &running_mean, const View &running_var,
                             uint32_t flags) {
  if (running_mean.given != running_var.given) {
    const View &given = running_mean.given ? running_mean : running_var;
    const View &absent = running_mean.given ? running_var : running_mean;
    return fail(HALNORM_INVALID_ARGUMENT, "%s: is NULL and %s is not; expected both or neither",
                absent.name, given.name);
  }
  const bool one_element_a_channel = x.element_count > 0 && x.element_count == x.shape[1];
  if (running_var.given && (flags & HALNORM_RUNNING_VAR_BIASED) == 0 && one_element_a_channel) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "running_var: takes the unbiased variance, and a channel of x has a single "
                "element; expected more of them, or HALNORM_RUNNING_VAR_BIASED in flags");
  }
  return HALNORM_OK;
}

bool has_statistics(const Operands &operands) {
  return operands.mean->given || operands.rstd->given || operands.saved_rstd->given ||
         operands.running_var->given;
}

halnorm_status run(Operation operation, const halnorm_context *context, const Operands &operands,
                   int32_t groups, const Settings &settings) {
  const FloatEnvironment environment;  // comparing a NaN may trap, too
  const View &x = *operands.x;
  if (halnorm_status status = check_settings(operation, context, x, settings)) return status;
  if (x.element_count == 0) {
    return write_results_of_nothing(context, *operands.mean, *operands.rstd, *operands.dgamma,
                                    *operands.dbeta);
  }
  if (!wants_results(operands)) return HALNORM_OK;

  NormCall call;
  fill_call(operation, context, operands, settings, &call);
  const int64_t samples = x.shape[0], channels = x.shape[1];
  call.sharing = sharing_of(operation);
  if (call.sharing == Sharing::groups) call.channels_of_a_group = channels / groups;
  Axis *const batch_axis = &call.kept[0], *const channel_axis = &call.kept[1];
  set_data_axis(operands, 0, batch_axis);
  set_data_axis(operands, 1, channel_axis);
  add_parameters(operands, 0, channel_axis);
  if (has_statistics(operands)) {
    channel_axis->statistic = 1;
    if (call.sharing == Sharing::none) batch_axis->statistic = channels;
    if (call.sharing == Sharing::groups) batch_axis->statistic = groups;
  }
  call.kept_rank = 2;
  call.row_count = samples * channels;
  call.row_length = x.element_count / call.row_count;
  const int32_t reduced_rank = x.rank - 2;
  for (int32_t i = 0; i < reduced_rank; ++i) set_data_axis(operands, 2 + i, &call.reduced[i]);
  call.reduced_rank = canonicalize(call.reduced, reduced_rank);
  return execute(call);
}

// What the forward operations take beside x, gamma, beta and y. Left out where an operation does
// not have it.
struct ForwardExtras {
  const halnorm_tensor *running_mean = nullptr, *running_var = nullptr;
  const halnorm_tensor *mean = nullptr, *rstd = nullptr;
  int32_t groups = kNoGroups;
  double momentum = 0;
};

halnorm_status run_forward(Operation operation, const halnorm_context *context,
                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                           const halnorm_tensor *beta, double eps, const halnorm_tensor *y,
                           const ForwardExtras &extras, uint32_t flags) {
  const bool running_required = operation == Operation::batch_norm_inference;
  const Access running_access = running_required ? Access::read : Access::write;
  enum { kX, kGamma, kBeta, kRunningMean, kRunningVar, kY, kMean, kRstd, kCount };
  const Argument arguments[kCount] = {
      {"x", x, Role::data, Access::read, true},
      {"gamma", gamma, Role::parameter, Access::read, false},
      {"beta", beta, Role::parameter, Access::read, false},
      {"running_mean", extras.running_mean, Role::statistic, running_access, running_required},
      {"running_var", extras.running_var, Role::statistic, running_access, running_required},
      {"y", y, Role::data, Access::write, true, kX},
      {"mean", extras.mean, Role::statistic, Access::write, false},
      {"rstd", extras.rstd, Role::statistic, Access::write, false},
  };
  View views[kCount];
  if (halnorm_status status =
          check_tensors(sharing_of(operation), extras.groups, arguments, kCount, views)) {
    return status;
  }
  if (operation == Operation::batch_norm_training) {
    if (halnorm_status status =
            check_running(views[kX], views[kRunningMean], views[kRunningVar], flags)) {
      return status;
    }
  }
  Operands operands;
  operands.x = &views[kX];
  operands.gamma = or_absent(views[kGamma]);
  operands.beta = or_absent(views[kBeta]);
  operands.running_mean = or_absent(views[kRunningMean]);
  operands.running_var = or_absent(views[kRunningVar]);
  operands.y = &views[kY];
  operands.mean = or_absent(views[kMean]);
  operands.rstd = or_absent(views[kRstd]);
  return run(operation, context, operands, extras.groups, {eps, extras.momentum, flags});
}

halnorm_status run_backward(Operation operation, const halnorm_context *context,
                            const halnorm_tensor *dy, const halnorm_tensor *x,
                            const halnorm_tensor *gamma, const halnorm_tensor *mean,
                            const halnorm_tensor *rstd, int32_t groups, const halnorm_tensor *dx,
                            const halnorm_tensor *dgamma, const halnorm_tensor *dbeta,
                            uint32_t flags) {
  BackwardArguments arguments(true, dy, x, gamma, mean, rstd, dx, dgamma, dbeta);
  if (halnorm_status status = check_tensors(sharing_of(operation), groups, arguments.list,
                                            arguments.kCount, arguments.views)) {
    return status;
  }
  return run(operation, context, arguments.operands(), groups, {0, 0, flags});
}

}  // namespace
}  // namespace halnorm

halnorm_status halnorm_instance_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                     const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                     double eps, halnorm_tensor *y, halnorm_tensor *mean,
                                     halnorm_tensor *rstd, uint32_t flags) {
  halnorm::ForwardExtras extras;
  extras.mean = mean;
  extras.rstd = rstd;
  return halnorm::run_forward(halnorm::Operation::instance_norm_forward, ctx, x, gamma, beta, eps,
                              y, extras, flags);
}

halnorm_status halnorm_instance_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                              const halnorm_tensor *x, const halnorm_tensor *gamma,
                                              const halnorm_tensor *mean,
                                              const halnorm_tensor *rstd, halnorm_tensor *dx,
                                              halnorm_tensor *dgamma, halnorm_tensor *dbeta,
                                              uint32_t flags) {
  return halnorm::run_backward(halnorm::Operation::instance_norm_backward, ctx, dy, x, gamma, mean,
                               rstd, halnorm::kNoGroups, dx, dgamma, dbeta, flags);
}

halnorm_status halnorm_group_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                  const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                  int32_t groups, double eps, halnorm_tensor *y,
                                  halnorm_tensor *mean, halnorm_tensor *rstd, uint32_t flags) {
  halnorm::ForwardExtras extras;
  extras.mean = mean;
  extras.rstd = rstd;
  extras.groups = groups;
  return halnorm::run_forward(halnorm::Operation::group_norm_forward, ctx, x, gamma, beta, eps, y,
                              extras, flags);
}

halnorm_status halnorm_group_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           int32_t groups, halnorm_tensor *dx,
                                           halnorm_tensor *dgamma, halnorm_tensor *dbeta,
                                           uint32_t flags) {
  return halnorm::run_backward(halnorm::Operation::group_norm_backward, ctx, dy, x, gamma, mean,
                               rstd, groups, dx, dgamma, dbeta, flags);
}

halnorm_status halnorm_batch_norm_inference(const halnorm_context *ctx, const halnorm_tensor *x,
                                            const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                            const halnorm_tensor *running_mean,
                                            const halnorm_tensor *running_var, double eps,
                                            halnorm_tensor *y, uint32_t flags) {
  halnorm::ForwardExtras extras;
  extras.running_mean = running_mean;
  extras.running_var = running_var;
  return halnorm::run_forward(halnorm::Operation::batch_norm_inference, ctx, x, gamma, beta, eps, y,
                              extras, flags);
}

halnorm_status halnorm_batch_norm_training(const halnorm_context *ctx, const halnorm_tensor *x,
                                           const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                           double eps, double momentum,
                                           halnorm_tensor *running_mean,
                                           halnorm_tensor *running_var, halnorm_tensor *y,
                                           halnorm_tensor *mean, halnorm_tensor *rstd,
                                           uint32_t flags) {
  halnorm::ForwardExtras extras;
  extras.running_mean = running_mean;
  extras.running_var = running_var;
  extras.mean = mean;
  extras.rstd = rstd;
  extras.momentum = momentum;
  return halnorm::run_forward(halnorm::Operation::batch_norm_training, ctx, x, gamma, beta, eps, y,
                              extras, flags);
}

halnorm_status halnorm_batch_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           halnorm_tensor *dx, halnorm_tensor *dgamma,
                                           halnorm_tensor *dbeta, uint32_t flags) {
  return halnorm::run_backward(halnorm::Operation::batch_norm_backward, ctx, dy, x, gamma, mean,
                               rstd, halnorm::kNoGroups, dx, dgamma, dbeta, flags);
}
