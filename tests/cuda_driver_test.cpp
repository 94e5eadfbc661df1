// SPDX-License-Identifier: Apache-2.0
// How calls on CUDA tensors use the driver: what they load and launch, on which stream, and what
// becomes of its errors. What fails on purpose does so on the interpreter of tests/ptx/ alone.
#include "cuda_driver.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace halnorm_test {
namespace {

TEST_F(CudaDriver, NormalizesWhatLiesOnTheDevice) {
  EXPECT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(is_normalized());
  EXPECT_NE(std::string(halnorm_last_kernel()).find("__cuda_sm80"), std::string::npos);
}

TEST_F(CudaDriver, AWorkspaceThatIsTooSmallIsRefusedBeforeAnyLaunch) {
  set_workspace(0);
  EXPECT_EQ(layer_norm(), HALNORM_OUT_OF_MEMORY);
  const size_t needed = needed_bytes();
  EXPECT_TRUE(is_unwritten());
  set_workspace(needed);
  EXPECT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(is_normalized());
}

// A call that packs its output needs as much more as that is large, whether one kernel would take
// such rows or not.
TEST_F(CudaDriver, APackedOutputTakesItsSizeOfTheWorkspace) {
  set_workspace(0);
  for (const int64_t n : {7, 64}) {
    int64_t shape[] = {kRows, n}, dense[] = {n, 1}, with_gaps[] = {2 * n, 2};
    halnorm_tensor x = tensor(*x_), y = tensor(*y_), statistic = tensor(*x_);
    x.shape = y.shape = statistic.shape = shape;
    statistic.ndim = 1;
    const auto bytes_of = [&](bool backward, int64_t *strides) {
      y.strides = strides;
      const halnorm_status status =
          backward ? halnorm_layer_norm_backward(context_, &x, &x, nullptr, &statistic, &statistic,
                                                 -1, &y, nullptr, nullptr, 0)
                   : halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, nullptr,
                                        nullptr, 0);
      EXPECT_EQ(status, HALNORM_OUT_OF_MEMORY) << halnorm_last_error();
      return needed_bytes();
    };
    const auto packed = (sizeof(float) * kRows * static_cast<size_t>(n) + 255) / 256 * 256;
    for (const bool backward : {false, true}) {
      EXPECT_EQ(bytes_of(backward, with_gaps), bytes_of(backward, dense) + packed)
          << "n = " << n << ", backward " << backward;
    }
  }
}

TEST_F(CudaDriver, TensorsOfAnotherDeviceAreRefused) {
  halnorm_tensor x = tensor(*x_), y = tensor(*y_);
  x.device.device_id = y.device.device_id = 7;
  EXPECT_EQ(halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, nullptr, nullptr, 0),
            HALNORM_INVALID_ARGUMENT);
  EXPECT_NE(std::string(halnorm_last_error()).find("device 7"), std::string::npos);
}

TEST_F(CudaDriver, AThreadWithoutAContextIsToldSo) {
  halnorm_status status = HALNORM_OK;
  std::string error;
  std::thread([&] {
    status = layer_norm();
    error = halnorm_last_error();
  }).join();
  EXPECT_EQ(status, HALNORM_DEVICE_ERROR);
  EXPECT_NE(error.find("no current CUDA context"), std::string::npos) << error;
}

TEST_F(CudaDriver, ACapturedGraphNormalizesWhenItIsLaunched) {
  CudaDevice &device = CudaDevice::get();
  ASSERT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_OK) << halnorm_last_error();
  const auto create = symbol<decltype(cuStreamCreate)>("cuStreamCreate");
  const auto begin = symbol<decltype(cuStreamBeginCapture_v2)>("cuStreamBeginCapture_v2");
  const auto end = symbol<decltype(cuStreamEndCapture)>("cuStreamEndCapture");
  const auto instantiate =
      symbol<decltype(cuGraphInstantiateWithFlags)>("cuGraphInstantiateWithFlags");
  const auto launch = symbol<decltype(cuGraphLaunch)>("cuGraphLaunch");
  const auto synchronize = symbol<decltype(cuStreamSynchronize)>("cuStreamSynchronize");
  CUstream stream;
  CUgraph graph;
  CUgraphExec executable;
  ASSERT_EQ(create(&stream, CU_STREAM_NON_BLOCKING), CUDA_SUCCESS);
  ASSERT_EQ(halnorm_context_set_cuda_stream(context_, stream), HALNORM_OK);
  ASSERT_EQ(begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  EXPECT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error();
  ASSERT_EQ(end(stream, &graph), CUDA_SUCCESS);
  EXPECT_TRUE(is_unwritten());
  ASSERT_EQ(instantiate(&executable, graph, 0), CUDA_SUCCESS);
  ASSERT_EQ(launch(executable, stream), CUDA_SUCCESS);
  ASSERT_EQ(synchronize(stream), CUDA_SUCCESS);
  EXPECT_TRUE(is_normalized());
  symbol<decltype(cuGraphExecDestroy)>("cuGraphExecDestroy")(executable);
  symbol<decltype(cuGraphDestroy)>("cuGraphDestroy")(graph);
  symbol<decltype(cuStreamDestroy_v2)>("cuStreamDestroy_v2")(stream);
  device.make_current();
}

