// SPDX-License-Identifier: Apache-2.0
// Calls on CUDA tensors that take a way of their own through the launcher: parameters, outputs and
// alignments that the tables of cuda_test.cpp do not have, and targets and drivers that are
// refused.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cuda_driver.h"
#include "scoped_context.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

class CudaProblems : public testing::TestWithParam<const char *> {};

TEST_P(CudaProblems, AgreeWithTheReference) {
  const std::string why = CudaDevice::why_none();
  if (!why.empty()) GTEST_SKIP() << why;
  CudaDevice::get().make_current();
  RunOptions options;
  options.target = "cuda_sm80";
  EXPECT_EQ(check(must_parse(GetParam()), options).failure, "");
}

INSTANTIATE_TEST_SUITE_P(
    All, CudaProblems,
    testing::Values(
        // Parameters along two axes that are none.
        "layer_norm_forward:f32:3x4x5:gamma,beta,statistics,axis=1,layout=transposed",
        "layer_norm_backward:f32:3x4x5:gamma,dgamma,dbeta,axis=1,layout=transposed",
        "layer_norm_backward:bf16:3x4x8:gamma,dgamma,dbeta,axis=1,layout=transposed,narrow_"
        "parameters",
        // Gradients of parameters alone.
        "layer_norm_backward:f32:5x12:gamma,dgamma,dbeta,no_dx",
        "rms_norm_backward:f16:5x30:gamma,dgamma,no_dx",
        "batch_norm_backward:f32:3x4x12:gamma,dgamma,dbeta,no_dx",
        "batch_norm_backward:f32:3x4x12:gamma,dgamma,dbeta,fixed",
        "batch_norm_training:f32:3x4x12:gamma,beta,statistics,running,biased",
        // Statistics of three axes.
        "layer_norm_forward:f32:2x3x2x8:gamma,beta,statistics,layout=gaps",
        "layer_norm_backward:f32:2x3x2x2100:gamma,dgamma,dbeta,layout=gaps"),
    [](const auto &info) { return test_name(info.param); });

// Each tensor in turn lies where no vector begins, or half a vector: other kernels, the same bits.
TEST_F(CudaDriver, SameBitsWhicheverTensorIsMisaligned) {
  constexpr size_t kTensors = 6;
  for (const int64_t n : {int64_t{64}, int64_t{2052}}) {
    const size_t bytes = sizeof(float) * 2 * static_cast<size_t>(n), room = bytes + 256;
    std::vector<std::unique_ptr<DeviceMemory>> memory;
    std::vector<float> numbers(room / sizeof(float));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 13) / 4 - 1;
    for (size_t t = 0; t < kTensors; ++t) memory.push_back(std::make_unique<DeviceMemory>(room));
    const float mean_and_rstd[] = {0.25f, -0.5f, 1.5f, 0.75f};
    const DeviceMemory statistics(sizeof mean_and_rstd);
    CudaDevice::get().upload(statistics.address(), mean_and_rstd, sizeof mean_and_rstd);
    int64_t rows[] = {2, n}, two[] = {2};
    // x, dy, gamma and beta, then y and dx.
    const auto results = [&](size_t misaligned, size_t offset) {
      std::vector<halnorm_tensor> tensors;
      for (size_t t = 0; t < kTensors; ++t) {
        const bool is_parameter = t == 2 || t == 3;
        tensors.push_back(tensor(*memory[t]));
        tensors[t].ndim = is_parameter ? 1 : 2;
        tensors[t].shape = is_parameter ? rows + 1 : rows;
        tensors[t].byte_offset = t == misaligned ? offset : 0;
        CudaDevice::get().upload(memory[t]->address() + tensors[t].byte_offset, numbers.data(),
                                 bytes);
      }
      halnorm_tensor mean = tensor(statistics), rstd = mean;
      mean.ndim = rstd.ndim = 1;
      mean.shape = rstd.shape = two;
      rstd.byte_offset = 2 * sizeof(float);
      EXPECT_EQ(halnorm_layer_norm(context_, &tensors[0], &tensors[2], &tensors[3], -1, 1e-5,
                                   &tensors[4], nullptr, nullptr, 0),
                HALNORM_OK)
          << halnorm_last_error();
      EXPECT_EQ(halnorm_layer_norm_backward(context_, &tensors[1], &tensors[0], &tensors[2], &mean,
                                            &rstd, -1, &tensors[5], nullptr, nullptr, 0),
                HALNORM_OK)
          << halnorm_last_error();
      std::vector<float> all(numbers.size() * 2, 0);
      for (size_t k = 0; k < 2; ++k) {
        CudaDevice::get().download(&all[k * numbers.size()],
                                   memory[4 + k]->address() + tensors[4 + k].byte_offset, bytes);
      }
      return all;
    };
    const std::vector<float> aligned = results(kTensors, 0);
    for (size_t t = 0; t < kTensors; ++t) {
      EXPECT_EQ(results(t, 4), aligned) << t << ", n " << n;
      EXPECT_EQ(results(t, 8), aligned) << t << ", n " << n << ", at half a vector";
    }
  }
}

