/* SPDX-License-Identifier: Apache-2.0 */
/* The arguments of a kernel, as Halide's C ABI takes them (halide_buffer_t of HalideRuntime.h), for
 * the functions that halnorm-generate writes: C99 or C++11, hosted or freestanding. Kernels read
 * the host, the extents and the strides of a buffer, and nothing else of it. */
#ifndef HALNORM_KERNELS_H_
#define HALNORM_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

typedef struct halnorm_dimension {
  int32_t min, extent, stride;
  uint32_t flags;
} halnorm_dimension;

typedef struct halnorm_buffer {
  uint64_t device;
  const void *device_interface;
  uint8_t *host;
  uint64_t flags;
  uint32_t type;
  int32_t rank;
  halnorm_dimension *dimensions;
  void *padding;
  halnorm_dimension dimension[3]; /* what dimensions points to; no part of the ABI */
} halnorm_buffer;

static inline void halnorm_set_dimension(halnorm_buffer *buffer, int d, int64_t extent,
                                         int64_t stride) {
  buffer->dimension[d].min = 0;
  buffer->dimension[d].extent = (int32_t)extent;
  buffer->dimension[d].stride = (int32_t)stride;
}

/* `rows` rows of n elements, `stride` elements apart. */
static inline void *halnorm_rows(halnorm_buffer *buffer, const void *data, int64_t n, int64_t rows,
                                 int64_t stride) {
  buffer->host = (uint8_t *)(uintptr_t)data;
  buffer->dimensions = buffer->dimension;
  halnorm_set_dimension(buffer, 0, n, 1);
  halnorm_set_dimension(buffer, 1, rows, stride);
  return buffer;
}

static inline void *halnorm_vector(halnorm_buffer *buffer, const void *data, int64_t n) {
  return halnorm_rows(buffer, data, n, 1, 0);
}

/* The rows of one call of a kernel: `most`, or those that are left. */
static inline int64_t halnorm_rows_of_call(int64_t left, int64_t most) {
  return left < most ? left : most;
}

#endif /* HALNORM_KERNELS_H_ */
