// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

namespace halnorm {
namespace {

template <typename Real>
Statistic statistic_in(const NormCall &call, float high, const DeviationSums &sums) {
  const auto n = static_cast<Real>(sums.n);
  Real variance = static_cast<Real>(sums.squares) / n;
  float low = 0;
  if (call.has_low_mean()) {
    const Real correction = static_cast<Real>(sums.deviations) / n;
    low = static_cast<float>(correction);
    variance = variance - correction * correction;
    if (variance < 0) variance = 0;  // a NaN stays one
  }
  return {high, low,
          reciprocal_deviation(static_cast<float>(variance), static_cast<float>(call.eps)),
          static_cast<double>(variance)};
}

Statistic statistic_about(const NormCall &call, float center, const DeviationSums &sums) {
  const double off = sums.deviations / sums.n;
  const double mean = static_cast<double>(center) + off;
  const float high = static_cast<float>(mean);
  double variance = sums.squares / sums.n - off * off;
  if (variance < 0) variance = 0;  // a NaN stays one
  return {high, call.has_low_mean() ? static_cast<float>(mean - static_cast<double>(high)) : 0,
          reciprocal_deviation(static_cast<float>(variance), static_cast<float>(call.eps)),
          variance};
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
