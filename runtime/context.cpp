// SPDX-License-Identifier: Apache-2.0
#include "context.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "cuda_launch.h"
#include "dispatch.h"
#include "errors.h"
#include "targets.h"

namespace halnorm {
namespace {

constexpr char kVariable[] = "HALNORM_TARGET";

// What a context without a target of its own gets on a device type: a target, or one of these.
enum : int32_t { kUnresolved = -1, kVariableRefused = -2, kNoneUsable = -3 };
std::atomic<int32_t> default_cpu_target{kUnresolved}, default_cuda_target{kUnresolved};

pthread_once_t default_targets_once = PTHREAD_ONCE_INIT;
char refused_name[64];  // the variable's value, for messages; written once, before the targets

int32_t find_target(const char *name) {
  for (int32_t i = 0; i < target_count(); ++i) {
    if (strcmp(name, target_name(i)) == 0) return i;
  }
  return kNoTarget;
}

// CUDA's is not asked whether it is usable: that would start the driver.
int32_t first_target(int32_t device_type) {
  for (int32_t i = 0; i < target_count(); ++i) {
    if (target_device_type(i) != device_type) continue;
    if (device_type == HALNORM_CUDA || target_usable(i)) return i;
  }
  return kNoneUsable;
}

void resolve_default_targets() {
  const char *name = getenv(kVariable);
  int32_t cpu = first_target(HALNORM_CPU), cuda = first_target(HALNORM_CUDA);
  if (name != nullptr && name[0] != '\0') {
    const int32_t forced = find_target(name);
    if (forced == kNoTarget || !target_usable(forced)) {
      snprintf(refused_name, sizeof refused_name, "%s", name);
      cpu = cuda = kVariableRefused;
    } else {
      (target_device_type(forced) == HALNORM_CUDA ? cuda : cpu) = forced;
    }
  }
  default_cpu_target.store(cpu, std::memory_order_release);
  default_cuda_target.store(cuda, std::memory_order_release);
}

[[gnu::cold, gnu::noinline]] Text list_targets() {
  Text list;
  for (int32_t i = 0; i < target_count(); ++i) {
    list.append("%s%s (%s)", i == 0 ? "" : ", ", target_name(i),
                target_usable(i) ? "usable" : "not usable on this machine");
  }
  return list;
}

// `origin` names where the target was asked for.
[[gnu::cold, gnu::noinline]] halnorm_status refuse_target(const char *origin, const char *name) {
  return fail(
      HALNORM_UNSUPPORTED, "%s: is \"%s\", which %s; the targets of this build are: %s", origin,
      name,
      find_target(name) == kNoTarget ? "is no target of this build" : "this machine cannot run",
      list_targets().data);
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_default_target(int32_t reason,
                                                                  int32_t device_type) {
  if (reason == kVariableRefused) {
    return refuse_target("environment variable HALNORM_TARGET", refused_name);
  }
  return fail(HALNORM_UNSUPPORTED,
              "this machine can run no target of this build for %s tensors; the targets of this "
              "build are: %s",
              device_type == HALNORM_CUDA ? "CUDA" : "CPU", list_targets().data);
}

halnorm_status check_context(const halnorm_context *context) {
  if (context != nullptr) return HALNORM_OK;
  return fail(HALNORM_INVALID_ARGUMENT,
              "context: is NULL; expected one that "
              "halnorm_context_create made");
}

halnorm_status check_device_type(int32_t type) {
  if (type == HALNORM_CPU || type == HALNORM_CUDA) return HALNORM_OK;
  return fail(HALNORM_INVALID_ARGUMENT, "device: device_type is %d; expected 1 (CPU) or 2 (CUDA)",
              type);
}

}  // namespace

halnorm_status resolve_target(const halnorm_context *context, int32_t device_type,
                              int32_t *target) {
  if (context != nullptr && context->target != kNoTarget &&
      target_device_type(context->target) == device_type) {
    *target = context->target;
    return HALNORM_OK;
  }
  const std::atomic<int32_t> &of_device =
      device_type == HALNORM_CUDA ? default_cuda_target : default_cpu_target;
  int32_t chosen = of_device.load(std::memory_order_acquire);
  if (chosen == kUnresolved) {
    pthread_once(&default_targets_once, resolve_default_targets);
    chosen = of_device.load(std::memory_order_acquire);
  }
  if (chosen < 0) return refuse_default_target(chosen, device_type);
  *target = chosen;
  return HALNORM_OK;
}

}  // namespace halnorm

using halnorm::check_context;
using halnorm::fail;

halnorm_status halnorm_context_create(halnorm_context **out) {
  if (out == nullptr) {
    return fail(HALNORM_INVALID_ARGUMENT, "out: is NULL; expected where to put the context");
  }
  auto *context = static_cast<halnorm_context *>(malloc(sizeof(halnorm_context)));
  if (context == nullptr) {
    return fail(HALNORM_OUT_OF_MEMORY, "no memory for a context of %zu bytes",
                sizeof(halnorm_context));
  }
  *context = halnorm_context{};
  context->target = halnorm::kNoTarget;
  *out = context;
  return HALNORM_OK;
}

void halnorm_context_destroy(halnorm_context *context) { free(context); }

halnorm_status halnorm_context_set_target(halnorm_context *context, const char *name) {
  if (halnorm_status status = check_context(context)) return status;
  if (name == nullptr) {
    context->target = halnorm::kNoTarget;
    return HALNORM_OK;
  }
  const int32_t target = halnorm::find_target(name);
  if (target == halnorm::kNoTarget || !halnorm::target_usable(target)) {
    return halnorm::refuse_target("name", name);
  }
  context->target = target;
  return HALNORM_OK;
}

halnorm_status halnorm_context_set_kernel(halnorm_context *context, const char *name) {
  if (halnorm_status status = check_context(context)) return status;
  const halnorm::Kernel *kernel = name == nullptr ? nullptr : halnorm::kernel_named(name);
  if (name != nullptr && kernel == nullptr) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "name: is \"%s\"; expected one that halnorm_kernel_name() lists", name);
  }
  context->kernel = kernel;
  return HALNORM_OK;
}

