// SPDX-License-Identifier: Apache-2.0
// What changed between two runs of the benchmark.
#ifndef HALNORM_BENCH_COMPARE_H_
#define HALNORM_BENCH_COMPARE_H_

#include <string>
#include <vector>

namespace halnorm_bench {

// The probability that rounds of the same contender differ by rank as much as these: the two-sided
// test of Mann and Whitney ("On a test of whether one of two random variables is stochastically
// larger than the other", Annals of Mathematical Statistics, 1947), by the normal approximation.
double rank_test(const std::vector<double> &a, const std::vector<double> &b);

// Appends to *report the contenders of two files of --json whose times differ beyond the noise.
// False when a file cannot be read; *report then says why.
bool compare_runs(const std::string &first, const std::string &second, std::string *report);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_COMPARE_H_
