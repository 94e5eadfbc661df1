// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_ONEDNN_CONTENDER_H_
#define HALNORM_BENCH_ONEDNN_CONTENDER_H_

#include <vector>

#include "contenders.h"

namespace halnorm_bench {

// Appends oneDNN, or why it cannot take the problem.
void append_one_dnn(Workload *workload, int threads, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_ONEDNN_CONTENDER_H_
