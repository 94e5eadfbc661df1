// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_LIMITS_H_
#define HALNORM_BENCH_LIMITS_H_

#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Appends what moves the bytes of the problem once and computes next to nothing, the limit of those
// that compute. Forward: copies of x to y by memcpy, which bypasses the caches for large sizes, and
// the same with plain stores only. Backward: the triad, dx = dy + x.
void append_limits(Workload *workload, int threads, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_LIMITS_H_
