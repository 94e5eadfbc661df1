// SPDX-License-Identifier: Apache-2.0
#include "context.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "dispatch.h"
#include "errors.h"
#include "targets.h"

namespace halnorm {
namespace {

constexpr char kVariable[] = "HALNORM_TARGET";

// What a context without a target of its own gets: a target, or one of these.
enum : int32_t { kUnresolved = -1, kVariableRefused = -2, kNoneUsable = -3 };
std::atomic<int32_t> default_target{kUnresolved};

pthread_once_t default_target_once = PTHREAD_ONCE_INIT;
char refused_name[64];  // the variable's value, for messages; written once, before default_target

int32_t find_target(const char *name) {
  for (int32_t i = 0; i < target_count(); ++i) {
    if (strcmp(name, target_name(i)) == 0) return i;
  }
  return kNoTarget;
}

void resolve_default_target() {
  const char *name = getenv(kVariable);
  int32_t target = kNoneUsable;
  if (name != nullptr && name[0] != '\0') {
    target = find_target(name);
    if (target == kNoTarget || !target_usable(target)) {
      snprintf(refused_name, sizeof refused_name, "%s", name);
      target = kVariableRefused;
    }
  } else {
    for (int32_t i = 0; i < target_count() && target == kNoneUsable; ++i) {
      if (target_usable(i)) target = i;
    }
  }
  default_target.store(target, std::memory_order_release);
}

[[gnu::cold, gnu::noinline]] Text list_targets() {
  Text list;
  for (int32_t i = 0; i < target_count(); ++i) {
    list.append("%s%s (%s)", i == 0 ? "" : ", ", target_name(i),
                target_usable(i) ? "usable" : "not usable on this machine");
  }
  if (target_count() == 0) list.append("none");
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

[[gnu::cold, gnu::noinline]] halnorm_status refuse_default_target(int32_t reason) {
  if (reason == kVariableRefused) {
    return refuse_target("environment variable HALNORM_TARGET", refused_name);
  }
  return fail(HALNORM_UNSUPPORTED,
              "this machine can run no target of this build; the targets of this build are: %s",
              list_targets().data);
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

halnorm_status resolve_cpu_target(const halnorm_context *context, int32_t *target) {
  if (context != nullptr && context->target != kNoTarget) {
    *target = context->target;
    return HALNORM_OK;
  }
  int32_t chosen = default_target.load(std::memory_order_acquire);
  if (chosen == kUnresolved) {
    pthread_once(&default_target_once, resolve_default_target);
    chosen = default_target.load(std::memory_order_acquire);
  }
  if (chosen < 0) return refuse_default_target(chosen);
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
  if (device.device_type == HALNORM_CUDA) {
    return fail(HALNORM_UNSUPPORTED, "device: is CUDA; this build has kernels for the CPU only");
  }
  int32_t target;
  return halnorm::resolve_cpu_target(context, &target);
}

int32_t halnorm_target_count(void) { return halnorm::target_count(); }

const char *halnorm_target_name(int32_t i) {
  return i >= 0 && i < halnorm::target_count() ? halnorm::target_name(i) : nullptr;
}

int32_t halnorm_target_usable(int32_t i) {
  return i >= 0 && i < halnorm::target_count() && halnorm::target_usable(i);
}
