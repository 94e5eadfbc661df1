// SPDX-License-Identifier: Apache-2.0
// What the order of sums on CUDA (docs/cuda.md, generators/cuda_roles.h) makes of rows: one
// operation after the other in plain loops, none contracted.
#ifndef HALNORM_TESTS_OPENCL_ORDER_H_
#define HALNORM_TESTS_OPENCL_ORDER_H_

#include <vector>

#include "tensors.h"

namespace halnorm_test {

// The results of a layer or RMS norm in f32, before they are stored: row after row.
struct InOrder {
  std::vector<float> mean, rstd, y;
  std::vector<float> dx, dgamma, dbeta;
};

InOrder in_order(const Tensors &tensors);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_OPENCL_ORDER_H_
