// SPDX-License-Identifier: Apache-2.0
#include "attempt.h"

#include <algorithm>
#include <cfenv>
#include <cstring>
#include <limits>
#include <utility>

namespace halnorm_test {
namespace {

constexpr size_t kMostDimensions = 5;
constexpr int64_t kMostElements = 2600;

// Where kernels change what they do: lanes, windows, blocks, chunks, and what lies beside them.
constexpr int64_t kLongExtents[] = {31,  32,  33,  63,  64,   65,   96,   100,  127,  128,  129,
                                    160, 255, 256, 257, 1000, 1023, 1024, 1025, 1056, 2047, 2049};
constexpr double kEps[] = {1e-5, 1e-5, 1e-3, 0, 1e-12, 1, 1e30, 5e-324};
constexpr double kMomenta[] = {0.1, 0, 1, 0.5, 1e-300, -0.0};
constexpr Data kData[] = {
    {Data::Kind::normal, 0, 1},   {Data::Kind::normal, 1e4, 1},  {Data::Kind::normal, -300, 2},
    {Data::Kind::constant, 1, 0}, {Data::Kind::subnormal, 0, 1}, {Data::Kind::extremes, 0, 1},
    {Data::Kind::special, 0, 1},
};
constexpr int kRoundings[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
constexpr int64_t kNumbers[] = {
    0,
    1,
    -1,
    2,
    -2,
    3,
    32,
    33,
    64,
    99,
    1 << 16,
    0x7fffffff,
    1ll << 31,
    -(1ll << 31),
    1ll << 46,
    -(1ll << 46),
    1ll << 53,
    1ll << 54,
    (1ll << 54) + 1,
    1ll << 60,
    -(1ll << 60),
    1ll << 61,
    1ll << 62,
    -(1ll << 62),
    kLowest,
    kLowest + 1,
    kHighest,
    kHighest - 1,
};

class Bytes {
 public:
  Bytes(const uint8_t *bytes, size_t size) {
    std::memcpy(bytes_, bytes, std::min(size, sizeof bytes_));
  }

  uint8_t next() { return at_ < sizeof bytes_ ? bytes_[at_++] : uint8_t{0}; }
  bool flip() { return (next() & 1) != 0; }
  template <typename Value, size_t kCount>
  Value pick(const Value (&values)[kCount]) {
    return values[next() % kCount];
  }
  template <typename Kind>
  Kind kind(Kind last) {
    return static_cast<Kind>(next() % (static_cast<int>(last) + 1));
  }
  // One of those that hurt, or any.
  int64_t number() {
    const size_t which = next();
    uint64_t any = 0;
    for (int i = 0; i < 8; ++i) any |= uint64_t{next()} << 8 * i;
    constexpr size_t kCount = sizeof kNumbers / sizeof *kNumbers;
    return which < 4 * kCount ? kNumbers[which % kCount] : static_cast<int64_t>(any);
  }
  halnorm_dtype dtype() {
    constexpr uint8_t kBits[] = {16, 32, 8, 64, 0, 255};
    const uint8_t code = next(), bits = pick(kBits), lanes = next();
    return {static_cast<uint8_t>(code % 8), bits, static_cast<uint16_t>(lanes < 128 ? 1 : lanes)};
  }

 private:
  uint8_t bytes_[kAttemptBytes] = {};
  size_t at_ = 0;
};

int64_t extent_of(uint8_t byte) {
  constexpr size_t kCount = sizeof kLongExtents / sizeof *kLongExtents;
  return byte < 160 ? byte % 20 : kLongExtents[(byte - 160) % kCount];
}

// The shortest extents give way. An extent of 0 leaves the others as many rows.
void limit_elements(std::vector<int64_t> *shape) {
  for (;;) {
    int64_t count = 1;
    for (int64_t extent : *shape) count *= std::max<int64_t>(extent, 1);
    if (count <= kMostElements) return;
    int64_t *shortest = nullptr;
    for (int64_t &extent : *shape) {
      if (extent > 1 && (shortest == nullptr || extent < *shortest)) shortest = &extent;
    }
    *shortest = std::max<int64_t>(1, *shortest * kMostElements / count);
  }
}

std::vector<int64_t> divisors_of(int64_t n) {
  std::vector<int64_t> divisors;
  for (int64_t d = 1; d <= n; ++d) {
    if (n % d == 0) divisors.push_back(d);
  }
  if (n == 0) divisors = {1, 2, 7};  // each divides 0
  return divisors;
}

// Leaves out what the operation cannot be asked for.
Problem decode_problem(Bytes *bytes) {
  const Operation operation = bytes->pick(kOperations);
  const Dtype dtype = bytes->pick(kDtypes);
  const unsigned some = bytes->next(), more = bytes->next();
  const uint8_t rank_byte = bytes->next();
  std::vector<int64_t> shape;
  for (size_t d = 0; d < kMostDimensions; ++d) shape.push_back(extent_of(bytes->next()));
  const uint8_t axis = bytes->next(), groups = bytes->next();

  const Norm norm = norm_of(operation);
  const size_t least = norm == Norm::layer || norm == Norm::rms ? 1
                       : norm == Norm::instance                 ? 3
                                                                : 2;
  shape.resize(least + rank_byte % (kMostDimensions - least + 1));
  limit_elements(&shape);

  Problem problem = full_problem(operation, dtype, shape);
  problem.gamma = (some & 1) == 0;
  problem.beta = problem.beta && (some & 2) == 0;
  problem.statistics = problem.statistics && (some & 4) == 0;
  problem.running = problem.running && (some & 8) == 0;
  problem.dgamma = problem.dgamma && (some & 16) == 0;
  problem.dbeta = problem.dbeta && (some & 32) == 0;
  problem.no_dx = problem.is_backward() && (some & 64) != 0;
  problem.inplace = !problem.no_dx && (some & 128) != 0;
  problem.zero_centered = (more & 1) != 0;
  problem.fixed = operation == Operation::batch_norm_backward && (more & 2) != 0;
  if (!problem.has_channels()) {
    const int32_t rank = static_cast<int32_t>(shape.size());
    problem.axis = axis % (2 * rank) - rank;
  }
  if (norm == Norm::group) {
    const std::vector<int64_t> divisors = divisors_of(shape[1]);
    problem.groups = divisors[groups % divisors.size()];
  }
  problem.biased = problem.running && ((more & 4) != 0 || problem.statistic_length() == 1);
  problem.eps = bytes->pick(kEps);
  problem.momentum = bytes->pick(kMomenta);
  return problem;
}

// Any order of the dimensions in memory, gaps between them, either direction, and inputs that come
// back to the same elements.
Form decode_form(Bytes *bytes, const Problem &problem, bool is_parameter) {
  unsigned order = bytes->next(), gaps = bytes->next();
  const unsigned backwards = bytes->next(), again = bytes->next();
  const bool narrow = bytes->flip();
  const std::vector<int64_t> shape = is_parameter ? problem.parameter_shape() : problem.shape;
  const size_t rank = shape.size();
  std::vector<size_t> innermost_first(rank);
  for (size_t i = 0; i < rank; ++i) innermost_first[i] = rank - 1 - i;
  for (size_t i = 0; i < rank; ++i) {
    const unsigned left = static_cast<unsigned>(rank - i);
    std::swap(innermost_first[i], innermost_first[i + order % left]);
    order /= left;
  }
  Form form;
  form.dtype = is_parameter && !narrow ? Dtype::f32 : problem.dtype;
  form.strides.resize(rank);
  int64_t stride = 1 + (gaps >> 6);
  for (size_t d : innermost_first) {
    constexpr int64_t kGaps[] = {0, 1, 5, 64};
    form.strides[d] = stride;
    stride = stride * std::max<int64_t>(shape[d], 1) + kGaps[gaps & 3];
    gaps = gaps >> 2 & 15;
    if ((backwards >> d & 1) != 0) form.strides[d] = -form.strides[d];
    if ((again >> d & 1) != 0 && again >= 128)
      form.strides[d] = again >= 192 ? 0 : form.strides[d] / 2;
  }
  return form;
}

}  // namespace

Attempt decode(const uint8_t *data, size_t size) {
  Bytes bytes(data, size);
  Attempt attempt;
  attempt.problem = decode_problem(&bytes);
  attempt.data = bytes.pick(kData);
  attempt.seed = bytes.next();
  constexpr Placement kPlacements[] = {Placement::end_flush, Placement::start_flush,
                                       Placement::odd_offset};
  attempt.placement = bytes.pick(kPlacements);
  attempt.rounding = bytes.pick(kRoundings);
  attempt.kernel = static_cast<uint16_t>(bytes.next());
  attempt.kernel = static_cast<uint16_t>(attempt.kernel << 8 | bytes.next());
  attempt.workspace.kind = bytes.kind(Workspace::Kind::large);
  attempt.workspace.bytes = size_t{bytes.next()} << 6;
  for (Form *form : {&attempt.x, &attempt.y, &attempt.dy, &attempt.dx}) {
    *form = decode_form(&bytes, attempt.problem, /*is_parameter=*/false);
  }
  for (Form *form : {&attempt.gamma, &attempt.beta, &attempt.dgamma, &attempt.dbeta}) {
    *form = decode_form(&bytes, attempt.problem, /*is_parameter=*/true);
  }
  // Half of all calls have no bend.
  const bool bent = bytes.flip();
  TensorBend &tensor = attempt.tensor_bend;
  tensor.kind = bytes.kind(TensorBend::Kind::alias_alike);
  tensor.tensor = bytes.next();
  tensor.other = bytes.next();
  tensor.dimension = bytes.next();
  tensor.number = bytes.number();
  tensor.dtype = bytes.dtype();
  NumberBend &number = attempt.number_bend;
  number.kind = bytes.kind(NumberBend::Kind::flags);
  number.whole = bytes.number();
  std::memcpy(&number.real, &number.whole, sizeof number.real);
  if (!bent) {
    tensor.kind = TensorBend::Kind::none;
    number.kind = NumberBend::Kind::none;
  }
  return attempt;
}

std::string print(const Attempt &attempt) {
  std::string text = print(attempt.problem) + "\n  data " + print(attempt.data) + ", seed " +
                     std::to_string(attempt.seed) + ", " + name(attempt.placement) + ", rounding " +
                     std::to_string(attempt.rounding) + ", kernel " +
                     std::to_string(attempt.kernel) + ", workspace " +
                     std::to_string(static_cast<int>(attempt.workspace.kind)) + " of " +
                     std::to_string(attempt.workspace.bytes) + "\n  strides";
  const std::pair<const char *, const Form *> forms[] = {
      {"x", &attempt.x},           {"y", &attempt.y},         {"dy", &attempt.dy},
      {"dx", &attempt.dx},         {"gamma", &attempt.gamma}, {"beta", &attempt.beta},
      {"dgamma", &attempt.dgamma}, {"dbeta", &attempt.dbeta}};
  for (const auto &[what, form] : forms) {
    text += std::string(" ") + what + " " + name(form->dtype) + " [";
    for (int64_t stride : form->strides) text += " " + std::to_string(stride);
    text += " ]";
  }
  const TensorBend &tensor = attempt.tensor_bend;
  const NumberBend &number = attempt.number_bend;
  return text + "\n  tensor bend " + std::to_string(static_cast<int>(tensor.kind)) + " of tensor " +
         std::to_string(tensor.tensor) + " other " + std::to_string(tensor.other) + " dimension " +
         std::to_string(tensor.dimension) + " number " + std::to_string(tensor.number) + " dtype " +
         std::to_string(tensor.dtype.code) + "," + std::to_string(tensor.dtype.bits) + "," +
         std::to_string(tensor.dtype.lanes) + "\n  number bend " +
         std::to_string(static_cast<int>(number.kind)) + " " + std::to_string(number.whole) +
         " or " + print_number(number.real) + "\n";
}

}  // namespace halnorm_test