// A step of rows or of what is around them that is no whole vector.
TEST_F(CudaDriver, SameBitsWhateverTheStepsAre) {
  int64_t shape[] = {2, 3, 8}, aligned[] = {28, 8, 1}, odd[] = {25, 8, 1}, odd_rows[] = {28, 9, 1};
  int64_t halves[] = {26, 8, 1}, halves_of_rows[] = {28, 10, 1};
  const auto normalized = [&](int64_t *strides) {
    std::vector<float> x_values(2 * 28, 0), y_values(2 * 28, 0);
    const auto at = [&](int64_t i) {
      return static_cast<size_t>(i / 24 * strides[0] + i / 8 % 3 * strides[1] + i % 8);
    };
    for (int64_t i = 0; i < 48; ++i) x_values[at(i)] = static_cast<float>(i * i % 23);
    const size_t bytes = sizeof(float) * x_values.size();
    CudaDevice::get().upload(x_->address(), x_values.data(), bytes);
    halnorm_tensor x = tensor(*x_), y = tensor(*y_);
    for (halnorm_tensor *t : {&x, &y}) {
      t->ndim = 3;
      t->shape = shape;
      t->strides = strides;
    }
    EXPECT_EQ(halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, nullptr, nullptr, 0),
              HALNORM_OK)
        << halnorm_last_error();
    CudaDevice::get().download(y_values.data(), y_->address(), bytes);
    std::vector<float> all;
    for (int64_t i = 0; i < 48; ++i) all.push_back(y_values[at(i)]);
    return all;
  };
  EXPECT_EQ(normalized(odd), normalized(aligned));
  EXPECT_EQ(normalized(odd_rows), normalized(aligned));
  EXPECT_EQ(normalized(halves), normalized(aligned));
  EXPECT_EQ(normalized(halves_of_rows), normalized(aligned));
}

// Rows that lie along three axes, in another order than their statistics: both are packed. Each
// launch of a call fails in turn.
TEST_F(CudaDriver, EveryErrorComesBackWhereStatisticsArePacked) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  const auto calls = symbol<long(const char *)>("halnorm_ptx_calls");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  const DeviceMemory dx_memory(kBytes), mean_memory(48), rstd_memory(48);
  for (const int64_t n : {int64_t{8}, int64_t{5}}) {
    int64_t shape[] = {2, 3, 2, n}, rows_strides[] = {n, 2 * n, 6 * n, 1};
    halnorm_tensor x = tensor(*x_), y = tensor(*y_), dx = tensor(dx_memory);
    halnorm_tensor mean = tensor(mean_memory), rstd = tensor(rstd_memory);
    for (halnorm_tensor *t : {&x, &y, &dx}) {
      t->ndim = 4;
      t->strides = rows_strides;
    }
    mean.ndim = rstd.ndim = 3;
    for (halnorm_tensor *t : {&x, &y, &dx, &mean, &rstd}) t->shape = shape;
    const auto forward = [&] {
      return halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 1e-5, &y, &mean, &rstd, 0);
    };
    const auto backward = [&] {
      return halnorm_layer_norm_backward(context_, &x, &x, nullptr, &mean, &rstd, -1, &dx, nullptr,
                                         nullptr, 0);
    };
    const auto expect_every_error = [&](const auto &call) {
      const long before = calls("cuLaunchKernel");
      ASSERT_EQ(call(), HALNORM_OK) << halnorm_last_error();
      const int launches = static_cast<int>(calls("cuLaunchKernel") - before);
      EXPECT_GT(launches, 3);
      for (int turn = 1; turn <= launches; ++turn) {
        fail("cuLaunchKernel", turn, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
        EXPECT_EQ(call(), HALNORM_DEVICE_ERROR) << "launch " << turn << ", n " << n;
      }
      EXPECT_EQ(call(), HALNORM_OK) << halnorm_last_error();
    };
    expect_every_error(forward);
    expect_every_error(backward);
    // dy is x: dx is as near to nothing as eps lets it be.
    std::vector<float> result(static_cast<size_t>(12 * n));
    CudaDevice::get().download(result.data(), dx_memory.address(), result.size() * sizeof(float));
    for (const float value : result) EXPECT_LT(std::fabs(value), 1e-5f);
  }
}

