// SPDX-License-Identifier: Apache-2.0
#include "cuda_launch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <atomic>
#include <new>

#include "HalideRuntimeCuda.h"
#include "context.h"
#include "errors.h"

namespace halnorm {
namespace {

// A function of a module in one of the contexts that it was loaded in.
struct LoadedFunction {
  CUcontext context;
  uint64_t context_id;
  CUfunction function;
  LoadedFunction *next;
};

// Of one module, found through the state that its kernel keeps. Entries are added, never changed:
// they are read without a lock. Those of destroyed contexts stay.
struct Module {
  const char *ptx;
  std::atomic<LoadedFunction *> functions;
};

pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

// Of this thread, waiting for another that loads included.
__thread double load_seconds = 0;

double seconds_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const LoadedFunction *find_function(const Module &module, const CudaStream &stream) {
  const LoadedFunction *loaded = module.functions.load(std::memory_order_acquire);
  while (loaded != nullptr &&
         (loaded->context != stream.context || loaded->context_id != stream.context_id)) {
    loaded = loaded->next;
  }
  return loaded;
}

// Halide takes what a kernel only reads to be read-only while it runs (ld.global.nc), which a
// tensor that is normalized in place is not: these become plain loads. `to` has as much room as
// `ptx`.
void without_read_only_loads(const char *ptx, char *to) {
  static const char kReadOnly[] = "ld.global.nc.", kPlain[] = "ld.global.";
  for (const char *found; (found = strstr(ptx, kReadOnly)) != nullptr;) {
    const auto before = static_cast<size_t>(found - ptx);
    memcpy(to, ptx, before);
    memcpy(to + before, kPlain, strlen(kPlain));
    to += before + strlen(kPlain);
    ptx = found + strlen(kReadOnly);
  }
  memcpy(to, ptx, strlen(ptx) + 1);
}

halnorm_status compile(const CudaStream &stream, const char *ptx, const char *entry_name,
                       CUfunction *function) {
  char log[400] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
  CUmodule loaded;
  CUresult error = stream.cuda->cuModuleLoadDataEx(&loaded, ptx, 2, options, values);
  if (error != CUDA_SUCCESS) {
    if (log[0] == '\0') return fail_in_cuda("cuModuleLoadDataEx", error);
    const char *name = "";
    stream.cuda->cuGetErrorName(error, &name);
    return fail(HALNORM_DEVICE_ERROR, "cuModuleLoadDataEx: %s: %s", name, log);
  }
  error = stream.cuda->cuModuleGetFunction(function, loaded, entry_name);
  if (error == CUDA_SUCCESS) return HALNORM_OK;
  stream.cuda->cuModuleUnload(loaded);
  return fail_in_cuda("cuModuleGetFunction", error);
}

// Under the lock. A module of ours has one kernel.
halnorm_status add_function(Module *module, const CudaStream &stream, const char *entry_name,
                            CUfunction *function) {
  const size_t ptx_bytes = strlen(module->ptx) + 1;
  auto *ptx = static_cast<char *>(malloc(ptx_bytes));
  auto *loaded = static_cast<LoadedFunction *>(malloc(sizeof(LoadedFunction)));
  halnorm_status status;
  if (ptx == nullptr || loaded == nullptr) {
    status =
        fail(HALNORM_OUT_OF_MEMORY, "no memory for %zu bytes", ptx_bytes + sizeof(LoadedFunction));
  } else {
    without_read_only_loads(module->ptx, ptx);
    status = compile(stream, ptx, entry_name, function);
  }
  free(ptx);
  if (status != HALNORM_OK) {
    free(loaded);
    return status;
  }
  *loaded = {stream.context, stream.context_id, *function, module->functions.load()};
  module->functions.store(loaded, std::memory_order_release);
  return HALNORM_OK;
}

halnorm_status load_function(Module *module, const CudaStream &stream, const char *entry_name,
                             CUfunction *function) {
  const LoadedFunction *found = find_function(*module, stream);
  if (found != nullptr) {
    *function = found->function;
    return HALNORM_OK;
  }
  const double begin = seconds_now();
  halnorm_status status = HALNORM_OK;
  pthread_mutex_lock(&loading);
  found = find_function(*module, stream);
  if (found != nullptr) {
    *function = found->function;
  } else {
    status = add_function(module, stream, entry_name, function);
  }
  pthread_mutex_unlock(&loading);
  load_seconds += seconds_now() - begin;
  return status;
}

[[gnu::noinline]] int keep_module(CudaStream *stream, void **state, const char *ptx) {
  auto **kept = reinterpret_cast<Module **>(state);
  if (__atomic_load_n(kept, __ATOMIC_ACQUIRE) != nullptr) return 0;
  auto *module = static_cast<Module *>(malloc(sizeof(Module)));
  if (module == nullptr) {
    stream->status = fail(HALNORM_OUT_OF_MEMORY, "no memory for %zu bytes", sizeof(Module));
    return -1;
  }
  module->ptx = ptx;
  new (&module->functions) std::atomic<LoadedFunction *>(nullptr);
  Module *none = nullptr;
  if (!__atomic_compare_exchange_n(kept, &none, module, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_ACQUIRE)) {
    free(module);
  }
  return 0;
}

struct Grid3 {
  unsigned int x, y, z;
};

[[gnu::noinline]] int launch(CudaStream *stream, Module *module, const char *entry_name,
                             Grid3 blocks, Grid3 threads, unsigned int shared_bytes,
                             const size_t *sizes, void **arguments, const int8_t *is_buffer) {
  constexpr int kMost = 64;
  CUfunction function;
  stream->status = load_function(module, *stream, entry_name, &function);
  if (stream->status != HALNORM_OK || stream->only_load) return 0;
  void *list[kMost];
  for (int k = 0; sizes[k] != 0; ++k) {
    list[k] =
        is_buffer[k] != 0 ? &static_cast<halide_buffer_t *>(arguments[k])->device : arguments[k];
  }
  const CUresult error =
      stream->cuda->cuLaunchKernel(function, blocks.x, blocks.y, blocks.z, threads.x, threads.y,
                                   threads.z, shared_bytes, stream->stream, list, nullptr);
  if (error != CUDA_SUCCESS) stream->status = fail_in_cuda("cuLaunchKernel", error);
  return 0;
}

constexpr halide_device_interface_t kNoInterface = {};

}  // namespace

halnorm_status open_stream(const halnorm_context *context, int32_t device, CudaStream *out) {
  *out = CudaStream{};
  out->cuda = cuda_library();
  if (out->cuda == nullptr) return fail_without_cuda();
  if (context != nullptr) out->stream = static_cast<CUstream>(context->cuda_stream);
  CUresult error = out->cuda->cuCtxGetCurrent(&out->context);
  if (error != CUDA_SUCCESS) return fail_in_cuda("cuCtxGetCurrent", error);
  if (out->context == nullptr) {
    return fail(HALNORM_DEVICE_ERROR,
                "this thread has no current CUDA context; make that of the "
                "tensors current before the call");
  }
  CUdevice current;
  error = out->cuda->cuCtxGetDevice(&current);
  if (error != CUDA_SUCCESS) return fail_in_cuda("cuCtxGetDevice", error);
  if (current != device) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "device: is CUDA device %d; the current CUDA context is of device %d", device,
                current);
  }
  unsigned long long id = 0;
  if (out->cuda->cuCtxGetId != nullptr) {
    error = out->cuda->cuCtxGetId(out->context, &id);
    if (error != CUDA_SUCCESS) return fail_in_cuda("cuCtxGetId", error);
  }
  out->context_id = id;
  return HALNORM_OK;
}

