/* SPDX-License-Identifier: Apache-2.0 */
/* Each generated function writes the bits that the library writes: padded rows, more of them than a
 * kernel takes at once, out of place and in place, however the compiler contracts. */
#include <halnorm.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "headers.inc"

enum { kSamples = 2, kChannels = 70, kRows = kSamples * kChannels, kLongest = 5000 };

/* With room behind each row, but for group norm: the channels of a sample are evenly spaced. */
static int64_t gap;
#define X_STRIDE(n) ((n) + 3 * gap)
#define Y_STRIDE(n) ((n) + 8 * gap)

/* A row of group norm is two channels, or three. */
#define CHANNELS_OF_A_GROUP(n) ((n) % 2 == 0 ? 2 : 3)

typedef uint16_t f16;
typedef uint16_t bf16;
typedef float f32;

static const halnorm_dtype type_of_f32 = HALNORM_F32, type_of_f16 = HALNORM_F16,
                           type_of_bf16 = HALNORM_BF16;

static float x[kRows * kLongest], y[kRows * kLongest], expected[kRows * kLongest];
static float saved_x[kRows * kLongest]; /* of a gradient, where x is dy */
static float gamma_[kLongest], beta[kLongest], center[kRows], variance[kRows], reciprocal[kRows];
static float mean[kLongest], rstd[kLongest], expected_mean[kLongest], expected_rstd[kLongest];
static int failures;

/* Numbers of a size in any of the formats. */
static uint32_t next_bits(void) {
  static uint32_t state = 12345;
  state = state * 1664525u + 1013904223u;
  return state >> 9;
}

static void fill(float *x, halnorm_dtype dtype) {
  size_t i;
  for (i = 0; i < (size_t)kRows * kLongest; ++i) {
    const float value = (float)next_bits() / 4194304.0f - 0.75f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    if (dtype.bits == 32) {
      x[i] = value;
    } else if (dtype.code == type_of_bf16.code) {
      ((uint16_t *)x)[i] = (uint16_t)(bits >> 16);
    } else { /* of f16, from 2^-5 to 2 */
      ((uint16_t *)x)[i] = (uint16_t)(0x2800 + next_bits() % 0x1400 + ((bits >> 31) << 15));
    }
  }
}

/* Of so many bytes. */
static void *scratch_of(size_t bytes) {
  static char scratch[1 << 18];
  char *begin = scratch + sizeof(scratch) - bytes;
  return begin - (uintptr_t)begin % 64;
}

static halnorm_tensor vector(float *data, int64_t *count) {
  const halnorm_tensor tensor = {data, {HALNORM_CPU, 0}, 1, HALNORM_F32, count, NULL, 0};
  return tensor;
}

enum operation {
  layer_norm,
  rms_norm,
  instance_norm,
  group_norm,
  batch_norm_inference,
  layer_norm_backward,
  rms_norm_backward,
  instance_norm_backward,
  batch_norm_backward
};

