// SPDX-License-Identifier: Apache-2.0
// Modules, their functions, and launches.
#include <string.h>

#include "driver.h"

using namespace halnorm_ptx;

namespace {

// The error log that the options ask for, if they do.
struct ErrorLog {
  char *text = nullptr;
  void **size = nullptr;  // of the buffer; receives what was written

  void write(const std::string &what) const {
    if (size == nullptr) return;
    const size_t room = reinterpret_cast<size_t>(*size);
    const size_t length = text == nullptr || room == 0 ? 0 : std::min(what.size() + 1, room);
    if (length != 0) {
      memcpy(text, what.c_str(), length);
      text[length - 1] = '\0';
    }
    *size = reinterpret_cast<void *>(length);
  }
};

ErrorLog error_log(unsigned int option_count, const CUjit_option *options, void **values) {
  ErrorLog log;
  for (unsigned int k = 0; k < option_count; ++k) {
    if (options[k] == CU_JIT_ERROR_LOG_BUFFER) log.text = static_cast<char *>(values[k]);
    if (options[k] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) log.size = &values[k];
  }
  return log;
}

bool within(const Dim3 &size, const int (&most)[3]) {
  return size.count() != 0 && size.x <= static_cast<uint32_t>(most[0]) &&
         size.y <= static_cast<uint32_t>(most[1]) && size.z <= static_cast<uint32_t>(most[2]);
}

uint32_t most_threads(const Function &function) {
  return function.max_threads == 0 ? kMostThreads : function.max_threads;
}

std::vector<uint8_t> copy_parameters(const Function &function, void **values) {
  std::vector<uint8_t> bytes(function.parameter_bytes);
  for (const Parameter &parameter : function.parameters) {
    memcpy(bytes.data() + parameter.offset, *values++, parameter.size);
  }
  return bytes;
}

}  // namespace

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int option_count,
                            CUjit_option *options, void **option_values) {
  return call_in_context(__func__, [&](Context &current) {
    if (module == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    // It allocates memory, which is why modules want to be loaded before a capture begins.
    const CUresult refused = refuse_while_capturing();
    if (refused != CUDA_SUCCESS) return refused;
    const ErrorLog log = error_log(option_count, options, option_values);
    auto loaded = std::make_unique<LoadedModule>();
    loaded->context = &current;
    try {
      loaded->module = parse(static_cast<const char *>(image));
    } catch (const ParseError &error) {
      log.write(error.what());
      return CUDA_ERROR_INVALID_PTX;
    }
    log.write("");
    *module = driver().modules.add(std::move(loaded));
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleUnload(CUmodule module) {
  return call_in_context(__func__, [&](Context &) {
    const LoadedModule *gone = driver().modules.find(module);
    if (gone == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    driver().functions.remove_if([&](const LoadedFunction &f) { return f.module == gone; });
    driver().modules.remove(module);
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  return call_in_context(__func__, [&](Context &current) {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const LoadedModule *loaded = driver().modules.find(module);
    if (loaded == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    for (const Function &of_module : loaded->module.functions) {
      if (of_module.name != name) continue;
      *function = driver().functions.add(
          std::make_unique<LoadedFunction>(LoadedFunction{&current, loaded, &of_module}));
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
  });
}

// The registers that a compiler would take are not known.
CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
  return call_in_context(__func__, [&](Context &) {
    const LoadedFunction *loaded = driver().functions.find(function);
    if (loaded == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
      case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *value = static_cast<int>(most_threads(*loaded->function));
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *value = 0;
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_PTX_VERSION:
        *value = 70;
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *value = 80;
        return CUDA_SUCCESS;
      case CU_FUNC_ATTRIBUTE_NUM_REGS:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                        unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                        unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                        void **parameters, void **extra) {
  return call_in_context(__func__, [&](Context &current) {
    const LoadedFunction *loaded = driver().functions.find(function);
    Stream *of_launch = nullptr;
    if (loaded == nullptr || loaded->context != &current ||
        !find_stream(stream, current, &of_launch)) {
      return CUDA_ERROR_INVALID_HANDLE;
    }
    if (extra != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
    Launch launch;
    launch.module = &loaded->module->module;
    launch.function = loaded->function;
    launch.grid = {grid_x, grid_y, grid_z};
    launch.block = {block_x, block_y, block_z};
    launch.shared_bytes = shared_bytes;
    if (!within(launch.grid, kLargestGrid) || !within(launch.block, kLargestBlock) ||
        launch.block.count() > kMostThreads ||
        launch.block.count() > most_threads(*loaded->function) || shared_bytes > kMostSharedBytes) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (parameters == nullptr && !loaded->function->parameters.empty()) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    launch.parameters = copy_parameters(*loaded->function, parameters);
    if (of_launch == nullptr) {
      const CUresult refused = refuse_legacy_stream(current);
      return refused == CUDA_SUCCESS ? execute(launch, &current) : refused;
    }
    switch (of_launch->status) {
      case CU_STREAM_CAPTURE_STATUS_INVALIDATED:
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
      case CU_STREAM_CAPTURE_STATUS_ACTIVE:
        of_launch->recorded.push_back({function, std::move(launch)});
        return CUDA_SUCCESS;
      case CU_STREAM_CAPTURE_STATUS_NONE:
        break;
    }
    return execute(launch, &current);
  });
}