// Parameters along two axes that x has in another order, so that they are none for both.
TEST_F(CudaDriver, GradientsOfParametersAlongTwoAxesAreStoredInTheirOrder) {
  int64_t shape[] = {2, 3, 4}, swapped[] = {12, 1, 3}, two[] = {2};
  const float mean_and_rstd[] = {0.25f, -0.5f, 1.5f, 0.75f};
  const DeviceMemory statistics(sizeof mean_and_rstd), dgamma_memory(48), dbeta_memory(48);
  CudaDevice::get().upload(statistics.address(), mean_and_rstd, sizeof mean_and_rstd);
  const auto gradients = [&](int64_t *strides) {
    std::vector<float> numbers(24), all(24);
    for (int64_t i = 0; i < 24; ++i) {
      const int64_t row = i / 12, j = i / 4 % 3, k = i % 4;
      const int64_t at = strides == nullptr ? i : row * 12 + j * strides[1] + k * strides[2];
      numbers[static_cast<size_t>(at)] = static_cast<float>(i * i % 19) / 4;
    }
    CudaDevice::get().upload(x_->address(), numbers.data(), 96);
    halnorm_tensor x = tensor(*x_), mean = tensor(statistics);
    x.ndim = 3;
    x.shape = shape;
    x.strides = strides;
    mean.ndim = 1;
    mean.shape = two;
    halnorm_tensor rstd = mean, dgamma = tensor(dgamma_memory), dbeta = tensor(dbeta_memory);
    rstd.byte_offset = 2 * sizeof(float);
    dgamma.shape = dbeta.shape = shape + 1;
    EXPECT_EQ(halnorm_layer_norm_backward(context_, &x, &x, nullptr, &mean, &rstd, 1, nullptr,
                                          &dgamma, &dbeta, 0),
              HALNORM_OK)
        << halnorm_last_error();
    CudaDevice::get().download(all.data(), dgamma_memory.address(), 48);
    CudaDevice::get().download(&all[12], dbeta_memory.address(), 48);
    return all;
  };
  const std::vector<float> dense = gradients(nullptr);
  EXPECT_EQ(gradients(swapped), dense);
  EXPECT_EQ(dense[12 + 5], static_cast<float>(25 % 19 + 17 * 17 % 19) / 4);
}

// Without one there is no workspace, which whole rows do not need.
TEST_F(CudaDriver, NoContextOfHalnormIsNeeded) {
  const std::vector<float> ones(64, 1), zeros(64, 0);
  const DeviceMemory gamma_memory(256), beta_memory(256), statistics(1024);
  CudaDevice::get().upload(gamma_memory.address(), ones.data(), 256);
  CudaDevice::get().upload(beta_memory.address(), zeros.data(), 256);
  int64_t rows[] = {3, 64};
  halnorm_tensor x = tensor(*x_), y = tensor(*y_);
  halnorm_tensor gamma = tensor(gamma_memory), beta = tensor(beta_memory);
  x.shape = y.shape = rows;
  gamma.ndim = beta.ndim = 1;
  gamma.shape = beta.shape = rows + 1;
  halnorm_tensor mean = tensor(statistics), rstd = mean;
  mean.ndim = rstd.ndim = 1;
  mean.shape = rstd.shape = rows;
  rstd.byte_offset = 256;
  EXPECT_EQ(halnorm_layer_norm(nullptr, &x, &gamma, &beta, -1, 1e-5, &y, &mean, &rstd, 0),
            HALNORM_OK)
      << halnorm_last_error();
  const std::vector<float> without = this->y();
  EXPECT_EQ(halnorm_layer_norm(context_, &x, &gamma, &beta, -1, 1e-5, &y, &mean, &rstd, 0),
            HALNORM_OK);
  EXPECT_EQ(without, this->y());
  EXPECT_EQ(halnorm_layer_norm(nullptr, &x, &gamma, nullptr, -1, 1e-5, &y, &mean, &rstd, 0),
            HALNORM_OUT_OF_MEMORY);
  EXPECT_NE(std::string(halnorm_last_error()).find("has 0 bytes"), std::string::npos)
      << halnorm_last_error();
}

TEST_F(CudaDriver, ResultsOfNothingMayHaveGapsOrNoElements) {
  const std::vector<float> sevens(6, 7);
  CudaDevice::get().upload(y_->address(), sevens.data(), 24);
  int64_t nothing[] = {0, 3}, three[] = {3}, none[] = {0}, two_apart[] = {2};
  halnorm_tensor x = tensor(*x_), dbeta = tensor(*y_), statistic = tensor(*x_);
  x.shape = nothing;
  dbeta.ndim = statistic.ndim = 1;
  dbeta.shape = statistic.shape = three;
  dbeta.strides = two_apart;
  EXPECT_EQ(halnorm_batch_norm_backward(context_, &x, &x, nullptr, &statistic, &statistic, nullptr,
                                        nullptr, &dbeta, 0),
            HALNORM_OK)
      << halnorm_last_error();
  std::vector<float> written(6);
  CudaDevice::get().download(written.data(), y_->address(), 24);
  EXPECT_EQ(written, std::vector<float>({0, 7, 0, 7, 0, 7}));
  statistic.shape = none;
  EXPECT_EQ(halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 0, &x, &statistic, nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
}

TEST_F(CudaDriver, TensorsOfTwoDevicesAreRefused) {
  halnorm_tensor x = tensor(*x_), y = tensor(*y_);
  y.device.device_id = 1;
  EXPECT_EQ(halnorm_layer_norm(context_, &x, nullptr, nullptr, -1, 0, &y, nullptr, nullptr, 0),
            HALNORM_INVALID_ARGUMENT);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "y")) << halnorm_last_error();
}

