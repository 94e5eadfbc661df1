// SPDX-License-Identifier: Apache-2.0
// What all operations have in common between the checks of their tensors (view.h) and execute().
#ifndef HALNORM_RUNTIME_OPERANDS_H_
#define HALNORM_RUNTIME_OPERANDS_H_

#include <stdint.h>

#include "halnorm.h"
#include "norm_call.h"
#include "view.h"

namespace halnorm {

// Stands for a tensor that was not given: null, without strides and without elements.
constexpr View kAbsent = {};

inline const View *or_absent(const View &view) { return view.given ? &view : &kAbsent; }

// The tensors of a call, named as in NormCall. They are for inline functions: there they need no
// memory, and what an operation never has costs it nothing.
struct Operands {
  const View *x = &kAbsent, *dy = &kAbsent;
  const View *gamma = &kAbsent, *beta = &kAbsent;
  const View *y = &kAbsent;  // of a backward call: dx
  const View *dgamma = &kAbsent, *dbeta = &kAbsent;
  const View *mean = &kAbsent, *rstd = &kAbsent;
  const View *saved_mean = &kAbsent, *saved_rstd = &kAbsent;
  const View *running_mean = &kAbsent, *running_var = &kAbsent;
};

// The arguments of a backward call. Those of row and of channel norms differ in shape alone.
struct BackwardArguments {
  enum { kX, kDy, kGamma, kMean, kRstd, kDx, kDgamma, kDbeta, kCount };

  // rms_norm_backward has no mean.
  BackwardArguments(bool has_mean, const halnorm_tensor *dy, const halnorm_tensor *x,
                    const halnorm_tensor *gamma, const halnorm_tensor *mean,
                    const halnorm_tensor *rstd, const halnorm_tensor *dx,
                    const halnorm_tensor *dgamma, const halnorm_tensor *dbeta);

  // Once they are checked.
  Operands operands() const;

  const Argument list[kCount];
  View views[kCount];
};

// The numbers of a call; 0 where the operation does not have them.
struct Settings {
  double eps, momentum;
  uint32_t flags;
};

// Checks the settings, and that this build and machine can run the call.
halnorm_status check_settings(Operation operation, const halnorm_context *context, const View &x,
                              const Settings &settings);

// What is left of a call whose x has no elements: statistics of nothing are NaN, sums of nothing 0.
halnorm_status write_results_of_nothing(const halnorm_context *context, const View &mean,
                                        const View &rstd, const View &dgamma, const View &dbeta);

// False for a backward call of which no gradient is wanted.
inline bool wants_results(const Operands &operands) {
  return operands.y->given || operands.dgamma->given || operands.dbeta->given;
}

inline float *floats_of(const View &view) { return reinterpret_cast<float *>(view.data); }

// Fills in all of a call but its axes and counts. Each row has its own statistics; where it has
// not, the caller corrects that.
inline void fill_call(Operation operation, const halnorm_context *context, const Operands &operands,
                      const Settings &settings, NormCall *call) {
  call->operation = operation;
  call->device = operands.x->device;
  call->storage = operands.x->storage;
  call->gamma_storage = operands.gamma->storage;
  call->beta_storage = operands.beta->storage;
  call->dgamma_storage = operands.dgamma->storage;
  call->dbeta_storage = operands.dbeta->storage;
  call->sharing = Sharing::none;
  call->channels_of_a_group = 1;
  call->x = operands.x->data;
  call->dy = operands.dy->data;
  call->gamma = operands.gamma->data;
  call->beta = operands.beta->data;
  call->y = operands.y->data;
  call->dgamma = operands.dgamma->data;
  call->dbeta = operands.dbeta->data;
  call->mean = floats_of(*operands.mean);
  call->rstd = floats_of(*operands.rstd);
  call->saved_mean = floats_of(*operands.saved_mean);
  call->saved_rstd = floats_of(*operands.saved_rstd);
  call->running_mean = floats_of(*operands.running_mean);
  call->running_var = floats_of(*operands.running_var);
  call->eps = settings.eps;
  call->momentum = settings.momentum;
  call->zero_centered_gamma =
      operands.gamma->given && (settings.flags & HALNORM_ZERO_CENTERED_GAMMA) != 0;
  call->running_var_biased = (settings.flags & HALNORM_RUNNING_VAR_BIASED) != 0;
  call->fixed_statistics = (settings.flags & HALNORM_FIXED_STATISTICS) != 0;
  call->context = context;
}

// Makes the axis this dimension of x, along which parameters and statistics do not move. In place,
// for axes are large.
inline void set_data_axis(const Operands &operands, int32_t dimension, Axis *axis) {
  axis->extent = operands.x->shape[dimension];
  axis->x = operands.x->strides[dimension];
  axis->dy = operands.dy->strides[dimension];
  axis->y = operands.y->strides[dimension];
  axis->gamma = axis->beta = axis->dgamma = axis->dbeta = axis->statistic = 0;
}

// Lets the parameters and their gradients move along the axis as along this dimension of theirs.
inline void add_parameters(const Operands &operands, int32_t dimension, Axis *axis) {
  axis->gamma = operands.gamma->strides[dimension];
  axis->beta = operands.beta->strides[dimension];
  axis->dgamma = operands.dgamma->strides[dimension];
  axis->dbeta = operands.dbeta->strides[dimension];
}

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_OPERANDS_H_
