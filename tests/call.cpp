// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <cstdlib>

namespace halnorm_test {

halnorm_status call(Operation operation, const Arguments &a) {
  switch (operation) {
    case Operation::layer_norm_forward:
      return halnorm_layer_norm(a.context, a.x, a.gamma, a.beta, a.axis, a.eps, a.y, a.mean, a.rstd,
                                a.flags);
    case Operation::layer_norm_backward:
      return halnorm_layer_norm_backward(a.context, a.dy, a.x, a.gamma, a.mean, a.rstd, a.axis,
                                         a.dx, a.dgamma, a.dbeta, a.flags);
    case Operation::rms_norm_forward:
      return halnorm_rms_norm(a.context, a.x, a.gamma, a.axis, a.eps, a.y, a.rstd, a.flags);
    case Operation::rms_norm_backward:
      return halnorm_rms_norm_backward(a.context, a.dy, a.x, a.gamma, a.rstd, a.axis, a.dx,
                                       a.dgamma, a.flags);
    case Operation::instance_norm_forward:
      return halnorm_instance_norm(a.context, a.x, a.gamma, a.beta, a.eps, a.y, a.mean, a.rstd,
                                   a.flags);
    case Operation::instance_norm_backward:
      return halnorm_instance_norm_backward(a.context, a.dy, a.x, a.gamma, a.mean, a.rstd, a.dx,
                                            a.dgamma, a.dbeta, a.flags);
    case Operation::group_norm_forward:
      return halnorm_group_norm(a.context, a.x, a.gamma, a.beta, a.groups, a.eps, a.y, a.mean,
                                a.rstd, a.flags);
    case Operation::group_norm_backward:
      return halnorm_group_norm_backward(a.context, a.dy, a.x, a.gamma, a.mean, a.rstd, a.groups,
                                         a.dx, a.dgamma, a.dbeta, a.flags);
    case Operation::batch_norm_inference:
      return halnorm_batch_norm_inference(a.context, a.x, a.gamma, a.beta, a.running_mean,
                                          a.running_var, a.eps, a.y, a.flags);
    case Operation::batch_norm_training:
      return halnorm_batch_norm_training(a.context, a.x, a.gamma, a.beta, a.eps, a.momentum,
                                         a.running_mean, a.running_var, a.y, a.mean, a.rstd,
                                         a.flags);
    case Operation::batch_norm_backward:
      return halnorm_batch_norm_backward(a.context, a.dy, a.x, a.gamma, a.mean, a.rstd, a.dx,
                                         a.dgamma, a.dbeta, a.flags);
  }
  std::abort();
}

}  // namespace halnorm_test
