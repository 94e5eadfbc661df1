// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "HalideRuntimeOpenCL.h"
#include "storage.h"

#define HALNORM_OPENCL_KERNEL(name) extern "C" int name##_argv(void **arguments);
#include "kernel_table.inc"
#undef HALNORM_OPENCL_KERNEL

namespace halnorm_test {
namespace {

struct Kernel {
  const char *name;
  int (*run)(void **arguments);
};

constexpr Kernel kKernels[] = {
#define HALNORM_OPENCL_KERNEL(name) {#name, name##_argv},
#include "kernel_table.inc"
#undef HALNORM_OPENCL_KERNEL
};

// Other implementations may round otherwise.
constexpr char kPlatform[] = "Portable Computing Language";

}  // namespace

std::string why_no_pocl() {
  // Halide's runtime looks for symbols of the process first: the name that it knows is there only
  // with what programs are developed with.
  void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) return std::string("no OpenCL: ") + dlerror();
  // As the OpenCL specification declares them.
  using GetIds = int32_t(uint32_t, void **, uint32_t *);
  using GetInfo = int32_t(void *, uint32_t, size_t, void *, size_t *);
  constexpr uint32_t kPlatformName = 0x0902;
  auto *get_ids = reinterpret_cast<GetIds *>(dlsym(library, "clGetPlatformIDs"));
  auto *get_info = reinterpret_cast<GetInfo *>(dlsym(library, "clGetPlatformInfo"));
  if (get_ids == nullptr || get_info == nullptr) return "no OpenCL in libOpenCL.so.1";
  constexpr uint32_t kMost = 16;
  void *platforms[kMost];
  uint32_t count = 0;
  if (get_ids(kMost, platforms, &count) != 0) count = 0;
  for (uint32_t k = 0; k < count && k < kMost; ++k) {
    char name[100] = "";
    get_info(platforms[k], kPlatformName, sizeof name, name, nullptr);
    if (std::strcmp(name, kPlatform) != 0) continue;
    halide_opencl_set_platform_name(kPlatform);
    return "";
  }
  return "PoCL is not among the " + std::to_string(count) + " platforms of OpenCL";
}

Elements::Elements(Dtype stored_as, int64_t count)
    : dtype(stored_as), bytes(static_cast<size_t>(count) * size_of(stored_as)) {}

uint32_t Elements::bits(int64_t i) const {
  uint32_t bits = 0;
  std::memcpy(&bits, &bytes[static_cast<size_t>(i) * size_of(dtype)], size_of(dtype));
  return bits;
}

void Elements::set_bits(int64_t i, uint32_t bits) {
  std::memcpy(&bytes[static_cast<size_t>(i) * size_of(dtype)], &bits, size_of(dtype));
}

Launch::Launch(const std::string &kernel, Dtype dtype) : kernel_(nullptr) {
  const std::string symbol = kernel + "_" + name(dtype);
  for (const Kernel &known : kKernels) {
    if (symbol == known.name) kernel_ = known.run;
  }
  if (kernel_ != nullptr) return;
  std::fprintf(stderr, "no kernel %s\n", symbol.c_str());
  std::abort();
}

Launch &Launch::add(void *host, halide_type_t type, const Dimensions &dimensions) {
  buffers_.emplace_back();
  Buffer &added = buffers_.back();
  added.buffer = {};
  added.buffer.host = static_cast<uint8_t *>(host);
  added.buffer.type = type;
  added.buffer.dimensions = static_cast<int32_t>(dimensions.size());
  added.buffer.dim = added.dimensions.data();
  for (size_t d = 0; d < dimensions.size(); ++d) {
    added.dimensions[d] = {0, static_cast<int32_t>(dimensions[d].extent),
                           static_cast<int32_t>(dimensions[d].stride)};
  }
  added.buffer.set_host_dirty();
  arguments_.push_back(&added.buffer);
  return *this;
}

Launch &Launch::add_words(Elements *elements, const Dimensions &dimensions, bool aligned) {
  const int bits = 8 * static_cast<int>(size_of(elements->dtype));
  if (bits == 32) return add(elements->bytes.data(), halide_type_of<float>(), dimensions);
  if (!aligned) return add(elements->bytes.data(), halide_type_of<uint16_t>(), dimensions);
  Dimensions of_words = dimensions;
  of_words[0].extent /= 2;
  for (size_t d = 1; d < of_words.size(); ++d) of_words[d].stride /= 2;
  return add(elements->bytes.data(), halide_type_of<uint32_t>(), of_words);
}

Launch &Launch::add(std::vector<float> *values, const Dimensions &dimensions) {
  return add(values->data(), halide_type_of<float>(), dimensions);
}

Launch::Scalar *Launch::next() {
  scalars_.emplace_back();
  arguments_.push_back(&scalars_.back());
  return &scalars_.back();
}

Launch &Launch::add(int32_t value) {
  next()->i32 = value;
  return *this;
}

Launch &Launch::add(float value) {
  next()->f32 = value;
  return *this;
}

Launch &Launch::add(double value) {
  next()->f64 = value;
  return *this;
}

void Launch::run() {
  // Halide's runtime ends the program where a call of OpenCL fails.
  kernel_(arguments_.data());
  for (Buffer &used : buffers_) {
    halide_copy_to_host(nullptr, &used.buffer);
    halide_device_free(nullptr, &used.buffer);
  }
}

}  // namespace halnorm_test