halnorm_status halnorm_context_set_num_threads(halnorm_context *context, int32_t n) {
  if (halnorm_status status = check_context(context)) return status;
  if (n < 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "n: is %d; expected 0 (all CPUs) or more", n);
  }
  context->num_threads = n;
  return HALNORM_OK;
}

halnorm_status halnorm_context_set_parallel_for(halnorm_context *context,
                                                halnorm_parallel_for parallel_for, void *pool) {
  if (halnorm_status status = check_context(context)) return status;
  context->parallel_for = parallel_for;
  context->pool = pool;
  return HALNORM_OK;
}

halnorm_status halnorm_context_set_cuda_stream(halnorm_context *context, void *stream) {
  if (halnorm_status status = check_context(context)) return status;
  context->cuda_stream = stream;
  return HALNORM_OK;
}

halnorm_status halnorm_context_set_workspace(halnorm_context *context, halnorm_device device,
                                             void *data, size_t bytes) {
  if (halnorm_status status = check_context(context)) return status;
  if (halnorm_status status = halnorm::check_device_type(device.device_type)) return status;
  if (data == nullptr && bytes != 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "data: is NULL for a workspace of %zu bytes", bytes);
  }
  if (device.device_type == HALNORM_CPU) {
    context->cpu_workspace = data;
    context->cpu_workspace_bytes = bytes;
  } else {
    context->cuda_workspace = data;
    context->cuda_workspace_bytes = bytes;
    context->cuda_workspace_device = device.device_id;
  }
  return HALNORM_OK;
}

halnorm_status halnorm_context_prepare(halnorm_context *context, halnorm_device device) {
  if (halnorm_status status = check_context(context)) return status;
  if (halnorm_status status = halnorm::check_device_type(device.device_type)) return status;
  int32_t target = 0;
  if (halnorm_status status = halnorm::resolve_target(context, device.device_type, &target)) {
    return status;
  }
  if (device.device_type == HALNORM_CPU) return HALNORM_OK;
  halnorm::CudaStream stream;
  if (halnorm_status status = halnorm::open_stream(context, device.device_id, &stream)) {
    return status;
  }
  return halnorm::load_kernels(target, &stream);
}

int32_t halnorm_target_count(void) { return halnorm::target_count(); }

const char *halnorm_target_name(int32_t i) {
  return i >= 0 && i < halnorm::target_count() ? halnorm::target_name(i) : nullptr;
}

int32_t halnorm_target_usable(int32_t i) {
  return i >= 0 && i < halnorm::target_count() && halnorm::target_usable(i);
}
