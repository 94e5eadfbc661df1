// SPDX-License-Identifier: Apache-2.0
// What a pass over all elements sums, on every family of targets: generators and runtime share
// this.
#ifndef HALNORM_GENERATORS_SUMMANDS_H_
#define HALNORM_GENERATORS_SUMMANDS_H_

namespace halnorm {

enum class Summands {
  values,      // x
  deviations,  // d * d and d, d = x - center of the row
  // g and g * d, d = x - mean of the row; times its rstd, which comes later, the latter is
  // g * xhat. With g = dy these are also the terms of dbeta and dgamma.
  gradients,           // g = dy
  weighted_gradients,  // g = dy * gamma of the element
  // dy and dy * xhat, xhat = (x - mean) * rstd of the element.
  parameter_gradients,
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_SUMMANDS_H_
