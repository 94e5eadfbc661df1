// SPDX-License-Identifier: Apache-2.0
#include "strided.h"

#include <string.h>

#include "kernel_call.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace halnorm {
namespace {

// Calls run(data offset, stride, dense offset, count) for each stretch along the last axis.
template <typename Run>
void for_each_stretch(const Axis *axes, int32_t rank, Stride stride, int64_t begin, int64_t count,
                      const Run &run) {
  if (rank == 0) return run(0, 0, 0, count);
  int64_t index[kMaxRank];
  int64_t offset = 0, rest = begin;
  for (int32_t d = rank - 1; d >= 0; --d) {
    index[d] = rest % axes[d].extent;
    rest /= axes[d].extent;
    offset += index[d] * (axes[d].*stride);
  }
  const Axis &last = axes[rank - 1];
  for (int64_t done = 0; done < count;) {
    const int64_t stretch = smaller(last.extent - index[rank - 1], count - done);
    run(offset, last.*stride, done, stretch);
    done += stretch;
    offset -= index[rank - 1] * (last.*stride);
    index[rank - 1] = 0;
    for (int32_t d = rank - 2; d >= 0; --d) {
      offset += axes[d].*stride;
      if (++index[d] < axes[d].extent) break;
      offset -= axes[d].extent * (axes[d].*stride);
      index[d] = 0;
    }
  }
}

template <typename Element>
void gather_elements(void *dense, const void *data, const Axis *axes, int32_t rank, Stride stride,
                     int64_t begin, int64_t count) {
  auto *to = static_cast<Element *>(dense);
  const auto *from = static_cast<const Element *>(data);
  for_each_stretch(axes, rank, stride, begin, count,
                   [&](int64_t offset, int64_t step, int64_t done, int64_t stretch) {
                     for (int64_t i = 0; i < stretch; ++i) to[done + i] = from[offset + i * step];
                   });
}

template <typename Element>
void scatter_elements(void *data, const void *dense, const Axis *axes, int32_t rank, Stride stride,
                      int64_t begin, int64_t count) {
  auto *to = static_cast<Element *>(data);
  const auto *from = static_cast<const Element *>(dense);
  for_each_stretch(axes, rank, stride, begin, count,
                   [&](int64_t offset, int64_t step, int64_t done, int64_t stretch) {
                     for (int64_t i = 0; i < stretch; ++i) to[offset + i * step] = from[done + i];
                   });
}

}  // namespace

Offsets offsets_of(const Axis *axes, int32_t rank, int64_t index) {
  Offsets offsets;
  for (int32_t d = rank - 1; d >= 0; --d) {
    const int64_t position = index % axes[d].extent;
    index /= axes[d].extent;
    offsets.x += position * axes[d].x;
    offsets.y += position * axes[d].y;
    offsets.statistic += position * axes[d].statistic;
  }
  return offsets;
}

void gather(void *dense, const void *data, const Axis *axes, int32_t rank, Stride stride,
            int64_t begin, int64_t count, Storage storage) {
  auto *run = storage == Storage::f32 ? gather_elements<uint32_t> : gather_elements<uint16_t>;
  run(dense, data, axes, rank, stride, begin, count);
}

void scatter(void *data, const void *dense, const Axis *axes, int32_t rank, Stride stride,
             int64_t begin, int64_t count, Storage storage) {
  auto *run = storage == Storage::f32 ? scatter_elements<uint32_t> : scatter_elements<uint16_t>;
  run(data, dense, axes, rank, stride, begin, count);
}

bool is_dense(const Axis *axes, int32_t rank, Stride stride) {
  int64_t dense = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    if (axes[d].*stride != dense) return false;
    dense *= axes[d].extent;
  }
  return true;
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
