/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of layer and RMS norm from their kernels, for the functions that halnorm-generate
 * writes. Sums run in the order of the library: dgamma and dbeta by blocks of 64 rows in f32, the
 * blocks in f64. */
#ifndef HALNORM_GRADIENT_H_
#define HALNORM_GRADIENT_H_

#include "halnorm_kernels.h"

enum { kHalnormBlock = 64, kHalnormChunk = 1024, kHalnormLanes = 32 };

#define HALNORM_WHOLE_LINES(n) (((n) + 15) / 16 * 16)
#define HALNORM_CHUNKS(n) ((n) > kHalnormChunk ? ((n) + kHalnormChunk - 1) / kHalnormChunk : 0)
/* Two sums of f32 for each element, two of f64, and two of each chunk in lanes. */
#define HALNORM_GRADIENT_SCRATCH(n) \
  (24 * HALNORM_WHOLE_LINES(n) + 8 * kHalnormLanes * HALNORM_CHUNKS(n))

typedef struct halnorm_gradient_kernels {
  int (*sums)(void **); /* of rows; of the chunks of a row where there is a fold */
  int64_t rows_of_sums;
  int (*last)(void **);
  int64_t rows_of_last;
  int (*parameters)(void **);
  int (*fold)(void **);
} halnorm_gradient_kernels;

typedef struct halnorm_gradient_rows {
  uint8_t *data;
  int64_t stride;
  size_t element;
} halnorm_gradient_rows;

static inline void *halnorm_some_rows(halnorm_buffer *buffer, const halnorm_gradient_rows *rows,
                                      int64_t first, int64_t count, int64_t n) {
  return halnorm_rows(buffer, rows->data + first * rows->stride * (int64_t)rows->element, n, count,
                      rows->stride);
}

/* The sums over `count` rows of g and of g * (x - mean), g = dy * gamma. */
static inline void halnorm_sum_gradients(const halnorm_gradient_kernels *kernels, int64_t n,
                                         int64_t first, int64_t count,
                                         const halnorm_gradient_rows *dy,
                                         const halnorm_gradient_rows *x, const float *gamma,
                                         const float *mean, double *const *totals, float *lanes) {
  const int64_t chunks = HALNORM_CHUNKS(n);
  halnorm_buffer of_dy, of_x, of_mean, of_gamma, sums[2], total;
  void *arguments[6];
  int k;
  arguments[0] = halnorm_some_rows(&of_dy, dy, first, count, n);
  arguments[1] = halnorm_some_rows(&of_x, x, first, count, n);
  arguments[2] = halnorm_vector(&of_mean, mean, count);
  arguments[3] = halnorm_vector(&of_gamma, gamma, n);
  for (k = 0; k < 2; ++k) {
    if (chunks > 0) {
      arguments[4 + k] = halnorm_rows(&sums[k], lanes + k * chunks * kHalnormLanes, kHalnormLanes,
                                      chunks, kHalnormLanes);
      halnorm_set_dimension(&sums[k], 2, 1, 0);
    } else {
      arguments[4 + k] = halnorm_vector(&sums[k], totals[k], count);
    }
  }
  kernels->sums(arguments);
  for (k = 0; k < 2 && chunks > 0; ++k) {
    arguments[0] = &sums[k];
    arguments[1] = halnorm_vector(&total, totals[k], 1);
    kernels->fold(arguments);
  }
}

/* mean is NULL for RMS norm, dx->data, dgamma and dbeta where they are not wanted. */
static inline void halnorm_gradient(const halnorm_gradient_kernels *kernels, int64_t n,
                                    int64_t rows, const halnorm_gradient_rows *dy,
                                    const halnorm_gradient_rows *x, const float *gamma,
                                    const float *mean, const float *rstd,
                                    const halnorm_gradient_rows *dx, float *dgamma, float *dbeta,
                                    void *scratch) {
  double *const totals = (double *)scratch;
  float *const sums = (float *)(totals + 2 * HALNORM_WHOLE_LINES(n));
  float *const lanes = sums + 2 * HALNORM_WHOLE_LINES(n);
  const int wants_parameters = dgamma != NULL || dbeta != NULL;
  int64_t i, row, first, count, step;
  for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) totals[i] = 0;
  for (row = 0; row < rows; row += count) {
    float zeros[kHalnormBlock], mean_g[kHalnormBlock], slope[kHalnormBlock];
    const float *center = mean != NULL ? mean + row : zeros;
    halnorm_buffer of_dy, of_x, of_mean, of_rstd, of_mean_g, of_slope, of_gamma, of_dx;
    void *arguments[8];
    count = halnorm_rows_of_call(rows - row, kHalnormBlock);
    for (i = 0; i < count; ++i) zeros[i] = 0;
    if (wants_parameters) { /* before dx, which may be dy */
      for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) sums[i] = 0;
      arguments[0] = halnorm_some_rows(&of_dy, dy, row, count, n);
      arguments[1] = halnorm_some_rows(&of_x, x, row, count, n);
      arguments[2] = halnorm_vector(&of_mean, center, count);
      arguments[3] = halnorm_vector(&of_rstd, rstd + row, count);
      arguments[4] = halnorm_vector(&of_mean_g, sums, n);
      arguments[5] = halnorm_vector(&of_slope, sums + HALNORM_WHOLE_LINES(n), n);
      kernels->parameters(arguments);
      for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) totals[i] += (double)sums[i];
    }
    if (dx->data == NULL) continue;
    for (first = 0; first < count; first += step) {
      double of_g[kHalnormBlock], of_g_times_deviation[kHalnormBlock];
      double *const of_rows[2] = {of_g, of_g_times_deviation};
      step = halnorm_rows_of_call(count - first, n > kHalnormChunk ? 1 : kernels->rows_of_sums);
      halnorm_sum_gradients(kernels, n, row + first, step, dy, x, gamma, center + first, of_rows,
                            lanes);
      for (i = 0; i < step; ++i) {
        const double r = (double)rstd[row + first + i];
        mean_g[first + i] = mean != NULL ? (float)(of_g[i] / (double)n) : 0;
        slope[first + i] = (float)(of_g_times_deviation[i] / (double)n * r * r);
      }
    }
    for (first = 0; first < count; first += step) {
      step = halnorm_rows_of_call(count - first, kernels->rows_of_last);
      arguments[0] = halnorm_some_rows(&of_dy, dy, row + first, step, n);
      arguments[1] = halnorm_some_rows(&of_x, x, row + first, step, n);
      arguments[2] = halnorm_vector(&of_mean, center + first, step);
      arguments[3] = halnorm_vector(&of_rstd, rstd + row + first, step);
      arguments[4] = halnorm_vector(&of_mean_g, mean_g + first, step);
      arguments[5] = halnorm_vector(&of_slope, slope + first, step);
      arguments[6] = halnorm_vector(&of_gamma, gamma, n);
      arguments[7] = halnorm_some_rows(&of_dx, dx, row + first, step, n);
      kernels->last(arguments);
    }
  }
  for (i = 0; i < n && dbeta != NULL; ++i) dbeta[i] = (float)totals[i];
  for (i = 0; i < n && dgamma != NULL; ++i) {
    dgamma[i] = (float)totals[HALNORM_WHOLE_LINES(n) + i];
  }
}

#endif /* HALNORM_GRADIENT_H_ */
