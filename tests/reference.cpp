// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <algorithm>
#include <cmath>

namespace halnorm_test {
namespace {

constexpr double kUnit = 0x1p-24;       // relative rounding error of f32
constexpr double kSmallest = 0x1p-149;  // smallest f32 subnormal

// In long double: at mean 1e7 and deviation 1e-2 the mean alone, as a double, is off by u.
struct Row {
  long double mean, variance, rstd;
  long double mean_absolute;
};

// variance is the mean square where there is no mean to subtract.
Row row_statistics(const Problem &problem, const Tensor &x, int64_t row) {
  const int64_t n = x.row_length();
  long double sum = 0, absolute = 0;
  for (int64_t i = 0; i < n; ++i) {
    const long double value = x.value(row, i);
    sum += value;
    absolute += std::fabs(value);
  }
  const bool centered = problem.operation == Operation::layer_norm_forward;
  const long double mean = centered ? sum / static_cast<long double>(n) : 0.0L;
  long double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const long double difference = x.value(row, i) - mean;
    squares += difference * difference;
  }
  const long double variance = squares / static_cast<long double>(n);
  const long double rstd = 1 / std::sqrt(variance + static_cast<long double>(problem.eps));
  return {mean, variance, rstd, absolute / static_cast<long double>(n)};
}

// Relative error of a tree sum over n terms of one sign.
double tree_error(int64_t n) {
  const double depth = std::log2(static_cast<double>(std::max<int64_t>(n, 1)));
  return (kTreeConstant + kTreeSlope * std::min(depth, kTreeGrowth)) * kUnit;
}

}  // namespace

Expected reference(const Tensors &tensors) {
  const Problem &problem = tensors.problem;
  const Tensor &x = tensors.x;
  const bool centered = problem.operation == Operation::layer_norm_forward;
  const double tree = tree_error(x.row_length());
  Expected expected;
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Row row = row_statistics(problem, x, r);
    const double mean = static_cast<double>(row.mean), rstd = static_cast<double>(row.rstd);
    const double first_pass = centered ? tree * static_cast<double>(row.mean_absolute) : 0;
    const double off = first_pass * rstd;
    const double mean_left = problem.dtype == Dtype::f32 ? tree * first_pass : first_pass;
    const double spread = std::sqrt(static_cast<double>(row.variance)) + first_pass;

    expected.mean.push_back(mean);
    expected.mean_bound.push_back(mean_left + tree * spread + kUnit * std::fabs(mean) + kSmallest);
    expected.rstd.push_back(rstd);
    expected.rstd_bound.push_back(rstd * tree * (1 + off * off));

    for (int64_t i = 0; i < x.row_length(); ++i) {
      const double xhat =
          static_cast<double>((static_cast<long double>(x.value(r, i)) - row.mean) * row.rstd);
      const double gamma = !tensors.gamma ? 1
                                          : static_cast<double>(tensors.gamma->value(0, i)) +
                                                (problem.zero_centered ? 1 : 0);
      const double beta = tensors.beta ? static_cast<double>(tensors.beta->value(0, i)) : 0;
      const double y = gamma * xhat + beta;
      const double xhat_error =
          centered ? tree * (1 + std::fabs(xhat)) * (1 + off * off) + mean_left * rstd
                   : tree * std::fabs(xhat);
      const double error = std::fabs(gamma) * (xhat_error + kSmallest * (1 + rstd)) +
                           2 * kUnit * (std::fabs(gamma * xhat) + std::fabs(beta));
      expected.y.push_back(y);
      expected.y_bound.push_back(error + half_ulp(problem.dtype, std::fabs(y) + error));
    }
  }
  return expected;
}

bool within(double actual, double expected, double bound) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  return std::fabs(actual - expected) <= bound;
}

}  // namespace halnorm_test
