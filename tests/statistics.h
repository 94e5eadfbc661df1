// SPDX-License-Identifier: Apache-2.0
// The float64 forward's statistics: what the reference expects and what a backward is given.
#ifndef HALNORM_TESTS_STATISTICS_H_
#define HALNORM_TESTS_STATISTICS_H_

#include <vector>

#include "problem.h"
#include "tensors.h"

namespace halnorm_test {

// In long double: at mean 1e7 and deviation 1e-2 the mean alone, as a double, is off by u.
struct Statistic {
  long double mean;      // RMS norm: 0
  long double variance;  // RMS norm: the mean square
  long double rstd;
  long double mean_absolute;
};

// One for each statistic of the problem, of the elements of `x` that it is of.
std::vector<Statistic> statistics_of(const Problem &problem, const Tensor &x);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_STATISTICS_H_
