// SPDX-License-Identifier: Apache-2.0
#include "operands.h"

#include <math.h>
#include <string.h>

#include "context.h"
#include "cuda_memory.h"
#include "errors.h"

namespace halnorm {
namespace {

uint32_t known_flags(Operation operation) {
  switch (operation) {
    case Operation::batch_norm_training:
      return HALNORM_ZERO_CENTERED_GAMMA | HALNORM_RUNNING_VAR_BIASED;
    case Operation::batch_norm_backward:
      return HALNORM_ZERO_CENTERED_GAMMA | HALNORM_FIXED_STATISTICS;
    default:
      return HALNORM_ZERO_CENTERED_GAMMA;
  }
}

void fill_with_nan(const View &statistic) {
  auto *values = reinterpret_cast<float *>(statistic.data);
  for (int64_t i = 0; i < statistic.element_count; ++i) values[i] = NAN;
}

void fill_with_zeros(const View &gradient) {
  for (int64_t i = 0; i < gradient.element_count; ++i) {
    int64_t offset = 0, rest = i;
    for (int32_t d = gradient.rank - 1; d >= 0; --d) {
      offset += rest % gradient.shape[d] * gradient.strides[d];
      rest /= gradient.shape[d];
    }
    memset(gradient.data + offset * gradient.element_bytes, 0, gradient.element_bytes);
  }
}

}  // namespace

BackwardArguments::BackwardArguments(bool has_mean, const halnorm_tensor *dy,
                                     const halnorm_tensor *x, const halnorm_tensor *gamma,
                                     const halnorm_tensor *mean, const halnorm_tensor *rstd,
                                     const halnorm_tensor *dx, const halnorm_tensor *dgamma,
                                     const halnorm_tensor *dbeta)
    : list{
          {"x", x, Role::data, Access::read, true},
          {"dy", dy, Role::data, Access::read, true},
          {"gamma", gamma, Role::parameter, Access::read, false},
          {"mean", mean, Role::statistic, Access::read, has_mean},
          {"rstd", rstd, Role::statistic, Access::read, true},
          {"dx", dx, Role::data, Access::write, false, kDy},
          {"dgamma", dgamma, Role::parameter, Access::write, false},
          {"dbeta", dbeta, Role::parameter, Access::write, false},
      } {}

Operands BackwardArguments::operands() const {
  Operands operands;
  operands.x = &views[kX];
  operands.dy = &views[kDy];
  operands.gamma = or_absent(views[kGamma]);
  operands.saved_mean = or_absent(views[kMean]);
  operands.saved_rstd = &views[kRstd];
  operands.y = or_absent(views[kDx]);
  operands.dgamma = or_absent(views[kDgamma]);
  operands.dbeta = or_absent(views[kDbeta]);
  return operands;
}

halnorm_status check_settings(Operation operation, const halnorm_context *context, const View &x,
                              const Settings &settings) {
  if (!isfinite(settings.eps) || settings.eps < 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "eps: is %g; expected a finite number >= 0",
                settings.eps);
  }
  if (!(settings.momentum >= 0 && settings.momentum <= 1)) {
    return fail(HALNORM_INVALID_ARGUMENT, "momentum: is %g; expected a number from 0 to 1",
                settings.momentum);
  }
  const uint32_t known = known_flags(operation);
  if ((settings.flags & ~known) != 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "flags: is %#x; expected no bits but those of %#x",
                settings.flags, known);
  }
  int32_t target;
  return resolve_target(context, x.device.device_type, &target);
}

halnorm_status write_results_of_nothing(const halnorm_context *context, const View &mean,
                                        const View &rstd, const View &dgamma, const View &dbeta) {
  for (const View *result : {&mean, &rstd, &dgamma, &dbeta}) {
    if (!result->given) continue;
    const bool is_statistic = result == &mean || result == &rstd;
    if (result->device.device_type == HALNORM_CUDA) {
      if (halnorm_status status = fill_on_cuda(context, *result, is_statistic ? NAN : 0.0f)) {
        return status;
      }
    } else if (is_statistic) {
      fill_with_nan(*result);
    } else {
      fill_with_zeros(*result);
    }
  }
  return HALNORM_OK;
}

}  // namespace halnorm
