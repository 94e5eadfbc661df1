// SPDX-License-Identifier: Apache-2.0
// Layer and RMS norm as halnorm.h has them: what each expects of its arguments, and how it becomes
// a NormCall.
#include <stdint.h>

#include "errors.h"
#include "float_environment.h"
#include "halnorm.h"
#include "norm_call.h"
#include "operands.h"
#include "view.h"

namespace halnorm {
namespace {

// Makes `axis` count from the front.
halnorm_status check_axis(const View &x, int32_t *axis) {
  if (*axis >= -x.rank && *axis < x.rank) {
    if (*axis < 0) *axis += x.rank;
    return HALNORM_OK;
  }
  if (x.rank == 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "x: ndim is 0; expected at least one dimension");
  }
  return fail(HALNORM_INVALID_ARGUMENT, "axis: is %d; expected %d to %d for an x of %d dimensions",
              *axis, -x.rank, x.rank - 1, x.rank);
}

// This and run() are inlined for the sake of calls of one short row.
[[gnu::always_inline]] inline halnorm_status check_tensors(const Argument *arguments, int count,
                                                           View *views, int32_t *axis) {
  if (halnorm_status status = read_arguments(arguments, count, views)) return status;
  const View &x = views[0];
  if (halnorm_status status = check_axis(x, axis)) return status;
  const int32_t reduced_rank = x.rank - *axis;
  const ExpectedShapes expected = {
      {x.shape, x.rank}, {x.shape + *axis, reduced_rank}, {x.shape, *axis}, reduced_rank};
  return check_together(arguments, count, views, expected);
}

[[gnu::always_inline]] inline halnorm_status run(Operation operation,
                                                 const halnorm_context *context,
                                                 const Operands &operands, int32_t axis,
                                                 const Settings &settings) {
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
  // mean and rstd differ at most in dimensions of extent 1 at their end.
  const View *statistic = operands.saved_rstd;
  if (!statistic->given) statistic = operands.mean;
  if (!statistic->given) statistic = operands.rstd;
  call.row_count = call.row_length = 1;
  for (int32_t i = 0; i < axis; ++i) {
    set_data_axis(operands, i, &call.kept[i]);
    call.kept[i].statistic = statistic->strides[i];
    call.row_count *= x.shape[i];
  }
  const int32_t reduced_rank = x.rank - axis;
  for (int32_t i = 0; i < reduced_rank; ++i) {
    set_data_axis(operands, axis + i, &call.reduced[i]);
    add_parameters(operands, i, &call.reduced[i]);
    call.row_length *= x.shape[axis + i];
  }
  call.kept_rank = canonicalize(call.kept, axis);
  call.reduced_rank = canonicalize(call.reduced, reduced_rank);
  return execute(call);
}

halnorm_status run_forward(Operation operation, const halnorm_context *context,
                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                           const halnorm_tensor *beta, int32_t axis, double eps,
                           const halnorm_tensor *y, const halnorm_tensor *mean,
                           const halnorm_tensor *rstd, uint32_t flags) {
  enum { kX, kGamma, kBeta, kY, kMean, kRstd, kCount };
  const Argument arguments[kCount] = {
      {"x", x, Role::data, Access::read, true},
      {"gamma", gamma, Role::parameter, Access::read, false},
      {"beta", beta, Role::parameter, Access::read, false},
      {"y", y, Role::data, Access::write, true, kX},
      {"mean", mean, Role::statistic, Access::write, false},
      {"rstd", rstd, Role::statistic, Access::write, false},
  };
  View views[kCount];
  if (halnorm_status status = check_tensors(arguments, kCount, views, &axis)) return status;
  Operands operands;
  operands.x = &views[kX];
  operands.gamma = or_absent(views[kGamma]);
  operands.beta = or_absent(views[kBeta]);
  operands.y = &views[kY];
  operands.mean = or_absent(views[kMean]);
  operands.rstd = or_absent(views[kRstd]);
  return run(operation, context, operands, axis, {eps, 0, flags});
}

halnorm_status run_backward(Operation operation, const halnorm_context *context,
                            const halnorm_tensor *dy, const halnorm_tensor *x,
                            const halnorm_tensor *gamma, const halnorm_tensor *mean,
                            const halnorm_tensor *rstd, int32_t axis, const halnorm_tensor *dx,
                            const halnorm_tensor *dgamma, const halnorm_tensor *dbeta,
                            uint32_t flags) {
  const bool has_mean = operation == Operation::layer_norm_backward;
  BackwardArguments arguments(has_mean, dy, x, gamma, mean, rstd, dx, dgamma, dbeta);
  if (halnorm_status status =
          check_tensors(arguments.list, arguments.kCount, arguments.views, &axis)) {
    return status;
  }
  return run(operation, context, arguments.operands(), axis, {0, 0, flags});
}

}  // namespace
}  // namespace halnorm

halnorm_status halnorm_layer_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                  const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                  int32_t axis, double eps, halnorm_tensor *y, halnorm_tensor *mean,
                                  halnorm_tensor *rstd, uint32_t flags) {
  return halnorm::run_forward(halnorm::Operation::layer_norm_forward, ctx, x, gamma, beta, axis,
                              eps, y, mean, rstd, flags);
}

halnorm_status halnorm_layer_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                           const halnorm_tensor *x, const halnorm_tensor *gamma,
                                           const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                           int32_t axis, halnorm_tensor *dx, halnorm_tensor *dgamma,
                                           halnorm_tensor *dbeta, uint32_t flags) {
  return halnorm::run_backward(halnorm::Operation::layer_norm_backward, ctx, dy, x, gamma, mean,
                               rstd, axis, dx, dgamma, dbeta, flags);
}

halnorm_status halnorm_rms_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                const halnorm_tensor *gamma, int32_t axis, double eps,
                                halnorm_tensor *y, halnorm_tensor *rstd, uint32_t flags) {
  return halnorm::run_forward(halnorm::Operation::rms_norm_forward, ctx, x, gamma, nullptr, axis,
                              eps, y, nullptr, rstd, flags);
}

halnorm_status halnorm_rms_norm_backward(const halnorm_context *ctx, const halnorm_tensor *dy,
                                         const halnorm_tensor *x, const halnorm_tensor *gamma,
                                         const halnorm_tensor *rstd, int32_t axis,
                                         halnorm_tensor *dx, halnorm_tensor *dgamma,
                                         uint32_t flags) {
  return halnorm::run_backward(halnorm::Operation::rms_norm_backward, ctx, dy, x, gamma, nullptr,
                               rstd, axis, dx, dgamma, nullptr, flags);
}

const char *halnorm_version(void) { return HALNORM_VERSION; }
