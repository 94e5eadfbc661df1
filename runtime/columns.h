// SPDX-License-Identifier: Apache-2.0
// Rows in the column tree: those that lie side by side, and all others whose elements are not
// dense.
#ifndef HALNORM_RUNTIME_COLUMNS_H_
#define HALNORM_RUNTIME_COLUMNS_H_

#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

// `rows` is the last kept axis, or one row.
halnorm_status execute_columns(const NormCall &call, int32_t target, const Axis &rows);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_COLUMNS_H_