void CudaArguments::add(uint64_t address, Dimension a, Dimension b, Dimension c, Dimension d) {
  ++count_;
  halide_dimension_t *dimensions = dimensions_[count_];
  const Dimension all[kMostDimensions] = {a, b, c, d};
  for (int k = 0; k < kMostDimensions; ++k) {
    dimensions[k].extent = static_cast<int32_t>(all[k].extent);
    dimensions[k].stride = static_cast<int32_t>(all[k].stride);
  }
  buffers_[count_].device = address;
  buffers_[count_].dim = dimensions;
  list_[count_] = &buffers_[count_];
}

halnorm_status CudaArguments::run(const Kernel &kernel, CudaStream *stream) {
  void *user_context = stream;
  list_[0] = &user_context;
  stream->status = HALNORM_OK;
  kernel.run(list_);
  return stream->status;
}

halnorm_status load_kernels(int32_t target, CudaStream *stream) {
  // Whatever its arguments are, this stands for each.
  halide_dimension_t dimensions[4] = {{0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}, {0, 1, 1, 0}};
  halide_buffer_t anything = {};
  anything.dim = dimensions;
  void *user_context = stream, *list[17];
  for (void *&argument : list) argument = &anything;
  list[0] = &user_context;
  stream->only_load = true;
  for (int32_t k = 0; k < halnorm_kernel_count(); ++k) {
    const Kernel &kernel = kernel_at(k);
    if (kernel.target != target) continue;
    stream->status = HALNORM_OK;
    kernel.run(list);
    if (stream->status != HALNORM_OK) return stream->status;
  }
  return HALNORM_OK;
}

}  // namespace halnorm

double halnorm_cuda_load_seconds(void) { return halnorm::load_seconds; }

// What Halide's kernels call; the library has these under other names (cmake/HalnormKernels.cmake).
extern "C" {

const halide_device_interface_t *halide_cuda_device_interface() { return &halnorm::kNoInterface; }

// Tensors are on the device as they come.
int halide_copy_to_device(void *, halide_buffer_t *, const halide_device_interface_t *) {
  return 0;
}

int halide_cuda_initialize_kernels(void *user_context, void **state, const char *ptx, int) {
  return halnorm::keep_module(static_cast<halnorm::CudaStream *>(user_context), state, ptx);
}

void halide_cuda_finalize_kernels(void *, void *) {}

int halide_cuda_run(void *user_context, void *state, const char *entry_name, int blocks_x,
                    int blocks_y, int blocks_z, int threads_x, int threads_y, int threads_z,
                    int shared_bytes, size_t sizes[], void *arguments[], int8_t is_buffer[]) {
  const auto u = [](int value) { return static_cast<unsigned int>(value); };
  return halnorm::launch(
      static_cast<halnorm::CudaStream *>(user_context), static_cast<halnorm::Module *>(state),
      entry_name, {u(blocks_x), u(blocks_y), u(blocks_z)},
      {u(threads_x), u(threads_y), u(threads_z)}, u(shared_bytes), sizes, arguments, is_buffer);
}
}
