// SPDX-License-Identifier: Apache-2.0
// Targets that are refused: by a context, and as the value of HALNORM_TARGET, which is read once
// and so in a process that runs one test alone.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "cuda_device.h"
#include "scoped_context.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

std::string cuda_target() {
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    const std::string name = halnorm_target_name(i);
    if (name.rfind("cuda", 0) == 0) return name;
  }
  return "";
}

std::string why_not_without_a_driver() {
  if (cuda_target().empty()) return "this build has no target for CUDA";
  return CudaDevice::why_none().empty() ? "this machine has a CUDA driver" : "";
}

void expect_environment_refused(const std::string &target, const char *why) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  ASSERT_EQ(setenv("HALNORM_TARGET", target.c_str(), 1), 0);
  EXPECT_EXIT(
      {
        const ScopedContext context(1);
        const halnorm_status status = halnorm_context_prepare(context, {HALNORM_CPU, 0});
        std::fprintf(stderr, "%s", halnorm_last_error());
        std::exit(status == HALNORM_UNSUPPORTED ? 0 : 1);
      },
      testing::ExitedWithCode(0), "HALNORM_TARGET: is \"" + target + "\", which " + why);
  unsetenv("HALNORM_TARGET");
}

TEST(RefusedTargets, OfTheEnvironmentAreNamedByPrepare) {
  if (*HALNORM_EMULATOR != '\0') GTEST_SKIP() << "an emulated program cannot start itself anew";
  expect_environment_refused("x86_avx3", "is no target");
}

TEST(RefusedTargets, WithoutADriverAreThoseOfCuda) {
  const std::string why = why_not_without_a_driver(), target = cuda_target();
  if (!why.empty()) GTEST_SKIP() << why;
  expect_environment_refused(target, "this machine cannot run");
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    EXPECT_FALSE(halnorm_target_name(i) == target && halnorm_target_usable(i) != 0);
  }
  const ScopedContext context(1);
  EXPECT_EQ(halnorm_context_set_target(context, target.c_str()), HALNORM_UNSUPPORTED);
  EXPECT_TRUE(contains_word(halnorm_last_error(), target)) << halnorm_last_error();
}

TEST(RefusedTargets, WithoutADriverTensorsOfCudaAreADeviceError) {
  const std::string why = why_not_without_a_driver();
  if (!why.empty()) GTEST_SKIP() << why;
  const ScopedContext context(1);
  const halnorm_device device = {HALNORM_CUDA, 0};
  int64_t shape[] = {2}, none[] = {2, 0};
  float numbers[] = {1, 2};
  halnorm_tensor x = {numbers, device, 1, HALNORM_F32, shape, nullptr, 0};
  halnorm_tensor nothing = {nullptr, device, 2, HALNORM_F32, none, nullptr, 0};
  const auto expect_no_driver = [](halnorm_status status) {
    EXPECT_EQ(status, HALNORM_DEVICE_ERROR);
    EXPECT_EQ(std::string(halnorm_last_error()).rfind("the CUDA driver cannot be used: ", 0), 0)
        << halnorm_last_error();
  };
  expect_no_driver(
      halnorm_layer_norm(context, &x, nullptr, nullptr, 0, 0, &x, nullptr, nullptr, 0));
  expect_no_driver(
      halnorm_layer_norm(context, &nothing, nullptr, nullptr, 1, 0, &nothing, &x, nullptr, 0));
  expect_no_driver(halnorm_context_prepare(context, device));
  EXPECT_EQ(numbers[0], 1);
}

TEST(LastKernel, OfAThreadWithoutCallsIsEmpty) {
  std::thread([] { EXPECT_STREQ(halnorm_last_kernel(), ""); }).join();
}

}  // namespace
}  // namespace halnorm_test
