// SPDX-License-Identifier: Apache-2.0
#include "parameters.h"

#include "dispatch.h"
#include "kernel_call.h"
#include "strided.h"

namespace halnorm {
namespace {

// x * 1 and x + -0 are x for every x, -0 included.
constexpr float kNoGamma = 1.0f, kNoBeta = -0.0f, kNoOffset = -0.0f;

// The axes that gamma and beta lie along.
struct ParameterAxes {
  const Axis *axes;
  int32_t rank;
};

ParameterAxes axes_of(const NormCall &call) {
  if (call.gamma_along_rows()) return {call.reduced, call.reduced_rank};
  return {&call.kept[1], 1};
}

// Of the parameters of a call, one.
struct Parameter {
  const void *data;  // null where absent
  Storage storage;
  Stride stride;
  float absent, offset;
};

Parameter gamma_of(const NormCall &call) {
  const float offset = call.zero_centered_gamma ? 1.0f : kNoOffset;
  return {call.gamma, call.gamma_storage, &Axis::gamma, kNoGamma, offset};
}

Parameter beta_of(const NormCall &call) {
  return {call.beta, call.beta_storage, &Axis::beta, kNoBeta, kNoOffset};
}

bool is_f32(const Parameter &parameter) {
  return parameter.storage == Storage::f32 && parameter.offset == 0;
}

bool needs_room(const NormCall &call, const Parameter &parameter) {
  const auto [axes, rank] = axes_of(call);
  return parameter.data == nullptr || !is_f32(parameter) || !is_dense(axes, rank, parameter.stride);
}

const float *dense_parameter(const NormCall &call, const Parameter &parameter, int32_t target,
                             int64_t begin, int64_t count, float *room) {
  if (!needs_room(call, parameter)) return static_cast<const float *>(parameter.data) + begin;
  if (parameter.data == nullptr) {
    for (int64_t i = 0; i < count; ++i) room[i] = parameter.absent;
    return room;
  }
  const void *stored = advance(parameter.data, begin, parameter.storage);
  const auto [axes, rank] = axes_of(call);
  if (!is_dense(axes, rank, parameter.stride)) {
    void *packed = is_f32(parameter) ? room : room + count;
    gather(packed, 1, parameter.data, {axes, rank, parameter.stride, begin, count},
           parameter.storage);
    if (is_f32(parameter)) return room;
    stored = packed;
  }
  const Kernel *kernel =
      find_kernel(call, target, Operation::any_norm, Part::parameter, parameter.storage);
  KernelBuffer from({count}), to({count});
  float offset = parameter.offset;
  void *arguments[] = {from.at(stored), &offset, to.at(room)};
  kernel->run(arguments);
  return room;
}

}  // namespace

bool gamma_needs_room(const NormCall &call) { return needs_room(call, gamma_of(call)); }
bool beta_needs_room(const NormCall &call) { return needs_room(call, beta_of(call)); }

const float *dense_gamma(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                         float *room) {
  return dense_parameter(call, gamma_of(call), target, begin, count, room);
}

const float *dense_beta(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                        float *room) {
  return dense_parameter(call, beta_of(call), target, begin, count, room);
}

}  // namespace halnorm
