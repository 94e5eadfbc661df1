// SPDX-License-Identifier: Apache-2.0
// Kernels for CUDA count elements in 32 bits: tensors that reach farther are refused by name. None
// of these calls comes to a launch, so that there need be no memory behind the tensors.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda_device.h"
#include "halnorm.h"
#include "scoped_context.h"

namespace halnorm_test {
namespace {

constexpr int64_t kMost = INT32_MAX;

// Each has 16 GiB of addresses of its own.
struct FarTensor {
  FarTensor(const char *argument, uintptr_t number, std::vector<int64_t> extents)
      : name(argument), shape(std::move(extents)), strides(shape.size(), 1) {
    tensor.data = reinterpret_cast<void *>(number << 34);
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.shape = shape.data();
    tensor.strides = strides.data();
  }
  FarTensor(const FarTensor &) = delete;
  FarTensor &operator=(const FarTensor &) = delete;
  operator halnorm_tensor *() { return &tensor; }

  const char *const name;
  std::vector<int64_t> shape, strides;
  halnorm_tensor tensor = {nullptr, {HALNORM_CUDA, 0}, 0, HALNORM_F32, nullptr, nullptr, 0};
};

class CudaLimits : public testing::Test {
 protected:
  void SetUp() override {
    const std::string why = CudaDevice::why_none();
    if (!why.empty()) GTEST_SKIP() << why;
    CudaDevice::get().make_current();
  }

  static void expect_refused(halnorm_status status, const char *argument) {
    const std::string error = halnorm_last_error();
    EXPECT_EQ(status, HALNORM_UNSUPPORTED) << error;
    EXPECT_EQ(error.rfind(std::string(argument) + ": ", 0), 0) << error;
    EXPECT_NE(error.find("at most 2147483647 on CUDA"), std::string::npos) << error;
  }

  // The elements of a tensor in turn so far apart, and as far as they may be: the call then wants a
  // workspace, which it does not have.
  template <typename Call>
  static void expect_refused_in_turn(const std::vector<FarTensor *> &tensors, const Call &call) {
    for (FarTensor *far : tensors) {
      for (const int64_t too_far : {kMost + 1, -kMost - 1, kMost + 2, int64_t{1} << 40}) {
        far->strides.back() = too_far;
        far->tensor.byte_offset = too_far < 0 ? uint64_t{1} << 33 : 0;
        expect_refused(call(), far->name);
      }
      far->tensor.byte_offset = 0;
      far->strides.back() = kMost;
      EXPECT_EQ(call(), HALNORM_OUT_OF_MEMORY) << far->name << ": " << halnorm_last_error();
      far->strides.back() = 1;
    }
  }

  const ScopedContext context_ = ScopedContext(1);
};

TEST_F(CudaLimits, OfForwardsAreNamed) {
  FarTensor x("x", 1, {2}), y("y", 2, {2}), gamma("gamma", 3, {2}), beta("beta", 4, {2});
  expect_refused_in_turn({&x, &y, &gamma, &beta}, [&] {
    return halnorm_layer_norm(context_, x, gamma, beta, -1, 0, y, nullptr, nullptr, 0);
  });
}

TEST_F(CudaLimits, OfBackwardsAreNamed) {
  FarTensor x("x", 1, {2}), dy("dy", 2, {2}), dx("dx", 3, {2});
  FarTensor gamma("gamma", 4, {2}), dgamma("dgamma", 5, {2}), dbeta("dbeta", 6, {2});
  FarTensor mean("mean", 7, {}), rstd("rstd", 8, {});
  expect_refused_in_turn({&x, &dy, &dx, &gamma, &dgamma, &dbeta}, [&] {
    return halnorm_layer_norm_backward(context_, dy, x, gamma, mean, rstd, -1, dx, dgamma, dbeta,
                                       0);
  });
}

TEST_F(CudaLimits, OfParametersOfChannelsAreNamed) {
  FarTensor x("x", 1, {1, 2}), dy("dy", 2, {1, 2}), dx("dx", 3, {1, 2});
  FarTensor gamma("gamma", 4, {2}), dgamma("dgamma", 5, {2}), dbeta("dbeta", 6, {2});
  FarTensor mean("mean", 7, {2}), rstd("rstd", 8, {2});
  expect_refused_in_turn({&x, &dy, &dx, &gamma, &dgamma, &dbeta}, [&] {
    return halnorm_batch_norm_backward(context_, dy, x, gamma, mean, rstd, dx, dgamma, dbeta, 0);
  });
}

TEST_F(CudaLimits, OfElementsAreNamed) {
  FarTensor x("x", 1, {kMost + 1}), y("y", 2, {kMost + 1});
  expect_refused(halnorm_layer_norm(context_, x, nullptr, nullptr, -1, 0, y, nullptr, nullptr, 0),
                 "x");
}

TEST_F(CudaLimits, OfResultsOfNothingAreNamed) {
  FarTensor rows("x", 1, {kMost + 1, 0}), mean("mean", 2, {kMost + 1});
  expect_refused(
      halnorm_layer_norm(context_, rows, nullptr, nullptr, -1, 0, rows, mean, nullptr, 0), "mean");
  FarTensor channels("x", 1, {0, kMost + 1}), dbeta("dbeta", 3, {kMost + 1});
  expect_refused(halnorm_batch_norm_backward(context_, channels, channels, nullptr, mean, mean,
                                             channels, nullptr, dbeta, 0),
                 "dbeta");
}

}  // namespace
}  // namespace halnorm_test
