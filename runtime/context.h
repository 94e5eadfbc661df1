// SPDX-License-Identifier: Apache-2.0
// What a caller set, and the choice of a CPU target.
#ifndef HALNORM_RUNTIME_CONTEXT_H_
#define HALNORM_RUNTIME_CONTEXT_H_

#include <stddef.h>
#include <stdint.h>

#include "halnorm.h"

namespace halnorm {
struct Kernel;
}

struct halnorm_context {
  int32_t target;                 // or halnorm::kNoTarget: HALNORM_TARGET decides, else the machine
  const halnorm::Kernel *kernel;  // preferred wherever it fits; null: the first of the table
  int32_t num_threads;            // 0: one for each CPU
  halnorm_parallel_for parallel_for;  // null: the library's own pool
  void *pool;
  void *cpu_workspace;  // null: each thread's own
  size_t cpu_workspace_bytes;
  void *cuda_stream;
  void *cuda_workspace;
  size_t cuda_workspace_bytes;
  int32_t cuda_workspace_device;
};

namespace halnorm {

constexpr int32_t kNoTarget = -1;

// Chooses the target for tensors of a device type: the context's, else that of the environment
// variable HALNORM_TARGET, where it is for that device type; else the best that this machine can
// run, or, on CUDA, the first of this build. The environment is read once for the process, by the
// first call that needs it; later changes to it are not seen.
halnorm_status resolve_target(const halnorm_context *context, int32_t device_type, int32_t *target);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CONTEXT_H_
