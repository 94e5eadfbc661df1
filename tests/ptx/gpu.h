// SPDX-License-Identifier: Apache-2.0
// What the tests of the interpreter need of the driver.
#ifndef HALNORM_TESTS_PTX_GPU_H_
#define HALNORM_TESTS_PTX_GPU_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/cuda_driver.h"

namespace halnorm_ptx_test {

inline std::string module_text(const std::string &functions) {
  return ".version 7.0\n.target sm_80\n.address_size 64\n" + functions;
}

// A kernel `test` of these parameters. It has 16 registers of each kind: %p0, %h0, %r0, %d0 ...
inline std::string kernel_text(const std::string &parameters, const std::string &body) {
  return module_text(".visible .entry test(" + parameters +
                     ")\n{\n.reg .pred %p<16>;\n.reg .b16 %h<16>;\n.reg .b32 %r<16>;\n"
                     ".reg .b64 %d<16>;\n" +
                     body + "\n}\n");
}

// Adds 1 to an int of `memory` for each thread.
inline const std::string kAddOne =
    kernel_text(".param .u64 memory",
                "ld.param.b64 %d0, [memory]; mov.u32 %r0, %tid.x; mul.wide.u32 %d1, %r0, 4;"
                "add.s64 %d0, %d0, %d1; ld.global.b32 %r1, [%d0]; add.s32 %r1, %r1, 1;"
                "st.global.b32 [%d0], %r1; ret;");

// A context of its own for each test.
class Gpu : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(cuInit(0), CUDA_SUCCESS);
    ASSERT_EQ(cuCtxCreate_v2(&context_, 0, 0), CUDA_SUCCESS);
  }
  void TearDown() override { EXPECT_EQ(cuCtxDestroy_v2(context_), CUDA_SUCCESS); }

  CUfunction load(const std::string &text, const char *name = "test") {
    char log[512] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
    CUfunction function = nullptr;
    EXPECT_EQ(cuModuleLoadDataEx(&module_, text.c_str(), 2, options, values), CUDA_SUCCESS)
        << log << "\n"
        << text;
    EXPECT_EQ(cuModuleGetFunction(&function, module_, name), CUDA_SUCCESS);
    return function;
  }

  template <class T>
  CUdeviceptr allocate(const std::vector<T> &values) {
    CUdeviceptr address = 0;
    const size_t bytes = values.size() * sizeof(T);
    EXPECT_EQ(cuMemAlloc_v2(&address, bytes), CUDA_SUCCESS);
    EXPECT_EQ(cuMemcpyHtoD_v2(address, values.data(), bytes), CUDA_SUCCESS);
    return address;
  }

  template <class T>
  std::vector<T> read(CUdeviceptr address, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cuMemcpyDtoH_v2(values.data(), address, count * sizeof(T)), CUDA_SUCCESS);
    return values;
  }

  CUresult launch(CUfunction function, unsigned int threads, std::vector<void *> parameters,
                  unsigned int shared_bytes = 0, CUstream stream = nullptr) {
    return cuLaunchKernel(function, 1, 1, 1, threads, 1, 1, shared_bytes, stream, parameters.data(),
                          nullptr);
  }

  CUcontext context_ = nullptr;
  CUmodule module_ = nullptr;
};

}  // namespace halnorm_ptx_test

#endif  // HALNORM_TESTS_PTX_GPU_H_