TEST_F(CudaDriver, ModulesAreLoadedOnceAndCallsAllocateNothing) {
  const auto calls = symbol<long(const char *)>("halnorm_ptx_calls");
  if (calls == nullptr) GTEST_SKIP() << "the driver of a GPU does not count its calls";
  ASSERT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_OK) << halnorm_last_error();
  const long loaded = calls("cuModuleLoadDataEx"), allocated = calls("cuMemAlloc_v2");
  const long launched = calls("cuLaunchKernel");
  EXPECT_GT(loaded, 0);
  for (int repeat = 0; repeat < 3; ++repeat) ASSERT_EQ(layer_norm(), HALNORM_OK);
  ASSERT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_OK);
  EXPECT_EQ(calls("cuModuleLoadDataEx"), loaded);
  EXPECT_EQ(calls("cuMemAlloc_v2"), allocated);
  EXPECT_GT(calls("cuLaunchKernel"), launched);
  for (const char *synchronizing : {"cuCtxSynchronize", "cuStreamSynchronize"}) {
    const long before = calls(synchronizing);
    ASSERT_EQ(layer_norm(), HALNORM_OK);
    EXPECT_EQ(calls(synchronizing), before);
  }
}

TEST_F(CudaDriverAfresh, TheSecondsOfLoadingAreReported) {
  const auto delay = symbol<void(const char *, int)>("halnorm_ptx_delay");
  const auto calls = symbol<long(const char *)>("halnorm_ptx_calls");
  if (delay == nullptr) GTEST_SKIP() << "the driver of a GPU takes the time that it takes";
  const auto seconds_of = [](const auto &body) {
    const double before = halnorm_cuda_load_seconds();
    body();
    return halnorm_cuda_load_seconds() - before;
  };
  const auto prepare = [&] { ASSERT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_OK); };
  const auto normalize = [&] { ASSERT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error(); };
  // Of the first call, which loads some kernels; of prepare, which loads the rest.
  delay("cuModuleLoadDataEx", 20);
  long before = calls("cuModuleLoadDataEx");
  const double first = seconds_of(normalize);
  const auto loaded = static_cast<double>(calls("cuModuleLoadDataEx") - before);
  EXPECT_GT(loaded, 0);
  EXPECT_GE(first, 0.020 * loaded);
  delay("cuModuleLoadDataEx", 1);
  before = calls("cuModuleLoadDataEx");
  const auto begin = std::chrono::steady_clock::now();
  const double rest = seconds_of(prepare);
  const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
  const auto loaded_then = static_cast<double>(calls("cuModuleLoadDataEx") - before);
  EXPECT_GT(loaded_then, loaded);
  EXPECT_GE(rest, 0.001 * loaded_then);
  EXPECT_LE(rest, all.count());
  // There is nothing left to load, and launches are not counted.
  delay("cuLaunchKernel", 5);
  EXPECT_EQ(seconds_of(prepare), 0);
  EXPECT_EQ(seconds_of(normalize), 0);
  std::thread([] { EXPECT_EQ(halnorm_cuda_load_seconds(), 0); }).join();
  for (const char *call : {"cuModuleLoadDataEx", "cuLaunchKernel"}) delay(call, 0);
}

// Each call of the driver fails once, at each of its turns; the next call of ours works.
TEST_F(CudaDriver, EveryErrorComesBackByItsName) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  const auto calls = symbol<long(const char *)>("halnorm_ptx_calls");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  ASSERT_EQ(layer_norm(), HALNORM_OK);
  for (const char *call : {"cuCtxGetCurrent", "cuCtxGetDevice", "cuCtxGetId", "cuLaunchKernel"}) {
    const long before = calls(call);
    ASSERT_EQ(layer_norm(), HALNORM_OK);
    const int turns = static_cast<int>(calls(call) - before);
    EXPECT_GT(turns, 0) << call;
    for (int turn = 1; turn <= turns; ++turn) {
      fill_y(kUnwritten);
      fail(call, turn, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
      EXPECT_EQ(layer_norm(), HALNORM_DEVICE_ERROR) << call;
      EXPECT_EQ(std::string(halnorm_last_error()),
                std::string(call) + ": CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES");
      if (turn == 1) {
        EXPECT_TRUE(is_unwritten()) << call;
      }
      EXPECT_EQ(layer_norm(), HALNORM_OK) << call;
      EXPECT_TRUE(is_normalized()) << call;
    }
  }
}

