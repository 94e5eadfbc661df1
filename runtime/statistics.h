// SPDX-License-Identifier: Apache-2.0
// From the totals of rows to what the last pass needs of a statistic.
#ifndef HALNORM_RUNTIME_STATISTICS_H_
#define HALNORM_RUNTIME_STATISTICS_H_

#include <math.h>
#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

// From the sums over n elements of d * d and d, d = x - center, the variance of Chan, Golub,
// LeVeque 1983. Two passes have the mean for a center, and it is then high, as in
// generators/norm_math.h; in f32 where the sums are of one chunk, so that a row comes out the same
// whichever kernels run it. Else the center is that of a few elements.
enum class CenterOf : uint8_t { one_chunk, all, samples };

// Of `count` statistics. `squares` holds the sums of d * d, and then the variances, which are the
// biased ones, before rounding. The mean is high + low.
struct StatisticArrays {
  int64_t count;
  const float *center;
  double *squares;
  const double *deviations;
  float *high, *low, *rstd;
};
void find_statistics(const NormCall &call, CenterOf center_of, double n,
                     const StatisticArrays &arrays);

// 1 / sqrt(variance + eps), in f32 as kernels have it.
inline float reciprocal_deviation(float variance, float eps) {
  return 1.0f / sqrtf(variance + eps);
}

// rstd times the mean of g * xhat, from that of g * (x - mean).
inline float slope_of(double mean, float rstd) {
  return static_cast<float>(mean * static_cast<double>(rstd) * static_cast<double>(rstd));
}

// Totals of `count` columns from the sums of their blocks, `step` apart, added in order.
void add_up_blocks(const float *sums, int64_t blocks, int64_t step, int64_t count, double *totals);

// The running statistics of a channel after a batch of n elements of it (PyTorch's definition:
// torch.nn.BatchNorm2d), in f64 and rounded once.
void update_running_statistics(const NormCall &call, double mean, double variance, int64_t n,
                               int64_t channel);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_STATISTICS_H_
