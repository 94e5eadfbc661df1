// SPDX-License-Identifier: Apache-2.0
// Runs kernels that Halide compiled for CUDA, without Halide's runtime: modules are loaded once
// for each context of the driver, launches go to the caller's stream and allocate nothing.
#ifndef HALNORM_RUNTIME_CUDA_LAUNCH_H_
#define HALNORM_RUNTIME_CUDA_LAUNCH_H_

#include <stdint.h>

#include "HalideRuntime.h"
#include "cuda_library.h"
#include "dispatch.h"
#include "halnorm.h"

namespace halnorm {

// Where the launches of a call go. The kernels' user context.
struct CudaStream {
  const CudaLibrary *cuda;
  CUstream stream;
  CUcontext context;      // the current one
  uint64_t context_id;    // tells it from one that is destroyed and had its address
  bool only_load;         // modules are loaded, nothing is launched
  halnorm_status status;  // of the last launch
};

// The stream of the context, null for the default, on the driver's current context; that has to be
// of this device.
halnorm_status open_stream(const halnorm_context *context, int32_t device, CudaStream *out);

// The arguments of a kernel, in the order in which its generator lists them.
class CudaArguments {
 public:
  struct Dimension {
    int64_t extent, stride;
  };

  void add(uint64_t address, Dimension a, Dimension b = {1, 0}, Dimension c = {1, 0},
           Dimension d = {1, 0});
  void add(int32_t value) { next()->i32 = value; }
  void add(float value) { next()->f32 = value; }
  void add(double value) { next()->f64 = value; }

  halnorm_status run(const Kernel &kernel, CudaStream *stream);

 private:
  static constexpr int kMost = 16, kMostDimensions = 4;
  union Scalar {
    int32_t i32;
    float f32;
    double f64;
  };

  Scalar *next() {
    ++count_;
    list_[count_] = &scalars_[count_];
    return &scalars_[count_];
  }

  halide_buffer_t buffers_[kMost + 1] = {};
  halide_dimension_t dimensions_[kMost + 1][kMostDimensions] = {};
  Scalar scalars_[kMost + 1];
  void *list_[kMost + 1];  // the user context first
  int count_ = 0;
};

// Loads the kernels of a target in the current context.
halnorm_status load_kernels(int32_t target, CudaStream *stream);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CUDA_LAUNCH_H_
