// SPDX-License-Identifier: Apache-2.0
// What the argument checks of api.cpp hand to the executor: one validated call in canonical form.
#ifndef HALNORM_RUNTIME_NORM_CALL_H_
#define HALNORM_RUNTIME_NORM_CALL_H_

#include <stdint.h>

#include "halnorm.h"

namespace halnorm {

enum class Operation : uint8_t {
  layer_norm_forward,
  layer_norm_backward,
  rms_norm_forward,
  rms_norm_backward,
  instance_norm_forward,
  instance_norm_backward,
  group_norm_forward,
  group_norm_backward,
  batch_norm_inference,
  batch_norm_training,
  batch_norm_backward,
  any_norm,  // of kernels that several operations share
};
constexpr int kOperations = 12;

enum class Storage : uint8_t { f32, f16, bf16 };
constexpr int kStorages = 3;

constexpr int64_t element_size(Storage storage) { return storage == Storage::f32 ? 4 : 2; }

// A tensor of more dimensions than this is HALNORM_UNSUPPORTED.
constexpr int kMaxRank = 32;

// One loop over a call's elements: how far each tensor moves, in elements, per step. A tensor that
// does not have the axis (gamma along a kept axis, mean along a reduced one) moves by 0, and so
// does one that was not given.
struct Axis {
  int64_t extent;
  int64_t x, dy;
  int64_t y;  // of a backward call: dx
  int64_t gamma, beta, dgamma, dbeta;
  int64_t statistic;
};

// Which rows have their statistics in common.
enum class Sharing : uint8_t {
  none,    // layer, RMS and instance norm: each row its own
  groups,  // group norm: channels_of_a_group adjacent channels of a sample
  batch,   // batch norm: a channel of all samples
};

// A row is what the reduced axes run over at one position of the kept ones.
//
// Layer and RMS norm: the reduced axes are those that are normalized, and gamma lies along them.
// Both lists are ordered by |x stride|, largest first, and merged where every tensor nests; axes of
// extent 1 are gone.
//
// Instance, group and batch norm: kept[0] is the batch and kept[1] the channels, whatever their
// extents and strides; gamma lies along the channels. The reduced axes are the spatial ones,
// ordered and merged. Of kept[1] the statistic of group norm moves once in channels_of_a_group
// steps; along the batch, that of batch norm does not move.
//
// Elements of a row are numbered in the order of `reduced`.
struct NormCall {
  Operation operation;
  Storage storage;                                                     // of x, dy, y and dx
  Storage gamma_storage, beta_storage, dgamma_storage, dbeta_storage;  // f32, or that of x
  Sharing sharing;
  int64_t channels_of_a_group;  // 1 unless sharing is groups
  int32_t kept_rank, reduced_rank;
  Axis kept[kMaxRank], reduced[kMaxRank];
  int64_t row_count, row_length;  // products of the kept and of the reduced extents, both > 0

  // First elements: data + byte_offset. Null where absent or not wanted.
  const void *x, *dy;
  const void *gamma, *beta;
  void *y;  // of a backward call: dx
  void *dgamma, *dbeta;
  float *mean, *rstd;                    // written by forward calls
  const float *saved_mean, *saved_rstd;  // read by backward calls
  float *running_mean, *running_var;     // read by inference, updated by training

  halnorm_device device;  // of all tensors
  double eps, momentum;
  bool zero_centered_gamma, running_var_biased, fixed_statistics;
  const halnorm_context *context;  // may be null

  bool is_backward() const {
    return operation == Operation::layer_norm_backward ||
           operation == Operation::rms_norm_backward ||
           operation == Operation::instance_norm_backward ||
           operation == Operation::group_norm_backward ||
           operation == Operation::batch_norm_backward;
  }
  bool has_mean() const {
    return operation != Operation::rms_norm_forward && operation != Operation::rms_norm_backward;
  }
  // Neighbours in memory are elements of neighbouring rows of x, not of one row.
  bool rows_are_neighbours() const { return reduced_rank > 0 && reduced[reduced_rank - 1].x != 1; }
  bool wants_parameter_gradients() const { return dgamma != nullptr || dbeta != nullptr; }
  // gamma and beta lie along the rows, not along the channels.
  bool gamma_along_rows() const {
    return operation == Operation::layer_norm_forward ||
           operation == Operation::layer_norm_backward ||
           operation == Operation::rms_norm_forward || operation == Operation::rms_norm_backward;
  }
  // The mean of 16-bit rows is high alone.
  bool has_low_mean() const { return has_mean() && storage == Storage::f32; }
  // Of what a call reads and writes at least.
  int64_t bytes() const {
    return (is_backward() ? 3 : 2) * row_count * row_length * element_size(storage);
  }
};

// Runs a call; api.cpp has checked everything but the presence of a kernel.
halnorm_status execute(const NormCall &call);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_NORM_CALL_H_
