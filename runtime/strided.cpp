// SPDX-License-Identifier: Apache-2.0
#include "strided.h"

#include <string.h>

#include "kernel_call.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace halnorm {
namespace {

// Calls run(data offset, stride, index, count) for each run of elements along the last axis.
template <typename Run>
void for_each_run(const Stretch &stretch, const Run &run) {
  const Axis *axes = stretch.axes;
  const int32_t last = stretch.rank - 1;
  if (stretch.rank == 0) return run(0, 0, 0, stretch.count);
  int64_t index[kMaxRank];
  int64_t offset = 0, rest = stretch.begin;
  for (int32_t d = last; d >= 0; --d) {
    index[d] = rest % axes[d].extent;
    rest /= axes[d].extent;
    offset += index[d] * (axes[d].*stretch.stride);
  }
  const int64_t along = axes[last].*stretch.stride;
  for (int64_t done = 0; done < stretch.count;) {
    const int64_t count = smaller(axes[last].extent - index[last], stretch.count - done);
    run(offset, along, done, count);
    done += count;
    offset -= index[last] * along;
    index[last] = 0;
    for (int32_t d = last - 1; d >= 0; --d) {
      offset += axes[d].*stretch.stride;
      if (++index[d] < axes[d].extent) break;
      offset -= axes[d].extent * (axes[d].*stretch.stride);
      index[d] = 0;
    }
  }
}

template <typename Element>
void gather_elements(void *packed, int64_t step, const void *data, const Stretch &stretch) {
  auto *to = static_cast<Element *>(packed);
  const auto *from = static_cast<const Element *>(data);
  for_each_run(stretch, [&](int64_t offset, int64_t stride, int64_t done, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[(done + i) * step] = from[offset + i * stride];
  });
}

template <typename Element>
void scatter_elements(void *data, const Stretch &stretch, const void *packed, int64_t step) {
  auto *to = static_cast<Element *>(data);
  const auto *from = static_cast<const Element *>(packed);
  for_each_run(stretch, [&](int64_t offset, int64_t stride, int64_t done, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[offset + i * stride] = from[(done + i) * step];
  });
}

}  // namespace

int64_t offset_of(const Axis *axes, int32_t rank, Stride stride, int64_t index) {
  int64_t offset = 0;
  for (int32_t d = rank - 1; d >= 0; --d) {
    offset += index % axes[d].extent * (axes[d].*stride);
    index /= axes[d].extent;
  }
  return offset;
}

void gather(void *packed, int64_t step, const void *data, const Stretch &stretch, Storage storage) {
  auto *run = storage == Storage::f32 ? gather_elements<uint32_t> : gather_elements<uint16_t>;
  run(packed, step, data, stretch);
}

void scatter(void *data, const Stretch &stretch, const void *packed, int64_t step,
             Storage storage) {
  auto *run = storage == Storage::f32 ? scatter_elements<uint32_t> : scatter_elements<uint16_t>;
  run(data, stretch, packed, step);
}

int64_t even_step(const Axis *axes, int32_t rank, Stride stride) {
  if (rank == 0) return 1;
  const int64_t step = axes[rank - 1].*stride;
  int64_t next = step * axes[rank - 1].extent;
  for (int32_t d = rank - 2; d >= 0; --d) {
    if (axes[d].*stride != next) return 0;
    next *= axes[d].extent;
  }
  return step;
}

bool is_dense(const Axis *axes, int32_t rank, Stride stride) {
  return even_step(axes, rank, stride) == 1;
}

void copy_past_cache(void *to, const void *from, int64_t bytes) {
  auto *target = static_cast<uint8_t *>(to);
  const auto *source = static_cast<const uint8_t *>(from);
#if defined(__SSE2__)
  constexpr int64_t kVector = sizeof(__m128i);
  const int64_t misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(to) % kVector);
  const int64_t head = smaller((kVector - misaligned) % kVector, bytes);
  memcpy(target, source, static_cast<size_t>(head));
  int64_t i = head;
  for (; i + kVector <= bytes; i += kVector) {
    _mm_stream_si128(reinterpret_cast<__m128i *>(target + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i *>(source + i)));
  }
  memcpy(target + i, source + i, static_cast<size_t>(bytes - i));
#else
  memcpy(target, source, static_cast<size_t>(bytes));
#endif
}

void finish_copies_past_cache() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace halnorm