halnorm_status normalize_on_cpu(const halnorm_context *context, float *result) {
  float values[] = {1, 3};
  int64_t shape[] = {2};
  halnorm_tensor x = {values, {HALNORM_CPU, 0}, 1, HALNORM_F32, shape, nullptr, 0};
  const halnorm_status status =
      halnorm_layer_norm(context, &x, nullptr, nullptr, 0, 0, &x, nullptr, nullptr, 0);
  *result = values[1];
  return status;
}

// A target binds tensors of its own kind of device.
TEST_F(CudaDriver, ATargetLeavesTensorsOfOtherDevicesAlone) {
  float result = 0;
  ASSERT_EQ(halnorm_context_set_target(context_, "cuda_sm80"), HALNORM_OK) << halnorm_last_error();
  EXPECT_EQ(normalize_on_cpu(context_, &result), HALNORM_OK) << halnorm_last_error();
  EXPECT_EQ(result, 1);
  ASSERT_EQ(halnorm_context_set_target(context_, usable_targets().front().c_str()), HALNORM_OK);
  EXPECT_EQ(layer_norm(), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(is_normalized());
}

// The environment is read once: in a process that runs this test alone.
TEST_F(CudaDriver, TheEnvironmentMayNameATargetForCuda) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  ASSERT_EQ(setenv("HALNORM_TARGET", "cuda_sm80", 1), 0);
  EXPECT_EXIT(
      {
        float result = 0;
        const bool right = layer_norm() == HALNORM_OK && is_normalized() &&
                           normalize_on_cpu(context_, &result) == HALNORM_OK && result == 1;
        std::exit(right ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  unsetenv("HALNORM_TARGET");
}

TEST_F(CudaDriverAfresh, PreparingEndsWithTheFirstError) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  fail("cuModuleLoadDataEx", 2, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_DEVICE_ERROR);
  EXPECT_STREQ(halnorm_last_error(), "cuModuleLoadDataEx: CUDA_ERROR_OUT_OF_MEMORY");
  EXPECT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_OK) << halnorm_last_error();
  fail("cuCtxGetCurrent", 1, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(halnorm_context_prepare(context_, kDevice), HALNORM_DEVICE_ERROR);
}

TEST_F(CudaDriver, AnErrorThatTheDriverDoesNotNameIsOneWithoutAName) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  fail("cuLaunchKernel", 1, 12345);
  EXPECT_EQ(layer_norm(), HALNORM_DEVICE_ERROR);
  EXPECT_STREQ(halnorm_last_error(), "cuLaunchKernel: an error without a name");
}

TEST_F(CudaDriver, ATargetWhoseDevicesCannotBeAskedIsNotUsable) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  const auto set_target = [&] { return halnorm_context_set_target(context_, "cuda_sm80"); };
  EXPECT_EQ(set_target(), HALNORM_OK) << halnorm_last_error();
  fail("cuDeviceGetCount", 1, CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(set_target(), HALNORM_UNSUPPORTED);
  for (const int turn : {1, 2}) {
    fail("cuDeviceGetAttribute", turn, CUDA_ERROR_UNKNOWN);
    EXPECT_EQ(set_target(), HALNORM_UNSUPPORTED) << turn;
  }
  EXPECT_EQ(set_target(), HALNORM_OK) << halnorm_last_error();
}

// The driver is asked once: in a process that runs this test alone.
TEST_F(CudaDriver, ADriverThatDoesNotStartIsNamedWithItsError) {
  const auto fail = symbol<void(const char *, int, int)>("halnorm_ptx_fail");
  if (fail == nullptr) GTEST_SKIP() << "the driver of a GPU does not fail on demand";
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        fail("cuInit", 1, CUDA_ERROR_NO_DEVICE);
        const halnorm_status status = layer_norm();
        std::fprintf(stderr, "%s", halnorm_last_error());
        std::exit(status == HALNORM_DEVICE_ERROR ? 0 : 1);
      },
      testing::ExitedWithCode(0), "^the CUDA driver cannot be used: cuInit: CUDA_ERROR_NO_DEVICE$");
}

}  // namespace
}  // namespace halnorm_test
