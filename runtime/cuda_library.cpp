// SPDX-License-Identifier: Apache-2.0
#include "cuda_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "errors.h"

namespace halnorm {
namespace {

pthread_once_t once = PTHREAD_ONCE_INIT;
CudaLibrary library;
bool is_there = false;
char why_not[200];  // written once, before is_there is read

const char *error_name(CUresult error) {
  const char *name = nullptr;
  if (library.cuGetErrorName(error, &name) != CUDA_SUCCESS || name == nullptr) {
    return "an error without a name";
  }
  return name;
}

template <typename Function>
bool look_up(void *handle, const char *symbol, Function *function) {
  *function = reinterpret_cast<Function>(dlsym(handle, symbol));
  if (*function != nullptr) return true;
  snprintf(why_not, sizeof why_not, "libcuda.so.1 has no %s", symbol);
  return false;
}

void open_library() {
  void *handle = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    snprintf(why_not, sizeof why_not, "%s", dlerror());
    return;
  }
#define HALNORM_CUDA_LOOK_UP(function, symbol) \
  if (!look_up(handle, symbol, &library.function)) return;
  HALNORM_CUDA_FUNCTIONS(HALNORM_CUDA_LOOK_UP)
#undef HALNORM_CUDA_LOOK_UP
  library.cuCtxGetId = reinterpret_cast<decltype(library.cuCtxGetId)>(dlsym(handle, "cuCtxGetId"));
  const CUresult error = library.cuInit(0);
  if (error != CUDA_SUCCESS) {
    snprintf(why_not, sizeof why_not, "cuInit: %s", error_name(error));
    return;
  }
  is_there = true;
}

}  // namespace

const CudaLibrary *cuda_library() {
  pthread_once(&once, open_library);
  return is_there ? &library : nullptr;
}

halnorm_status fail_without_cuda() {
  return fail(HALNORM_DEVICE_ERROR, "the CUDA driver cannot be used: %s", why_not);
}

halnorm_status fail_in_cuda(const char *call, CUresult error) {
  return fail(HALNORM_DEVICE_ERROR, "%s: %s", call, error_name(error));
}

bool cuda_usable(int32_t capability) {
  const CudaLibrary *cuda = cuda_library();
  int count = 0;
  if (cuda == nullptr || cuda->cuDeviceGetCount(&count) != CUDA_SUCCESS) return false;
  for (CUdevice device = 0; device < count; ++device) {
    int major = 0, minor = 0;
    if (cuda->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) ==
            CUDA_SUCCESS &&
        cuda->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) ==
            CUDA_SUCCESS &&
        10 * major + minor >= capability) {
      return true;
    }
  }
  return false;
}

}  // namespace halnorm
