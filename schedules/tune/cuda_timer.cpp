// SPDX-License-Identifier: Apache-2.0
#include "cuda_timer.h"

#include <cstdio>
#include <cstdlib>

namespace halnorm_tune {
namespace {

using halnorm_test::CudaDevice;
using halnorm_test::DeviceMemory;

constexpr size_t kFlushes = 4;  // so many times the L2 cache is written

// The function's type is that of its declaration, which nothing links.
template <typename Function>
Function *look_up(Function *, const char *name) {
  return reinterpret_cast<Function *>(CudaDevice::get().symbol(name));
}

// Calls the driver, and ends the trial with its error.
#define HALNORM_CUDA(function, ...)                                                                \
  do {                                                                                             \
    const CUresult result =                                                                        \
        look_up(static_cast<decltype(&function)>(nullptr), #function)(__VA_ARGS__);                \
    if (result != CUDA_SUCCESS) {                                                                  \
      std::fprintf(stderr, #function ": error %d of the CUDA driver\n", static_cast<int>(result)); \
      std::abort();                                                                                \
    }                                                                                              \
  } while (false)

}  // namespace

CudaTimer::CudaTimer() {
  CudaDevice::get().make_current();
  CUdevice device;
  int cache = 0;
  HALNORM_CUDA(cuCtxGetDevice, &device);
  HALNORM_CUDA(cuDeviceGetAttribute, &cache, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, device);
  flushed_bytes_ = kFlushes * static_cast<size_t>(cache);
  if (flushed_bytes_ > 0) flushed_ = std::make_unique<DeviceMemory>(flushed_bytes_);
}

CudaTimer::~CudaTimer() {
  for (const Pair &pair : events_) {
    HALNORM_CUDA(cuEventDestroy_v2, pair.begin);
    HALNORM_CUDA(cuEventDestroy_v2, pair.end);
  }
}

halnorm_status CudaTimer::time(int64_t calls, const std::function<halnorm_status()> &call,
                               double *seconds) {
  while (static_cast<int64_t>(events_.size()) < calls) {
    Pair pair;
    HALNORM_CUDA(cuEventCreate, &pair.begin, CU_EVENT_DEFAULT);
    HALNORM_CUDA(cuEventCreate, &pair.end, CU_EVENT_DEFAULT);
    events_.push_back(pair);
  }
  const auto count = static_cast<size_t>(calls);
  for (size_t i = 0; i < count; ++i) {
    if (flushed_) HALNORM_CUDA(cuMemsetD8Async, flushed_->address(), 0, flushed_bytes_, nullptr);
    HALNORM_CUDA(cuEventRecord, events_[i].begin, nullptr);
    if (const halnorm_status status = call()) return status;
    HALNORM_CUDA(cuEventRecord, events_[i].end, nullptr);
  }
  *seconds = 0;
  for (size_t i = 0; i < count; ++i) {
    float milliseconds = 0;
    HALNORM_CUDA(cuEventSynchronize, events_[i].end);
    HALNORM_CUDA(cuEventElapsedTime, &milliseconds, events_[i].begin, events_[i].end);
    *seconds += 1e-3 * static_cast<double>(milliseconds);
  }
  return HALNORM_OK;
}

}  // namespace halnorm_tune
