// SPDX-License-Identifier: Apache-2.0
// The oracle: all operations in long double, element by element, and how far halnorm may be off.
//
// Let u = 2^-24, n the length of a sum, A = kTreeConstant + kTreeSlope * min(log2(n), kTreeGrowth),
// T = A*u. The error of a sum by one of the trees is held to T times the sum of the absolute
// values. From that, for each statistic of a forward:
//
//   m          The first pass's error of the mean, in deviations: T * mean|x| * rstd.
//   left       What is left of it. The correction of f32 elements measures it: T * m. 16-bit
//              elements may skip the correction: m.
//   mean       left, T * (deviation + the first pass's error) of the sum that corrects it, and the
//              rounding to f32: u * |mean|.
//   variance   The second pass sums around a mean that is off by m: relative T * (1 + m^2). Of
//              equal elements it is left^2 in place of 0.
//   rstd       Half of that, and its own roundings: relative T * (1 + m^2).
//   xhat       T * (1 + |xhat|) * (1 + m^2) + left. RMSNorm has no mean: T * |xhat|. With given
//              statistics (inference) nothing but its own roundings: 6u * |xhat|.
//   y          |gamma| * (error of xhat) + 2u * (|gamma * xhat| + |beta|), and the rounding to the
//              dtype of y: half an ulp.
//   running    (1 - momentum) * old + momentum * new: momentum * (error of new), and 4u of each.
//
// A backward takes mean and rstd as exact, so that xhat is off by 2u * |xhat| and g = dy * gamma by
// 2u * |g|. Then, over the n elements of a statistic and the elements that share a gamma:
//
//   c1, c2     (T + 8u) * mean|g| and (T + 8u) * mean|g * xhat|: the sum, its terms, the division.
//   dx         rstd * (error of c1 + |xhat| * error of c2 + 6u * (|g| + |c1| + |xhat * c2|)): each
//              of the three went through at most six roundings. And half an ulp.
//   dgamma     (T + 6u) * sum|dy * xhat|, and half an ulp.
//   dbeta      T * sum|dy|, and half an ulp.
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

// Values and bounds in row-major order; what the problem does not want is empty.
struct Expected {
  std::vector<double> y, y_bound;  // of a backward: dx
  std::vector<double> mean, mean_bound;
  std::vector<double> rstd, rstd_bound;
  std::vector<double> running_mean, running_mean_bound;
  std::vector<double> running_var, running_var_bound;
  std::vector<double> dgamma, dgamma_bound;
  std::vector<double> dbeta, dbeta_bound;
};

// Reads the inputs, so it must come before a call that updates one of them.
Expected reference(const Tensors &tensors);

// Which of a tensor's rows belong to one part.
enum class Extent {
  elements,    // those of x
  statistics,  // those of mean
  whole,       // none alone
};

// One output of a call, what it should be, and how far it may be off.
struct Output {
  const char *name;
  const Tensor *actual;
  Extent extent;
  const std::vector<double> *expected, *bound;
  // "NaN or infinity makes what the formula says": where a sum takes part that may be of opposite
  // infinities, only that the result is not finite is checked.
  bool any_special;
};

// All that the call writes, y or dx first. Points into both.
std::vector<Output> outputs_of(Tensors &tensors, const Expected &expected);

// Element `i` of the tensor, in row-major order.
bool within(const Output &output, size_t i, double looseness = 1);

// A NaN is met by a NaN only, an infinity by the same infinity only.
bool within(double actual, double expected, double bound);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_REFERENCE_H_
