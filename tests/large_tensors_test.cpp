// SPDX-License-Identifier: Apache-2.0
// Tensors of more than 2^31 elements: in rows, in columns, in one row, and in rows whose elements
// lie far apart. Inputs repeat a stretch of memory, so that only what is written takes room; its
// length divides no power of two, so that an index that wraps around reads something else.
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "process.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr int64_t kPeriod = 2048 * 12289, kPeriods = 86, kElements = kPeriod * kPeriods;
static_assert(kElements > int64_t{1} << 31);
constexpr int64_t kBytesNeeded = int64_t{6} << 30;
constexpr double kEps = 1e-5;
constexpr halnorm_device kCpu = {HALNORM_CPU, 0};

// kElements values in f16 in the memory of kPeriod.
class Repeated {
 public:
  explicit Repeated(uint64_t seed) {
    constexpr size_t kBytes = kPeriod * sizeof(uint16_t);
    const int file = memfd_create("halnorm_tests", 0);
    void *const all = mmap(nullptr, kPeriods * kBytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (file == -1 || all == MAP_FAILED || ftruncate(file, kBytes) != 0) std::abort();
    data_ = static_cast<uint16_t *>(all);
    for (int64_t k = 0; k < kPeriods; ++k) {
      if (mmap(data_ + k * kPeriod, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
               0) == MAP_FAILED) {
        std::abort();
      }
    }
    close(file);
    for (int64_t i = 0; i < kPeriod; ++i) {
      data_[i] = static_cast<uint16_t>(narrow(
          Dtype::f16, sample({Data::Kind::normal, 0.5, 1}, Dtype::f16, seed, 0, i, kPeriod)));
    }
  }
  ~Repeated() { munmap(data_, kElements * sizeof(uint16_t)); }
  Repeated(const Repeated &) = delete;
  Repeated &operator=(const Repeated &) = delete;

  uint16_t *data() const { return data_; }

 private:
  uint16_t *data_;
};

double value(uint16_t bits) { return static_cast<double>(widen(Dtype::f16, bits)); }

// A tensor of any rank for the C interface, dense unless it has strides.
struct View {
  View(void *data, halnorm_dtype dtype, std::vector<int64_t> extents,
       std::vector<int64_t> steps = {})
      : shape(std::move(extents)), strides(std::move(steps)) {
    tensor = {data,  kCpu,         static_cast<int32_t>(shape.size()),
              dtype, shape.data(), strides.empty() ? nullptr : strides.data(),
              0};
  }
  View(const View &) = delete;
  View &operator=(const View &) = delete;
  operator halnorm_tensor *() { return &tensor; }

  std::vector<int64_t> shape, strides;
  halnorm_tensor tensor;
};

class LargeTensors : public testing::Test {
 protected:
  void SetUp() override {
    const char *wanted = std::getenv("HALNORM_TEST_LARGE");
    if (wanted == nullptr || std::string(wanted) != "1") {
      GTEST_SKIP() << "needs 6 GiB and most of a minute; HALNORM_TEST_LARGE=1 runs it";
    }
    if (free_memory_bytes() < kBytesNeeded) {
      GTEST_SKIP() << "needs 6 GiB of free memory; there are "
                   << static_cast<double>(free_memory_bytes()) / (1 << 30);
    }
    x_ = std::make_unique<Repeated>(1);
    dy_ = std::make_unique<Repeated>(2);
    // Not initialized: pages that nobody writes take no memory.
    result_.reset(new uint16_t[kElements]);
  }

  // The first period is that of `first`, and all others are that one.
  void expect_repeated(const uint16_t *first) {
    for (int64_t k = 0; k < kPeriods; ++k) {
      ASSERT_EQ(std::memcmp(result_.get() + k * kPeriod, first, kPeriod * sizeof(uint16_t)), 0)
          << "somewhere in the " << kPeriod << " elements from " << k * kPeriod << " on";
    }
  }

