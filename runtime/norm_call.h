// SPDX-License-Identifier: Apache-2.0
// What the argument checks of api.cpp hand to the executor: one validated call in canonical form.
#ifndef HALNORM_RUNTIME_NORM_CALL_H_
#define HALNORM_RUNTIME_NORM_CALL_H_

#include <stdint.h>

#include "halnorm.h"

namespace halnorm {

// any_norm: of kernels that several operations share.
enum class Operation : uint8_t { layer_norm_forward, rms_norm_forward, any_norm };
enum class Storage : uint8_t { f32, f16, bf16 };

constexpr int64_t element_size(Storage storage) { return storage == Storage::f32 ? 4 : 2; }

// A tensor of more dimensions than this is HALNORM_UNSUPPORTED.
constexpr int kMaxRank = 32;

// One loop over a call's elements: how far each tensor moves, in elements, per step. A tensor that
// does not have the axis (gamma along a kept axis, mean along a reduced one) moves by 0.
struct Axis {
  int64_t extent;
  int64_t x, y, gamma, beta, statistic;
};

// Axes are ordered by |x stride|, largest first, and merged where every tensor nests; axes of
// extent 1 are gone. Elements of a row are numbered in the order of `reduced`.
struct NormCall {
  Operation operation;
  Storage storage;                      // of x and y
  Storage gamma_storage, beta_storage;  // f32, or that of x
  int32_t kept_rank, reduced_rank;
  Axis kept[kMaxRank], reduced[kMaxRank];
  int64_t row_count, row_length;  // products of the kept and of the reduced extents, both > 0
  const void *x;                  // first element: data + byte_offset
  const void *gamma, *beta;       // null where absent
  void *y;
  float *mean, *rstd;  // null where not wanted
  double eps;
  bool zero_centered_gamma;
  const halnorm_context *context;  // may be null

  bool has_mean() const { return operation == Operation::layer_norm_forward; }
  // The mean of 16-bit rows is high alone.
  bool has_low_mean() const { return has_mean() && storage == Storage::f32; }
  int64_t bytes() const { return 2 * row_count * row_length * element_size(storage); }  // x and y
};

// Runs a call on the CPU; api.cpp has checked everything but the presence of a kernel.
halnorm_status execute(const NormCall &call);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_NORM_CALL_H_
