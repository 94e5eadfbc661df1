// SPDX-License-Identifier: Apache-2.0
// Whether tensors share memory, decided on their elements and not only on their address ranges.
#ifndef HALNORM_RUNTIME_OVERLAP_H_
#define HALNORM_RUNTIME_OVERLAP_H_

#include "view.h"

namespace halnorm {

enum class Overlap { none, some, undecided };

// Whether two indices of the tensor lead to one element.
Overlap self_overlap(const View &view);

// Whether the two share a byte; their address ranges intersect.
Overlap pair_overlap(const View &a, const View &b);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_OVERLAP_H_
