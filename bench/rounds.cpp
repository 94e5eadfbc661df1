// SPDX-License-Identifier: Apache-2.0
#include "rounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace halnorm_bench {

double least(const std::vector<double> &seconds) {
  const auto found = std::min_element(seconds.begin(), seconds.end());
  return found == seconds.end() ? std::numeric_limits<double>::infinity() : *found;
}

double median(std::vector<double> seconds) {
  if (seconds.empty()) return std::numeric_limits<double>::infinity();
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  return seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
}

double geometric_mean(const std::vector<double> &ratios) {
  double logarithms = 0;
  for (double ratio : ratios) logarithms += std::log(ratio);
  return std::exp(logarithms / static_cast<double>(ratios.size()));
}

}  // namespace halnorm_bench
