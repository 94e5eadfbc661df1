// SPDX-License-Identifier: Apache-2.0
// The operations of halnorm.h behind one function: its only call in the tests.
#ifndef HALNORM_TESTS_CALL_H_
#define HALNORM_TESTS_CALL_H_

#include <cstdint>

#include "halnorm.h"
#include "problem.h"

namespace halnorm_test {

// Those that the operation does not have are not looked at.
struct Arguments {
  const halnorm_context *context = nullptr;
  halnorm_tensor *x = nullptr, *dy = nullptr;
  halnorm_tensor *gamma = nullptr, *beta = nullptr;
  halnorm_tensor *y = nullptr, *dx = nullptr;
  halnorm_tensor *dgamma = nullptr, *dbeta = nullptr;
  halnorm_tensor *mean = nullptr, *rstd = nullptr;
  halnorm_tensor *running_mean = nullptr, *running_var = nullptr;
  int32_t axis = -1, groups = 1;
  double eps = 1e-5, momentum = 0.1;
  uint32_t flags = 0;
};

halnorm_status call(Operation operation, const Arguments &arguments);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_CALL_H_
