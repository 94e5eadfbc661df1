// SPDX-License-Identifier: Apache-2.0
// Layout is strides: every axis of tensors of every rank, in every layout of the grammar, and what
// the grammar cannot say.
#include <cmath>
#include <limits>
#include <tuple>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

const std::vector<std::vector<int64_t>> kRowShapes = {
    {37},        {2100},        {5, 67},       {40, 1100},       {3, 4, 33},
    {2, 70, 65}, {2, 3, 5, 40}, {2, 9, 8, 70}, {2, 3, 2, 5, 17}, {1, 6, 1, 7, 1},
};
const std::vector<std::vector<int64_t>> kChannelShapes = {
    {1, 1},      {7, 12},      {70, 33},      {3, 4, 1},        {3, 12, 33},     {2, 5, 1100},
    {1, 70, 65}, {5, 2, 9, 8}, {2, 36, 5, 7}, {2, 3, 2, 5, 17}, {1, 6, 1, 7, 1},
};

// Every axis that the problem may have, or every number of groups up to 3 and one for each channel.
std::vector<Problem> variants(const Problem &problem) {
  std::vector<Problem> all;
  if (!problem.has_channels()) {
    for (size_t axis = 0; axis < problem.shape.size(); ++axis) {
      all.push_back(problem);
      all.back().axis = static_cast<int32_t>(axis);
    }
    return all;
  }
  const int64_t most = problem.norm() == Norm::group ? problem.shape[1] : 1;
  for (int64_t groups = 1; groups <= most; ++groups) {
    if (groups > 3 && groups != most) continue;
    all.push_back(problem);
    all.back().groups = groups;
  }
  return all;
}

// Every legal combination of a layout and a variant for one shape.
std::vector<Problem> problems_of(Operation operation, Dtype dtype,
                                 const std::vector<int64_t> &shape) {
  std::vector<Problem> problems;
  for (Layout layout : kLayouts) {
    for (Problem problem : variants(full_problem(operation, dtype, shape))) {
      problem.layout = layout;
      if (problem.running && problem.statistic_length() == 1) problem.biased = true;
      std::string unused;
      if (parse(print(problem), &unused)) problems.push_back(problem);
    }
  }
  return problems;
}

class Layouts : public testing::TestWithParam<std::tuple<Operation, Dtype>> {
 protected:
  std::vector<Problem> problems() const {
    const auto [operation, dtype] = GetParam();
    Problem of_operation;
    of_operation.operation = operation;
    std::vector<Problem> all;
    for (const auto &shape : of_operation.has_channels() ? kChannelShapes : kRowShapes) {
      for (const Problem &problem : problems_of(operation, dtype, shape)) all.push_back(problem);
    }
    return all;
  }
};

TEST_P(Layouts, AreAccurate) {
  for (const Problem &problem : problems()) EXPECT_TRUE(accurate_at_any_address(problem));
}

