// SPDX-License-Identifier: Apache-2.0
// Strides that an int32_t does not hold, as views of very large tensors have them: the bits of the
// same elements near each other. Kernels count strides in 32 bits, so the runtime has to step in
// their place.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>

#include "call.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

// The first of the far ones fits, but not twice; the second cut to 32 bits is the near one.
constexpr int64_t kNear = 64;
constexpr int64_t kFar[] = {(int64_t{1} << 30) + kNear, (int64_t{1} << 32) + kNear};
// It fits for neighbours, but not for the elements of which sums take samples.
constexpr int64_t kFarForSamples = (int64_t{1} << 22) + kNear;

// Address space, of which only the pages that are touched take memory.
class AddressSpace {
 public:
  explicit AddressSpace(int64_t elements)
      : bytes_(static_cast<size_t>(elements) * sizeof(float)),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~AddressSpace() {
    if (given()) munmap(memory_, bytes_);
  }
  AddressSpace(const AddressSpace &) = delete;
  AddressSpace &operator=(const AddressSpace &) = delete;

  bool given() const { return memory_ != MAP_FAILED; }
  float *elements() const { return static_cast<float *>(memory_); }

 private:
  const size_t bytes_;
  void *const memory_;
};

class Numbers {
 public:
  Numbers(std::vector<int64_t> shape, float from, float step) : shape_(std::move(shape)) {
    size_t count = 1;
    for (int64_t extent : shape_) count *= static_cast<size_t>(extent);
    for (size_t i = 0; i < count; ++i) values.push_back(from + step * static_cast<float>(i));
    tensor = {values.data(),
              {HALNORM_CPU, 0},
              static_cast<int32_t>(shape_.size()),
              HALNORM_F32,
              shape_.data(),
              nullptr,
              0};
  }
  Numbers(const Numbers &) = delete;
  Numbers &operator=(const Numbers &) = delete;

  std::vector<float> values;
  halnorm_tensor tensor;

 private:
  std::vector<int64_t> shape_;
};

struct Case {
  const char *name;
  Operation operation;
  std::vector<int64_t> shape, near;  // strides of kNear are made far
  std::vector<int64_t> far = {std::begin(kFar), std::end(kFar)};

  // Elements in memory up to the last one, with a stride in place of kNear.
  int64_t reach(int64_t stride) const {
    const auto dimension = std::find(near.begin(), near.end(), kNear) - near.begin();
    return shape[static_cast<size_t>(dimension)] * stride;
  }
};

// Of x, dy and the output, which is x or dy; then what else the call writes.
std::vector<float> outputs(const Case &c, std::vector<int64_t> strides, float *memory) {
  Problem problem = full_problem(c.operation, Dtype::f32, c.shape);
  std::vector<int64_t> shape = c.shape;
  const auto rank = static_cast<int32_t>(shape.size());
  halnorm_tensor x = {memory, {HALNORM_CPU, 0}, rank, HALNORM_F32, shape.data(), strides.data(), 0};
  halnorm_tensor dy = x;
  dy.data = memory + 2 * c.reach(kNear);
  const auto at = [&](const halnorm_tensor &tensor, int64_t i) -> float & {
    auto *element = static_cast<float *>(tensor.data);
    for (size_t d = shape.size(); d-- > 0; i /= shape[d]) element += i % shape[d] * strides[d];
    return *element;
  };
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  for (int64_t i = 0; i < count; ++i) {
    at(x, i) = std::sin(static_cast<float>(i)) + 0.25f;
    at(dy, i) = std::cos(static_cast<float>(3 * i));
  }
  Numbers gamma(problem.parameter_shape(), 1, 0.125f), beta(problem.parameter_shape(), -1, 0.25f);
  Numbers dgamma(problem.parameter_shape(), 0, 0), dbeta(problem.parameter_shape(), 0, 0);
  Numbers mean(problem.statistic_shape(), 0.25f, 0), rstd(problem.statistic_shape(), 1.5f, 0);
  Numbers running_mean(problem.statistic_shape(), 0, 0.5f);
  Numbers running_var(problem.statistic_shape(), 1, 0.5f);
  Arguments arguments;
  arguments.x = arguments.y = &x;
  arguments.dy = arguments.dx = &dy;
  arguments.gamma = &gamma.tensor;
  arguments.beta = &beta.tensor;
  arguments.dgamma = &dgamma.tensor;
  arguments.dbeta = &dbeta.tensor;
  arguments.mean = &mean.tensor;
  arguments.rstd = &rstd.tensor;
  arguments.running_mean = &running_mean.tensor;
  arguments.running_var = &running_var.tensor;
  arguments.groups = static_cast<int32_t>(problem.groups);
  EXPECT_EQ(call(c.operation, arguments), HALNORM_OK) << halnorm_last_error();
  std::vector<float> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(at(problem.is_backward() ? dy : x, i));
  for (const Numbers *numbers : {&dgamma, &dbeta, &mean, &rstd, &running_mean, &running_var}) {
    all.insert(all.end(), numbers->values.begin(), numbers->values.end());
  }
  return all;
}

