/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients from their kernels, for the functions that halnorm-generate writes. Sums run in the
 * order of the library: dgamma and dbeta of layer and RMS norm by blocks of 64 rows in f32, the
 * blocks in f64; those of instance and batch norm by the runs of a channel, in f64. */
#ifndef HALNORM_GRADIENT_H_
#define HALNORM_GRADIENT_H_

#include "halnorm_kernels.h"

enum { kHalnormBlock = 64, kHalnormChunk = 1024, kHalnormLanes = 32 };

#define HALNORM_WHOLE_LINES(n) (((n) + 15) / 16 * 16)
#define HALNORM_CHUNKS(n) ((n) > kHalnormChunk ? ((n) + kHalnormChunk - 1) / kHalnormChunk : 0)
/* Two sums of each chunk in lanes. */
#define HALNORM_CHANNEL_GRADIENT_SCRATCH(n) (8 * kHalnormLanes * HALNORM_CHUNKS(n))
/* And two of f32 for each element, two of f64. */
#define HALNORM_GRADIENT_SCRATCH(n) \
  (24 * HALNORM_WHOLE_LINES(n) + HALNORM_CHANNEL_GRADIENT_SCRATCH(n))

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

/* The sums over one call's rows of g and of g * (x - mean), g = dy * gamma; without a gamma of
 * rows, of dy. */
static inline void halnorm_sum_gradients(const halnorm_gradient_kernels *kernels, int64_t n,
                                         int64_t first, int64_t count,
                                         const halnorm_gradient_rows *dy,
                                         const halnorm_gradient_rows *x, const float *gamma,
                                         const float *mean, double *const *totals, float *lanes) {
  const int64_t chunks = HALNORM_CHUNKS(n);
  halnorm_buffer of_dy, of_x, of_mean, of_gamma, sums[2], total;
  void *arguments[6];
  int k, next = 3;
  arguments[0] = halnorm_some_rows(&of_dy, dy, first, count, n);
  arguments[1] = halnorm_some_rows(&of_x, x, first, count, n);
  arguments[2] = halnorm_vector(&of_mean, mean, count);
  if (gamma != NULL) arguments[next++] = halnorm_vector(&of_gamma, gamma, n);
  for (k = 0; k < 2; ++k) {
    if (chunks > 0) {
      arguments[next + k] = halnorm_rows(&sums[k], lanes + k * chunks * kHalnormLanes,
                                         kHalnormLanes, chunks, kHalnormLanes);
      halnorm_set_dimension(&sums[k], 2, 1, 0);
    } else {
      arguments[next + k] = halnorm_vector(&sums[k], totals[k], count);
    }
  }
  kernels->sums(arguments);
  for (k = 0; k < 2 && chunks > 0; ++k) {
    arguments[0] = &sums[k];
    arguments[1] = halnorm_vector(&total, totals[k], 1);
    kernels->fold(arguments);
  }
}

/* The same of a block, by calls. */
static inline void halnorm_sum_block(const halnorm_gradient_kernels *kernels, int64_t n,
                                     int64_t row, int64_t rows, const halnorm_gradient_rows *dy,
                                     const halnorm_gradient_rows *x, const float *gamma,
                                     const float *mean, double totals[2][kHalnormBlock],
                                     float *lanes) {
  int64_t first, count;
  for (first = 0; first < rows; first += count) {
    double *const of_call[2] = {totals[0] + first, totals[1] + first};
    count = halnorm_rows_of_call(rows - first, n > kHalnormChunk ? 1 : kernels->rows_of_sums);
    halnorm_sum_gradients(kernels, n, row + first, count, dy, x, gamma, mean + first, of_call,
                          lanes);
  }
}

/* dx of a block, by calls; gamma is of the block's rows or of their elements. */
static inline void halnorm_last_block(const halnorm_gradient_kernels *kernels, int64_t n,
                                      int64_t row, int64_t rows, const halnorm_gradient_rows *dy,
                                      const halnorm_gradient_rows *x, const float *mean,
                                      const float *rstd, const float *mean_g, const float *slope,
                                      const float *gamma, int gamma_of_rows,
                                      const halnorm_gradient_rows *dx) {
  halnorm_buffer of_dy, of_x, of_mean, of_rstd, of_mean_g, of_slope, of_gamma, of_dx;
  void *arguments[8];
  int64_t first, count;
  for (first = 0; first < rows; first += count) {
    count = halnorm_rows_of_call(rows - first, kernels->rows_of_last);
    arguments[0] = halnorm_some_rows(&of_dy, dy, row + first, count, n);
    arguments[1] = halnorm_some_rows(&of_x, x, row + first, count, n);
    arguments[2] = halnorm_vector(&of_mean, mean + first, count);
    arguments[3] = halnorm_vector(&of_rstd, rstd + first, count);
    arguments[4] = halnorm_vector(&of_mean_g, mean_g + first, count);
    arguments[5] = halnorm_vector(&of_slope, slope + first, count);
    arguments[6] = gamma_of_rows ? halnorm_vector(&of_gamma, gamma + first, count)
                                 : halnorm_vector(&of_gamma, gamma, n);
    arguments[7] = halnorm_some_rows(&of_dx, dx, row + first, count, n);
    kernels->last(arguments);
  }
}

