// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_HALNORM_ROWS_H_
#define HALNORM_BENCH_HALNORM_ROWS_H_

#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Appends halnorm as a user gets it, and with each other schedule row that can serve the problem.
void append_halnorm(Workload *workload, const Options &options, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_HALNORM_ROWS_H_
