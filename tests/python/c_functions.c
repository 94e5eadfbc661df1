/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of the C API for ctypes, which finds no hidden symbols. */
#include "halnorm.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED halnorm_status c_layer_norm(const halnorm_tensor *x, const halnorm_tensor *gamma,
                                     const halnorm_tensor *beta, int32_t axis, double eps,
                                     halnorm_tensor *y, halnorm_tensor *mean,
                                     halnorm_tensor *rstd) {
  return halnorm_layer_norm(NULL, x, gamma, beta, axis, eps, y, mean, rstd, 0);
}

EXPORTED halnorm_status c_batch_norm_training(const halnorm_tensor *x, const halnorm_tensor *gamma,
                                              const halnorm_tensor *beta, double eps,
                                              double momentum, halnorm_tensor *running_mean,
                                              halnorm_tensor *running_var, halnorm_tensor *y,
                                              halnorm_tensor *mean, halnorm_tensor *rstd) {
  return halnorm_batch_norm_training(NULL, x, gamma, beta, eps, momentum, running_mean, running_var,
                                     y, mean, rstd, 0);
}

EXPORTED halnorm_status c_group_norm_backward(const halnorm_tensor *dy, const halnorm_tensor *x,
                                              const halnorm_tensor *gamma,
                                              const halnorm_tensor *mean,
                                              const halnorm_tensor *rstd, int32_t groups,
                                              halnorm_tensor *dx, halnorm_tensor *dgamma,
                                              halnorm_tensor *dbeta) {
  return halnorm_group_norm_backward(NULL, dy, x, gamma, mean, rstd, groups, dx, dgamma, dbeta,
                                     HALNORM_ZERO_CENTERED_GAMMA);
}