class FarStrides : public testing::TestWithParam<Case> {};

TEST_P(FarStrides, GiveTheBitsOfNearOnes) {
  const Case &c = GetParam();
  std::vector<float> near_memory(static_cast<size_t>(4 * c.reach(kNear)));
  const std::vector<float> expected = outputs(c, c.near, near_memory.data());
  for (int64_t stride : c.far) {
    const AddressSpace space(c.reach(stride));
    if (!space.given()) GTEST_SKIP() << "no address space: the system counts what is not touched";
    std::vector<int64_t> far = c.near;
    std::replace(far.begin(), far.end(), kNear, stride);
    const std::vector<float> actual = outputs(c, far, space.elements());
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i], expected[i]) << "stride " << stride << ", output " << i;
    }
  }
}

// Of the output alone.
TEST(FarOutputs, GetTheBitsOfNearOnes) {
  constexpr int64_t kRows = 5, kLength = 40;
  const AddressSpace space(kRows * kFar[1]);
  if (!space.given()) GTEST_SKIP() << "no address space: the system counts what is not touched";
  Numbers x({kRows, kLength}, -3, 0.0625f), near({kRows, kLength}, 0, 0);
  int64_t strides[] = {kFar[1], 1};
  halnorm_tensor far = near.tensor;
  far.data = space.elements();
  far.strides = strides;
  for (halnorm_tensor *y : {&near.tensor, &far}) {
    EXPECT_EQ(
        halnorm_layer_norm(nullptr, &x.tensor, nullptr, nullptr, 1, 1e-5, y, nullptr, nullptr, 0),
        HALNORM_OK)
        << halnorm_last_error();
  }
  EXPECT_NE(near.values[0], 0);
  for (int64_t i = 0; i < kRows * kLength; ++i) {
    EXPECT_EQ(space.elements()[i / kLength * kFar[1] + i % kLength],
              near.values[static_cast<size_t>(i)]);
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (Operation operation : operations(false)) {
    all.push_back({"between_rows", operation, {5, 40}, {kNear, 1}});
    all.push_back({"between_elements", operation, {40, 5}, {1, kNear}});
  }
  for (Operation operation : operations(true)) {
    all.push_back({"between_samples", operation, {5, 2, 20}, {kNear, 20, 1}});
    all.push_back({"between_channels", operation, {2, 4, 20}, {20, kNear, 1}});
    all.push_back({"between_elements", operation, {2, 20, 5}, {20, 1, kNear}});
  }
  all.push_back({"between_samples_of_a_sum",
                 Operation::batch_norm_training,
                 {1024, 8},
                 {kNear, 1},
                 {kFarForSamples}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, FarStrides, testing::ValuesIn(cases()), [](const auto &info) {
  return std::string(name(info.param.operation)) + "_" + info.param.name;
});

}  // namespace
}  // namespace halnorm_test
