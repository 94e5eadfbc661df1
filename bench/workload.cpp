// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace halnorm_bench {

using halnorm_test::Output;
using halnorm_test::Problem;
using halnorm_test::Tensor;

namespace {

// How many elements are added up for an element of the output.
int64_t terms_of(const Problem &problem, const Output &output) {
  if (output.extent == halnorm_test::Extent::elements) return problem.statistic_length();
  return problem.row_count() * problem.row_length() /
         (output.actual->rows() * output.actual->row_length());
}

// The bounds of the reference are those of halnorm's trees. Sums in any order may be off by n
// roundings, which is this much more.
double looseness(const Problem &problem, const Output &output, Rounding rounding) {
  if (rounding == Rounding::trees) return 1;
  const double n = static_cast<double>(terms_of(problem, output));
  return std::max(1.0, n / (halnorm_test::kTreeConstant + halnorm_test::kTreeSlope * std::log2(n)));
}

std::string compare(const Output &output, double looseness) {
  const int64_t length = output.actual->row_length();
  for (int64_t at = 0; at < output.actual->rows() * length; ++at) {
    if (halnorm_test::within(output, static_cast<size_t>(at), looseness)) continue;
    char text[160];
    std::snprintf(text, sizeof text, "wrong: %s row %lld element %lld is %.9g, expected %.9g",
                  output.name, static_cast<long long>(at / length),
                  static_cast<long long>(at % length),
                  static_cast<double>(output.actual->value(at / length, at % length)),
                  (*output.expected)[static_cast<size_t>(at)]);
    return text;
  }
  return "";
}

// A statistic is rows of one element.
std::vector<float> values_of(const std::optional<Tensor> &statistic) {
  std::vector<float> values;
  for (int64_t row = 0; statistic && row < statistic->rows(); ++row) {
    values.push_back(statistic->value(row, 0));
  }
  return values;
}

void set_values(const std::vector<float> &values, std::optional<Tensor> *statistic) {
  for (size_t row = 0; row < values.size(); ++row) {
    (*statistic)->set(static_cast<int64_t>(row), 0, values[row]);
  }
}

}  // namespace

Workload::Workload(const Problem &problem)
    : tensors_(problem, halnorm_test::Placement::start_flush) {
  tensors_.fill(halnorm_test::Data{}, 1);
  running_mean_ = values_of(tensors_.running_mean);
  running_var_ = values_of(tensors_.running_var);
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

void Workload::forget_outputs() {
  std::vector<std::optional<Tensor> *> outputs = {&tensors_.y, &tensors_.dx, &tensors_.dgamma,
                                                  &tensors_.dbeta};
  if (!problem().is_backward()) outputs.insert(outputs.end(), {&tensors_.mean, &tensors_.rstd});
  for (std::optional<Tensor> *output : outputs) {
    if (*output) (*output)->set_all(halnorm_test::kUnwritten);
  }
  set_values(running_mean_, &tensors_.running_mean);
  set_values(running_var_, &tensors_.running_var);
}

std::string Workload::check(Solver *solver, Rounding rounding) {
  forget_outputs();
  if (!solver->run()) return "failed: " + solver->failure();
  solver->hand_over(&tensors_);
  for (const Output &output : halnorm_test::outputs_of(tensors_, *expected_)) {
    const std::string wrong = compare(output, looseness(problem(), output, rounding));
    if (!wrong.empty()) return wrong;
  }
  const std::string damage = tensors_.damage();
  return damage.empty() ? "" : "wrong: " + damage;
}

}  // namespace halnorm_bench
