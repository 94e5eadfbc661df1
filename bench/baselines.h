// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_BASELINES_H_
#define HALNORM_BENCH_BASELINES_H_

#include <string>
#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Sets the threads of Halide's own runtime, for the whole process, and keeps it from aborting.
void prepare_halide_runtime(int threads);

// Appends the formula as Halide itself schedules it, or why it cannot be had for the problem. The
// order of its sums is free. An autoscheduler's plan for several cores is not always the slower one
// on one thread, nor the other way round, so that each is there in both forms.
void append_baselines(Workload *workload, const std::string &target,
                      std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_BASELINES_H_
