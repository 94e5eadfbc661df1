// SPDX-License-Identifier: Apache-2.0
// What Halide's kernels for CUDA call, in place of the part of Halide's runtime that makes a
// context of its own, works on the default stream and gives a thread no more than 64 registers. All
// else of that runtime is linked; its functions are weak. Modules and memory are kept until the
// process ends.
#include <HalideRuntimeCuda.h>
#include <dlfcn.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "runtime/cuda_driver.h"

namespace {

template <typename Function>
Function *look_up(Function *, const char *name) {
  static void *const library = dlopen("libcuda.so.1", RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<Function *>(dlsym(library, name));
}

// The function's type is that of its declaration, which nothing links.
#define HALNORM_CUDA(function) look_up(static_cast<decltype(&function)>(nullptr), #function)

CUstream stream;
std::string trouble;
std::multimap<size_t, CUdeviceptr> unused;  // by size
std::map<CUdeviceptr, size_t> sizes;
constexpr halide_device_interface_t kInterface = {};

int check(CUresult result, const char *call) {
  if (result == CUDA_SUCCESS) return 0;
  const char *name = "an unknown error";
  HALNORM_CUDA(cuGetErrorName)(result, &name);
  trouble = std::string(call) + ": " + name;
  return halide_error_code_generic_error;
}

void keep_error(void *, const char *message) { trouble = message; }

}  // namespace

extern "C" {

// Where the kernels of this object run from now on.
void halnorm_baseline_use(void *of_driver) {
  stream = static_cast<CUstream>(of_driver);
  halide_set_error_handler(keep_error);
}

// What the last call that failed says.
const char *halnorm_baseline_trouble() { return trouble.c_str(); }

const halide_device_interface_t *halide_cuda_device_interface() { return &kInterface; }

int halide_cuda_initialize_kernels(void *, void **state, const char *ptx, int) {
  if (*state != nullptr) return 0;
  CUmodule module = nullptr;
  const int status = check(HALNORM_CUDA(cuModuleLoadDataEx)(&module, ptx, 0, nullptr, nullptr),
                           "cuModuleLoadDataEx");
  *state = module;
  return status;
}

void halide_cuda_finalize_kernels(void *, void *) {}

int halide_cuda_run(void *, void *state, const char *entry_name, int blocks_x, int blocks_y,
                    int blocks_z, int threads_x, int threads_y, int threads_z, int shared_bytes,
                    size_t argument_sizes[], void *arguments[], int8_t is_buffer[]) {
  const auto u = [](int value) { return static_cast<unsigned int>(value); };
  CUfunction function;
  if (int status = check(
          HALNORM_CUDA(cuModuleGetFunction)(&function, static_cast<CUmodule>(state), entry_name),
          "cuModuleGetFunction")) {
    return status;
  }
  std::vector<void *> list;
  for (size_t k = 0; argument_sizes[k] != 0; ++k) {
    list.push_back(is_buffer[k] != 0 ? &static_cast<halide_buffer_t *>(arguments[k])->device
                                     : arguments[k]);
  }
  return check(HALNORM_CUDA(cuLaunchKernel)(function, u(blocks_x), u(blocks_y), u(blocks_z),
                                            u(threads_x), u(threads_y), u(threads_z),
                                            u(shared_bytes), stream, list.data(), nullptr),
               "cuLaunchKernel");
}

// Tensors are on the device as they come; of what lies between kernels, memory is taken again in
// the order of the stream.
int halide_copy_to_device(void *, halide_buffer_t *buffer, const halide_device_interface_t *) {
  return halide_device_malloc(nullptr, buffer, &kInterface);
}

int halide_copy_to_host(void *, halide_buffer_t *) {
  trouble = "a part of it is scheduled for the CPU";
  return halide_error_code_copy_to_host_failed;
}

int halide_device_malloc(void *, halide_buffer_t *buffer, const halide_device_interface_t *) {
  if (buffer->device != 0) return 0;
  const size_t size = buffer->size_in_bytes();
  CUdeviceptr address;
  if (const auto found = unused.find(size); found != unused.end()) {
    address = found->second;
    unused.erase(found);
  } else if (int status = check(HALNORM_CUDA(cuMemAlloc_v2)(&address, size), "cuMemAlloc")) {
    return status;
  }
  sizes[address] = size;
  buffer->device = address;
  buffer->device_interface = &kInterface;
  return 0;
}

int halide_device_free(void *, halide_buffer_t *buffer) {
  const auto found = sizes.find(buffer->device);
  if (found != sizes.end()) unused.emplace(found->second, found->first);
  buffer->device = 0;
  return 0;
}

void halide_device_free_as_destructor(void *, void *buffer) {
  halide_device_free(nullptr, static_cast<halide_buffer_t *>(buffer));
}
}
