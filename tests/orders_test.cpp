// SPDX-License-Identifier: Apache-2.0
// The orders and roundings of docs/numerics.md, one operation after the other in plain loops: the
// library has the same bits. Compiled without contraction, so that each operation rounds.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr int64_t kLanes = 32, kChunk = 1024, kBlock = 64;  // generators/norm_math.h
constexpr int64_t kParameterColumns = 128;                  // runtime/stage_plan.cpp
constexpr int64_t kSamples = 64;                            // runtime/grid.cpp

using Term = std::function<float(int64_t)>;  // of element i of a run

template <typename Real>
Real folded(std::array<Real, kLanes> lanes) {
  for (size_t width = kLanes / 2; width >= 1; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

// One chunk of a row of n elements, in lanes.
std::array<float, kLanes> chunk_sums(int64_t n, int64_t chunk, const Term &term) {
  std::array<float, kLanes> lanes = {};
  const int64_t left = n % kLanes, whole = n - left;
  for (int64_t i = chunk * kChunk; i < std::min(whole, (chunk + 1) * kChunk); ++i) {
    lanes[static_cast<size_t>(i % kLanes)] += term(i);
  }
  for (int64_t i = whole; chunk == (n - 1) / kChunk && i < n; ++i) {
    lanes[static_cast<size_t>(kLanes - n + i)] += term(i);
  }
  return lanes;
}

double row_tree(int64_t n, const Term &term) {
  if (n <= kChunk) return static_cast<double>(folded(chunk_sums(n, 0, term)));
  std::array<double, kLanes> lanes = {};
  for (int64_t chunk = 0; chunk * kChunk < n; ++chunk) {
    const std::array<float, kLanes> sums = chunk_sums(n, chunk, term);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(sums[lane]);
  }
  return folded(lanes);
}

double column_tree(int64_t n, const Term &term) {
  double total = 0;
  for (int64_t block = 0; block < n; block += kBlock) {
    float sum = 0;
    for (int64_t i = block; i < std::min(n, block + kBlock); ++i) sum += term(i);
    total += static_cast<double>(sum);
  }
  return total;
}

// The model of one call.
class Orders {
 public:
  explicit Orders(Tensors *tensors)
      : tensors_(*tensors), problem_(tensors->problem), length_(problem_.row_length()) {
    const Layout layout = problem_.layout;
    const bool channels = problem_.has_channels();
    columns_ = layout == Layout::gaps || layout == Layout::reversed ||
               layout == Layout::transposed || layout == Layout::channels_first ||
               layout == Layout::channels_last || (channels && problem_.shape.size() == 2);
    // The rows of a statistic are one run.
    if (problem_.norm() == Norm::group && !problem_.is_backward()) {
      merged_ = layout == Layout::dense;
      columns_ = columns_ && !merged_;
    }
    if (problem_.norm() == Norm::batch) merged_ = columns_ && layout != Layout::gaps;
    corrected_ = problem_.dtype == Dtype::f32 && problem_.norm() != Norm::rms;
  }

  void expect_forward(const std::vector<float> &old_means, const std::vector<float> &old_variances);
  void expect_backward();

 private:
  using ElementTerm = std::function<float(int64_t row, int64_t i)>;
  using Runs = std::vector<std::vector<int64_t>>;  // the rows of each

  Runs runs_of(int64_t statistic) const {
    Runs runs;
    for (int64_t row = 0; row < tensors_.x.rows(); ++row) {
      if (problem_.statistic_of(row) != statistic) continue;
      if (runs.empty() || !merged_) runs.emplace_back();
      runs.back().push_back(row);
    }
    return runs;
  }
  double run_total(const std::vector<int64_t> &rows, const ElementTerm &term) const {
    const int64_t n = static_cast<int64_t>(rows.size()) * length_;
    const auto of_run = [&](int64_t i) {
      return term(rows[static_cast<size_t>(i / length_)], i % length_);
    };
    return columns_ ? column_tree(n, of_run) : row_tree(n, of_run);
  }
  double total(const Runs &runs, const ElementTerm &term) const {
    double sum = 0;
    for (const auto &rows : runs) sum += run_total(rows, term);
    return sum;
  }
  // The mean of a few elements of each run, spread over it: in all layouts here runs are evenly
  // spaced.
  double mean_of_samples(const Runs &runs) const {
    double sum = 0;
    const int64_t n = static_cast<int64_t>(runs[0].size()) * length_;
    const int64_t samples = std::min(n, kSamples);
    for (const auto &rows : runs) {
      const auto sample = [&](int64_t k) {
        const int64_t i = k * (n / samples);
        return tensors_.x.value(rows[static_cast<size_t>(i / length_)], i % length_);
      };
      sum += column_tree(samples, sample);
    }
    return sum / static_cast<double>(samples * static_cast<int64_t>(runs.size()));
  }

  float gamma(int64_t parameter) const {
    if (!tensors_.gamma) return 1;
    const float stored = tensors_.gamma->value(0, parameter);
    return problem_.zero_centered ? stored + 1.0f : stored;
  }
  float mean(int64_t statistic) const {
    return tensors_.mean ? tensors_.mean->value(statistic, 0) : 0;
  }
  float deviation(int64_t row, int64_t i) const {
    return tensors_.x.value(row, i) - mean(problem_.statistic_of(row));
  }
  float rstd_of(int64_t row) const { return tensors_.rstd->value(problem_.statistic_of(row), 0); }
  float weighted(int64_t row, int64_t i) const {
    return tensors_.dy->value(row, i) * gamma(problem_.parameter_of(row, i));
  }

  void expect_statistic(int64_t statistic, float old_mean, float old_variance);
  void expect_dx(int64_t statistic);
  void expect_gradients_along_rows();
  void expect_gradients_of_channels();
  double block_total(int64_t first_row, int64_t count, const Term &of_row) const;

  static void expect(const std::optional<Tensor> &tensor, int64_t row, int64_t i, float value) {
    if (!tensor) return;
    ASSERT_EQ(tensor->bits(row, i), narrow(tensor->dtype(), value))
        << "row " << row << " element " << i << ": " << tensor->value(row, i) << ", not " << value;
  }

  Tensors &tensors_;
  const Problem &problem_;
  const int64_t length_;
  bool columns_, merged_ = false, corrected_;
};

void Orders::expect_statistic(int64_t statistic, float old_mean, float old_variance) {
  const Runs runs = runs_of(statistic);
  const double n = static_cast<double>(problem_.statistic_length());
  const auto x = [&](int64_t row, int64_t i) { return tensors_.x.value(row, i); };
  const bool sampled = problem_.norm() != Norm::rms && columns_;
  float high = 0;
  if (problem_.norm() != Norm::rms) {
    high = static_cast<float>(sampled ? mean_of_samples(runs) : total(runs, x) / n);
  }
  const auto deviation = [&](int64_t row, int64_t i) { return x(row, i) - high; };
  const auto square = [&](int64_t row, int64_t i) { return deviation(row, i) * deviation(row, i); };
  double variance = total(runs, square) / n, correction = 0;
  if (sampled) {
    correction = total(runs, deviation) / n;
    if (correction * correction > variance / 4) {
      high = static_cast<float>(static_cast<double>(high) + correction);
      variance = total(runs, square) / n;
      correction = total(runs, deviation) / n;
    }
  } else if (corrected_) {
    correction = total(runs, deviation) / n;
  }
  if (!columns_ && runs.size() == 1 && problem_.statistic_length() <= kChunk) {
    const float c = static_cast<float>(correction);
    correction = static_cast<double>(c);
    const float corrected = static_cast<float>(variance) - c * c;
    variance = static_cast<double>(corrected);
  } else {
    variance -= correction * correction;
  }
  variance = std::max(variance, 0.0);
  float low = static_cast<float>(correction);
  if (sampled) {
    const double mean = static_cast<double>(high) + correction;
    high = static_cast<float>(mean);
    low = corrected_ ? static_cast<float>(mean - static_cast<double>(high)) : 0;
  }
  const float rstd =
      1.0f / std::sqrt(static_cast<float>(variance) + static_cast<float>(problem_.eps));
  expect(tensors_.mean, statistic, 0, high + low);
  expect(tensors_.rstd, statistic, 0, rstd);
  for (const auto &rows : runs) {
    for (int64_t row : rows) {
      for (int64_t i = 0; i < length_; ++i) {
        const int64_t parameter = problem_.parameter_of(row, i);
        const float centered = corrected_ ? deviation(row, i) - low : deviation(row, i);
        const float scaled = centered * rstd * gamma(parameter);
        expect(tensors_.y, row, i,
               tensors_.beta ? scaled + tensors_.beta->value(0, parameter) : scaled);
      }
    }
  }
  if (!tensors_.running_mean) return;
  const double momentum = problem_.momentum;
  const double now = static_cast<double>(high) + static_cast<double>(low);
  expect(tensors_.running_mean, statistic, 0,
         static_cast<float>((1 - momentum) * static_cast<double>(old_mean) + momentum * now));
  if (!problem_.biased) variance *= n / (n - 1);
  expect(
      tensors_.running_var, statistic, 0,
      static_cast<float>((1 - momentum) * static_cast<double>(old_variance) + momentum * variance));
}

void Orders::expect_forward(const std::vector<float> &old_means,
                            const std::vector<float> &old_variances) {
  if (problem_.operation == Operation::batch_norm_inference) {
    for (int64_t row = 0; row < tensors_.x.rows(); ++row) {
      const int64_t channel = problem_.statistic_of(row);
      const float rstd = 1.0f / std::sqrt(tensors_.running_var->value(channel, 0) +
                                          static_cast<float>(problem_.eps));
      for (int64_t i = 0; i < length_; ++i) {
        const float centered = tensors_.x.value(row, i) - tensors_.running_mean->value(channel, 0);
        expect(tensors_.y, row, i,
               centered * rstd * gamma(channel) + tensors_.beta->value(0, channel));
      }
    }
    return;
  }
  for (int64_t s = 0; s < problem_.statistic_count(); ++s) {
    const size_t at = static_cast<size_t>(s);
    const bool running = !old_means.empty();
    expect_statistic(s, running ? old_means[at] : 0, running ? old_variances[at] : 0);
  }
}

void Orders::expect_dx(int64_t statistic) {
  const Runs runs = runs_of(statistic);
  const double n = static_cast<double>(problem_.statistic_length());
  double sum_g = 0, sum_g_deviation = 0;
  for (const auto &rows : runs) {
    if (!problem_.has_channels()) {
      sum_g += run_total(rows, [&](int64_t r, int64_t i) { return weighted(r, i); });
      sum_g_deviation +=
          run_total(rows, [&](int64_t r, int64_t i) { return weighted(r, i) * deviation(r, i); });
      continue;
    }
    const double factor = static_cast<double>(gamma(problem_.parameter_of(rows[0], 0)));
    const auto dy = [&](int64_t r, int64_t i) { return tensors_.dy->value(r, i); };
    sum_g += factor * run_total(rows, dy);
    sum_g_deviation +=
        factor * run_total(rows, [&](int64_t r, int64_t i) { return dy(r, i) * deviation(r, i); });
  }
  const float rstd = tensors_.rstd->value(statistic, 0);
  const float mean_g = problem_.norm() == Norm::rms ? 0 : static_cast<float>(sum_g / n);
  const float slope = static_cast<float>(sum_g_deviation / n * static_cast<double>(rstd) *
                                         static_cast<double>(rstd));
  for (const auto &rows : runs) {
    for (int64_t row : rows) {
      for (int64_t i = 0; i < length_; ++i) {
        if (problem_.fixed) {
          const float dy = tensors_.dy->value(row, i);
          expect(tensors_.dx, row, i, dy * rstd * gamma(problem_.parameter_of(row, i)));
          continue;
        }
        const float taken = deviation(row, i) * slope;
        expect(tensors_.dx, row, i, ((weighted(row, i) - mean_g) - taken) * rstd);
      }
    }
  }
}

// Of rows that are dense 64 in order, of rows that are neighbours 128 in lanes.
double Orders::block_total(int64_t first_row, int64_t count, const Term &of_row) const {
  const auto term = [&](int64_t i) { return of_row(first_row + i); };
  return columns_ ? row_tree(count, term) : column_tree(count, term);
}

void Orders::expect_gradients_along_rows() {
  const int64_t rows = tensors_.x.rows();
  // Where rows of channels first are neighbours; in the other layouts all rows are one axis.
  const int64_t along = problem_.layout == Layout::channels_first ? rows / problem_.shape[0] : rows;
  const int64_t most = columns_ ? kParameterColumns : kBlock;
  for (int64_t i = 0; i < length_; ++i) {
    double dgamma = 0, dbeta = 0;
    for (int64_t outer = 0; outer < rows; outer += along) {
      for (int64_t block = 0; block < along; block += most) {
        const int64_t count = std::min(most, along - block);
        dgamma += block_total(outer + block, count, [&](int64_t row) {
          return tensors_.dy->value(row, i) * (deviation(row, i) * rstd_of(row));
        });
        dbeta += block_total(outer + block, count,
                             [&](int64_t row) { return tensors_.dy->value(row, i); });
      }
    }
    expect(tensors_.dgamma, 0, i, static_cast<float>(dgamma));
    expect(tensors_.dbeta, 0, i, static_cast<float>(dbeta));
  }
}

void Orders::expect_gradients_of_channels() {
  const int64_t channels = problem_.shape[1];
  for (int64_t c = 0; c < channels; ++c) {
    Runs runs;
    for (int64_t row = c; row < tensors_.x.rows(); row += channels) {
      if (runs.empty() || !merged_) runs.emplace_back();
      runs.back().push_back(row);
    }
    const auto dy = [&](int64_t r, int64_t i) { return tensors_.dy->value(r, i); };
    expect(tensors_.dbeta, 0, c, static_cast<float>(total(runs, dy)));
    double dgamma = 0;
    for (const auto &rows : runs) {
      dgamma += static_cast<double>(rstd_of(rows[0])) *
                run_total(rows, [&](int64_t r, int64_t i) { return dy(r, i) * deviation(r, i); });
    }
    expect(tensors_.dgamma, 0, c, static_cast<float>(dgamma));
  }
}

void Orders::expect_backward() {
  for (int64_t s = 0; s < problem_.statistic_count(); ++s) expect_dx(s);
  if (problem_.has_channels()) {
    expect_gradients_of_channels();
  } else {
    expect_gradients_along_rows();
  }
}

class OrdersOf : public testing::TestWithParam<const char *> {};

TEST_P(OrdersOf, SumsAreThoseOfTheDocument) {
  Tensors tensors(must_parse(GetParam()), Placement::end_flush);
  tensors.fill({Data::Kind::normal, 0.75, 1}, 1);
  std::vector<float> old_means, old_variances;
  for (int64_t s = 0; tensors.running_mean && s < tensors.running_mean->rows(); ++s) {
    old_means.push_back(tensors.running_mean->value(s, 0));
    old_variances.push_back(tensors.running_var->value(s, 0));
  }
  ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
  Orders orders(&tensors);
  if (tensors.problem.is_backward()) {
    orders.expect_backward();
  } else {
    orders.expect_forward(old_means, old_variances);
  }
}

// Whatever the sums sample is far from all else, so that they have to be taken once more.
TEST(OrdersOfMisleadingSamples, AreThoseOfTheDocument) {
  for (const char *text :
       {"instance_norm_forward:f32:3x4x17x9:gamma,beta,statistics,layout=channels_last",
        "instance_norm_forward:bf16:3x4x17x9:gamma,beta,statistics,layout=channels_last",
        "group_norm_forward:f32:3x12x17x9:gamma,beta,statistics,groups=3,layout=channels_last",
        "layer_norm_forward:f32:5x200:gamma,beta,statistics,layout=gaps"}) {
    Tensors tensors(must_parse(text), Placement::end_flush);
    tensors.fill({Data::Kind::normal, 0.75, 1}, 1);
    const int64_t step = tensors.x.row_length() / kSamples;
    for (int64_t row = 0; row < tensors.x.rows(); ++row) {
      for (int64_t k = 0; k < kSamples; ++k) tensors.x.set(row, k * step, 1000);
    }
    const Expected expected = reference(tensors);
    ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
    Orders(&tensors).expect_forward({}, {});
    for (const Output &output : outputs_of(tensors, expected)) {
      for (size_t i = 0; i < output.expected->size(); ++i) {
        EXPECT_TRUE(within(output, i)) << output.name << " of " << text << ", element " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, OrdersOf,
    testing::Values(
        "layer_norm_forward:f32:3x7:gamma,beta,statistics",
        "layer_norm_forward:f32:3x1000:gamma,beta,statistics",
        "layer_norm_forward:f32:3x1024:statistics",
        "layer_norm_forward:f32:3x1025:gamma,beta,statistics",
        "layer_norm_forward:f32:3x2100:gamma,beta,zero_centered,statistics",
        "layer_norm_forward:f32:1x70001:statistics",
        "layer_norm_forward:f32:4x5x500:gamma,beta,statistics,layout=padded",
        "layer_norm_forward:f32:5x200:gamma,beta,statistics,layout=gaps",
        "layer_norm_forward:f32:5x2000:gamma,beta,statistics,layout=reversed",
        "layer_norm_forward:f32:2x5x6x150:gamma,beta,statistics,layout=channels_first",
        "layer_norm_forward:f16:3x1000:gamma,beta,narrow_parameters,statistics",
        "layer_norm_forward:f16:3x2100:gamma,beta,statistics",
        "layer_norm_forward:bf16:2x5x6x150:gamma,beta,statistics,layout=channels_first",
        "rms_norm_forward:f32:3x1000:gamma,statistics",
        "rms_norm_forward:f32:3x2100:gamma,statistics",
        "rms_norm_forward:bf16:5x200:gamma,statistics,layout=gaps",
        "layer_norm_backward:f32:150x100:gamma,dgamma,dbeta",
        "layer_norm_backward:f32:3x50x7:gamma,dgamma,dbeta,zero_centered,layout=padded",
        "layer_norm_backward:f32:5x2100:gamma,dgamma,dbeta",
        "layer_norm_backward:f32:300x70:gamma,dgamma,dbeta,layout=gaps",
        "layer_norm_backward:f32:2x12x15x70:gamma,dgamma,dbeta,layout=channels_first",
        "layer_norm_backward:f16:150x100:gamma,dgamma,dbeta,narrow_parameters",
        "rms_norm_backward:f32:150x100:gamma,dgamma",
        "rms_norm_backward:bf16:2x12x15x70:gamma,dgamma,layout=channels_first",
        "instance_norm_forward:f32:3x4x7x9:gamma,beta,statistics",
        "instance_norm_forward:f32:3x4x40x50:gamma,beta,statistics",
        "instance_norm_forward:f32:3x4x17x9:gamma,beta,statistics,layout=channels_last",
        "instance_norm_forward:bf16:3x4x17x9:gamma,beta,statistics",
        "instance_norm_backward:f32:3x4x17x9:gamma,dgamma,dbeta",
        "instance_norm_backward:f32:3x4x17x9:gamma,dgamma,dbeta,layout=channels_last",
        "group_norm_forward:f32:3x12x7x9:gamma,beta,statistics,groups=3",
        "group_norm_forward:f32:3x12x17x39:gamma,beta,statistics,groups=3",
        "group_norm_forward:f32:3x12x7x19:gamma,beta,statistics,groups=3,layout=padded",
        "group_norm_forward:f32:3x12x7x19:gamma,beta,statistics,groups=3,layout=channels_last",
        "group_norm_forward:f16:3x12x7x19:gamma,beta,statistics,groups=3",
        "group_norm_forward:f32:3x90:gamma,beta,statistics,groups=3",
        "group_norm_backward:f32:3x12x7x19:gamma,dgamma,dbeta,groups=3",
        "group_norm_backward:f32:3x12x7x19:gamma,dgamma,dbeta,groups=3,layout=channels_last",
        "batch_norm_inference:f32:3x12x7x19:gamma,beta",
        "batch_norm_inference:bf16:3x12x7x19:gamma,beta,layout=channels_last",
        "batch_norm_training:f32:5x4x7x19:gamma,beta,statistics,running",
        "batch_norm_training:f32:1x4x7x19:gamma,beta,statistics,running",
        "batch_norm_training:f32:3x4x40x50:gamma,beta,statistics,running,biased",
        "batch_norm_training:f32:5x4x7x19:gamma,beta,statistics,running,layout=channels_last",
        "batch_norm_training:f32:5x4x7x19:gamma,beta,statistics,running,layout=gaps",
        "batch_norm_training:f32:300x5:gamma,beta,statistics,running",
        "batch_norm_training:f16:5x4x7x19:gamma,beta,statistics,running,momentum=0.5",
        "batch_norm_backward:f32:5x4x7x19:gamma,dgamma,dbeta",
        "batch_norm_backward:f32:5x4x7x19:gamma,dgamma,dbeta,fixed",
        "batch_norm_backward:f32:5x4x7x19:gamma,dgamma,dbeta,layout=channels_last",
        "batch_norm_backward:bf16:300x5:gamma,dgamma,dbeta,narrow_parameters"),
    [](const auto &info) { return test_name(info.param); });

}  // namespace
}  // namespace halnorm_test
