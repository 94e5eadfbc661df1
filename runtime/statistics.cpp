// SPDX-License-Identifier: Apache-2.0
#include "statistics.h"

namespace halnorm {
namespace {

struct Statistic {
  float high, low;
  double variance;
};

// The mean square about a center less the square of what the center is off.
template <typename Real>
Real variance_from(Real mean_square, Real off) {
  const Real variance = mean_square - off * off;
  return variance < 0 ? 0 : variance;  // a NaN stays one
}

template <typename Real, bool kHasLow>
Statistic about_mean(float mean, double squares, double deviations, double n) {
  const Real mean_square = static_cast<Real>(squares) / static_cast<Real>(n);
  if (!kHasLow) return {mean, 0, static_cast<double>(mean_square)};
  const Real off = static_cast<Real>(deviations) / static_cast<Real>(n);
  return {mean, static_cast<float>(off), static_cast<double>(variance_from(mean_square, off))};
}

template <bool kHasLow>
Statistic about_sample(float center, double squares, double deviations, double n) {
  const double off = deviations / n;
  const double mean = static_cast<double>(center) + off;
  const float high = static_cast<float>(mean);
  const float low = kHasLow ? static_cast<float>(mean - static_cast<double>(high)) : 0;
  return {high, low, variance_from(squares / n, off)};
}

// A loop that compilers make vectors of.
template <Statistic formula(float, double, double, double)>
void for_each(double n, float eps, const StatisticArrays &arrays) {
  const float *__restrict center = arrays.center;
  double *__restrict squares = arrays.squares;
  const double *__restrict deviations = arrays.deviations;
  float *__restrict high = arrays.high;
  float *__restrict low = arrays.low;
  float *__restrict rstd = arrays.rstd;
  for (int64_t i = 0; i < arrays.count; ++i) {
    const Statistic s = formula(center[i], squares[i], deviations[i], n);
    high[i] = s.high;
    low[i] = s.low;
    rstd[i] = reciprocal_deviation(static_cast<float>(s.variance), eps);
    squares[i] = s.variance;
  }
}

}  // namespace

void find_statistics(const NormCall &call, CenterOf center_of, double n,
                     const StatisticArrays &arrays) {
  using Loop = void (*)(double, float, const StatisticArrays &);
  static constexpr Loop kLoops[3][2] = {
      {for_each<about_mean<float, false>>, for_each<about_mean<float, true>>},
      {for_each<about_mean<double, false>>, for_each<about_mean<double, true>>},
      {for_each<about_sample<false>>, for_each<about_sample<true>>},
  };
  kLoops[static_cast<int>(center_of)][call.has_low_mean()](n, static_cast<float>(call.eps), arrays);
}

void add_up_blocks(const float *sums, int64_t blocks, int64_t step, int64_t count, double *totals) {
  for (int64_t i = 0; i < count; ++i) totals[i] = 0;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < count; ++i) totals[i] += static_cast<double>(sums[b * step + i]);
  }
}

void update_running_statistics(const NormCall &call, double mean, double variance, int64_t n,
                               int64_t channel) {
  const auto count = static_cast<double>(n);
  if (!call.running_var_biased) variance *= count / (count - 1);
  const auto blend = [&](float *running, double now) {
    const auto before = static_cast<double>(*running);
    *running = static_cast<float>((1 - call.momentum) * before + call.momentum * now);
  };
  blend(&call.running_mean[channel], mean);
  blend(&call.running_var[channel], variance);
}

}  // namespace halnorm
