// SPDX-License-Identifier: Apache-2.0
#include "parameters.h"

#include <stddef.h>

#include "dispatch.h"
#include "errors.h"
#include "kernel_call.h"
#include "strided.h"
#include "workspace.h"

namespace halnorm {
namespace {

// x * 1 and x + -0 are x for every x, -0 included.
constexpr float kNoGamma = 1.0f, kNoBeta = -0.0f, kNoOffset = -0.0f;

struct Parameter {
  const void *data;  // null where absent
  Storage storage;
  Stride stride;
  float absent, offset;
};

const float *dense_parameter(const NormCall &call, const Parameter &parameter, int32_t target,
                             int64_t begin, int64_t count, float *room) {
  const bool unchanged = parameter.storage == Storage::f32 && parameter.offset == 0;
  const bool dense = is_dense(call.reduced, call.reduced_rank, parameter.stride);
  if (parameter.data != nullptr && unchanged && dense) {
    return static_cast<const float *>(parameter.data) + begin;
  }
  if (room == nullptr) return nullptr;
  if (parameter.data == nullptr) {
    for (int64_t i = 0; i < count; ++i) room[i] = parameter.absent;
    return room;
  }
  const void *stored = advance(parameter.data, begin, parameter.storage);
  if (!dense) {
    void *packed = unchanged ? room : room + count;
    gather(packed, parameter.data, call.reduced, call.reduced_rank, parameter.stride, begin, count,
           parameter.storage);
    if (unchanged) return room;
    stored = packed;
  }
  const Kernel *kernel =
      find_kernel(nullptr, target, Operation::any_norm, Part::parameter, parameter.storage, count);
  KernelBuffer from(count, 1), to(count, 1);
  float offset = parameter.offset;
  void *arguments[] = {from.at(stored), &offset, to.at(room)};
  kernel->run(arguments);
  return room;
}

}  // namespace

const float *dense_gamma(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                         float *room) {
  const float offset = call.zero_centered_gamma ? 1.0f : kNoOffset;
  return dense_parameter(call, {call.gamma, call.gamma_storage, &Axis::gamma, kNoGamma, offset},
                         target, begin, count, room);
}

const float *dense_beta(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                        float *room) {
  return dense_parameter(call, {call.beta, call.beta_storage, &Axis::beta, kNoBeta, kNoOffset},
                         target, begin, count, room);
}

halnorm_status dense_parameters(const NormCall &call, int32_t target, const float **gamma,
                                const float **beta) {
  const int64_t n = call.row_length;
  *gamma = dense_gamma(call, target, 0, n, nullptr);
  const bool has_beta = call.operation == Operation::layer_norm_forward;
  *beta = has_beta ? dense_beta(call, target, 0, n, nullptr) : nullptr;
  const bool wants_beta = has_beta && *beta == nullptr;
  const int64_t rooms = (*gamma == nullptr ? 1 : 0) + (wants_beta ? 1 : 0);
  if (rooms == 0) return HALNORM_OK;
  const auto bytes = static_cast<size_t>(rooms * parameter_room(n) * element_size(Storage::f32));
  auto *room = static_cast<float *>(workspace(call.context, bytes));
  if (room == nullptr) {
    return fail(HALNORM_OUT_OF_MEMORY, "workspace: gamma and beta need %zu bytes", bytes);
  }
  if (wants_beta) *beta = dense_beta(call, target, 0, n, room + (rooms - 1) * parameter_room(n));
  if (*gamma == nullptr) *gamma = dense_gamma(call, target, 0, n, room);
  return HALNORM_OK;
}

}  // namespace halnorm
