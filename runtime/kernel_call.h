// SPDX-License-Identifier: Apache-2.0
// The arguments of a generated kernel, in the form that Halide's C ABI takes them.
#ifndef HALNORM_RUNTIME_KERNEL_CALL_H_
#define HALNORM_RUNTIME_KERNEL_CALL_H_

#include <stdint.h>

#include <new>

#include "HalideRuntime.h"
#include "dispatch.h"
#include "norm_call.h"

namespace halnorm {

struct KernelShape {
  int64_t extent0, stride0 = 1, extent1 = 1, stride1 = 0, extent2 = 1, stride2 = 0;
};

// A buffer of up to three dimensions from index 0. Kernels are built without checks: of the fields
// of a halide_buffer_t they read host, and extent and stride of each dimension.
struct KernelBuffer {
  halide_buffer_t buffer = {};
  halide_dimension_t dimensions[3] = {};

  KernelBuffer() { buffer.dim = dimensions; }
  explicit KernelBuffer(const KernelShape &shape) : KernelBuffer() { reshape(shape); }
  KernelBuffer(const KernelBuffer &) = delete;
  KernelBuffer &operator=(const KernelBuffer &) = delete;

  void reshape(const KernelShape &shape) {
    dimensions[0].extent = static_cast<int32_t>(shape.extent0);
    dimensions[0].stride = static_cast<int32_t>(shape.stride0);
    dimensions[1].extent = static_cast<int32_t>(shape.extent1);
    dimensions[1].stride = static_cast<int32_t>(shape.stride1);
    dimensions[2].extent = static_cast<int32_t>(shape.extent2);
    dimensions[2].stride = static_cast<int32_t>(shape.stride2);
  }
  void *at(const void *data) {
    buffer.host = static_cast<uint8_t *>(const_cast<void *>(data));
    return &buffer;
  }
};

// The arguments of one call, in the order in which the kernel's generator lists them.
class KernelArguments {
 public:
  KernelArguments() {}
  void add(const void *data, const KernelShape &shape) {
    list_[count_] = (new (&buffers_[count_]) KernelBuffer(shape))->at(data);
    ++count_;
  }
  void add(const int32_t *number) { list_[count_++] = const_cast<int32_t *>(number); }
  void run(const Kernel &kernel) { kernel.run(list_); }

 private:
  static constexpr int kMost = 10;
  union {
    KernelBuffer buffers_[kMost];  // only those that are added are filled in
  };
  void *list_[kMost];
  int count_ = 0;
};

inline const void *advance(const void *data, int64_t elements, Storage storage) {
  return static_cast<const uint8_t *>(data) + elements * element_size(storage);
}
inline void *advance(void *data, int64_t elements, Storage storage) {
  return static_cast<uint8_t *>(data) + elements * element_size(storage);
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// count steps of a stride stay within what kernels index with.
inline bool fits_int32(int64_t stride, int64_t count) {
  const int64_t magnitude = stride < 0 ? -stride : stride;
  return magnitude <= INT32_MAX / larger(count, 1);
}

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_KERNEL_CALL_H_
