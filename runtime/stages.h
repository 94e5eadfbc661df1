// SPDX-License-Identifier: Apache-2.0
// Norms put together from kernels that each do one stage of them: sums, their totals, the last
// pass.
#ifndef HALNORM_RUNTIME_STAGES_H_
#define HALNORM_RUNTIME_STAGES_H_

#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

// True if a forward layer or RMS norm, which has kernels of its own for whole rows, should not use
// them: rows that are not dense, too long, or too few for the threads.
bool takes_stages(const NormCall &call);

halnorm_status execute_in_stages(const NormCall &call, int32_t target);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_STAGES_H_