  // Element i of the first period is of channel i mod `channels`, with statistics over all periods.
  void expect_normalized(int64_t channels, const std::vector<float> &mean,
                         const std::vector<float> &rstd);
  void expect_gradient(int64_t channels, const std::vector<float> &mean,
                       const std::vector<float> &rstd, const std::vector<float> *dgamma,
                       const std::vector<float> *dbeta);

  std::unique_ptr<Repeated> x_, dy_;
  std::unique_ptr<uint16_t[]> result_;
};

void expect_near(uint16_t bits, double expected, int64_t element) {
  const double slack = half_ulp(Dtype::f16, expected) + 1e-5 * (1 + std::fabs(expected));
  ASSERT_NEAR(value(bits), expected, slack) << "element " << element;
}

using Sums = std::vector<long double>;

void LargeTensors::expect_normalized(int64_t channels, const std::vector<float> &mean,
                                     const std::vector<float> &rstd) {
  const auto count = static_cast<size_t>(channels);
  const long double n = static_cast<long double>(kPeriod / channels);
  Sums mu(count), variance(count);
  for (int64_t i = 0; i < kPeriod; ++i) {
    mu[static_cast<size_t>(i % channels)] += static_cast<long double>(value(x_->data()[i])) / n;
  }
  for (int64_t i = 0; i < kPeriod; ++i) {
    const auto c = static_cast<size_t>(i % channels);
    const long double d = static_cast<long double>(value(x_->data()[i])) - mu[c];
    variance[c] += d * d / n;
  }
  std::vector<double> deviation_inverse(count);
  for (size_t c = 0; c < count; ++c) {
    deviation_inverse[c] = 1 / std::sqrt(static_cast<double>(variance[c]) + kEps);
    EXPECT_NEAR(static_cast<double>(mean[c]), static_cast<double>(mu[c]), 1e-6);
    EXPECT_NEAR(static_cast<double>(rstd[c]) / deviation_inverse[c], 1, 1e-6);
  }
  for (int64_t i = 0; i < kPeriod; ++i) {
    const auto c = static_cast<size_t>(i % channels);
    const double d = value(x_->data()[i]) - static_cast<double>(mu[c]);
    expect_near(result_[static_cast<size_t>(i)], d * deviation_inverse[c], i);
    if (HasFatalFailure()) return;
  }
  expect_repeated(result_.get());
}

void LargeTensors::expect_gradient(int64_t channels, const std::vector<float> &mean,
                                   const std::vector<float> &rstd, const std::vector<float> *dgamma,
                                   const std::vector<float> *dbeta) {
  const auto count = static_cast<size_t>(channels);
  const auto xhat = [&](int64_t i) {
    const auto c = static_cast<size_t>(i % channels);
    return (value(x_->data()[i]) - static_cast<double>(mean[c])) * static_cast<double>(rstd[c]);
  };
  Sums sum(count), sum_xhat(count), sum_of_sizes(count);
  for (int64_t i = 0; i < kPeriod; ++i) {
    const auto c = static_cast<size_t>(i % channels);
    const double dy = value(dy_->data()[i]);
    sum[c] += static_cast<long double>(dy);
    sum_xhat[c] += static_cast<long double>(dy * xhat(i));
    sum_of_sizes[c] += static_cast<long double>(std::fabs(dy) * (1 + std::fabs(xhat(i))));
  }
  const double n = static_cast<double>(kPeriod / channels);
  for (int64_t i = 0; i < kPeriod; ++i) {
    const auto c = static_cast<size_t>(i % channels);
    const double means = static_cast<double>(sum[c]) / n;
    const double slopes = static_cast<double>(sum_xhat[c]) / n;
    const double g = value(dy_->data()[i]) - means - xhat(i) * slopes;
    expect_near(result_[static_cast<size_t>(i)], g * static_cast<double>(rstd[c]), i);
    if (HasFatalFailure()) return;
  }
  for (size_t c = 0; dgamma != nullptr && c < count; ++c) {
    const double periods = static_cast<double>(kPeriods);
    const double bound = 2e-6 * periods * static_cast<double>(sum_of_sizes[c]);
    EXPECT_NEAR(static_cast<double>((*dgamma)[c]), periods * static_cast<double>(sum_xhat[c]),
                bound);
    EXPECT_NEAR(static_cast<double>((*dbeta)[c]), periods * static_cast<double>(sum[c]), bound);
  }
  expect_repeated(result_.get());
}

constexpr int64_t kRow = 1024;

TEST_F(LargeTensors, InRowsAreAsTheirRows) {
  constexpr int64_t kRows = kElements / kRow, kRowsOfAPeriod = kPeriod / kRow;
  std::vector<float> mean(kRows), rstd(kRows), one_mean(kRowsOfAPeriod), one_rstd(kRowsOfAPeriod);
  std::vector<uint16_t> one(kPeriod);
  const auto call = [&](int64_t rows, uint16_t *y, float *means, float *rstds) {
    ASSERT_EQ(
        halnorm_layer_norm(nullptr, View(x_->data(), HALNORM_F16, {rows, kRow}), nullptr, nullptr,
                           -1, kEps, View(y, HALNORM_F16, {rows, kRow}),
                           View(means, HALNORM_F32, {rows}), View(rstds, HALNORM_F32, {rows}), 0),
        HALNORM_OK)
        << halnorm_last_error();
  };
  call(kRows, result_.get(), mean.data(), rstd.data());
  call(kRowsOfAPeriod, one.data(), one_mean.data(), one_rstd.data());
  expect_repeated(one.data());
  for (size_t row = 0; row < mean.size(); ++row) {
    ASSERT_EQ(mean[row], one_mean[row % one_mean.size()]) << "row " << row;
    ASSERT_EQ(rstd[row], one_rstd[row % one_rstd.size()]) << "row " << row;
  }

  // dx of a row is its own; dgamma and dbeta are sums over all rows.
  const auto call_backward = [&](int64_t rows, uint16_t *dx, float *dgamma, float *dbeta) {
    View mean_view(mean.data(), HALNORM_F32, {rows}), rstd_view(rstd.data(), HALNORM_F32, {rows});
    ASSERT_EQ(halnorm_layer_norm_backward(
                  nullptr, View(dy_->data(), HALNORM_F16, {rows, kRow}),
                  View(x_->data(), HALNORM_F16, {rows, kRow}), nullptr, mean_view, rstd_view, -1,
                  View(dx, HALNORM_F16, {rows, kRow}), View(dgamma, HALNORM_F32, {kRow}),
                  View(dbeta, HALNORM_F32, {kRow}), 0),
              HALNORM_OK)
        << halnorm_last_error();
  };
  std::vector<float> dgamma(kRow), dbeta(kRow), one_dgamma(kRow), one_dbeta(kRow);
  call_backward(kRows, result_.get(), dgamma.data(), dbeta.data());
  call_backward(kRowsOfAPeriod, one.data(), one_dgamma.data(), one_dbeta.data());
  expect_repeated(one.data());
  const double periods = static_cast<double>(kPeriods);
  const double bound = 2e-6 * 2 * static_cast<double>(kRows);  // of a mean of |dy| below 1
  for (size_t i = 0; i < dgamma.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(dgamma[i]), periods * static_cast<double>(one_dgamma[i]),
                bound);
    EXPECT_NEAR(static_cast<double>(dbeta[i]), periods * static_cast<double>(one_dbeta[i]), bound);
  }
}

