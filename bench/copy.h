// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_COPY_H_
#define HALNORM_BENCH_COPY_H_

#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Appends the copies of the bytes of x to y, the limit of what reads and writes each once:
// memcpy, which bypasses the caches for large sizes, and the same with plain stores only.
void append_copies(Workload *workload, int threads, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_COPY_H_
