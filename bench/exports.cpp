// SPDX-License-Identifier: Apache-2.0
// Linked with a libhalnorm.a, whose functions are hidden, into a shared object: what open_halnorm()
// and bench/cuda find there.
#include "halnorm_api.h"

extern "C" {
#define HALNORM_BENCH_EXPORT(name)                                                        \
  __attribute__((visibility("default"))) decltype(&halnorm_##name) halnorm_bench_##name = \
      halnorm_##name;
HALNORM_BENCH_FUNCTIONS(HALNORM_BENCH_EXPORT)
HALNORM_BENCH_CUDA_FUNCTIONS(HALNORM_BENCH_EXPORT)
}
