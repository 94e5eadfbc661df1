// SPDX-License-Identifier: Apache-2.0
// The CUDA driver: libcuda.so.1, opened by the first call that needs it.
#ifndef HALNORM_RUNTIME_CUDA_LIBRARY_H_
#define HALNORM_RUNTIME_CUDA_LIBRARY_H_

#include <stdint.h>

#include "cuda_driver.h"
#include "halnorm.h"

namespace halnorm {

// Its functions, and the names that the library exports them under.
#define HALNORM_CUDA_FUNCTIONS(FUNCTION)                 \
  FUNCTION(cuInit, "cuInit")                             \
  FUNCTION(cuGetErrorName, "cuGetErrorName")             \
  FUNCTION(cuDeviceGetCount, "cuDeviceGetCount")         \
  FUNCTION(cuDeviceGetAttribute, "cuDeviceGetAttribute") \
  FUNCTION(cuCtxGetCurrent, "cuCtxGetCurrent")           \
  FUNCTION(cuCtxGetDevice, "cuCtxGetDevice")             \
  FUNCTION(cuModuleLoadDataEx, "cuModuleLoadDataEx")     \
  FUNCTION(cuModuleUnload, "cuModuleUnload")             \
  FUNCTION(cuModuleGetFunction, "cuModuleGetFunction")   \
  FUNCTION(cuLaunchKernel, "cuLaunchKernel")

struct CudaLibrary {
#define HALNORM_CUDA_MEMBER(function, symbol) decltype(&::function) function;
  HALNORM_CUDA_FUNCTIONS(HALNORM_CUDA_MEMBER)
#undef HALNORM_CUDA_MEMBER
  decltype(&::cuCtxGetId) cuCtxGetId;  // null before CUDA 12
};

// Null where there is no driver, or one that does not start: fail_without_cuda() says why.
const CudaLibrary *cuda_library();
halnorm_status fail_without_cuda();

// Fails with the driver's name of the error.
halnorm_status fail_in_cuda(const char *call, CUresult error);

// A device of at least this compute capability, in tenths, is there.
bool cuda_usable(int32_t capability);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CUDA_LIBRARY_H_
