// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "cpu_features.h"
#include "cuda_library.h"
#include "errors.h"
#include "targets.h"

// The build writes these from generators/operations.cmake, schedules/targets.txt and the .sched
// files: HALNORM_TARGET(name, "features ...") and HALNORM_KERNEL(symbol, operation, part, storage,
// target number, longest row, fewest bytes, rows of a call, launch).
#define HALNORM_KERNEL(symbol, ...) extern "C" int symbol##_argv(void **);
#include "kernel_table.inc"
#undef HALNORM_KERNEL

namespace halnorm {
namespace {

constexpr int64_t kAnyLength = INT64_MAX;

struct TargetRow {
  const char *name;
  const char *features;  // tokens of cpu_feature_mask, separated by spaces
};

// What a target for CUDA needs: this followed by a compute capability in tenths.
constexpr char kCuda[] = "cuda";

constexpr TargetRow kTargets[] = {
#define HALNORM_TARGET(name, features) {name, features},
#include "target_table.inc"
#undef HALNORM_TARGET
};

#define HALNORM_KERNEL(symbol, operation, part, storage, target, longest, fewest_bytes, rows, \
                       launch)                                                                \
  {#symbol, symbol##_argv, Operation::operation, Part::part, Storage::storage,                \
   target,  longest,       fewest_bytes,         rows,       launch},
constexpr Kernel kKernels[] = {
#include "kernel_table.inc"
};
#undef HALNORM_KERNEL

constexpr int32_t kKernelCount = static_cast<int32_t>(sizeof(kKernels) / sizeof(kKernels[0]));

// The kernels of one choice stand together in the table: where each run of them begins.
constexpr int kChoices = kOperations * kParts * kStorages;
struct Index {
  int32_t first[sizeof(kTargets) / sizeof(kTargets[0])][kChoices];
};

constexpr int choice(Operation operation, Part part, Storage storage) {
  return (static_cast<int>(operation) * kParts + static_cast<int>(part)) * kStorages +
         static_cast<int>(storage);
}

constexpr Index make_index() {
  Index index = {};
  for (auto &target : index.first) {
    for (int32_t &first : target) first = kKernelCount;
  }
  for (int32_t k = kKernelCount - 1; k >= 0; --k) {
    const Kernel &kernel = kKernels[k];
    index.first[kernel.target][choice(kernel.operation, kernel.part, kernel.storage)] = k;
  }
  return index;
}
constexpr Index kIndex = make_index();

bool serves(const Kernel &kernel, int32_t target, Operation operation, Part part, Storage storage) {
  return kernel.target == target && kernel.operation == operation && kernel.part == part &&
         kernel.storage == storage;
}

__thread const Kernel *last_kernel = nullptr;

}  // namespace

int32_t target_count() { return static_cast<int32_t>(sizeof(kTargets) / sizeof(kTargets[0])); }

const char *target_name(int32_t target) { return kTargets[target].name; }

int32_t target_device_type(int32_t target) {
  return strncmp(kTargets[target].features, kCuda, strlen(kCuda)) == 0 ? HALNORM_CUDA : HALNORM_CPU;
}

bool target_usable(int32_t target) {
  const char *token = kTargets[target].features;
  if (target_device_type(target) == HALNORM_CUDA) return cuda_usable(atoi(token + strlen(kCuda)));
  while (*token != '\0') {
    const size_t length = strcspn(token, " ");
    char name[32] = "";
    uint32_t mask = 0;
    if (length >= sizeof(name)) return false;
    memcpy(name, token, length);
    if (!cpu_feature_mask(name, &mask) || (cpu_features() & mask) != mask) return false;
    token += length + strspn(token + length, " ");
  }
  return true;
}

const Kernel *preferred_kernel(const NormCall &call) {
  return call.context == nullptr ? nullptr : call.context->kernel;
}

const Kernel *find_kernel(const NormCall &call, int32_t target, Operation operation, Part part,
                          Storage storage) {
  const Kernel *preferred = preferred_kernel(call);
  if (preferred != nullptr && serves(*preferred, target, operation, part, storage)) {
    return preferred;
  }
  for (int32_t k = kIndex.first[target][choice(operation, part, storage)]; k < kKernelCount; ++k) {
    const Kernel &kernel = kKernels[k];
    if (!serves(kernel, target, operation, part, storage)) return nullptr;
    if (call.row_length <= kernel.longest && call.bytes() >= kernel.fewest_bytes) return &kernel;
  }
  return nullptr;
}

bool prefers(const NormCall &call, Part part) {
  const Kernel *preferred = preferred_kernel(call);
  return preferred != nullptr && preferred->operation == call.operation && preferred->part == part;
}

bool prefers_stages(const NormCall &call) {
  const Kernel *preferred = preferred_kernel(call);
  return preferred != nullptr && preferred->operation == Operation::any_norm &&
         preferred->part != Part::parameter && preferred->part != Part::parameter_gradient;
}

halnorm_status no_kernel(const NormCall &call, int32_t target) {
  static const char *const kStorageNames[] = {"f32", "f16", "bf16"};
  return fail(HALNORM_UNSUPPORTED, "x: this build has no kernel for %s on %s",
              kStorageNames[static_cast<int>(call.storage)], target_name(target));
}

const Kernel &kernel_at(int32_t i) { return kKernels[i]; }

const Kernel *kernel_named(const char *name) {
  for (const Kernel &kernel : kKernels) {
    if (strcmp(kernel.name, name) == 0) return &kernel;
  }
  return nullptr;
}

void set_last_kernel(const Kernel *kernel) { last_kernel = kernel; }

}  // namespace halnorm

int32_t halnorm_kernel_count(void) { return halnorm::kKernelCount; }

const char *halnorm_kernel_name(int32_t i) {
  return i >= 0 && i < halnorm::kKernelCount ? halnorm::kKernels[i].name : nullptr;
}

const char *halnorm_last_kernel(void) {
  return halnorm::last_kernel == nullptr ? "" : halnorm::last_kernel->name;
}