TEST_P(Layouts, InPlaceGivesTheSameBits) {
  for (const Problem &problem : problems()) {
    Problem inplace = problem;
    inplace.inplace = true;
    const RunOptions options;
    EXPECT_TRUE(same_bits(problem, options, run(problem, options), inplace, options,
                          run(inplace, options)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Layouts,
                         testing::Combine(testing::ValuesIn(kOperations),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

testing::AssertionResult accurate_call(Tensors *tensors) {
  tensors->fill(Data(), 1);
  const Expected expected = reference(*tensors);
  if (tensors->call(nullptr) != HALNORM_OK) {
    return testing::AssertionFailure() << print(tensors->problem) << ": " << halnorm_last_error();
  }
  const testing::AssertionResult result = as_expected(tensors, expected);
  if (result) return result;
  return testing::AssertionFailure() << print(tensors->problem) << ": " << result.message();
}

// x, dy and the output in a layout each, and so gamma, beta, dgamma and dbeta.
class MixedLayouts : public testing::TestWithParam<std::tuple<Operation, Dtype>> {};

TEST_P(MixedLayouts, AreAccurate) {
  const auto [operation, dtype] = GetParam();
  constexpr Layout kMixed[] = {Layout::dense,      Layout::padded, Layout::channels_last,
                               Layout::transposed, Layout::gaps,   Layout::reversed};
  constexpr size_t kCount = sizeof kMixed / sizeof *kMixed;
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{3, 10, 70}, {2, 6, 5, 37}}) {
    const Problem problem = full_problem(operation, dtype, shape);
    const size_t first_reduced = problem.first_reduced();
    const std::vector<int64_t> parameter_shape = problem.parameter_shape();
    for (size_t i = 0; i < kCount; ++i) {
      Tensors tensors(problem, Placement::end_flush);
      std::optional<Tensor> *const activations[] = {&tensors.dy, &tensors.y, &tensors.dx};
      for (size_t t = 0; t < 3; ++t) {
        if (!*activations[t]) continue;
        const Layout layout = kMixed[(i + t) % kCount];
        activations[t]->emplace(dtype, shape, strides_of(layout, shape, first_reduced),
                                first_reduced, Placement::end_flush);
      }
      std::optional<Tensor> *const parameters[] = {&tensors.gamma, &tensors.beta, &tensors.dgamma,
                                                   &tensors.dbeta};
      for (size_t t = 0; t < 4; ++t) {
        if (!*parameters[t]) continue;
        const Layout layout = (i + t) % 3 == 0   ? Layout::dense
                              : (i + t) % 3 == 1 ? Layout::gaps
                                                 : Layout::reversed;
        parameters[t]->emplace(Dtype::f32, parameter_shape, strides_of(layout, parameter_shape, 0),
                               0, Placement::end_flush);
      }
      EXPECT_TRUE(accurate_call(&tensors)) << "mixture " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MixedLayouts,
                         testing::Combine(testing::ValuesIn(kOperations),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

TEST(Statistics, OfRowsMayKeepTheNormalizedDimensions) {
  for (Operation operation : operations(/*with_channels=*/false)) {
    Tensors tensors(full_problem(operation, Dtype::f32, {2, 3, 100}), Placement::end_flush);
    const std::vector<int64_t> shape = {2, 3, 1};
    for (std::optional<Tensor> *statistic : {&tensors.mean, &tensors.rstd}) {
      if (!*statistic) continue;
      statistic->emplace(Dtype::f32, shape, dense_strides(shape), 3, Placement::end_flush);
      EXPECT_TRUE(accurate_call(&tensors));
    }
  }
}

TEST(Statistics, MayBeWantedOneByOne) {
  for (Operation operation : kOperations) {
    const Problem problem = full_problem(operation, Dtype::f32, {3, 4, 100});
    if (!problem.statistics) continue;
    Tensors without_mean(problem, Placement::end_flush),
        without_rstd(problem, Placement::end_flush);
    without_mean.mean.reset();
    without_rstd.rstd.reset();
    EXPECT_TRUE(accurate_call(&without_mean));
    EXPECT_TRUE(accurate_call(&without_rstd));
  }
}

// One sample in memory for all of the batch, and one element for all of gamma.
TEST(Inputs, MayOverlapThemselves) {
  for (Operation operation : kOperations) {
    for (Layout layout : {Layout::dense, Layout::channels_last}) {
      const Problem problem = full_problem(operation, Dtype::f32, {3, 4, 30});
      Tensors tensors(problem, Placement::end_flush);
      std::vector<int64_t> strides = strides_of(layout, problem.shape, problem.first_reduced());
      strides[0] = 0;
      tensors.x =
          Tensor(Dtype::f32, problem.shape, strides, problem.first_reduced(), Placement::end_flush);
      if (tensors.dy) {
        tensors.dy.emplace(Dtype::f32, problem.shape, strides, problem.first_reduced(),
                           Placement::start_flush);
      }
      tensors.gamma.emplace(Dtype::f32, problem.parameter_shape(), std::vector<int64_t>{0}, 0,
                            Placement::end_flush);
      EXPECT_TRUE(accurate_call(&tensors));
    }
  }
}

// One f32 LayerNorm whose tensors the tests below bend: 6 rows of 100, gamma, beta, statistics.
class Bent : public testing::Test {
 protected:
  static constexpr int64_t kRows = 6, kLength = 100;

  Bent()
      : tensors_(must_parse("layer_norm_forward:f32:6x100:gamma,beta,statistics"),
                 Placement::end_flush) {
    tensors_.fill(Data(), 1);
    x_ = tensors_.x.view();
    gamma_ = tensors_.gamma->view();
    beta_ = tensors_.beta->view();
    y_ = tensors_.y->view();
    mean_ = tensors_.mean->view();
    rstd_ = tensors_.rstd->view();
  }

  halnorm_status call() {
    return halnorm_layer_norm(nullptr, &x_, &gamma_, &beta_, axis_, 1e-5, &y_, &mean_, &rstd_, 0);
  }

  void expect_accurate() {
    const Expected expected = reference(tensors_);
    ASSERT_EQ(call(), HALNORM_OK) << halnorm_last_error();
    for (int64_t row = 0; row < kRows; ++row) {
      const size_t r = static_cast<size_t>(row);
      EXPECT_TRUE(within(static_cast<double>(tensors_.mean->value(row, 0)), expected.mean[r],
                         expected.mean_bound[r]))
          << "mean of row " << row;
      for (int64_t i = 0; i < kLength; ++i) {
        const double y = static_cast<double>(tensors_.y->value(row, i));
        const size_t at = static_cast<size_t>(row * kLength + i);
        ASSERT_TRUE(within(y, expected.y[at], expected.y_bound[at]))
            << "row " << row << " element " << i << " is " << y << ", expected " << expected.y[at];
      }
    }
    EXPECT_EQ(tensors_.damage(), "");
  }

  Tensors tensors_;
  halnorm_tensor x_, gamma_, beta_, y_, mean_, rstd_;
  int32_t axis_ = -1;
};

TEST_F(Bent, StatisticsMayKeepTheNormalizedDimensions) {
  int64_t shape[] = {kRows, 1};
  mean_.shape = rstd_.shape = shape;
  mean_.ndim = rstd_.ndim = 2;
  mean_.strides = rstd_.strides = nullptr;
  expect_accurate();
}

TEST_F(Bent, OnlyOneStatisticMayBeWanted) {
  ASSERT_EQ(halnorm_layer_norm(nullptr, &x_, &gamma_, &beta_, -1, 1e-5, &y_, nullptr, &rstd_, 0),
            HALNORM_OK)
      << halnorm_last_error();
  const float alone = tensors_.rstd->value(3, 0);
  ASSERT_EQ(call(), HALNORM_OK) << halnorm_last_error();
  EXPECT_EQ(alone, tensors_.rstd->value(3, 0));
  ASSERT_EQ(halnorm_layer_norm(nullptr, &x_, &gamma_, &beta_, -1, 1e-5, &y_, &mean_, nullptr, 0),
            HALNORM_OK)
      << halnorm_last_error();
  expect_accurate();
}

TEST_F(Bent, DimensionsOfExtentOneMayHaveAnyStride) {
  int64_t shape[] = {1, kRows, 1, kLength};
  int64_t strides[] = {0, kLength, std::numeric_limits<int64_t>::max(), 1};
  for (halnorm_tensor *tensor : {&x_, &y_}) {
    tensor->ndim = 4;
    tensor->shape = shape;
    tensor->strides = strides;
  }
  int64_t statistic_shape[] = {1, kRows, 1};
  for (halnorm_tensor *tensor : {&mean_, &rstd_}) {
    tensor->ndim = 3;
    tensor->shape = statistic_shape;
    tensor->strides = nullptr;
  }
  expect_accurate();
}

TEST_F(Bent, AnInputMayOverlapItself) {
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t i = 0; i < kLength; ++i) tensors_.x.set(row, i, tensors_.x.value(0, i));
  }
  for (int64_t i = 0; i < kLength; ++i) {
    tensors_.gamma->set(0, i, 1.5f);
    tensors_.beta->set(0, i, 0.25f);
  }
  tensors_.x.remember();
  tensors_.gamma->remember();
  tensors_.beta->remember();
  int64_t same_row[] = {0, 1}, same_element[] = {0};
  x_.strides = same_row;
  gamma_.strides = beta_.strides = same_element;
  expect_accurate();
}

// x and y in turn in one buffer: they share no element, although their ranges overlap.
TEST_F(Bent, DisjointSlicesOfOneBufferAreFine) {
  std::vector<float> buffer(2 * kRows * kLength);
  for (size_t i = 0; i < buffer.size(); i += 2) {
    buffer[i] = tensors_.x.value(static_cast<int64_t>(i) / 2 / kLength,
                                 static_cast<int64_t>(i) / 2 % kLength);
  }
  const std::vector<float> before = buffer;
  ASSERT_EQ(call(), HALNORM_OK) << halnorm_last_error();
  int64_t strides[] = {2 * kLength, 2};
  x_.strides = y_.strides = strides;
  x_.data = buffer.data();
  y_.data = buffer.data();
  x_.byte_offset = 0;
  y_.byte_offset = sizeof(float);
  ASSERT_EQ(call(), HALNORM_OK) << halnorm_last_error();
  for (size_t i = 0; i < buffer.size(); i += 2) {
    const int64_t at = static_cast<int64_t>(i) / 2;
    EXPECT_EQ(buffer[i], before[i]) << "x was written";
    // Another layout, so perhaps another tree: the values agree, the last bits need not.
    EXPECT_NEAR(buffer[i + 1], tensors_.y->value(at / kLength, at % kLength), 1e-5f);
  }
}

// These strides nest for nobody, yet no two elements share a place: right, or refused with a
// reason.
TEST_F(Bent, StridesThatDoNotNestAreRightOrRefused) {
  int64_t shape[] = {3, 2}, length[] = {2}, rows[] = {3}, strides[] = {3, 4};
  x_.shape = y_.shape = shape;
  x_.strides = y_.strides = strides;
  gamma_.shape = beta_.shape = length;
  mean_.shape = rstd_.shape = rows;
  const halnorm_status status = call();
  if (status == HALNORM_OK) {
    const float *x = static_cast<const float *>(x_.data), *y = static_cast<const float *>(y_.data);
    for (int64_t row = 0; row < 3; ++row) {
      const float a = x[3 * row], b = x[3 * row + 4];
      const float half = (a - b) / 2;
      const float xhat = half / std::sqrt(half * half + 1e-5f);
      EXPECT_NEAR(y[3 * row], xhat * tensors_.gamma->value(0, 0) + tensors_.beta->value(0, 0),
                  1e-5f);
    }
    return;
  }
  EXPECT_EQ(status, HALNORM_INVALID_ARGUMENT);
  EXPECT_NE(std::string(halnorm_last_error()).find("y"), std::string::npos) << halnorm_last_error();
}

TEST_F(Bent, WithoutRowsNothingIsTouched) {
  int64_t shape[] = {0, kLength}, rows[] = {0};
  x_.shape = y_.shape = shape;
  mean_.shape = rstd_.shape = rows;
  x_.data = y_.data = nullptr;
  EXPECT_EQ(call(), HALNORM_OK) << halnorm_last_error();
  EXPECT_EQ(tensors_.mean->value(0, 0), kUnwritten);
}

TEST_F(Bent, RowsOfLengthZeroHaveNoStatistics) {
  int64_t shape[] = {kRows, 0}, length[] = {0};
  x_.shape = y_.shape = shape;
  gamma_.shape = beta_.shape = length;
  EXPECT_EQ(call(), HALNORM_OK) << halnorm_last_error();
  for (int64_t row = 0; row < kRows; ++row) {
    EXPECT_TRUE(std::isnan(tensors_.mean->value(row, 0)));
    EXPECT_TRUE(std::isnan(tensors_.rstd->value(row, 0)));
  }
  EXPECT_EQ(tensors_.y->value(0, 0), kUnwritten);
}

}  // namespace
}  // namespace halnorm_test
