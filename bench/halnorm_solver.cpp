// SPDX-License-Identifier: Apache-2.0
#include "halnorm_solver.h"

#include <cstdlib>

#include "workload.h"

namespace halnorm_bench {

using halnorm_test::Operation;

HalnormSolver::HalnormSolver(Workload *workload, const HalnormApi &api, const Options &options,
                             const std::string &kernel)
    : HalnormSolver(&workload->tensors(), api) {
  ready_ =
      api_.context_create(&context_) == HALNORM_OK &&
      api_.context_set_target(context_, options.target.c_str()) == HALNORM_OK &&
      api_.context_set_num_threads(context_, options.threads) == HALNORM_OK &&
      api_.context_set_kernel(context_, kernel.empty() ? nullptr : kernel.c_str()) == HALNORM_OK;
}

HalnormSolver::HalnormSolver(halnorm_test::Tensors *tensors, const HalnormApi &api)
    : api_(api),
      problem_(tensors->problem),
      x_(&tensors->x),
      y_(&tensors->y),
      dy_(&tensors->dy),
      dx_(&tensors->dx),
      gamma_(&tensors->gamma),
      beta_(&tensors->beta),
      dgamma_(&tensors->dgamma),
      dbeta_(&tensors->dbeta),
      mean_(&tensors->mean),
      rstd_(&tensors->rstd),
      running_mean_(&tensors->running_mean),
      running_var_(&tensors->running_var) {
  if (problem_.zero_centered) flags_ |= HALNORM_ZERO_CENTERED_GAMMA;
  if (problem_.biased) flags_ |= HALNORM_RUNNING_VAR_BIASED;
  if (problem_.fixed) flags_ |= HALNORM_FIXED_STATISTICS;
}

halnorm_status HalnormSolver::call() {
  const int32_t axis = problem_.axis, groups = static_cast<int32_t>(problem_.groups);
  const double eps = problem_.eps;
  switch (problem_.operation) {
    case Operation::layer_norm_forward:
      return api_.layer_norm(context_, x_, gamma_, beta_, axis, eps, y_, mean_, rstd_, flags_);
    case Operation::layer_norm_backward:
      return api_.layer_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, axis, dx_, dgamma_,
                                      dbeta_, flags_);
    case Operation::rms_norm_forward:
      return api_.rms_norm(context_, x_, gamma_, axis, eps, y_, rstd_, flags_);
    case Operation::rms_norm_backward:
      return api_.rms_norm_backward(context_, dy_, x_, gamma_, rstd_, axis, dx_, dgamma_, flags_);
    case Operation::instance_norm_forward:
      return api_.instance_norm(context_, x_, gamma_, beta_, eps, y_, mean_, rstd_, flags_);
    case Operation::instance_norm_backward:
      return api_.instance_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, dx_, dgamma_,
                                         dbeta_, flags_);
    case Operation::group_norm_forward:
      return api_.group_norm(context_, x_, gamma_, beta_, groups, eps, y_, mean_, rstd_, flags_);
    case Operation::group_norm_backward:
      return api_.group_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, groups, dx_, dgamma_,
                                      dbeta_, flags_);
    case Operation::batch_norm_inference:
      return api_.batch_norm_inference(context_, x_, gamma_, beta_, running_mean_, running_var_,
                                       eps, y_, flags_);
    case Operation::batch_norm_training:
      return api_.batch_norm_training(context_, x_, gamma_, beta_, eps, problem_.momentum,
                                      running_mean_, running_var_, y_, mean_, rstd_, flags_);
    case Operation::batch_norm_backward:
      return api_.batch_norm_backward(context_, dy_, x_, gamma_, mean_, rstd_, dx_, dgamma_, dbeta_,
                                      flags_);
  }
  std::abort();
}

}  // namespace halnorm_bench
