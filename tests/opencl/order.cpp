// SPDX-License-Identifier: Apache-2.0
#include "order.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "storage.h"

namespace halnorm_test {
namespace {

constexpr int64_t kWarp = 32, kChunk = 1024, kVectorBytes = 16, kRowsOfAPart = 32;

using Term = std::function<float(int64_t)>;  // of an element, or of a row

template <typename Real>
Real folded(std::array<Real, kWarp> lanes) {
  for (size_t width = kWarp / 2; width >= 1; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

float chunk_sum(int64_t n, int64_t chunk, int64_t vector, const Term &term) {
  std::array<float, kWarp> lanes = {};
  for (int64_t lane = 0; lane < kWarp; ++lane) {
    std::vector<float> places(static_cast<size_t>(vector), 0.0f);
    for (int64_t group = 0; group < kChunk / (kWarp * vector); ++group) {
      for (int64_t place = 0; place < vector; ++place) {
        const int64_t i = chunk * kChunk + (group * kWarp + lane) * vector + place;
        if (i < n) places[static_cast<size_t>(place)] += term(i);
      }
    }
    // By pairs, of neighbours.
    for (size_t step = 1; step < places.size(); step *= 2) {
      for (size_t place = 0; place < places.size(); place += 2 * step) {
        places[place] += places[place + step];
      }
    }
    lanes[static_cast<size_t>(lane)] = places[0];
  }
  return folded(lanes);
}

double sum_of_parts(int64_t count, const Term &part) {
  std::array<double, kWarp> lanes = {};
  for (int64_t p = 0; p < count; ++p) {
    lanes[static_cast<size_t>(p % kWarp)] += static_cast<double>(part(p));
  }
  return folded(lanes);
}

class Rows {
 public:
  explicit Rows(const Tensors &tensors)
      : t_(tensors),
        rows_(tensors.x.rows()),
        n_(tensors.x.row_length()),
        has_mean_(tensors.problem.norm() == Norm::layer) {}

  void forward(int64_t row, InOrder *result) const {
    const double n = static_cast<double>(n_);
    const auto x = [&](int64_t i) { return t_.x.value(row, i); };
    const float high = has_mean_ ? static_cast<float>(total(x) / n) : 0.0f;
    const auto deviation = [&](int64_t i) { return x(i) - high; };
    const auto square = [&](int64_t i) { return deviation(i) * deviation(i); };
    double variance = total(square) / n, correction = 0;
    if (has_mean_) correction = total(deviation) / n;
    variance -= correction * correction;
    const float low = static_cast<float>(correction);
    const float rstd = 1.0f / std::sqrt(static_cast<float>(variance < 0 ? 0 : variance) +
                                        static_cast<float>(t_.problem.eps));
    result->mean.push_back(high + low);
    result->rstd.push_back(rstd);
    for (int64_t i = 0; i < n_; ++i) {
      // A 16-bit format cannot express a deviation that needs the correction.
      const float centered = t_.problem.dtype == Dtype::f32 ? deviation(i) - low : deviation(i);
      const float beta = t_.beta ? t_.beta->value(0, i) : 0.0f;
      result->y.push_back(centered * rstd * gamma(i) + beta);
    }
  }

  void backward(int64_t row, InOrder *result) const {
    const double n = static_cast<double>(n_);
    const float mean = mean_of(row), rstd = t_.rstd->value(row, 0);
    const auto g = [&](int64_t i) { return t_.dy->value(row, i) * gamma(i); };
    const auto product = [&](int64_t i) { return g(i) * (t_.x.value(row, i) - mean); };
    const double scale = static_cast<double>(rstd);
    const float mean_g = has_mean_ ? static_cast<float>(total(g) / n) : 0.0f;
    const float slope = static_cast<float>(total(product) / n * scale * scale);
    for (int64_t i = 0; i < n_; ++i) {
      result->dx.push_back(((g(i) - mean_g) - (t_.x.value(row, i) - mean) * slope) * rstd);
    }
  }

  void parameters(int64_t i, InOrder *result) const {
    const auto dy = [&](int64_t row) { return t_.dy->value(row, i); };
    const auto product = [&](int64_t row) {
      return dy(row) * ((t_.x.value(row, i) - mean_of(row)) * t_.rstd->value(row, 0));
    };
    result->dbeta.push_back(over_rows(dy));
    result->dgamma.push_back(over_rows(product));
  }

 private:
  float gamma(int64_t i) const { return t_.gamma->value(0, i); }
  float mean_of(int64_t row) const { return has_mean_ ? t_.mean->value(row, 0) : 0.0f; }

  double total(const Term &term) const {
    const int64_t vector = kVectorBytes / static_cast<int64_t>(size_of(t_.problem.dtype));
    return sum_of_parts((n_ + kChunk - 1) / kChunk,
                        [&](int64_t chunk) { return chunk_sum(n_, chunk, vector, term); });
  }
  float over_rows(const Term &term) const {
    const double sum = sum_of_parts((rows_ + kRowsOfAPart - 1) / kRowsOfAPart, [&](int64_t part) {
      float of_part = 0;
      const int64_t end = std::min(rows_, (part + 1) * kRowsOfAPart);
      for (int64_t row = part * kRowsOfAPart; row < end; ++row) of_part += term(row);
      return of_part;
    });
    return static_cast<float>(sum);
  }

  const Tensors &t_;
  const int64_t rows_, n_;
  const bool has_mean_;
};

}  // namespace

InOrder in_order(const Tensors &tensors) {
  const Rows rows(tensors);
  InOrder result;
  for (int64_t row = 0; row < tensors.x.rows(); ++row) {
    if (tensors.problem.is_backward()) {
      rows.backward(row, &result);
    } else {
      rows.forward(row, &result);
    }
  }
  if (!tensors.problem.is_backward()) return result;
  for (int64_t i = 0; i < tensors.x.row_length(); ++i) rows.parameters(i, &result);
  return result;
}

}  // namespace halnorm_test
