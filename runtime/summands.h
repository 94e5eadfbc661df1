// SPDX-License-Identifier: Apache-2.0
// What a pass over all elements sums; generators/summands.h says of what.
#ifndef HALNORM_RUNTIME_SUMMANDS_H_
#define HALNORM_RUNTIME_SUMMANDS_H_

namespace halnorm {

enum class Summands { values, deviations, gradients, weighted_gradients, parameter_gradients };

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_SUMMANDS_H_