/* rstd times the mean of g * xhat, from that of g * (x - mean). */
static inline float halnorm_slope(double mean, float rstd) {
  return (float)(mean * (double)rstd * (double)rstd);
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
  int64_t i, row, count;
  for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) totals[i] = 0;
  for (row = 0; row < rows; row += count) {
    float zeros[kHalnormBlock], mean_g[kHalnormBlock], slope[kHalnormBlock];
    double of_rows[2][kHalnormBlock];
    const float *center = mean != NULL ? mean + row : zeros;
    halnorm_buffer of_dy, of_x, of_mean, of_rstd, of_beta, of_gamma;
    void *arguments[6];
    count = halnorm_rows_of_call(rows - row, kHalnormBlock);
    for (i = 0; i < count; ++i) zeros[i] = 0;
    if (wants_parameters) { /* before dx, which may be dy */
      for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) sums[i] = 0;
      arguments[0] = halnorm_some_rows(&of_dy, dy, row, count, n);
      arguments[1] = halnorm_some_rows(&of_x, x, row, count, n);
      arguments[2] = halnorm_vector(&of_mean, center, count);
      arguments[3] = halnorm_vector(&of_rstd, rstd + row, count);
      arguments[4] = halnorm_vector(&of_beta, sums, n);
      arguments[5] = halnorm_vector(&of_gamma, sums + HALNORM_WHOLE_LINES(n), n);
      kernels->parameters(arguments);
      for (i = 0; i < 2 * HALNORM_WHOLE_LINES(n); ++i) totals[i] += (double)sums[i];
    }
    if (dx->data == NULL) continue;
    halnorm_sum_block(kernels, n, row, count, dy, x, gamma, center, of_rows, lanes);
    for (i = 0; i < count; ++i) {
      mean_g[i] = mean != NULL ? (float)(of_rows[0][i] / (double)n) : 0;
      slope[i] = halnorm_slope(of_rows[1][i] / (double)n, rstd[row + i]);
    }
    halnorm_last_block(kernels, n, row, count, dy, x, center, rstd + row, mean_g, slope, gamma, 0,
                       dx);
  }
  for (i = 0; i < n && dbeta != NULL; ++i) dbeta[i] = (float)totals[i];
  for (i = 0; i < n && dgamma != NULL; ++i) {
    dgamma[i] = (float)totals[HALNORM_WHOLE_LINES(n) + i];
  }
}

/* A product that is rounded before it is added, whatever the compiler may contract. */
static inline double halnorm_product(double a, float b) {
  volatile double product = a * (double)b;
  return product;
}

/* Of instance norm, or of batch norm, whose samples have their statistics in common. Row
 * s * channels + c is the run of channel c in sample s. */
static inline void halnorm_channel_gradient(const halnorm_gradient_kernels *kernels, int64_t n,
                                            int64_t samples, int64_t channels, int of_batch,
                                            const halnorm_gradient_rows *dy,
                                            const halnorm_gradient_rows *x, const float *gamma,
                                            const float *mean, const float *rstd,
                                            const halnorm_gradient_rows *dx, float *dgamma,
                                            float *dbeta, void *scratch) {
  const double elements = (double)(of_batch ? samples * n : n);
  int64_t channel, sample, i, count;
  int k;
  for (channel = 0; channel < channels; channel += count) {
    double of_rows[2][kHalnormBlock], of_channels[2][kHalnormBlock], of_sets[2][kHalnormBlock];
    float mean_g[kHalnormBlock], slope[kHalnormBlock];
    count = halnorm_rows_of_call(channels - channel, kHalnormBlock);
    for (i = 0; i < count; ++i) {
      for (k = 0; k < 2; ++k) of_channels[k][i] = of_sets[k][i] = 0;
    }
    for (sample = 0; sample < samples; ++sample) {
      const int64_t row = sample * channels + channel, set = of_batch ? channel : row;
      halnorm_sum_block(kernels, n, row, count, dy, x, NULL, mean + set, of_rows, (float *)scratch);
      for (i = 0; i < count; ++i) {
        of_channels[0][i] += of_rows[0][i];
        of_channels[1][i] += halnorm_product(of_rows[1][i], rstd[set + i]);
        for (k = 0; k < 2; ++k) {
          of_sets[k][i] += halnorm_product(of_rows[k][i], gamma[channel + i]);
        }
        if (of_batch && sample < samples - 1) continue;
        mean_g[i] = (float)(of_sets[0][i] / elements);
        slope[i] = halnorm_slope(of_sets[1][i] / elements, rstd[set + i]);
        for (k = 0; k < 2; ++k) of_sets[k][i] = 0;
      }
      if (!of_batch && dx->data != NULL) {
        halnorm_last_block(kernels, n, row, count, dy, x, mean + set, rstd + set, mean_g, slope,
                           gamma + channel, 1, dx);
      }
    }
    for (sample = 0; sample < samples && of_batch && dx->data != NULL; ++sample) {
      halnorm_last_block(kernels, n, sample * channels + channel, count, dy, x, mean + channel,
                         rstd + channel, mean_g, slope, gamma + channel, 1, dx);
    }
    for (i = 0; i < count && dbeta != NULL; ++i) dbeta[channel + i] = (float)of_channels[0][i];
    for (i = 0; i < count && dgamma != NULL; ++i) dgamma[channel + i] = (float)of_channels[1][i];
  }
}

#endif /* HALNORM_GRADIENT_H_ */
