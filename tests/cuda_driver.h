// SPDX-License-Identifier: Apache-2.0
// One layer norm on a CUDA device, for tests of what becomes of calls of the driver.
#ifndef HALNORM_TESTS_CUDA_DRIVER_H_
#define HALNORM_TESTS_CUDA_DRIVER_H_

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "cuda_device.h"
#include "halnorm.h"

namespace halnorm_test {

inline constexpr int64_t kRows = 3, kLength = 1500;
constexpr size_t kBytes = sizeof(float) * kRows * kLength;

class CudaDriver : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = CudaDevice::why_none();
    if (!why.empty()) GTEST_SKIP() << why;
    make_current();
    x_ = std::make_unique<DeviceMemory>(kBytes);
    y_ = std::make_unique<DeviceMemory>(kBytes);
    workspace_ = std::make_unique<DeviceMemory>(kWorkspace);
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = static_cast<float>(i % 17) - 3;
    CudaDevice::get().upload(x_->address(), values_.data(), kBytes);
    fill_y(kUnwritten);
    ASSERT_EQ(halnorm_context_create(&context_), HALNORM_OK);
    set_workspace(kWorkspace);
  }
  void TearDown() override { halnorm_context_destroy(context_); }
  virtual void make_current() { CudaDevice::get().make_current(); }

  void set_workspace(size_t bytes) {
    ASSERT_EQ(halnorm_context_set_workspace(context_, kDevice, workspace_->data(), bytes),
              HALNORM_OK);
  }
  halnorm_tensor tensor(const DeviceMemory &memory) {
    halnorm_tensor t = {memory.data(), kDevice, 2, HALNORM_F32, shape_, nullptr, 0};
    return t;
  }
  halnorm_status layer_norm() {
    halnorm_tensor x = tensor(*x_), y = tensor(*y_);
    return halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, nullptr, nullptr, 0);
  }
  // Of the workspace, as the last error says.
  static size_t needed_bytes() {
    const std::string error = halnorm_last_error(), words = "the call needs ";
    const size_t at = error.find(words);
    EXPECT_NE(at, std::string::npos) << error;
    return at == std::string::npos ? 0 : std::stoul(error.substr(at + words.size()));
  }
  void fill_y(float value) {
    const std::vector<float> all(values_.size(), value);
    CudaDevice::get().upload(y_->address(), all.data(), kBytes);
  }
  std::vector<float> y() {
    std::vector<float> all(values_.size());
    CudaDevice::get().download(all.data(), y_->address(), kBytes);
    return all;
  }
  bool is_normalized() {
    double sum = 0, squares = 0;
    for (const float value : y()) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    const double n = kRows * kLength;
    return std::fabs(sum / n) < 1e-5 && std::fabs(squares / n - 1) < 1e-3;
  }
  bool is_unwritten() { return y() == std::vector<float>(values_.size(), kUnwritten); }

  // Of the interpreter; null on a GPU.
  template <typename Function>
  static Function *symbol(const char *name) {
    return reinterpret_cast<Function *>(CudaDevice::get().symbol(name));
  }

  static constexpr halnorm_device kDevice = {HALNORM_CUDA, 0};
  static constexpr size_t kWorkspace = 1 << 20;
  static constexpr float kUnwritten = -77;
  int64_t shape_[2] = {kRows, kLength};
  std::vector<float> values_ = std::vector<float>(kRows * kLength);
  std::unique_ptr<DeviceMemory> x_, y_, workspace_;
  halnorm_context *context_ = nullptr;
};

// In a context of the driver's that has loaded nothing yet.
class CudaDriverAfresh : public CudaDriver {
 protected:
  void TearDown() override {
    CudaDriver::TearDown();
    if (of_driver_ == nullptr) return;
    x_.reset();
    y_.reset();
    workspace_.reset();
    symbol<decltype(cuCtxDestroy_v2)>("cuCtxDestroy_v2")(of_driver_);
  }
  void make_current() override {
    CudaDriver::make_current();
    ASSERT_EQ(symbol<decltype(cuCtxCreate_v2)>("cuCtxCreate_v2")(&of_driver_, 0, 0), CUDA_SUCCESS);
  }

 private:
  CUcontext of_driver_ = nullptr;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_CUDA_DRIVER_H_
