// SPDX-License-Identifier: Apache-2.0
// Statistics of very many elements, which batch norm has: 10^6 a channel are as right as 10^3, and
// so are 10^8.
#include <cmath>
#include <cstdlib>
#include <memory>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr double kRight = 1e-6;

// mean in deviations, or to the last bit of f32; rstd and the variance relative to themselves.
void expect_right(float mean, float rstd, double expected_mean, double expected_rstd) {
  const double mean_error = std::fabs(static_cast<double>(mean) - expected_mean);
  EXPECT_LE(mean_error, kRight / expected_rstd + half_ulp(Dtype::f32, expected_mean));
  EXPECT_NEAR(static_cast<double>(rstd) / expected_rstd, 1, kRight);
}

class Million : public testing::TestWithParam<std::tuple<const char *, const char *>> {};

TEST_P(Million, ElementsOfAChannelAreRight) {
  const auto [text, data] = GetParam();
  const Problem problem = must_parse(text);
  std::string error;
  RunOptions options;
  options.data = *parse_data(data, &error);
  options.threads = 0;
  Tensors tensors(problem, Placement::end_flush);
  tensors.fill(options.data, options.seed);
  const Expected expected = reference(tensors);
  ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(as_expected(&tensors, expected));
  for (int64_t channel = 0; channel < tensors.mean->rows(); ++channel) {
    const size_t at = static_cast<size_t>(channel);
    expect_right(tensors.mean->value(channel, 0), tensors.rstd->value(channel, 0),
                 expected.mean[at], expected.rstd[at]);
    if (!tensors.running_var) continue;
    EXPECT_NEAR(
        static_cast<double>(tensors.running_var->value(channel, 0)) / expected.running_var[at], 1,
        kRight);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Million,
    testing::Combine(
        testing::Values("batch_norm_training:f32:10x2x400x250:statistics,running,momentum=1",
                        "batch_norm_training:f32:10x2x400x250:statistics,running,momentum=1,layout="
                        "channels_last",
                        "batch_norm_training:f32:1000000x2:statistics,running,momentum=1"),
        // extremes: +-2^50
        testing::Values("normal", "normal:1e4:1", "extremes")),
    [](const auto &info) {
      return test_name(std::get<0>(info.param)) + "_" + test_name(std::get<1>(info.param));
    });

// In plain memory, since Tensors and the reference take ten times that of the values.
class HundredMillion : public testing::TestWithParam<std::tuple<bool, const char *>> {};

constexpr int64_t kChannels = 2, kElements = 100000000;

TEST_P(HundredMillion, ElementsOfAChannelAreRight) {
  const char *wanted = std::getenv("HALNORM_TEST_LARGE");
  if (wanted == nullptr || std::string(wanted) != "1") {
    GTEST_SKIP() << "needs 0.8 GB and most of a minute; HALNORM_TEST_LARGE=1 runs it";
  }
  const auto [channels_last, text] = GetParam();
  std::string error;
  const Data data = *parse_data(text, &error);
  const std::unique_ptr<float[]> values(new float[kChannels * kElements]);
  const int64_t channel_stride = channels_last ? 1 : kElements;
  const int64_t element_stride = channels_last ? kChannels : 1;
  long double mean[kChannels] = {}, variance[kChannels] = {};
  for (int64_t c = 0; c < kChannels; ++c) {
    for (int64_t i = 0; i < kElements; ++i) {
      float &value = values[static_cast<size_t>(c * channel_stride + i * element_stride)];
      value = sample(data, Dtype::f32, 1, c, i, kElements);
      mean[c] += value;
    }
    mean[c] /= kElements;
    for (int64_t i = 0; i < kElements; ++i) {
      const long double difference =
          values[static_cast<size_t>(c * channel_stride + i * element_stride)] - mean[c];
      variance[c] += difference * difference;
    }
    variance[c] /= kElements;
  }

  int64_t shape[] = {1, kChannels, kElements}, statistic_shape[] = {kChannels};
  int64_t strides[] = {kChannels * kElements, channel_stride, element_stride};
  float means[kChannels], rstds[kChannels];
  halnorm_tensor x = {values.get(), {HALNORM_CPU, 0}, 3, HALNORM_F32, shape, strides, 0};
  halnorm_tensor y = x;  // in place
  halnorm_tensor mean_tensor = {means,           {HALNORM_CPU, 0}, 1, HALNORM_F32,
                                statistic_shape, nullptr,          0};
  halnorm_tensor rstd_tensor = mean_tensor;
  rstd_tensor.data = rstds;
  ASSERT_EQ(halnorm_batch_norm_training(nullptr, &x, nullptr, nullptr, 0, 0, nullptr, nullptr, &y,
                                        &mean_tensor, &rstd_tensor, 0),
            HALNORM_OK)
      << halnorm_last_error();
  for (int64_t c = 0; c < kChannels; ++c) {
    expect_right(means[c], rstds[c], static_cast<double>(mean[c]),
                 static_cast<double>(1 / std::sqrt(variance[c])));
  }
}

INSTANTIATE_TEST_SUITE_P(All, HundredMillion,
                         testing::Combine(testing::Bool(),
                                          testing::Values("normal", "normal:1e4:1", "extremes")),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param) ? "channels_last_"
                                                                      : "channels_first_") +
                                  test_name(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace halnorm_test