TEST_F(CudaDriverAfresh, AModuleThatDoesNotLoadIsTriedAgain) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  for (const char *call : {"cuModuleLoadDataEx", "cuModuleGetFunction"}) {
    fail(call, 1, CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_EQ(layer_norm(), HALNORM_DEVICE_ERROR) << call;
    EXPECT_EQ(std::string(halnorm_last_error()), std::string(call) + ": CUDA_ERROR_OUT_OF_MEMORY");
    EXPECT_TRUE(is_unwritten()) << call;
  }
  EXPECT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(is_normalized());
}

TEST_F(CudaDriver, ManyThreadsShareTheModules) {
  ASSERT_EQ(layer_norm(), HALNORM_OK);
  const std::vector<float> alone = y();
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> results(4);
  for (std::vector<float> &result : results) {
    threads.emplace_back([&] {
      CudaDevice &device = CudaDevice::get();
      device.make_current();
      const DeviceMemory output(kBytes), workspace(kWorkspace);
      halnorm_context *context = nullptr;
      if (halnorm_context_create(&context) != HALNORM_OK) return;
      halnorm_context_set_workspace(context, kDevice, workspace.data(), kWorkspace);
      halnorm_tensor x = tensor(*x_), to = tensor(output);
      for (int repeat = 0; repeat < 5; ++repeat) {
        halnorm_layer_norm(context, &x, nullptr, nullptr, -1, 1e-5, &to, nullptr, nullptr, 0);
      }
      result.resize(values_.size());
      device.download(result.data(), output.address(), kBytes);
      halnorm_context_destroy(context);
    });
  }
  for (std::thread &thread : threads) thread.join();
  for (const std::vector<float> &result : results) EXPECT_EQ(result, alone);
}

// Statistics of 0 and 1 make y the x that it was made of, and dx the dy, to the last bit.
TEST_F(CudaDriver, SubnormalsAreKept) {
  const std::vector<float> subnormals = {0x1p-149f, -0x1p-149f, 0x1.8p-140f, -0x1.fffffcp-127f};
  const size_t bytes = sizeof(float) * subnormals.size();
  const float zero_and_one[2] = {0, 1};
  CudaDevice::get().upload(x_->address(), subnormals.data(), bytes);
  const DeviceMemory statistics(sizeof zero_and_one);
  CudaDevice::get().upload(statistics.address(), zero_and_one, sizeof zero_and_one);
  int64_t shape[] = {4, 1}, one[] = {1};
  halnorm_tensor x = tensor(*x_), y = tensor(*y_), mean = tensor(statistics);
  x.shape = y.shape = shape;
  mean.ndim = 1;
  mean.shape = one;
  halnorm_tensor variance = mean;
  variance.byte_offset = sizeof(float);
  const auto expect_the_same = [&](halnorm_status status) {
    EXPECT_EQ(status, HALNORM_OK) << halnorm_last_error();
    std::vector<float> result(subnormals.size());
    CudaDevice::get().download(result.data(), y_->address(), bytes);
    EXPECT_EQ(result, subnormals);
    fill_y(kUnwritten);
  };
  expect_the_same(
      halnorm_batch_norm_inference(context_, &x, nullptr, nullptr, &mean, &variance, 0, &y, 0));
  expect_the_same(halnorm_batch_norm_backward(context_, &x, &x, nullptr, &mean, &variance, &y,
                                              nullptr, nullptr, HALNORM_FIXED_STATISTICS));
}

TEST_F(CudaDriver, EmptyTensorsHaveNanStatisticsAndZeroGradients) {
  int64_t none[2] = {3, 0}, three[1] = {3};
  halnorm_tensor x = tensor(*x_), y = tensor(*y_), mean = tensor(*workspace_);
  x.shape = y.shape = none;
  mean.ndim = 1;
  mean.shape = three;
  ASSERT_EQ(halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, &mean, nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
  float statistics[3];
  CudaDevice::get().download(statistics, workspace_->address(), sizeof statistics);
  for (const float value : statistics) EXPECT_TRUE(std::isnan(value));
}

}  // namespace
}  // namespace halnorm_test
