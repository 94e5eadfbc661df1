// SPDX-License-Identifier: Apache-2.0
// The functions of one build of halnorm: the one that is linked, or one that is opened beside it.
#ifndef HALNORM_BENCH_HALNORM_API_H_
#define HALNORM_BENCH_HALNORM_API_H_

#include <string>

#include "halnorm.h"

namespace halnorm_bench {

// Those that the benchmark calls.
#define HALNORM_BENCH_FUNCTIONS(F) \
  F(batch_norm_backward)           \
  F(batch_norm_inference)          \
  F(batch_norm_training)           \
  F(context_create)                \
  F(context_destroy)               \
  F(context_set_kernel)            \
  F(context_set_num_threads)       \
  F(context_set_target)            \
  F(group_norm)                    \
  F(group_norm_backward)           \
  F(instance_norm)                 \
  F(instance_norm_backward)        \
  F(last_error)                    \
  F(last_kernel)                   \
  F(layer_norm)                    \
  F(layer_norm_backward)           \
  F(rms_norm)                      \
  F(rms_norm_backward)

// Those that bench/cuda calls besides, which older builds need not have.
#define HALNORM_BENCH_CUDA_FUNCTIONS(F) \
  F(context_prepare)                    \
  F(context_set_cuda_stream)            \
  F(context_set_workspace)              \
  F(cuda_load_seconds)                  \
  F(kernel_count)                       \
  F(kernel_name)                        \
  F(version)

struct HalnormApi {
#define HALNORM_BENCH_MEMBER(name) decltype(&halnorm_##name) name = nullptr;
  HALNORM_BENCH_FUNCTIONS(HALNORM_BENCH_MEMBER)
#undef HALNORM_BENCH_MEMBER
  std::string trouble;  // why it cannot be called; else empty
};

const HalnormApi &linked_halnorm();

// A shared object of exports.cpp and a libhalnorm.a. Opened once, and never closed.
const HalnormApi &open_halnorm(const std::string &path);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_HALNORM_API_H_
