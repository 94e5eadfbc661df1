// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace halnorm_test {
namespace {

constexpr uint8_t kCanary = 0xff;  // 0xffff and 0xffffffff are NaN in all three dtypes
constexpr int64_t kRowGap = 5;     // odd: the rows of a padded tensor differ in their alignment
constexpr size_t kCacheLine = 64;

size_t page_size() {
  static const size_t size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

[[noreturn]] void fail(const char *what) {
  std::perror(what);
  std::abort();
}

// Offsets of all index tuples of dimensions begin .. end-1, in row-major order.
std::vector<int64_t> offsets_of(const std::vector<int64_t> &shape,
                                const std::vector<int64_t> &strides, size_t begin, size_t end) {
  std::vector<int64_t> offsets = {0};
  for (size_t d = begin; d < end; ++d) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(shape[d]));
    for (int64_t offset : offsets) {
      for (int64_t i = 0; i < shape[d]; ++i) next.push_back(offset + i * strides[d]);
    }
    offsets = std::move(next);
  }
  return offsets;
}

// The lowest offset, and one past the highest.
struct Span {
  int64_t low, high;
};

Span span_of(const std::vector<int64_t> &rows, const std::vector<int64_t> &elements) {
  if (rows.empty() || elements.empty()) return {0, 0};
  const auto [row_low, row_high] = std::minmax_element(rows.begin(), rows.end());
  const auto [low, high] = std::minmax_element(elements.begin(), elements.end());
  return {*row_low + *low, *row_high + *high + 1};
}

std::vector<int64_t> slice(const std::vector<int64_t> &shape, size_t begin, size_t end) {
  return std::vector<int64_t>(shape.begin() + static_cast<ptrdiff_t>(begin),
                              shape.begin() + static_cast<ptrdiff_t>(end));
}

Tensor make_activation(const Problem &problem, Placement placement) {
  return Tensor(problem.dtype, problem.shape,
                strides_of(problem.layout, problem.shape, problem.first_reduced()),
                problem.first_reduced(), placement);
}

// Parameters follow the layouts that say something of them; the others concern rows.
Tensor make_parameter(const Problem &problem, Placement placement) {
  const std::vector<int64_t> shape =
      slice(problem.shape, problem.first_reduced(), problem.shape.size());
  const bool follows = problem.layout == Layout::transposed || problem.layout == Layout::reversed ||
                       problem.layout == Layout::gaps;
  const Layout layout = follows ? problem.layout : Layout::dense;
  return Tensor(problem.parameter_dtype(), shape, strides_of(layout, shape, 0), 0, placement);
}

Tensor make_statistic(const Problem &problem, Placement placement) {
  const std::vector<int64_t> shape = slice(problem.shape, 0, problem.first_reduced());
  return Tensor(Dtype::f32, shape, dense_strides(shape), shape.size(), placement);
}

void fill_parameter(Tensor *tensor, uint64_t seed, double mean, double deviation) {
  const Data data = {Data::Kind::normal, mean, deviation};
  for (int64_t i = 0; i < tensor->row_length(); ++i) {
    tensor->set(0, i, sample(data, tensor->dtype(), seed, 0, i, tensor->row_length()));
  }
}

}  // namespace

const char *name(Placement placement) {
  switch (placement) {
    case Placement::end_flush:
      return "end_flush";
    case Placement::start_flush:
      return "start_flush";
    case Placement::odd_offset:
      return "odd_offset";
  }
  std::abort();
}

std::optional<Placement> parse_placement(std::string_view text, std::string *error) {
  for (Placement placement :
       {Placement::end_flush, Placement::start_flush, Placement::odd_offset}) {
    if (text == name(placement)) return placement;
  }
  *error = "placement '" + std::string(text) + "': expected end_flush, start_flush or odd_offset.";
  return std::nullopt;
}

