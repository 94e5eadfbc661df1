// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

#include <cmath>

namespace halnorm_test {

std::vector<Statistic> statistics_of(const Problem &problem, const Tensor &x) {
  const long double n = static_cast<long double>(problem.statistic_length());
  std::vector<Statistic> statistics(static_cast<size_t>(problem.statistic_count()), {0, 0, 0, 0});
  const auto of_row = [&](int64_t row) -> Statistic & {
    return statistics[static_cast<size_t>(problem.statistic_of(row))];
  };
  for (int64_t row = 0; row < x.rows(); ++row) {
    Statistic &statistic = of_row(row);
    for (int64_t i = 0; i < x.row_length(); ++i) {
      const long double value = x.value(row, i);
      statistic.mean += value;
      statistic.mean_absolute += std::fabs(value);
    }
  }
  for (Statistic &statistic : statistics) {
    statistic.mean = problem.norm() == Norm::rms ? 0 : statistic.mean / n;
    statistic.mean_absolute /= n;
  }
  for (int64_t row = 0; row < x.rows(); ++row) {
    Statistic &statistic = of_row(row);
    for (int64_t i = 0; i < x.row_length(); ++i) {
      const long double difference = x.value(row, i) - statistic.mean;
      statistic.variance += difference * difference;
    }
  }
  for (Statistic &statistic : statistics) {
    statistic.variance /= n;
    statistic.rstd = 1 / std::sqrt(statistic.variance + static_cast<long double>(problem.eps));
  }
  return statistics;
}

}  // namespace halnorm_test