/* By the library, of the same rows. */
static halnorm_status run(enum operation op, int64_t n, halnorm_dtype dtype) {
  const int by_channel =
      op != layer_norm && op != rms_norm && op != layer_norm_backward && op != rms_norm_backward;
  int64_t rows[] = {kRows, n}, images[] = {kSamples, kChannels, n};
  int64_t in_groups[] = {kSamples, kChannels * CHANNELS_OF_A_GROUP(n), n / CHANNELS_OF_A_GROUP(n)};
  int64_t x_strides[] = {X_STRIDE(n) * kChannels, X_STRIDE(n), 1};
  int64_t y_strides[] = {Y_STRIDE(n) * kChannels, Y_STRIDE(n), 1};
  int64_t channels = kChannels, statistics[] = {kSamples, kChannels}, row_count = kRows;
  halnorm_tensor tx = {x, {HALNORM_CPU, 0}, 2, dtype, rows, x_strides + 1, 0}, ty = tx;
  halnorm_tensor tgamma = vector(gamma_, &n), tbeta = vector(beta, &n);
  halnorm_tensor tmean = vector(expected_mean, &row_count);
  halnorm_tensor trstd = vector(expected_rstd, &row_count);
  halnorm_tensor tsaved = tx, tsaved_mean = vector(center, &row_count);
  halnorm_tensor tsaved_rstd = vector(reciprocal, &row_count);
  halnorm_tensor tdgamma = vector(expected_mean, &n), tdbeta = vector(expected_rstd, &n);
  halnorm_tensor tcenter = vector(center, &channels), tvariance = vector(variance, &channels);
  tsaved.data = saved_x;
  ty.data = expected;
  ty.strides = y_strides + 1;
  if (by_channel) {
    tx.ndim = ty.ndim = 3;
    tx.shape = ty.shape = images;
    tx.strides = x_strides;
    ty.strides = y_strides;
    tgamma.shape = tbeta.shape = &channels;
    tdgamma.shape = tdbeta.shape = &channels;
    tmean.ndim = trstd.ndim = tsaved_mean.ndim = tsaved_rstd.ndim = 2;
    tmean.shape = trstd.shape = tsaved_mean.shape = tsaved_rstd.shape = statistics;
    tsaved = tx;
    tsaved.data = saved_x;
  }
  if (op == group_norm) {
    tx.shape = ty.shape = in_groups;
    tx.strides = ty.strides = NULL;
    tgamma.shape = tbeta.shape = &in_groups[1];
  }
  if (op == batch_norm_backward) {
    tsaved_mean = vector(center, &channels);
    tsaved_rstd = vector(reciprocal, &channels);
  }
  switch (op) {
    case layer_norm:
      return halnorm_layer_norm(NULL, &tx, &tgamma, &tbeta, -1, 1e-5, &ty, &tmean, &trstd, 0);
    case rms_norm:
      return halnorm_rms_norm(NULL, &tx, &tgamma, -1, 1e-5, &ty, &trstd, 0);
    case instance_norm:
      return halnorm_instance_norm(NULL, &tx, &tgamma, &tbeta, 1e-5, &ty, &tmean, &trstd, 0);
    case group_norm:
      return halnorm_group_norm(NULL, &tx, &tgamma, &tbeta, kChannels, 1e-5, &ty, &tmean, &trstd,
                                0);
    case instance_norm_backward:
      return halnorm_instance_norm_backward(NULL, &tx, &tsaved, &tgamma, &tsaved_mean, &tsaved_rstd,
                                            &ty, &tdgamma, &tdbeta, 0);
    case batch_norm_backward:
      return halnorm_batch_norm_backward(NULL, &tx, &tsaved, &tgamma, &tsaved_mean, &tsaved_rstd,
                                         &ty, &tdgamma, &tdbeta, 0);
    case layer_norm_backward:
      return halnorm_layer_norm_backward(NULL, &tx, &tsaved, &tgamma, &tsaved_mean, &tsaved_rstd,
                                         -1, &ty, &tdgamma, &tdbeta, 0);
    case rms_norm_backward:
      return halnorm_rms_norm_backward(NULL, &tx, &tsaved, &tgamma, &tsaved_rstd, -1, &ty, &tdgamma,
                                       0);
    case batch_norm_inference:
      break;
  }
  return halnorm_batch_norm_inference(NULL, &tx, &tgamma, &tbeta, &tcenter, &tvariance, 1e-5, &ty,
                                      0);
}

static void expect_same(const char *function, const char *what, const void *a, const void *b,
                        size_t bytes) {
  if (memcmp(a, b, bytes) == 0) return;
  printf("%s: %s are not the library's, bit for bit\n", function, what);
  ++failures;
}

/* Rows of y, which are `stride` apart. */
static void expect_same_rows(const char *function, const char *what, const void *actual,
                             int64_t stride, int64_t n, halnorm_dtype dtype) {
  const int64_t size = dtype.bits / 8;
  int64_t row;
  for (row = 0; row < kRows; ++row) {
    const char *a = (const char *)actual + row * stride * size;
    expect_same(function, what, a, (const char *)expected + row * Y_STRIDE(n) * size,
                (size_t)(n * size));
  }
}

#define CALL_layer_norm(function, n, type, y, y_stride, mean, rstd)                             \
  function(kRows, (const type *)x, X_STRIDE(n), gamma_, beta, 1e-5f, (type *)y, y_stride, mean, \
           rstd)
#define CALL_rms_norm(function, n, type, y, y_stride, mean, rstd) \
  function(kRows, (const type *)x, X_STRIDE(n), gamma_, 1e-5f, (type *)y, y_stride, rstd)