TEST_F(LargeTensors, InColumnsAreRight) {
  constexpr int64_t kChannels = 64;
  const std::vector<int64_t> shape = {1, kChannels, kElements / kChannels};
  const std::vector<int64_t> channels_last = {kElements, 1, kChannels};
  std::vector<float> mean(kChannels), rstd(kChannels), dgamma(kChannels), dbeta(kChannels);
  View x(x_->data(), HALNORM_F16, shape, channels_last);
  View dy(dy_->data(), HALNORM_F16, shape, channels_last);
  View result(result_.get(), HALNORM_F16, shape, channels_last);
  View mean_view(mean.data(), HALNORM_F32, {kChannels});
  View rstd_view(rstd.data(), HALNORM_F32, {kChannels});
  ASSERT_EQ(halnorm_batch_norm_training(nullptr, x, nullptr, nullptr, kEps, 0, nullptr, nullptr,
                                        result, mean_view, rstd_view, 0),
            HALNORM_OK)
      << halnorm_last_error();
  expect_normalized(kChannels, mean, rstd);
  ASSERT_EQ(halnorm_batch_norm_backward(nullptr, dy, x, nullptr, mean_view, rstd_view, result,
                                        View(dgamma.data(), HALNORM_F32, {kChannels}),
                                        View(dbeta.data(), HALNORM_F32, {kChannels}), 0),
            HALNORM_OK)
      << halnorm_last_error();
  expect_gradient(kChannels, mean, rstd, &dgamma, &dbeta);
}

