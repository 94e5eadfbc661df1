// SPDX-License-Identifier: Apache-2.0
// The oracle: both operations in long double, element by element, and how far halnorm may be off.
//
// Let u = 2^-24, n the length of a row, A = kTreeConstant + kTreeSlope * min(log2(n), kTreeGrowth).
// The error of a sum by one of the trees is held to A*u times the sum of the absolute values. From
// that, for each row:
//
//   m          The first pass's error of the mean, in deviations: A*u * mean|x| * rstd.
//   left       What is left of it. The correction of an f32 row measures it: A*u * m. A row of
//              16-bit elements may skip the correction: m.
//   variance   The second pass sums around a mean that is off by m: relative A*u * (1 + m^2).
//   rstd       Half of that, and its own roundings: relative A*u * (1 + m^2).
//   xhat       A*u * (1 + |xhat|) * (1 + m^2) + left. RMSNorm has no mean: A*u * |xhat|.
//   y          |gamma| * (error of xhat) + 2u * (|gamma * xhat| + |beta|), and the rounding to the
//              dtype of y: half an ulp.
//
// Subnormal steps add an absolute term.
#ifndef HALNORM_TESTS_REFERENCE_H_
#define HALNORM_TESTS_REFERENCE_H_

#include <vector>

#include "tensors.h"

namespace halnorm_test {

// Measured on both trees, 4 to 4000 rows a case, n from 1 to 16384, data of every kind. The largest
// A that a row needed, in the row tree and in the column tree:
//   n        1    8   32    64  more  (granted: 4, 8.5, 11.5, 13, 13)
//   row    2.1  2.6  2.6   2.6   5.0
//   column 2.1  3.1  8.3  10.1   8.3
// It stops growing at 64, the block of the column tree, since blocks and chunks are added in f64.
// What can be proven is the number of additions in a block.
constexpr double kTreeConstant = 4.0;
constexpr double kTreeSlope = 1.5;
constexpr double kTreeGrowth = 6.0;

// Values and bounds in row-major order; mean and rstd hold one for each row.
struct Expected {
  std::vector<double> y, y_bound;
  std::vector<double> mean, mean_bound;
  std::vector<double> rstd, rstd_bound;
};

// Reads the inputs, so it must come before the call when that is in place.
Expected reference(const Tensors &tensors);

// A NaN is met by a NaN only, an infinity by the same infinity only.
bool within(double actual, double expected, double bound);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_REFERENCE_H_