GuardedPages::GuardedPages(size_t bytes) {
  const size_t page = page_size();
  size_ = std::max(page, (bytes + page - 1) / page * page);
  void *mapped =
      mmap(nullptr, size_ + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail("mmap");
  data_ = static_cast<uint8_t *>(mapped) + page;
  if (mprotect(mapped, page, PROT_NONE) != 0 || mprotect(data_ + size_, page, PROT_NONE) != 0) {
    fail("mprotect");
  }
}

GuardedPages::~GuardedPages() {
  if (data_ != nullptr) munmap(data_ - page_size(), size_ + 2 * page_size());
}

GuardedPages::GuardedPages(GuardedPages &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

std::vector<int64_t> dense_strides(const std::vector<int64_t> &shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

std::vector<int64_t> strides_of(Layout layout, const std::vector<int64_t> &shape,
                                size_t first_reduced) {
  std::vector<int64_t> strides = dense_strides(shape);
  const size_t rank = shape.size();
  switch (layout) {
    case Layout::dense:
      break;
    case Layout::padded: {
      // The gap ends every row; dimensions further out grow with the padded row.
      int64_t stride =
          std::max<int64_t>(shape[first_reduced], 1) * strides[first_reduced] + kRowGap;
      for (size_t d = first_reduced; d-- > 0;) {
        strides[d] = stride;
        stride *= std::max<int64_t>(shape[d], 1);
      }
      break;
    }
    case Layout::channels_first: {
      std::vector<int64_t> in_memory = shape;
      std::rotate(in_memory.begin() + 1, in_memory.end() - 1, in_memory.end());
      strides = dense_strides(in_memory);
      std::rotate(strides.begin() + 1, strides.begin() + 2, strides.end());
      break;
    }
    case Layout::transposed: {
      strides = dense_strides(std::vector<int64_t>(shape.rbegin(), shape.rend()));
      std::reverse(strides.begin(), strides.end());
      break;
    }
    case Layout::reversed:
      for (size_t d = 0; d < rank; ++d) strides[d] = -strides[d];
      break;
    case Layout::gaps:
      for (size_t d = 0; d < rank; ++d) strides[d] *= 2;
      break;
  }
  return strides;
}

Tensor::Tensor(Dtype dtype, std::vector<int64_t> shape, std::vector<int64_t> strides,
               size_t first_reduced, Placement placement)
    : dtype_(dtype),
      shape_(std::move(shape)),
      one_row_shape_(shape_),
      strides_(std::move(strides)),
      row_offsets_(offsets_of(shape_, strides_, 0, first_reduced)),
      element_offsets_(offsets_of(shape_, strides_, first_reduced, shape_.size())),
      pages_([this] {
        const Span span = span_of(row_offsets_, element_offsets_);
        return static_cast<size_t>(span.high - span.low) * size_of(dtype_) + 2 * kCacheLine;
      }()),
      origin_(nullptr),
      byte_offset_(0) {
  std::fill_n(one_row_shape_.begin(), first_reduced, 1);
  std::memset(pages_.data(), kCanary, pages_.size());
  const Span span = span_of(row_offsets_, element_offsets_);
  if (span.low == span.high) return;
  const int64_t width = static_cast<int64_t>(size_of(dtype_));
  uint8_t *lowest = pages_.data();
  switch (placement) {
    case Placement::start_flush:
      break;
    case Placement::end_flush:
      lowest += static_cast<int64_t>(pages_.size()) - (span.high - span.low) * width;
      break;
    case Placement::odd_offset:
      lowest += static_cast<int64_t>(kCacheLine) + width;
      byte_offset_ = static_cast<uint64_t>(3 * width);
      break;
  }
  origin_ = lowest - span.low * width;
}

halnorm_tensor Tensor::view() {
  halnorm_tensor tensor = {};
  // A tensor without elements gets an address that must not be touched.
  tensor.data = (origin_ != nullptr ? origin_ : pages_.data() + pages_.size()) - byte_offset_;
  tensor.device.device_type = 1;
  tensor.ndim = static_cast<int32_t>(shape_.size());
  const halnorm_dtype f32 = HALNORM_F32, f16 = HALNORM_F16, bf16 = HALNORM_BF16;
  tensor.dtype = dtype_ == Dtype::f32 ? f32 : dtype_ == Dtype::f16 ? f16 : bf16;
  tensor.shape = shape_.data();
  // NULL is how most callers say dense; the other tests say it in numbers.
  tensor.strides =
      byte_offset_ != 0 && strides_ == dense_strides(shape_) ? nullptr : strides_.data();
  tensor.byte_offset = byte_offset_;
  return tensor;
}

halnorm_tensor Tensor::view_of_row(int64_t row) {
  halnorm_tensor tensor = view();
  tensor.data = element(row, 0) - byte_offset_;
  tensor.shape = one_row_shape_.data();
  tensor.strides = strides_.data();
  return tensor;
}

uint8_t *Tensor::element(int64_t row, int64_t element) const {
  const int64_t offset =
      row_offsets_[static_cast<size_t>(row)] + element_offsets_[static_cast<size_t>(element)];
  return origin_ + offset * static_cast<int64_t>(size_of(dtype_));
}

uint32_t Tensor::bits(int64_t row, int64_t i) const {
  if (dtype_ == Dtype::f32) {
    uint32_t bits;
    std::memcpy(&bits, element(row, i), sizeof bits);
    return bits;
  }
  uint16_t bits;
  std::memcpy(&bits, element(row, i), sizeof bits);
  return bits;
}

void Tensor::set_bits(int64_t row, int64_t i, uint32_t bits) {
  if (dtype_ == Dtype::f32) {
    std::memcpy(element(row, i), &bits, sizeof bits);
    return;
  }
  const uint16_t half = static_cast<uint16_t>(bits);
  std::memcpy(element(row, i), &half, sizeof half);
}

void Tensor::set_all(float v) {
  for (int64_t row = 0; row < rows(); ++row) {
    for (int64_t i = 0; i < row_length(); ++i) set(row, i, v);
  }
}

void Tensor::remember() { remembered_.assign(pages_.data(), pages_.data() + pages_.size()); }

bool Tensor::unchanged() const {
  return std::memcmp(remembered_.data(), pages_.data(), pages_.size()) == 0;
}

bool Tensor::canaries_unchanged() const {
  std::vector<uint8_t> bytes(pages_.data(), pages_.data() + pages_.size());
  for (int64_t row = 0; row < rows(); ++row) {
    for (int64_t i = 0; i < row_length(); ++i) {
      std::memset(bytes.data() + (element(row, i) - pages_.data()), kCanary, size_of(dtype_));
    }
  }
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == kCanary; });
}

Tensors::Tensors(const Problem &p, Placement placement)
    : problem(p), x(make_activation(p, placement)) {
  if (!p.inplace) y.emplace(make_activation(p, placement));
  if (p.gamma) gamma.emplace(make_parameter(p, placement));
  if (p.beta) beta.emplace(make_parameter(p, placement));
  if (p.has_mean()) mean.emplace(make_statistic(p, placement));
  if (p.statistics) rstd.emplace(make_statistic(p, placement));
}

void Tensors::fill(const Data &data, uint64_t seed) {
  for (int64_t row = 0; row < x.rows(); ++row) {
    for (int64_t i = 0; i < x.row_length(); ++i) {
      x.set(row, i, sample(data, x.dtype(), seed, row, i, x.row_length()));
    }
  }
  // Far from the seeds of the rows, which count up from `seed`.
  constexpr uint64_t kGammaSeed = uint64_t{1} << 62, kBetaSeed = uint64_t{1} << 63;
  if (gamma) fill_parameter(&*gamma, seed ^ kGammaSeed, problem.zero_centered ? 0 : 1, 0.25);
  if (beta) fill_parameter(&*beta, seed ^ kBetaSeed, 0, 0.5);
  if (y) y->set_all(kUnwritten);
  if (mean) mean->set_all(kUnwritten);
  if (rstd) rstd->set_all(kUnwritten);
  x.remember();
  if (gamma) gamma->remember();
  if (beta) beta->remember();
}

halnorm_status Tensors::call(const halnorm_context *context, int64_t row) {
  struct Argument {
    halnorm_tensor view;
    bool given;
    halnorm_tensor *pointer() { return given ? &view : nullptr; }
  };
  const auto of = [row](std::optional<Tensor> &tensor, bool has_rows) {
    if (!tensor) return Argument{{}, false};
    const bool all = row == kAllRows || !has_rows;
    return Argument{all ? tensor->view() : tensor->view_of_row(row), true};
  };
  Argument x_argument = {row == kAllRows ? x.view() : x.view_of_row(row), true};
  Argument y_argument = y ? of(y, true) : x_argument;
  Argument gamma_argument = of(gamma, false), beta_argument = of(beta, false);
  Argument mean_argument = of(mean, true), rstd_argument = of(rstd, true);
  const uint32_t flags = problem.zero_centered ? HALNORM_ZERO_CENTERED_GAMMA : 0;
  if (problem.operation == Operation::layer_norm_forward) {
    return halnorm_layer_norm(context, x_argument.pointer(), gamma_argument.pointer(),
                              beta_argument.pointer(), problem.axis, problem.eps,
                              y_argument.pointer(), mean_argument.pointer(),
                              rstd_argument.pointer(), flags);
  }
  return halnorm_rms_norm(context, x_argument.pointer(), gamma_argument.pointer(), problem.axis,
                          problem.eps, y_argument.pointer(), rstd_argument.pointer(), flags);
}

std::string Tensors::damage() const {
  if (y ? !x.unchanged() : !x.canaries_unchanged()) return "x was written where it must not be";
  if (gamma && !gamma->unchanged()) return "gamma was written";
  if (beta && !beta->unchanged()) return "beta was written";
  if (y && !y->canaries_unchanged()) return "y was written outside its elements";
  if (mean && !mean->canaries_unchanged()) return "mean was written outside its elements";
  if (rstd && !rstd->canaries_unchanged()) return "rstd was written outside its elements";
  return "";
}

}  // namespace halnorm_test
