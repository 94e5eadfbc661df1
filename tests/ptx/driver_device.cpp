// SPDX-License-Identifier: Apache-2.0
// The one device, and contexts.
#include <stdio.h>

#include "driver.h"

using namespace halnorm_ptx;

namespace {

constexpr int kDriverVersion = 12000;
constexpr unsigned int kContextFlags = 0x1f;  // CU_CTX_FLAGS_MASK of CUDA 12.0

const std::map<int, int> kAttributes = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kMostThreads},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, kLargestBlock[0]},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, kLargestBlock[1]},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, kLargestBlock[2]},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, kLargestGrid[0]},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, kLargestGrid[1]},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, kLargestGrid[2]},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, kMostSharedBytes},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, kLanes},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 108},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 0},
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
};

CUcontext make_context() {
  auto made = std::make_unique<Context>();
  made->id = ++driver().contexts_made;
  return driver().contexts.add(std::move(made));
}

}  // namespace

CUresult cuInit(unsigned int flags) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  const CUresult asked_for = enter(__func__);
  if (asked_for != CUDA_SUCCESS) return asked_for;
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  driver().is_initialized = true;
  return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  const CUresult asked_for = enter(__func__);
  if (asked_for != CUDA_SUCCESS) return asked_for;
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = kDriverVersion;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  return call(__func__, [&] {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (ordinal != 0) return CUDA_ERROR_INVALID_DEVICE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetCount(int *count) {
  return call(__func__, [&] {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = 1;
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  return call(__func__, [&] {
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, static_cast<size_t>(length), "interpreter of PTX for sm_80");
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  return call(__func__, [&] {
    const auto found = kAttributes.find(attribute);
    if (value == nullptr || found == kAttributes.end()) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *value = found->second;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device) {
  return call(__func__, [&] {
    if (context == nullptr || (flags & ~kContextFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    *context = make_context();
    context_stack().push_back(*context);
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  return call(__func__, [&] {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (device != 0) return CUDA_ERROR_INVALID_DEVICE;
    if (driver().primary_context == nullptr) driver().primary_context = make_context();
    *context = driver().primary_context;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  return call(__func__, [&] {
    const Context *gone = driver().contexts.find(context);
    if (gone == nullptr || context == driver().primary_context) return CUDA_ERROR_INVALID_CONTEXT;
    const auto is_of_it = [&](const auto &object) { return object.context == gone; };
    driver().functions.remove_if(is_of_it);
    driver().modules.remove_if(is_of_it);
    driver().streams.remove_if(is_of_it);
    driver().events.remove_if(is_of_it);
    driver().graphs.remove_if(is_of_it);
    driver().executables.remove_if(is_of_it);
    driver().contexts.remove(context);
    std::vector<CUcontext> &stack = context_stack();
    if (!stack.empty() && stack.back() == context) stack.pop_back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext *context) {
  return call(__func__, [&] {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = context_stack().empty() ? nullptr : context_stack().back();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetCurrent(CUcontext context) {
  return call(__func__, [&] {
    if (context != nullptr && driver().contexts.find(context) == nullptr) {
      return CUDA_ERROR_INVALID_CONTEXT;
    }
    std::vector<CUcontext> &stack = context_stack();
    if (!stack.empty()) stack.pop_back();
    if (context != nullptr) stack.push_back(context);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice(CUdevice *device) {
  return call_in_context(__func__, [&](Context &) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *id) {
  return call(__func__, [&] {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (context == nullptr && !context_stack().empty()) context = context_stack().back();
    const Context *found = driver().contexts.find(context);
    if (found == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    *id = found->id;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize(void) {
  return call_in_context(__func__, [&](Context &) { return refuse_while_capturing(); });
}
