// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

namespace halnorm_bench {

using halnorm_test::Tensor;

namespace {

// The bounds of the reference are those of halnorm's trees. Sums in any order may be off by n
// roundings, which is this much more.
double looseness(const halnorm_test::Problem &problem, Rounding rounding) {
  if (rounding == Rounding::trees) return 1;
  const double n = static_cast<double>(problem.row_length());
  return std::max(1.0, n / (halnorm_test::kTreeConstant + halnorm_test::kTreeSlope * std::log2(n)));
}

std::string compare(const char *what, const Tensor &actual, const std::vector<double> &expected,
                    const std::vector<double> &bound, double looseness) {
  size_t at = 0;
  for (int64_t row = 0; row < actual.rows(); ++row) {
    for (int64_t i = 0; i < actual.row_length(); ++i, ++at) {
      const double value = static_cast<double>(actual.value(row, i));
      if (halnorm_test::within(value, expected[at], looseness * bound[at])) continue;
      char text[160];
      std::snprintf(text, sizeof text, "wrong: %s row %lld element %lld is %.9g, expected %.9g",
                    what, static_cast<long long>(row), static_cast<long long>(i), value,
                    expected[at]);
      return text;
    }
  }
  return "";
}

}  // namespace

Workload::Workload(const halnorm_test::Problem &problem)
    : tensors_(problem, halnorm_test::Placement::start_flush) {
  tensors_.fill(halnorm_test::Data{}, 1);
  expected_ = halnorm_test::reference(tensors_);
}

size_t Workload::bytes() const {
  return static_cast<size_t>(problem().row_count() * problem().row_length()) *
         halnorm_test::size_of(problem().dtype);
}

uint8_t *Workload::lowest(Tensor *tensor) {
  const halnorm_tensor view = tensor->view();
  int64_t offset = 0;
  for (int32_t d = 0; view.strides != nullptr && d < view.ndim; ++d) {
    offset += std::min<int64_t>(0, view.strides[d] * (view.shape[d] - 1));
  }
  return static_cast<uint8_t *>(view.data) + view.byte_offset +
         offset * static_cast<int64_t>(halnorm_test::size_of(tensor->dtype()));
}

std::string Workload::check(Solver *solver, Rounding rounding) {
  for (std::optional<Tensor> *output : {&tensors_.y, &tensors_.mean, &tensors_.rstd}) {
    if (*output) (*output)->set_all(halnorm_test::kUnwritten);
  }
  if (!solver->run()) return "failed: " + solver->failure();
  solver->hand_over(&tensors_);
  const double factor = looseness(problem(), rounding);
  std::string wrong = compare("y", *tensors_.y, expected_->y, expected_->y_bound, factor);
  if (wrong.empty() && tensors_.mean) {
    wrong = compare("mean", *tensors_.mean, expected_->mean, expected_->mean_bound, factor);
  }
  if (wrong.empty() && tensors_.rstd) {
    wrong = compare("rstd", *tensors_.rstd, expected_->rstd, expected_->rstd_bound, factor);
  }
  if (!wrong.empty()) return wrong;
  const std::string damage = tensors_.damage();
  return damage.empty() ? "" : "wrong: " + damage;
}

}  // namespace halnorm_bench
