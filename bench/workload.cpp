// SPDX-License-Identifier: Apache-2.0
#include "workload.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "machine.h"

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

size_t traffic_of(const Problem &problem) {
  return (problem.is_backward() ? 3 : 2) *
         static_cast<size_t>(problem.row_count() * problem.row_length()) *
         halnorm_test::size_of(problem.dtype);
}

// Each copy of a problem's tensors takes some tens of the 65530 mappings that Linux grants.
constexpr size_t kMostCopies = 512;

size_t copies_of(const Problem &problem, Cache cache) {
  if (cache == Cache::warm) return 1;
  return (4 * last_level_cache_bytes() + traffic_of(problem) - 1) / traffic_of(problem);
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
}

size_t Workload::bytes() const { return traffic() / (problem().is_backward() ? 3 : 2); }

size_t Workload::traffic() const { return traffic_of(problem()); }

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
  if (!expected_) expected_ = halnorm_test::reference(tensors_);
  if (!solver->run()) return "failed: " + solver->failure();
  solver->hand_over(&tensors_);
  const std::vector<Output> outputs = halnorm_test::outputs_of(tensors_, *expected_);
  for (const Output &output : outputs) {
    const std::string wrong = compare(output, looseness(problem(), output, rounding));
    if (!wrong.empty()) return wrong;
  }
  const std::string damage = tensors_.damage();
  if (!damage.empty()) return "wrong: " + damage;
  return rounding == Rounding::trees ? compare_bits(outputs) : "";
}

std::string Workload::compare_bits(const std::vector<Output> &outputs) {
  const bool is_first = bits_.empty();
  size_t at = 0;
  for (const Output &output : outputs) {
    for (int64_t row = 0; row < output.actual->rows(); ++row) {
      for (int64_t element = 0; element < output.actual->row_length(); ++element, ++at) {
        const uint32_t bits = output.actual->bits(row, element);
        if (is_first) {
          bits_.push_back(bits);
        } else if (bits != bits_[at]) {
          char text[160];
          std::snprintf(text, sizeof text,
                        "wrong: %s row %lld element %lld is %#x, expected the bits of the linked "
                        "library, %#x",
                        output.name, static_cast<long long>(row), static_cast<long long>(element),
                        bits, bits_[at]);
          return text;
        }
      }
    }
  }
  return "";
}

void Workload::drop_reference() {
  expected_.reset();
  bits_ = {};
}

Workloads::Workloads(const Problem &problem, Cache cache)
    : first_(problem), name_(halnorm_test::print(problem)) {
  for (size_t copy = 1; copy < copies_of(problem, cache); ++copy) others_.emplace_back(problem);
  if (cache == Cache::cold) name_ += ",cache=cold";
}

std::string Workloads::unsuitable(const Problem &problem, Cache cache) {
  const size_t copies = copies_of(problem, cache);
  if (copies <= kMostCopies) return "";
  return "too small to be timed cold: " + std::to_string(copies) + " copies of it make " +
         "four times the last-level cache, at most " + std::to_string(kMostCopies) + " are made";
}

}  // namespace halnorm_bench
