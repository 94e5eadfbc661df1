// SPDX-License-Identifier: Apache-2.0
// Rows in parts: each part of a row may run on another thread, and no part is too long for the
// int32 indices of a kernel. The sums are those of a whole row, bit for bit.
#ifndef HALNORM_RUNTIME_LONG_ROW_H_
#define HALNORM_RUNTIME_LONG_ROW_H_

#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

// Longer rows always run in parts, so that the memory for a whole row stays small.
constexpr int64_t kLongestWholeRow = int64_t{1} << 20;

// True if the rows are too long to run whole, or too few for the threads.
bool takes_parts(const NormCall &call);

halnorm_status execute_in_parts(const NormCall &call, int32_t target);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_LONG_ROW_H_
