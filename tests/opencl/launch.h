// SPDX-License-Identifier: Apache-2.0
// Runs kernels that Halide compiled for OpenCL, on PoCL, through Halide's own runtime.
#ifndef HALNORM_TESTS_OPENCL_LAUNCH_H_
#define HALNORM_TESTS_OPENCL_LAUNCH_H_

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "HalideRuntime.h"
#include "problem.h"

namespace halnorm_test {

// Empty where there is PoCL.
std::string why_no_pocl();

// As the tensors of a dtype are stored.
struct Elements {
  Elements(Dtype stored_as, int64_t count);
  uint32_t bits(int64_t i) const;
  void set_bits(int64_t i, uint32_t bits);

  Dtype dtype;
  std::vector<uint8_t> bytes;
};

// One run of a kernel. Arguments are added in the order in which its generator lists them, and
// travel from host memory to the device and back.
class Launch {
 public:
  struct Dimension {
    int64_t extent, stride;
  };
  using Dimensions = std::vector<Dimension>;

  Launch(const std::string &kernel, Dtype dtype);
  // Words of two elements, where a kernel of aligned rows takes 16-bit tensors so; extents and
  // strides are of elements.
  Launch &add_words(Elements *elements, const Dimensions &dimensions, bool aligned);
  Launch &add(std::vector<float> *values, const Dimensions &dimensions);
  Launch &add(int32_t value);
  Launch &add(float value);
  Launch &add(double value);
  void run();

 private:
  union Scalar {
    int32_t i32;
    float f32;
    double f64;
  };
  struct Buffer {
    halide_buffer_t buffer;
    std::array<halide_dimension_t, 4> dimensions;
  };
  Launch &add(void *host, halide_type_t type, const Dimensions &dimensions);
  Scalar *next();

  int (*kernel_)(void **arguments);
  std::deque<Buffer> buffers_;  // which never moves what it has
  std::deque<Scalar> scalars_;
  std::vector<void *> arguments_;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_OPENCL_LAUNCH_H_
