// SPDX-License-Identifier: Apache-2.0
// Which tensors share elements: what is decided in unusual cases, and what a call then does. Those
// that are refused have no memory behind them.
#include <cstdint>
#include <string>
#include <vector>

#include "halnorm.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

struct Numbered {
  Numbered(void *data, std::vector<int64_t> extents, std::vector<int64_t> steps = {})
      : shape(std::move(extents)), strides(std::move(steps)) {
    tensor = {data,
              {HALNORM_CPU, 0},
              static_cast<int32_t>(shape.size()),
              HALNORM_F32,
              shape.data(),
              strides.empty() ? nullptr : strides.data(),
              0};
  }
  Numbered(const Numbered &) = delete;
  Numbered &operator=(const Numbered &) = delete;
  operator halnorm_tensor *() { return &tensor; }

  std::vector<int64_t> shape, strides;
  halnorm_tensor tensor;
};

void *address(uintptr_t value) { return reinterpret_cast<void *>(value); }

halnorm_status layer_norm(halnorm_tensor *x, halnorm_tensor *gamma, halnorm_tensor *y) {
  return halnorm_layer_norm(nullptr, x, gamma, nullptr, 0, 1e-5, y, nullptr, nullptr, 0);
}

void expect_refused(halnorm_status status, const std::vector<const char *> &words) {
  EXPECT_EQ(status, HALNORM_INVALID_ARGUMENT) << halnorm_last_error();
  for (const char *word : words) {
    EXPECT_TRUE(contains_word(halnorm_last_error(), word)) << halnorm_last_error();
  }
}

// Of which no two sums are likely to be alike, and none rules others out.
std::vector<int64_t> scattered_strides(size_t count, int64_t about) {
  std::vector<int64_t> strides;
  uint64_t random = 1;
  for (size_t i = 0; i < count; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    strides.push_back(about + static_cast<int64_t>(random >> 33) % about);
  }
  return strides;
}

constexpr size_t kRank = 24;

TEST(Overlap, OfAnOutputThatCannotBeDecidedIsRefused) {
  Numbered x(address(1 << 20), std::vector<int64_t>(kRank, 2), std::vector<int64_t>(kRank, 0));
  Numbered y(address(1 << 30), x.shape, scattered_strides(kRank, int64_t{1} << 30));
  expect_refused(layer_norm(x, nullptr, y), {"y", "decided", "nest"});
}

TEST(Overlap, OfTwoTensorsThatCannotBeDecidedIsRefused) {
  std::vector<int64_t> nested;
  for (size_t i = 0; i < kRank; ++i) nested.push_back(int64_t{1} << (2 * i));
  Numbered x(address(1 << 20), std::vector<int64_t>(kRank, 2), std::vector<int64_t>(kRank, 0));
  Numbered y(address(uint64_t{1} << 60), x.shape, nested);
  Numbered gamma(address(uint64_t{1} << 60), x.shape, scattered_strides(kRank, int64_t{1} << 42));
  gamma.tensor.byte_offset = 12;
  expect_refused(layer_norm(x, gamma, y), {"y", "gamma", "decided"});
}

TEST(Overlap, OfSingleElementsIsNoticed) {
  float element = 2, gamma_element = 3;
  Numbered x(&element, {1}), gamma(&gamma_element, {1});
  expect_refused(layer_norm(x, gamma, gamma), {"y", "gamma"});
  EXPECT_EQ(gamma_element, 3);
  EXPECT_EQ(layer_norm(x, gamma, x), HALNORM_OK) << halnorm_last_error();
}

// Two outputs in one piece of memory by turns.
TEST(Overlap, ThereIsNoneOfGradientsThatTakeTurns) {
  std::vector<float> x_values = {1, 2, 4, 8, 5, 3}, dy_values = {3, -1, 2, 0.5, 1, -4};
  std::vector<float> means = {7.0f / 3, 16.0f / 3}, rstds = {0.5, 0.25};
  Numbered x(x_values.data(), {2, 3}), dy(dy_values.data(), {2, 3});
  Numbered mean(means.data(), {2}), rstd(rstds.data(), {2});
  std::vector<float> alone(6), by_turns(6);
  const auto gradients = [&](float *dgamma_data, float *dbeta_data, int64_t step) {
    Numbered dgamma(dgamma_data, {3}, {step}), dbeta(dbeta_data, {3}, {step});
    EXPECT_EQ(halnorm_layer_norm_backward(nullptr, dy, x, nullptr, mean, rstd, 1, nullptr, dgamma,
                                          dbeta, 0),
              HALNORM_OK)
        << halnorm_last_error();
  };
  gradients(alone.data(), alone.data() + 3, 1);
  gradients(by_turns.data(), by_turns.data() + 1, 2);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(by_turns[2 * i], alone[i]);
    EXPECT_EQ(by_turns[2 * i + 1], alone[i + 3]);
  }
  EXPECT_NE(alone, std::vector<float>(6, 0));
}

TEST(Overlap, MemoryEndsWithTheAddresses) {
  Numbered x(address(UINTPTR_MAX - 7), {2}), y(address(1 << 20), {2});
  expect_refused(layer_norm(x, nullptr, y), {"x", "outside"});
}

TEST(Extents, OfNothingMayMultiplyToMoreThanAnInt64) {
  Numbered x(nullptr, {0, 8, int64_t{1} << 62});
  EXPECT_EQ(layer_norm(x, nullptr, x), HALNORM_OK) << halnorm_last_error();
}

// A message names the argument, however long what follows is.
TEST(Extents, ThatTakeMoreThanAMessageAreCutShort) {
  Numbered x(address(1 << 20), std::vector<int64_t>(32, INT64_MAX));
  expect_refused(layer_norm(x, nullptr, x), {"x", "9223372036854775807", "int64_t"});
}

}  // namespace
}  // namespace halnorm_test