TEST_F(LargeTensors, InASingleRowAreRight) {
  std::vector<float> mean(1), rstd(1);
  View x(x_->data(), HALNORM_F16, {kElements}), dy(dy_->data(), HALNORM_F16, {kElements});
  View result(result_.get(), HALNORM_F16, {kElements});
  View mean_view(mean.data(), HALNORM_F32, {}), rstd_view(rstd.data(), HALNORM_F32, {});
  ASSERT_EQ(
      halnorm_layer_norm(nullptr, x, nullptr, nullptr, 0, kEps, result, mean_view, rstd_view, 0),
      HALNORM_OK)
      << halnorm_last_error();
  expect_normalized(1, mean, rstd);
  ASSERT_EQ(halnorm_layer_norm_backward(nullptr, dy, x, nullptr, mean_view, rstd_view, 0, result,
                                        nullptr, nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
  expect_gradient(1, mean, rstd, nullptr, nullptr);
}

// Channels first, in rows so long that threads take them in parts: the last part, a block of 64
// elements or more, begins more than 2^31 behind the first.
TEST_F(LargeTensors, WithElementsFarApartAreAsTheirRows) {
  constexpr int64_t kLength = 12289, kRows = kElements / kLength, kSome = 1024;
  static_assert((kLength - 64) * kRows > int64_t{1} << 31);
  const std::vector<int64_t> shape = {kRows, kLength}, strides = {1, kRows};
  ASSERT_EQ(halnorm_rms_norm(nullptr, View(x_->data(), HALNORM_F16, shape, strides), nullptr, -1,
                             kEps, View(result_.get(), HALNORM_F16, shape, strides), nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
  const auto row = [](int64_t some) { return some * (kRows - 1) / (kSome - 1); };
  std::vector<uint16_t> some_x(kSome * kLength), some_y(some_x.size());
  for (int64_t i = 0; i < kLength; ++i) {
    for (int64_t r = 0; r < kSome; ++r) {
      some_x[static_cast<size_t>(i * kSome + r)] = x_->data()[i * kRows + row(r)];
    }
  }
  ASSERT_EQ(
      halnorm_rms_norm(nullptr, View(some_x.data(), HALNORM_F16, {kSome, kLength}, {1, kSome}),
                       nullptr, -1, kEps,
                       View(some_y.data(), HALNORM_F16, {kSome, kLength}, {1, kSome}), nullptr, 0),
      HALNORM_OK)
      << halnorm_last_error();
  for (int64_t i = 0; i < kLength; ++i) {
    for (int64_t r = 0; r < kSome; ++r) {
      ASSERT_EQ(result_[static_cast<size_t>(i * kRows + row(r))],
                some_y[static_cast<size_t>(i * kSome + r)])
          << "row " << row(r) << " element " << i;
    }
  }
}

}  // namespace
}  // namespace halnorm_test
#endif  // __linux__
