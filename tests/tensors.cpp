// SPDX-License-Identifier: Apache-2.0
#include "tensors.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "statistics.h"

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

Tensor make_activation(const Problem &problem, Placement placement) {
  return Tensor(problem.dtype, problem.shape,
                strides_of(problem.layout, problem.shape, problem.first_reduced()),
                problem.first_reduced(), placement);
}

// Parameters follow the layouts that say something of them; the others concern rows.
Tensor make_parameter(const Problem &problem, Placement placement) {
  const bool follows = problem.layout == Layout::transposed || problem.layout == Layout::reversed ||
                       problem.layout == Layout::gaps;
  const Layout layout = follows ? problem.layout : Layout::dense;
  const std::vector<int64_t> shape = problem.parameter_shape();
  return Tensor(problem.parameter_dtype(), shape, strides_of(layout, shape, 0), 0, placement);
}

Tensor make_statistic(const Problem &problem, Placement placement) {
  const std::vector<int64_t> shape = problem.statistic_shape();
  return Tensor(Dtype::f32, shape, dense_strides(shape), shape.size(), placement);
}

void fill_activation(Tensor *tensor, const Problem &problem, const Data &data, uint64_t seed) {
  for (int64_t row = 0; row < tensor->rows(); ++row) {
    const int64_t statistic = problem.statistic_of(row);
    for (int64_t i = 0; i < tensor->row_length(); ++i) {
      tensor->set(row, i,
                  sample(data, tensor->dtype(), seed, statistic, problem.place_in_statistic(row, i),
                         problem.statistic_length()));
    }
  }
}

// Of parameters, which are one row, and of statistics, which are rows of one element.
void fill_vector(Tensor *tensor, uint64_t seed, double mean, double deviation) {
  const Data data = {Data::Kind::normal, mean, deviation};
  for (int64_t row = 0; row < tensor->rows(); ++row) {
    for (int64_t i = 0; i < tensor->row_length(); ++i) {
      tensor->set(row, i, sample(data, tensor->dtype(), seed, 0, row + i, 0));
    }
  }
}

// A tensor for the C API, or null.
struct Argument {
  Argument(Tensor &tensor, int64_t part, size_t rank)
      : given(true), view(part == kAllParts ? tensor.view() : tensor.view_of_part(part, rank)) {}
  Argument(std::optional<Tensor> &tensor, int64_t part = kAllParts, size_t rank = 0)
      : given(false) {
    if (tensor) *this = Argument(*tensor, part, rank);
  }
  operator halnorm_tensor *() { return given ? &view : nullptr; }

  bool given;
  halnorm_tensor view = {};
};

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
  if (data_ == nullptr) return;
  ASAN_UNPOISON_MEMORY_REGION(data_, size_);
  munmap(data_ - page_size(), size_ + 2 * page_size());
}

