// SPDX-License-Identifier: Apache-2.0
// The operations of halnorm.h: what each expects of its arguments, and how it becomes a NormCall.
#include <math.h>
#include <stdint.h>

#include "context.h"
#include "errors.h"
#include "float_environment.h"
#include "halnorm.h"
#include "norm_call.h"
#include "view.h"

namespace halnorm {
namespace {

halnorm_status check_eps(double eps) {
  if (isfinite(eps) && eps >= 0) return HALNORM_OK;
  return fail(HALNORM_INVALID_ARGUMENT, "eps: is %g; expected a finite number >= 0", eps);
}

halnorm_status check_flags(uint32_t flags, uint32_t known) {
  if ((flags & ~known) == 0) return HALNORM_OK;
  return fail(HALNORM_INVALID_ARGUMENT, "flags: is %#x; expected no bits but those of %#x", flags,
              known);
}

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

halnorm_status check_runnable(const halnorm_context *context, const View &x) {
  if (x.device.device_type != HALNORM_CPU) {
    return fail(HALNORM_UNSUPPORTED, "x: is on a CUDA device; this build has kernels for the CPU");
  }
  int32_t target;
  return resolve_cpu_target(context, &target);
}

// A row of length 0 has no mean: 0 / 0.
void fill_statistic_of_nothing(const View &statistic) {
  if (!statistic.given) return;
  auto *values = reinterpret_cast<float *>(statistic.data);
  for (int64_t i = 0; i < statistic.element_count; ++i) values[i] = NAN;
}

int64_t stride_or_0(const View &view, int32_t i) {
  return view.given && i >= 0 && i < view.rank ? view.strides[i] : 0;
}

halnorm_status row_norm(Operation operation, const halnorm_context *context,
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
  if (halnorm_status status = read_arguments(arguments, kCount, views)) return status;
  const View &input = views[kX];
  if (halnorm_status status = check_axis(input, &axis)) return status;
  const int32_t reduced_rank = input.rank - axis;
  const ExpectedShapes expected = {{input.shape, input.rank},
                                   {input.shape + axis, reduced_rank},
                                   {input.shape, axis},
                                   reduced_rank};
  if (halnorm_status status = check_together(arguments, kCount, views, expected)) return status;
  if (halnorm_status status = check_eps(eps)) return status;
  if (halnorm_status status = check_flags(flags, HALNORM_ZERO_CENTERED_GAMMA)) return status;
  if (halnorm_status status = check_runnable(context, input)) return status;
  if (input.element_count == 0) {
    fill_statistic_of_nothing(views[kMean]);
    fill_statistic_of_nothing(views[kRstd]);
    return HALNORM_OK;
  }

  const View &statistic = views[views[kMean].given ? kMean : kRstd];
  NormCall call;
  call.operation = operation;
  call.storage = input.storage;
  call.gamma_storage = views[kGamma].given ? views[kGamma].storage : Storage::f32;
  call.beta_storage = views[kBeta].given ? views[kBeta].storage : Storage::f32;
  call.row_count = call.row_length = 1;
  for (int32_t i = 0; i < axis; ++i) {
    call.kept[i] = {input.shape[i],           input.strides[i], views[kY].strides[i], 0, 0,
                    stride_or_0(statistic, i)};
    call.row_count *= input.shape[i];
  }
  for (int32_t i = 0; i < reduced_rank; ++i) {
    call.reduced[i] = {input.shape[axis + i],        input.strides[axis + i],
                       views[kY].strides[axis + i],  stride_or_0(views[kGamma], i),
                       stride_or_0(views[kBeta], i), 0};
    call.row_length *= input.shape[axis + i];
  }
  call.kept_rank = canonicalize(call.kept, axis);
  call.reduced_rank = canonicalize(call.reduced, reduced_rank);
  call.x = input.data;
  call.gamma = views[kGamma].given ? views[kGamma].data : nullptr;
  call.beta = views[kBeta].given ? views[kBeta].data : nullptr;
  call.y = views[kY].data;
  call.mean = views[kMean].given ? reinterpret_cast<float *>(views[kMean].data) : nullptr;
  call.rstd = views[kRstd].given ? reinterpret_cast<float *>(views[kRstd].data) : nullptr;
  call.eps = eps;
  call.zero_centered_gamma = views[kGamma].given && (flags & HALNORM_ZERO_CENTERED_GAMMA) != 0;
  call.context = context;
  const FloatEnvironment environment;
  return execute(call);
}

}  // namespace
}  // namespace halnorm

halnorm_status halnorm_layer_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                  const halnorm_tensor *gamma, const halnorm_tensor *beta,
                                  int32_t axis, double eps, halnorm_tensor *y, halnorm_tensor *mean,
                                  halnorm_tensor *rstd, uint32_t flags) {
  return halnorm::row_norm(halnorm::Operation::layer_norm_forward, ctx, x, gamma, beta, axis, eps,
                           y, mean, rstd, flags);
}

halnorm_status halnorm_rms_norm(const halnorm_context *ctx, const halnorm_tensor *x,
                                const halnorm_tensor *gamma, int32_t axis, double eps,
                                halnorm_tensor *y, halnorm_tensor *rstd, uint32_t flags) {
  return halnorm::row_norm(halnorm::Operation::rms_norm_forward, ctx, x, gamma, nullptr, axis, eps,
                           y, nullptr, rstd, flags);
}

const char *halnorm_version(void) { return HALNORM_VERSION; }
