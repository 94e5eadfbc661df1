// SPDX-License-Identifier: Apache-2.0
#include "cuda_device.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace halnorm_test {
namespace {

template <typename Function>
Function *look_up(void *library, Function *, const char *name) {
  auto *found = reinterpret_cast<Function *>(dlsym(library, name));
  if (found == nullptr) {
    std::fprintf(stderr, "libcuda.so.1 has no %s\n", name);
    std::abort();
  }
  return found;
}

void require(CUresult result, const char *call) {
  if (result == CUDA_SUCCESS) return;
  std::fprintf(stderr, "%s: error %d of the CUDA driver\n", call, static_cast<int>(result));
  std::abort();
}

}  // namespace

// The function's type is that of its declaration, which nothing links.
#define HALNORM_CUDA(function) \
  look_up(library_, static_cast<decltype(&function)>(nullptr), #function)

CudaDevice &CudaDevice::get() {
  static CudaDevice device;
  if (!device.why_none_.empty()) {
    std::fprintf(stderr, "no CUDA device: %s\n", device.why_none_.c_str());
    std::abort();
  }
  return device;
}

std::string CudaDevice::why_none() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  return library == nullptr ? dlerror() : "";
}

CudaDevice::CudaDevice() {
  library_ = dlopen("libcuda.so.1", RTLD_NOW);
  if (library_ == nullptr) {
    why_none_ = dlerror();
    return;
  }
  require(HALNORM_CUDA(cuInit)(0), "cuInit");
  CUdevice device;
  require(HALNORM_CUDA(cuDeviceGet)(&device, 0), "cuDeviceGet");
  require(HALNORM_CUDA(cuCtxCreate_v2)(&context_, 0, device), "cuCtxCreate");
}

uint64_t CudaDevice::allocate(size_t bytes) {
  CUdeviceptr address = 0;
  require(HALNORM_CUDA(cuMemAlloc_v2)(&address, bytes), "cuMemAlloc");
  return address;
}

void CudaDevice::free(uint64_t address) { HALNORM_CUDA(cuMemFree_v2)(address); }

void CudaDevice::upload(uint64_t to, const void *from, size_t bytes) {
  require(HALNORM_CUDA(cuMemcpyHtoD_v2)(to, from, bytes), "cuMemcpyHtoD");
}

void CudaDevice::download(void *to, uint64_t from, size_t bytes) {
  require(HALNORM_CUDA(cuMemcpyDtoH_v2)(to, from, bytes), "cuMemcpyDtoH");
}

void CudaDevice::make_current() {
  require(HALNORM_CUDA(cuCtxSetCurrent)(context_), "cuCtxSetCurrent");
}

void *CudaDevice::symbol(const char *name) const { return dlsym(library_, name); }

}  // namespace halnorm_test
