// SPDX-License-Identifier: Apache-2.0
// The driver calls: each error that they document and a test may want to see.
#include <thread>

#include "gpu.h"
#include "ptx.h"

namespace halnorm_ptx_test {
namespace {

template <class Handle>
Handle no_handle() {
  return reinterpret_cast<Handle>(uintptr_t{0x1234});
}

class DriverCalls : public Gpu {};

TEST_F(DriverCalls, NeedAContext) {
  ASSERT_EQ(cuCtxSetCurrent(nullptr), CUDA_SUCCESS);
  CUdeviceptr address = 0;
  CUdevice device = -1;
  CUmodule module = nullptr;
  CUcontext current = context_;
  EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  EXPECT_EQ(current, nullptr);
  EXPECT_EQ(cuMemAlloc_v2(&address, 4), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxGetDevice(&device), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuModuleLoadDataEx(&module, kAddOne.c_str(), 0, nullptr, nullptr),
            CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetDevice(&device), CUDA_SUCCESS);
  EXPECT_EQ(device, 0);
}

TEST_F(DriverCalls, ContextsAreThoseOfAThread) {
  std::thread([] {
    CUcontext current = no_handle<CUcontext>();
    EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    EXPECT_EQ(current, nullptr);
  }).join();
  CUcontext second = nullptr, current = nullptr;
  unsigned long long first_id = 0, second_id = 0;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetId(second, &second_id), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetId(context_, &first_id), CUDA_SUCCESS);
  EXPECT_NE(first_id, second_id);
  std::thread([&] {
    EXPECT_EQ(cuCtxSetCurrent(second), CUDA_SUCCESS);
    EXPECT_EQ(cuCtxDestroy_v2(second), CUDA_SUCCESS);
  }).join();
  CUdevice device = 0;
  EXPECT_EQ(cuCtxGetDevice(&device), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  EXPECT_EQ(cuCtxDestroy_v2(second), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxSetCurrent(second), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  EXPECT_EQ(current, context_);
}

TEST_F(DriverCalls, MayComeFromSeveralThreads) {
  const CUfunction function = load(kAddOne);
  std::vector<CUdeviceptr> memory;
  for (int k = 0; k < 4; ++k) memory.push_back(allocate(std::vector<int>(32)));
  std::vector<std::thread> threads;
  for (CUdeviceptr &of_thread : memory) {
    threads.emplace_back([&] {
      EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
      for (int k = 0; k < 100; ++k) EXPECT_EQ(launch(function, 32, {&of_thread}), CUDA_SUCCESS);
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const CUdeviceptr of_thread : memory) EXPECT_EQ(read<int>(of_thread, 32)[31], 100);
}

TEST_F(DriverCalls, DescribeTheDevice) {
  int version = 0, count = 0, value = 0;
  char name[64] = "";
  CUdevice device = -1;
  EXPECT_EQ(cuDriverGetVersion(&version), CUDA_SUCCESS);
  EXPECT_GE(version, 11000);
  EXPECT_EQ(cuDeviceGetCount(&count), CUDA_SUCCESS);
  EXPECT_GE(count, 1);
  EXPECT_EQ(cuDeviceGet(&device, count), CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(cuDeviceGet(&device, 0), CUDA_SUCCESS);
  EXPECT_EQ(cuDeviceGetName(name, sizeof name, device), CUDA_SUCCESS);
  EXPECT_STRNE(name, "");
  EXPECT_EQ(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, device), CUDA_SUCCESS);
  EXPECT_EQ(value, 32);
  EXPECT_EQ(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_WARP_SIZE, count),
            CUDA_ERROR_INVALID_DEVICE);
  EXPECT_EQ(cuDeviceGetAttribute(&value, static_cast<CUdevice_attribute>(0), device),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverCalls, NameErrors) {
  const char *text = nullptr;
  EXPECT_EQ(cuGetErrorName(CUDA_ERROR_MISALIGNED_ADDRESS, &text), CUDA_SUCCESS);
  EXPECT_STREQ(text, "CUDA_ERROR_MISALIGNED_ADDRESS");
  EXPECT_EQ(cuGetErrorString(CUDA_ERROR_MISALIGNED_ADDRESS, &text), CUDA_SUCCESS);
  EXPECT_STRNE(text, "");
  EXPECT_EQ(cuGetErrorName(static_cast<CUresult>(998), &text), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(text, nullptr);
}

TEST_F(DriverCalls, RefuseWhatIsNotThere) {
  CUfunction function = nullptr;
  int value = 0;
  EXPECT_EQ(cuModuleUnload(no_handle<CUmodule>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuModuleGetFunction(&function, no_handle<CUmodule>(), "test"),
            CUDA_ERROR_INVALID_HANDLE);
  function = load(kAddOne);
  CUfunction missing = nullptr;
  EXPECT_EQ(cuModuleGetFunction(&missing, module_, "missing"), CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, function), CUDA_SUCCESS);
  EXPECT_EQ(cuFuncGetAttribute(&value, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, no_handle<CUfunction>()),
            CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamSynchronize(no_handle<CUstream>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamDestroy_v2(no_handle<CUstream>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuGraphDestroy(no_handle<CUgraph>()), CUDA_ERROR_INVALID_VALUE);
  CUdeviceptr memory = allocate(std::vector<int>(4));
  EXPECT_EQ(launch(function, 4, {&memory}, 0, no_handle<CUstream>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(launch(function, 4, {&memory}), CUDA_SUCCESS);
  EXPECT_EQ(cuModuleUnload(module_), CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 4, {&memory}), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(DriverCalls, RefuseWhatIsOfAnotherContext) {
  const std::string text = kernel_text("", "ret;");
  const CUfunction of_first = load(text);
  CUstream stream_of_first = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream_of_first, CU_STREAM_DEFAULT), CUDA_SUCCESS);
  CUcontext second = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(launch(of_first, 1, {}), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(launch(load(text), 1, {}, 0, stream_of_first), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuCtxDestroy_v2(second), CUDA_SUCCESS);
  EXPECT_EQ(launch(of_first, 1, {}, 0, stream_of_first), CUDA_SUCCESS);
}

TEST_F(DriverCalls, KeepTheLimitsOfALaunch) {
  const CUfunction function = load(kernel_text("", "ret;"));
  const auto result = [](CUfunction of, unsigned int gx, unsigned int gy, unsigned int gz,
                         unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared) {
    return cuLaunchKernel(of, gx, gy, gz, bx, by, bz, shared, nullptr, nullptr, nullptr);
  };
  EXPECT_EQ(result(function, 1, 1, 1, 1024, 1, 1, 48 * 1024), CUDA_SUCCESS);
  EXPECT_EQ(result(function, 1, 1, 1, 1025, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 1, 1, 1, 32, 33, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 1, 1, 1, 1, 1, 65, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 1, 65536, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 1, 1, 65536, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 0x80000000, 1, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 0, 1, 1, 1, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(result(function, 1, 1, 1, 1, 1, 1, 48 * 1024 + 1), CUDA_ERROR_INVALID_VALUE);
  const CUfunction bounded = load(module_text(".visible .entry test() .maxntid 64, 1, 1 { ret; }"));
  int most = 0;
  EXPECT_EQ(cuFuncGetAttribute(&most, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, bounded),
            CUDA_SUCCESS);
  EXPECT_EQ(most, 64);
  EXPECT_EQ(result(bounded, 1, 1, 1, 64, 1, 1, 0), CUDA_SUCCESS);
  EXPECT_EQ(result(bounded, 1, 1, 1, 65, 1, 1, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(load(kAddOne), 1, {}), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverCalls, KeepTheBoundsOfMemory) {
  CUdeviceptr memory = 0;
  EXPECT_EQ(cuMemAlloc_v2(&memory, 0), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemAlloc_v2(&memory, size_t{1} << 60), CUDA_ERROR_OUT_OF_MEMORY);
  ASSERT_EQ(cuMemAlloc_v2(&memory, 100), CUDA_SUCCESS);
  EXPECT_EQ(memory % 256, 0u);
  std::vector<uint8_t> bytes(101);
  EXPECT_EQ(cuMemcpyHtoD_v2(memory, bytes.data(), 101), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemcpyDtoH_v2(bytes.data(), memory + 1, 100), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemsetD8_v2(memory + 90, 7, 11), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemsetD8_v2(memory, 7, 100), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyDtoH_v2(bytes.data(), memory + 1, 99), CUDA_SUCCESS);
  EXPECT_EQ(bytes[98], 7);
  CUmemorytype type = CU_MEMORYTYPE_HOST;
  CUcontext of = nullptr;
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, memory + 50),
            CUDA_SUCCESS);
  EXPECT_EQ(type, CU_MEMORYTYPE_DEVICE);
  EXPECT_EQ(cuPointerGetAttribute(&of, CU_POINTER_ATTRIBUTE_CONTEXT, memory), CUDA_SUCCESS);
  EXPECT_EQ(of, context_);
  EXPECT_EQ(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                  reinterpret_cast<CUdeviceptr>(bytes.data())),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemFree_v2(memory + 4), CUDA_ERROR_INVALID_VALUE);
}

TEST_F(DriverCalls, CopyAndFillInTheOrderOfAStream) {
  const CUdeviceptr from = allocate(std::vector<int>{1, 2, 3, 4}),
                    to = allocate(std::vector<int>(4));
  CUstream stream = nullptr;
  ASSERT_EQ(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  EXPECT_EQ(cuMemsetD8Async(from + 12, 1, 4, stream), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(to, from + 4, 12, stream), CUDA_SUCCESS);
  EXPECT_EQ(cuStreamSynchronize(stream), CUDA_SUCCESS);
  EXPECT_EQ(read<int>(to, 4), (std::vector<int>{2, 3, 0x01010101, 0}));
  EXPECT_EQ(cuMemsetD8Async(from + 12, 1, 5, stream), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(to, from + 4, 13, stream), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(to + 4, from, 16, stream), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(cuMemsetD8Async(from, 1, 4, no_handle<CUstream>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuStreamDestroy_v2(stream), CUDA_SUCCESS);
  // A copy of what nobody wrote is nothing that a kernel may read.
  CUdeviceptr unwritten = 0, copy = allocate(std::vector<int>(1));
  ASSERT_EQ(cuMemAlloc_v2(&unwritten, 4), CUDA_SUCCESS);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(copy, unwritten, 4, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(launch(load(kAddOne), 1, {&copy}), CUDA_ERROR_LAUNCH_FAILED);
}

TEST_F(DriverCalls, TakeTheTimeBetweenEvents) {
  CUevent begin = nullptr, end = nullptr, untimed = nullptr;
  EXPECT_EQ(cuEventCreate(&begin, 4), CUDA_ERROR_INVALID_VALUE);
  ASSERT_EQ(cuEventCreate(&begin, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  ASSERT_EQ(cuEventCreate(&end, CU_EVENT_BLOCKING_SYNC), CUDA_SUCCESS);
  ASSERT_EQ(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING), CUDA_SUCCESS);
  float milliseconds = -1;
  EXPECT_EQ(cuEventRecord(begin, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_ERROR_INVALID_HANDLE);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_EQ(cuEventRecord(end, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuEventRecord(untimed, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuEventSynchronize(end), CUDA_SUCCESS);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, untimed), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_SUCCESS);
  EXPECT_GE(milliseconds, 2);
  EXPECT_LT(milliseconds, 10000);
  EXPECT_EQ(cuEventRecord(end, no_handle<CUstream>()), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuEventDestroy_v2(end), CUDA_SUCCESS);
  EXPECT_EQ(cuEventRecord(end, nullptr), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuEventSynchronize(end), CUDA_ERROR_INVALID_HANDLE);
  EXPECT_EQ(cuEventElapsedTime(&milliseconds, begin, end), CUDA_ERROR_INVALID_HANDLE);
}

TEST_F(DriverCalls, HaveOnePrimaryContext) {
  CUcontext first = nullptr, second = nullptr, current = nullptr;
  EXPECT_EQ(cuDevicePrimaryCtxRetain(&first, 1), CUDA_ERROR_INVALID_DEVICE);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&first, 0), CUDA_SUCCESS);
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 0), CUDA_SUCCESS);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, context_);
  EXPECT_EQ(cuCtxGetCurrent(&current), CUDA_SUCCESS);
  EXPECT_EQ(current, context_);
  EXPECT_EQ(cuCtxDestroy_v2(first), CUDA_ERROR_INVALID_CONTEXT);
  EXPECT_EQ(cuCtxSetCurrent(first), CUDA_SUCCESS);
  CUdeviceptr memory = 0;
  EXPECT_EQ(cuMemAlloc_v2(&memory, 4), CUDA_SUCCESS);
  EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
}

TEST_F(DriverCalls, FailWhereATestAsksForIt) {
  CUdeviceptr memory = 0;
  const long before = halnorm_ptx_calls("cuMemAlloc_v2");
  halnorm_ptx_fail("cuMemAlloc_v2", 2, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(cuMemAlloc_v2(&memory, 4), CUDA_SUCCESS);
  memory = 0;
  EXPECT_EQ(cuMemAlloc_v2(&memory, 4), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(memory, 0u);
  EXPECT_EQ(cuMemAlloc_v2(&memory, 4), CUDA_SUCCESS);
  EXPECT_EQ(halnorm_ptx_calls("cuMemAlloc_v2"), before + 3);
  halnorm_ptx_fail("cuInit", 1, CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(cuInit(0), CUDA_ERROR_NO_DEVICE);
  halnorm_ptx_fail("cuInit", 1, CUDA_ERROR_NO_DEVICE);
  halnorm_ptx_fail("cuInit", 0, CUDA_SUCCESS);
  EXPECT_EQ(cuInit(0), CUDA_SUCCESS);
}

// The name has it run before all others, which initialize the process.
TEST(DriverDeathTest, NothingWorksBeforeInitialization) {
  EXPECT_EXIT(
      {
        int count = 0;
        const bool refused = cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED;
        exit(refused && cuInit(1) == CUDA_ERROR_INVALID_VALUE ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(DriverCalls, DeviceMemoryIsNoneOfTheHosts) {
  CUdeviceptr memory = allocate(std::vector<int>{5});
  EXPECT_DEATH(*reinterpret_cast<volatile int *>(memory) = 1, "");
}

}  // namespace
}  // namespace halnorm_ptx_test
