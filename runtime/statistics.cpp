// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

namespace halnorm {
namespace {

template <typename Real>
Statistic statistic_with(const NormCall &call, float high, float low, Real variance) {
  return {high, low,
          reciprocal_deviation(static_cast<float>(variance), static_cast<float>(call.eps)),
          static_cast<double>(variance)};
}

// The mean square about a center less the square of what the center is off.
template <typename Real>
Real variance_from(Real mean_square, Real off) {
  const Real variance = mean_square - off * off;
  return variance < 0 ? 0 : variance;  // a NaN stays one
}

template <typename Real>
Statistic statistic_in(const NormCall &call, float high, const DeviationSums &sums) {
  const auto n = static_cast<Real>(sums.n);
  const Real mean_square = static_cast<Real>(sums.squares) / n;
  if (!call.has_low_mean()) return statistic_with(call, high, 0, mean_square);
  const Real off = static_cast<Real>(sums.deviations) / n;
  return statistic_with(call, high, static_cast<float>(off), variance_from(mean_square, off));
}

Statistic statistic_about(const NormCall &call, float center, const DeviationSums &sums) {
  const double off = sums.deviations / sums.n;
  const double mean = static_cast<double>(center) + off;
  const float high = static_cast<float>(mean);
  const float low = call.has_low_mean() ? static_cast<float>(mean - static_cast<double>(high)) : 0;
  return statistic_with(call, high, low, variance_from(sums.squares / sums.n, off));
}

}  // namespace

Statistic statistic_of(const NormCall &call, float center, const DeviationSums &sums) {
  if (sums.from_samples) return statistic_about(call, center, sums);
  return sums.of_one_chunk ? statistic_in<float>(call, center, sums)
                           : statistic_in<double>(call, center, sums);
}

void add_up_blocks(const float *sums, int64_t blocks, int64_t step, int64_t count, double *totals) {
  for (int64_t i = 0; i < count; ++i) totals[i] = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < count; ++i) totals[i] += static_cast<double>(sums[b * step + i]);
  }
}

void update_running_statistics(const NormCall &call, const Statistic &batch, int64_t n,
                               int64_t channel) {
  const auto count = static_cast<double>(n);
  const double mean = static_cast<double>(batch.high) + static_cast<double>(batch.low);
  const double variance =
      call.running_var_biased ? batch.variance : batch.variance * (count / (count - 1));
  const auto blend = [&](float *running, double now) {
    const auto before = static_cast<double>(*running);
    *running = static_cast<float>((1 - call.momentum) * before + call.momentum * now);
  };
  blend(&call.running_mean[channel], mean);
  blend(&call.running_var[channel], variance);
}

}  // namespace halnorm
