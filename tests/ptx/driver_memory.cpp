// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include <algorithm>

#include "driver.h"

using namespace halnorm_ptx;

namespace {

// In the context that the address is of, since all contexts share one space of addresses.
Allocation *find_allocation(CUdeviceptr address, size_t bytes) {
  for (const auto &[handle, context] : driver().contexts) {
    Allocation *found = context->memory.find(address, bytes);
    if (found != nullptr) return found;
  }
  return nullptr;
}

// A copy or a fill of the legacy stream: use(allocation, offset).
template <class Use>
CUresult access(const char *name, CUdeviceptr address, size_t bytes, const Use &use) {
  return call_in_context(name, [&](Context &current) {
    CUresult refused = refuse_legacy_stream(current);
    if (refused == CUDA_SUCCESS) refused = refuse_while_capturing();
    if (refused != CUDA_SUCCESS) return refused;
    if (bytes == 0) return CUDA_SUCCESS;
    Allocation *found = find_allocation(address, bytes);
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    use(found, address - found->begin);
    return CUDA_SUCCESS;
  });
}

void mark_initialized(Allocation *allocation, size_t offset, size_t bytes) {
  memset(allocation->states.data() + offset, kInitialized, bytes);
}

}  // namespace

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  return call_in_context(__func__, [&](Context &current) {
    if (address == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    const CUresult refused = refuse_while_capturing();
    if (refused != CUDA_SUCCESS) return refused;
    const CUdeviceptr begin = current.memory.allocate(bytes);
    if (begin == 0) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = begin;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  return call_in_context(__func__, [&](Context &) {
    if (address == 0) return CUDA_SUCCESS;
    const CUresult refused = refuse_while_capturing();
    if (refused != CUDA_SUCCESS) return refused;
    for (const auto &[handle, context] : driver().contexts) {
      if (context->memory.free(address)) return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  return access(__func__, to, bytes, [&](Allocation *allocation, size_t offset) {
    memcpy(allocation->bytes.data() + offset, from, bytes);
    mark_initialized(allocation, offset, bytes);
  });
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  return access(__func__, from, bytes, [&](Allocation *allocation, size_t offset) {
    memcpy(to, allocation->bytes.data() + offset, bytes);
  });
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes) {
  return access(__func__, to, bytes, [&](Allocation *allocation, size_t offset) {
    memset(allocation->bytes.data() + offset, value, bytes);
    mark_initialized(allocation, offset, bytes);
  });
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  return call_in_context(__func__, [&](Context &current) {
    const CUresult refused = refuse_captured_stream(stream, current);
    if (refused != CUDA_SUCCESS || bytes == 0) return refused;
    Allocation *found = find_allocation(to, bytes);
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    memset(found->bytes.data() + (to - found->begin), value, bytes);
    mark_initialized(found, to - found->begin, bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  return call_in_context(__func__, [&](Context &current) {
    const CUresult refused = refuse_captured_stream(stream, current);
    if (refused != CUDA_SUCCESS || bytes == 0) return refused;
    const Allocation *source = find_allocation(from, bytes);
    Allocation *target = find_allocation(to, bytes);
    if (source == nullptr || target == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const size_t begin = from - source->begin, at = to - target->begin;
    memmove(target->bytes.data() + at, source->bytes.data() + begin, bytes);
    // What nobody wrote stays so in the copy.
    memmove(target->states.data() + at, source->states.data() + begin, bytes);
    return CUDA_SUCCESS;
  });
}

// What is no memory of a device is INVALID_VALUE, as the documentation has it for host memory that
// was not registered.
CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address) {
  return call(__func__, [&] {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (const auto &[handle, context] : driver().contexts) {
      const Allocation *found = context->memory.find(address, 1);
      if (found == nullptr) continue;
      switch (attribute) {
        case CU_POINTER_ATTRIBUTE_CONTEXT:
          *static_cast<CUcontext *>(value) = handle;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
          *static_cast<CUmemorytype *>(value) = CU_MEMORYTYPE_DEVICE;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
          *static_cast<CUdeviceptr *>(value) = address;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED:
          *static_cast<bool *>(value) = false;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
          *static_cast<int *>(value) = 0;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
          *static_cast<CUdeviceptr *>(value) = found->begin;
          return CUDA_SUCCESS;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
          *static_cast<size_t *>(value) = found->size;
          return CUDA_SUCCESS;
      }
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}