#define CALL_instance_norm(function, n, type, y, y_stride, mean, rstd)                        \
  function(kSamples, kChannels, (const type *)x, X_STRIDE(n), gamma_, beta, 1e-5f, (type *)y, \
           y_stride, mean, rstd)
#define CALL_group_norm(function, n, type, y, y_stride, mean, rstd)                           \
  function(kSamples, kChannels, CHANNELS_OF_A_GROUP(n), (const type *)x, X_STRIDE(n), gamma_, \
           beta, 1e-5f, (type *)y, y_stride, mean, rstd, scratch_of(function##_scratch_bytes))
#define CALL_batch_norm_inference(function, n, type, y, y_stride, mean, rstd)                   \
  function(kSamples, kChannels, (const type *)x, X_STRIDE(n), gamma_, beta, center, reciprocal, \
           (type *)y, y_stride)

/* In place, dx is dy; the parameters' gradients take the place of mean and rstd. */
#define CALL_layer_norm_backward(function, n, type, y, y_stride, mean, rstd)                \
  function(kRows, (const type *)x, X_STRIDE(n), (const type *)saved_x, X_STRIDE(n), gamma_, \
           center, reciprocal, (type *)y, y_stride, mean, rstd,                             \
           scratch_of(function##_scratch_bytes))
#define CALL_rms_norm_backward(function, n, type, y, y_stride, mean, rstd)                  \
  function(kRows, (const type *)x, X_STRIDE(n), (const type *)saved_x, X_STRIDE(n), gamma_, \
           reciprocal, (type *)y, y_stride, mean, scratch_of(function##_scratch_bytes))

#define CALL_channel_gradient(function, n, type, y, y_stride, mean, rstd)                         \
  function(kSamples, kChannels, (const type *)x, X_STRIDE(n), (const type *)saved_x, X_STRIDE(n), \
           gamma_, center, reciprocal, (type *)y, y_stride, mean, rstd,                           \
           scratch_of(function##_scratch_bytes))
#define CALL_instance_norm_backward CALL_channel_gradient
#define CALL_batch_norm_backward CALL_channel_gradient

#define CHECK(op, n, dtype, function)                                                 \
  static void check_##function(void) {                                                \
    gap = op != group_norm;                                                           \
    fill(x, type_of_##dtype);                                                         \
    fill(saved_x, type_of_##dtype);                                                   \
    memset(mean, 0, sizeof(mean));                                                    \
    memset(rstd, 0, sizeof(rstd));                                                    \
    memset(expected_mean, 0, sizeof(mean));                                           \
    memset(expected_rstd, 0, sizeof(rstd));                                           \
    if (run(op, n, type_of_##dtype) != HALNORM_OK) {                                  \
      printf("%s: %s\n", #function, halnorm_last_error());                            \
      ++failures;                                                                     \
      return;                                                                         \
    }                                                                                 \
    CALL_##op(function, n, dtype, y, Y_STRIDE(n), mean, rstd);                        \
    expect_same_rows(#function, "rows", y, Y_STRIDE(n), n, type_of_##dtype);          \
    expect_same(#function, "means", mean, expected_mean, sizeof(mean));               \
    expect_same(#function, "rstd", rstd, expected_rstd, sizeof(rstd));                \
    CALL_##op(function, n, dtype, x, X_STRIDE(n), NULL, NULL);                        \
    expect_same_rows(#function, "rows in place", x, X_STRIDE(n), n, type_of_##dtype); \
  }
#include "calls.inc"
#define CHECK_SCHEDULE(function) CHECK(rms_norm, 96, f32, function)
SCHEDULES_FUNCTIONS(CHECK_SCHEDULE)
#undef CHECK

int main(void) {
  int i, functions = 0;
  for (i = 0; i < kLongest; ++i) {
    gamma_[i] = 0.5f + (float)(i % 7) / 4;
    beta[i] = (float)(i % 5) / 8 - 0.25f;
  }
  for (i = 0; i < kRows; ++i) {
    center[i] = (float)(i % 9) / 16;
    variance[i] = 0.25f + (float)(i % 3);
    reciprocal[i] = 1.0f / sqrtf(variance[i] + 1e-5f);
  }
#define CHECK(op, n, dtype, function) check_##function(), ++functions;
#include "calls.inc"
  SCHEDULES_FUNCTIONS(CHECK_SCHEDULE)
  printf("%d functions, %d failures\n", functions, failures);
  return failures != 0;
}
