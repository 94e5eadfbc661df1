// SPDX-License-Identifier: Apache-2.0
// The times of the rounds of a contender, put in a figure.
#ifndef HALNORM_BENCH_ROUNDS_H_
#define HALNORM_BENCH_ROUNDS_H_

#include <vector>

namespace halnorm_bench {

// Of no rounds, infinity.
double least(const std::vector<double> &seconds);
double median(std::vector<double> seconds);

double geometric_mean(const std::vector<double> &ratios);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_ROUNDS_H_
