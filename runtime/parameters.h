// SPDX-License-Identifier: Apache-2.0
// gamma and beta as kernels want them: dense, in f32, always there.
#ifndef HALNORM_RUNTIME_PARAMETERS_H_
#define HALNORM_RUNTIME_PARAMETERS_H_

#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

// The floats of room that count elements may take: themselves, and as they were stored.
constexpr int64_t parameter_room(int64_t count) { return 2 * count; }

// Elements [begin, begin + count) of gamma or beta: in place where they are as wanted, else written
// to `room`, which may be null where needs_room says so.
const float *dense_gamma(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                         float *room);
const float *dense_beta(const NormCall &call, int32_t target, int64_t begin, int64_t count,
                        float *room);
bool gamma_needs_room(const NormCall &call);
bool beta_needs_room(const NormCall &call);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_PARAMETERS_H_
