// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_HALNORM_CONTENDERS_H_
#define HALNORM_BENCH_HALNORM_CONTENDERS_H_

#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Appends halnorm as a user gets it, with the default rows, each other library of the options, and,
// where the options ask for it, each other row of the last part that can serve the problem.
void append_halnorm(Workload *workload, const Options &options, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_HALNORM_CONTENDERS_H_
