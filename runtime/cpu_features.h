// SPDX-License-Identifier: Apache-2.0
// What the processor and the operating system under it can run.
#ifndef HALNORM_RUNTIME_CPU_FEATURES_H_
#define HALNORM_RUNTIME_CPU_FEATURES_H_

#include <stdint.h>

namespace halnorm {

// One bit for each feature that this machine has; which bit is which, cpu_feature_mask tells.
uint32_t cpu_features();

// The bit of a feature as the target list spells it: on x86 sse41, avx, f16c, fma, avx2 and avx512
// (the F, CD, VL, BW and DQ subsets together); on aarch64 neon and fp16. False for any other token.
bool cpu_feature_mask(const char *token, uint32_t *mask);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CPU_FEATURES_H_
