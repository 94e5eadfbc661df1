// SPDX-License-Identifier: Apache-2.0
// Walks over tensors by their strides: the positions of rows, and copies to and from dense memory.
#ifndef HALNORM_RUNTIME_STRIDED_H_
#define HALNORM_RUNTIME_STRIDED_H_

#include <stdint.h>

#include "norm_call.h"

namespace halnorm {

using Stride = int64_t Axis::*;

// Offset, in elements, of position `index` of the axes, counted with the last axis fastest.
int64_t offset_of(const Axis *axes, int32_t rank, Stride stride, int64_t index);

// Elements [begin, begin + count) of what the axes walk over, counted with the last axis fastest.
struct Stretch {
  const Axis *axes;
  int32_t rank;
  Stride stride;
  int64_t begin, count;
};
// From data to memory where they are `step` apart, or back.
void gather(void *packed, int64_t step, const void *data, const Stretch &stretch, Storage storage);
void scatter(void *data, const Stretch &stretch, const void *packed, int64_t step, Storage storage);

// How far apart the elements are that the axes walk over, if all steps are alike; else 0.
int64_t even_step(const Axis *axes, int32_t rank, Stride stride);

// True if the axes walk over dense memory in order.
bool is_dense(const Axis *axes, int32_t rank, Stride stride);

// Copies bytes past the cache: for results too large to be found in it again.
void copy_past_cache(void *to, const void *from, int64_t bytes);
// Orders such copies before what other threads do next.
void finish_copies_past_cache();

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_STRIDED_H_