GuardedPages::GuardedPages(GuardedPages &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

GuardedPages &GuardedPages::operator=(GuardedPages &&other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

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
      int64_t stride = kRowGap;
      stride += first_reduced == rank
                    ? 1
                    : std::max<int64_t>(shape[first_reduced], 1) * strides[first_reduced];
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
    case Layout::channels_last: {
      std::vector<int64_t> in_memory = shape;
      std::rotate(in_memory.begin() + 1, in_memory.begin() + 2, in_memory.end());
      strides = dense_strides(in_memory);
      std::rotate(strides.begin() + 1, strides.end() - 1, strides.end());
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
      part_shape_(shape_),
      strides_(std::move(strides)),
      row_offsets_(offsets_of(shape_, strides_, 0, first_reduced)),
      element_offsets_(offsets_of(shape_, strides_, first_reduced, shape_.size())),
      pages_([this] {
        const Span span = span_of(row_offsets_, element_offsets_);
        return static_cast<size_t>(span.high - span.low) * size_of(dtype_) + 2 * kCacheLine;
      }()),
      origin_(nullptr),
      byte_offset_(0) {
  std::memset(pages_.data(), kCanary, pages_.size());
  const Span span = span_of(row_offsets_, element_offsets_);
  if (span.low == span.high) {
    allow_elements();
    return;
  }
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
  allow_elements();
}

halnorm_tensor Tensor::view() {
  halnorm_tensor tensor = {};
  // A tensor without elements gets an address that must not be touched.
  uint8_t *data = origin_ != nullptr ? origin_ : pages_.data() + pages_.size();
  tensor.device.device_type = HALNORM_CPU;
  if (device_ != nullptr) {
    data = static_cast<uint8_t *>(device_->data()) + (data - pages_.data());
    tensor.device.device_type = HALNORM_CUDA;
  }
  tensor.data = data - byte_offset_;
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

halnorm_tensor Tensor::view_of_part(int64_t part, size_t rank) {
  halnorm_tensor tensor = view();
  part_shape_ = shape_;
  int64_t offset = 0;
  for (size_t d = rank; d-- > 0;) {
    offset += part % shape_[d] * strides_[d];
    part /= shape_[d];
    part_shape_[d] = 1;
  }
  tensor.data =
      static_cast<uint8_t *>(tensor.data) + offset * static_cast<int64_t>(size_of(dtype_));
  tensor.shape = part_shape_.data();
  tensor.strides = strides_.data();
  return tensor;
}

void Tensor::upload() {
  device_ = std::make_unique<DeviceMemory>(pages_.size());
  CudaDevice::get().upload(device_->address(), pages_.data(), pages_.size());
}

void Tensor::download() {
  CudaDevice::get().download(pages_.data(), device_->address(), pages_.size());
  device_.reset();
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

void Tensor::allow_elements() const {
  const Span span = span_of(row_offsets_, element_offsets_);
  const int64_t width = static_cast<int64_t>(size_of(dtype_));
  ASAN_POISON_MEMORY_REGION(pages_.data(), pages_.size());
  if (origin_ != nullptr) {
    ASAN_UNPOISON_MEMORY_REGION(origin_ + span.low * width,
                                static_cast<size_t>((span.high - span.low) * width));
  }
}

void Tensor::allow_all() const { ASAN_UNPOISON_MEMORY_REGION(pages_.data(), pages_.size()); }

void Tensor::remember() {
  allow_all();
  remembered_.assign(pages_.data(), pages_.data() + pages_.size());
  allow_elements();
}

bool Tensor::unchanged() const {
  allow_all();
  const bool same = std::memcmp(remembered_.data(), pages_.data(), pages_.size()) == 0;
  allow_elements();
  return same;
}

void Tensor::restore() {
  allow_all();
  std::memcpy(pages_.data(), remembered_.data(), pages_.size());
  allow_elements();
}

bool Tensor::canaries_unchanged() const {
  allow_all();
  std::vector<uint8_t> bytes(pages_.data(), pages_.data() + pages_.size());
  allow_elements();
  for (int64_t row = 0; row < rows(); ++row) {
    for (int64_t i = 0; i < row_length(); ++i) {
      std::memset(bytes.data() + (element(row, i) - pages_.data()), kCanary, size_of(dtype_));
    }
  }
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == kCanary; });
}

Tensors::Tensors(const Problem &p, Placement placement)
    : problem(p), x(make_activation(p, placement)) {
  const auto add = [&](bool wanted, std::optional<Tensor> *tensor, auto make) {
    if (wanted) tensor->emplace(make(p, placement));
  };
  add(!p.is_backward() && !p.inplace, &y, make_activation);
  add(p.is_backward(), &dy, make_activation);
  add(p.has_dx() && !p.inplace, &dx, make_activation);
  add(p.gamma, &gamma, make_parameter);
  add(p.beta, &beta, make_parameter);
  add(p.dgamma, &dgamma, make_parameter);
  add(p.dbeta, &dbeta, make_parameter);
  add(p.has_mean(), &mean, make_statistic);
  add(p.has_rstd(), &rstd, make_statistic);
  add(p.has_running(), &running_mean, make_statistic);
  add(p.has_running(), &running_var, make_statistic);
}

void Tensors::fill(const Data &data, uint64_t seed) {
  for (const Member &member : members()) {
    if (member.access == Access::written) member.tensor->set_all(kUnwritten);
  }
  // Far from the seeds of the statistics, which count up from `seed`, and from each other.
  const auto seed_of = [seed](uint64_t tensor) { return seed ^ tensor << 60; };
  fill_activation(&x, problem, data, seed);
  if (gamma) fill_vector(&*gamma, seed_of(4), problem.zero_centered ? 0 : 1, 0.25);
  if (beta) fill_vector(&*beta, seed_of(8), 0, 0.5);
  if (running_mean) fill_vector(&*running_mean, seed_of(1), data.mean, 0.5);
  if (running_var) fill_vector(&*running_var, seed_of(2), 2, 0.25);  // samples reach 6 deviations
  if (dy) {
    // Not around 0, so that its sums count.
    fill_activation(&*dy, problem, {Data::Kind::normal, 0.25, 1}, seed_of(3));
    const std::vector<Statistic> saved = statistics_of(problem, x);
    for (size_t s = 0; s < saved.size(); ++s) {
      if (mean) mean->set(static_cast<int64_t>(s), 0, static_cast<float>(saved[s].mean));
      if (rstd) rstd->set(static_cast<int64_t>(s), 0, static_cast<float>(saved[s].rstd));
    }
  }
  for (const Member &member : members()) member.tensor->remember();
}

halnorm_status Tensors::call(const halnorm_context *context, int64_t part) {
  return call(context, part, [](Arguments *) {});
}

halnorm_status Tensors::call_bent(const halnorm_context *context,
                                  const std::function<void(Arguments *)> &bend) {
  return call(context, kAllParts, bend);
}

halnorm_status Tensors::call(const halnorm_context *context, int64_t part,
                             const std::function<void(Arguments *)> &bend) {
  const size_t rank = problem.part_rank();
  const bool all = part == kAllParts;
  std::optional<Tensor> none;
  Argument x_(x, part, rank), dy_(dy, part, rank);
  Argument y_ = problem.inplace ? x_ : Argument(y, part, rank);
  Argument dx_ = problem.inplace ? dy_ : Argument(dx, part, rank);
  Argument mean_(mean, part, rank), rstd_(rstd, part, rank);
  Argument gamma_(gamma), beta_(beta), dgamma_(all ? dgamma : none), dbeta_(all ? dbeta : none);
  Argument running_mean_(running_mean), running_var_(running_var);
  Arguments arguments;
  arguments.context = context;
  arguments.x = x_;
  arguments.dy = dy_;
  arguments.gamma = gamma_;
  arguments.beta = beta_;
  arguments.y = y_;
  arguments.dx = dx_;
  arguments.dgamma = dgamma_;
  arguments.dbeta = dbeta_;
  arguments.mean = mean_;
  arguments.rstd = rstd_;
  arguments.running_mean = running_mean_;
  arguments.running_var = running_var_;
  arguments.axis = problem.axis;
  arguments.groups = static_cast<int32_t>(problem.groups);
  arguments.eps = problem.eps;
  arguments.momentum = problem.momentum;
  if (problem.zero_centered) arguments.flags |= HALNORM_ZERO_CENTERED_GAMMA;
  if (problem.biased) arguments.flags |= HALNORM_RUNNING_VAR_BIASED;
  if (problem.fixed) arguments.flags |= HALNORM_FIXED_STATISTICS;
  bend(&arguments);
  return halnorm_test::call(problem.operation, arguments);
}

halnorm_status Tensors::call_on_cuda(halnorm_context *context, int64_t part) {
  return on_cuda(context, [&] { return call(context, part); });
}

// With a workspace of as many bytes as the call says that it needs.
halnorm_status Tensors::on_cuda(halnorm_context *context,
                                const std::function<halnorm_status()> &run) {
  CudaDevice::get().make_current();
  for (const Member &member : members()) member.tensor->upload();
  halnorm_status status = run();
  const std::string error = halnorm_last_error();
  const size_t at = error.find("the call needs ");
  if (status == HALNORM_OUT_OF_MEMORY && at != std::string::npos) {
    const size_t bytes = std::stoul(error.substr(at + sizeof "the call needs " - 1));
    const DeviceMemory workspace(bytes);
    const halnorm_device device = {HALNORM_CUDA, 0};
    halnorm_context_set_workspace(context, device, workspace.data(), bytes);
    status = run();
    halnorm_context_set_workspace(context, device, nullptr, 0);
    if (status == HALNORM_OK) {
      for (const Member &member : members()) member.tensor->download();
    }
    return status;
  }
  if (status == HALNORM_OK) {
    for (const Member &member : members()) member.tensor->download();
  }
  return status;
}

std::string Tensors::damage() {
  for (const Member &member : members()) {
    if (member.access == Access::read) {
      if (!member.tensor->unchanged()) return std::string(member.name) + " was written";
    } else if (!member.tensor->canaries_unchanged()) {
      return std::string(member.name) + " was written outside its elements";
    }
  }
  return "";
}

std::string Tensors::change() {
  for (const Member &member : members()) {
    if (!member.tensor->unchanged()) return std::string(member.name) + " was written";
  }
  return "";
}

void Tensors::restore() {
  for (const Member &member : members()) member.tensor->restore();
}

Tensor *Tensors::output() {
  if (problem.is_backward()) {
    if (problem.inplace) return &*dy;
    return dx ? &*dx : nullptr;
  }
  return problem.inplace ? &x : &*y;
}

std::vector<Tensors::Member> Tensors::members() {
  const bool backward = problem.is_backward();
  const Access source = problem.inplace ? Access::updated : Access::read;
  const Access statistic = backward ? Access::read : Access::written;
  const Access running = problem.running ? Access::updated : Access::read;
  std::vector<Member> present = {{"x", &x, backward ? Access::read : source}};
  const auto add = [&](const char *what, std::optional<Tensor> *tensor, Access access) {
    if (*tensor) present.push_back({what, &**tensor, access});
  };
  add("dy", &dy, source);
  add("gamma", &gamma, Access::read);
  add("beta", &beta, Access::read);
  add("y", &y, Access::written);
  add("dx", &dx, Access::written);
  add("dgamma", &dgamma, Access::written);
  add("dbeta", &dbeta, Access::written);
  add("mean", &mean, statistic);
  add("rstd", &rstd, statistic);
  add("running_mean", &running_mean, running);
  add("running_var", &running_var, running);
  return present;
}

}  // namespace halnorm_test
