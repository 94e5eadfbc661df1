// SPDX-License-Identifier: Apache-2.0
// The tests' own tools: a grammar, conversions or an oracle that is wrong would hide what is wrong.
#include <cmath>
#include <limits>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

TEST(Grammar, RoundTrips) {
  for (const char *text : {
           "layer_norm_forward:f32:64x768:gamma,beta",
           "rms_norm_forward:bf16:64x4096:gamma",
           "layer_norm_forward:f16:7:",
           "layer_norm_forward:f16:2x3x4:gamma,beta,statistics,zero_centered,narrow_parameters,"
           "inplace,axis=1,eps=0.001,layout=channels_first",
           "rms_norm_forward:f32:0x4:eps=0,layout=padded",
           "rms_norm_forward:f32:3x4:eps=1e-12,layout=transposed",
           "layer_norm_backward:f32:4096x768:gamma,dgamma,dbeta",
           "rms_norm_backward:bf16:2x3x4:gamma,dgamma,zero_centered,narrow_parameters,axis=1",
           "instance_norm_forward:f32:2x3x4:gamma,beta,statistics,layout=channels_last",
           "instance_norm_backward:f16:2x3x4x5:dgamma,dbeta,no_dx,narrow_parameters",
           "group_norm_forward:f32:2x6:statistics,groups=3,layout=padded",
           "group_norm_backward:bf16:2x320x64x64:gamma,dgamma,dbeta,groups=32",
           "batch_norm_inference:f32:2x3x5:gamma,beta,inplace,layout=gaps",
           "batch_norm_training:f32:32x64x56x56:gamma,beta,statistics,running,layout=channels_last",
           "batch_norm_training:f32:1x3:running,biased,momentum=0.25",
           "batch_norm_backward:f32:2x3:gamma,dgamma,fixed,inplace,layout=transposed",
       }) {
    EXPECT_EQ(print(must_parse(text)), text);
  }
  EXPECT_EQ(print(must_parse("layer_norm_forward:f32:2x3:beta,gamma,axis=-1,layout=dense")),
            "layer_norm_forward:f32:2x3:gamma,beta");
  EXPECT_EQ(print(must_parse("group_norm_forward:f32:2x3:groups=1")),
            "group_norm_forward:f32:2x3:");
}

TEST(Grammar, SaysWhatIsWrongWhere) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"layer_norm_forward:f32:64", "3 parts between colons"},
      {"layernorm:f32:64x768:",
       "operation 'layernorm': expected one of layer_norm_forward, layer_norm_"},
      {"layer_norm_forward:f64:64x768:", "dtype 'f64': expected one of f32, f16, bf16"},
      {"layer_norm_forward:f32:64x:", "extent '' of shape '64x'"},
      {"layer_norm_forward:f32:64x-1:", "extent '-1' of shape '64x-1'"},
      {"layer_norm_forward:f32:64,3:", "extent '64,3'"},
      {"layer_norm_forward:f32:4x5:gama", "option 'gama': expected one of gamma, beta"},
      {"layer_norm_forward:f32:4x5:gamma,", "option ''"},
      {"layer_norm_forward:f32:4x5:axis=2", "axis '2': expected a whole number from -2 to 1"},
      {"layer_norm_forward:f32:4x5:axis=1.5", "axis '1.5'"},
      {"layer_norm_forward:f32:4x5:eps=-1", "eps '-1': expected a finite number >= 0"},
      {"layer_norm_forward:f32:4x5:eps=nan", "eps 'nan'"},
      {"layer_norm_forward:f32:4x5:layout=nchw", "layout 'nchw': expected one of dense, padded"},
      {"layer_norm_forward:f32:4x5:layout=channels_last", "expected another one for layer_norm"},
      {"rms_norm_forward:f32:4x5:beta", "option 'beta': rms_norm_forward does not take it"},
      {"rms_norm_backward:f32:4x5:dbeta", "option 'dbeta': rms_norm_backward does not take it"},
      {"layer_norm_forward:f32:4x5:dgamma", "option 'dgamma': layer_norm_forward does not take it"},
      {"layer_norm_backward:f32:4x5:beta", "option 'beta': layer_norm_backward does not take it"},
      {"layer_norm_backward:f32:4x5:statistics", "'statistics': layer_norm_backward does not"},
      {"layer_norm_backward:f32:4x5:fixed", "option 'fixed': layer_norm_backward does not take it"},
      {"layer_norm_backward:f32:4x5:no_dx", "expected 'dgamma' or 'dbeta' with it"},
      {"layer_norm_backward:f32:4x5:dgamma,no_dx,inplace", "expected no 'no_dx' with it"},
      {"layer_norm_backward:f16:4x5:narrow_parameters", "expected 'gamma', 'dgamma' or 'dbeta'"},
      {"layer_norm_forward:f32:4x6:groups=2", "option 'groups': layer_norm_forward does not take"},
      {"layer_norm_forward:f32:4x6:momentum=0.5", "option 'momentum': layer_norm_forward does not"},
      {"instance_norm_forward:f32:4x5:", "shape of 2 dimensions: expected 3 or more"},
      {"instance_norm_forward:f32:4x5x6:axis=1", "'axis': instance_norm_forward does not take it"},
      {"instance_norm_forward:f32:4x5x6:layout=channels_first",
       "expected another one for instance"},
      {"group_norm_forward:f32:4:", "shape of 1 dimensions: expected 2 or more"},
      {"group_norm_forward:f32:4x5:layout=channels_last", "expected 3 dimensions or more"},
      {"group_norm_forward:f32:4x6:groups=4", "groups '4': expected a divisor of the 6 channels"},
      {"group_norm_backward:f32:4x6:groups=0", "groups '0': expected a whole number >= 1"},
      {"batch_norm_inference:f32:4x6:statistics", "batch_norm_inference does not take it"},
      {"batch_norm_inference:f32:4x6:running", "batch_norm_inference does not take it"},
      {"batch_norm_training:f32:4x6:biased", "expected 'running' with it"},
      {"batch_norm_training:f32:4x6:momentum=0.5", "expected 'running' with it"},
      {"batch_norm_training:f32:4x6:running,momentum=1.5",
       "momentum '1.5': expected a number from"},
      {"batch_norm_training:f32:1x6:running", "expected 'biased' with it"},
      {"rms_norm_forward:f32:4x5:zero_centered", "expected 'gamma' with it"},
      {"rms_norm_forward:f32:4x5:gamma,narrow_parameters", "expected dtype f16 or bf16"},
      {"rms_norm_forward:f32:4x5:axis=0,layout=padded", "expected a dimension before the axis"},
      {"rms_norm_forward:f32:4x5:layout=channels_first", "expected 3 dimensions or more"},
  };
  for (const auto &c : cases) {
    std::string error;
    EXPECT_FALSE(parse(c.text, &error)) << c.text;
    EXPECT_NE(error.find(c.text), std::string::npos) << error;
    EXPECT_NE(error.find(c.message), std::string::npos) << error;
  }
}

TEST(Grammar, NamesEachOperationOnce) {
  for (Operation operation : kOperations) {
    const std::string text = std::string(name(operation)) + ":f16:3x4x5:gamma";
    EXPECT_EQ(print(must_parse(text)), text);
    const std::string full = print(full_problem(operation, Dtype::f16, {3, 4, 5}));
    EXPECT_EQ(print(must_parse(full)), full);
  }
}

// Where elements, rows, statistics and parts lie to each other: the numbers of each statistic run
// from 0 to its length, and each part holds as many statistics as the next.
TEST(Grammar, StatisticsDivideTheElements) {
  for (const char *text : {
           "layer_norm_forward:f32:2x3x4x5:axis=2",
           "instance_norm_forward:f32:2x6x4x5:",
           "group_norm_forward:f32:2x6x4x5:groups=3",
           "group_norm_forward:f32:2x6:groups=1",
           "batch_norm_training:f32:2x6x4x5:",
           "batch_norm_inference:f32:7x3:",
       }) {
    const Problem problem = must_parse(text);
    const int64_t length = problem.statistic_length();
    std::vector<int> seen(static_cast<size_t>(problem.statistic_count() * length));
    ASSERT_EQ(static_cast<int64_t>(seen.size()), problem.row_count() * problem.row_length())
        << text;
    for (int64_t row = 0; row < problem.row_count(); ++row) {
      for (int64_t i = 0; i < problem.row_length(); ++i) {
        const int64_t place = problem.place_in_statistic(row, i);
        ASSERT_LT(place, length) << text;
        ++seen[static_cast<size_t>(problem.statistic_of(row) * length + place)];
      }
    }
    for (int count : seen) ASSERT_EQ(count, 1) << text;
    EXPECT_EQ(problem.row_count() % problem.part_count(), 0) << text;
  }
  const Problem group = must_parse("group_norm_forward:f32:2x6x4:groups=3");
  EXPECT_EQ(group.statistic_of(9), 4);           // channel 3 of sample 1: its group 1
  EXPECT_EQ(group.place_in_statistic(9, 2), 6);  // the second channel of that group
  EXPECT_EQ(group.parameter_of(9, 2), 3);
  EXPECT_EQ(group.part_count(), 2);
  EXPECT_EQ(must_parse("batch_norm_training:f32:2x6x4:").part_count(), 1);
  EXPECT_EQ(must_parse("batch_norm_inference:f32:2x6x4:").part_count(), 2);
}

TEST(Grammar, DataRoundTrips) {
  std::string error;
  for (const char *text :
       {"normal", "normal:1e+07:0.01", "constant:-3", "subnormal", "extremes", "special"}) {
    const std::optional<Data> data = parse_data(text, &error);
    ASSERT_TRUE(data) << error;
    EXPECT_EQ(print(*data), text);
  }
  for (const char *text : {"", "gaussian", "normal:1", "constant", "special:1"}) {
    EXPECT_FALSE(parse_data(text, &error)) << text;
  }
}

TEST(Storage, EveryHalfRoundTrips) {
  for (Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const float value = widen(dtype, bits);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(widen(dtype, narrow(dtype, value)))) << std::hex << bits;
      } else {
        EXPECT_EQ(narrow(dtype, value), bits);
      }
    }
  }
}

// Between each two neighbours: the middle goes to the even one, and a float to either side of the
// middle to the nearer one.
TEST(Storage, RoundsToNearestEven) {
  const struct {
    Dtype dtype;
    uint32_t infinity;
    float largest_middle;  // halfway to what would come after the largest
  } cases[] = {{Dtype::f16, 0x7c00, 65520.0f}, {Dtype::bf16, 0x7f80, 0x1.ffp127f}};
  for (const auto &c : cases) {
    for (uint32_t low = 0; low < c.infinity; ++low) {
      const uint32_t high = low + 1;
      const float middle = high == c.infinity
                               ? c.largest_middle
                               : static_cast<float>((static_cast<double>(widen(c.dtype, low)) +
                                                     static_cast<double>(widen(c.dtype, high))) /
                                                    2);
      ASSERT_EQ(narrow(c.dtype, middle), low & 1 ? high : low) << std::hex << low;
      ASSERT_EQ(narrow(c.dtype, -middle) & 0x7fff, low & 1 ? high : low) << std::hex << low;
      ASSERT_EQ(narrow(c.dtype, std::nextafterf(middle, 0)), low) << std::hex << low;
      ASSERT_EQ(narrow(c.dtype, std::nextafterf(middle, HUGE_VALF)), high) << std::hex << low;
    }
  }
}

TEST(Storage, KnownValues) {
  EXPECT_EQ(narrow(Dtype::f16, 1.0f), 0x3c00u);
  EXPECT_EQ(narrow(Dtype::f16, -65504.0f), 0xfbffu);
  EXPECT_EQ(narrow(Dtype::f16, 0x1p-24f), 0x0001u);
  EXPECT_EQ(narrow(Dtype::bf16, -1.5f), 0xbfc0u);
  EXPECT_EQ(half_ulp(Dtype::f32, 1), 0x1p-24);
  EXPECT_EQ(half_ulp(Dtype::f16, 1.5), 0x1p-11);
  EXPECT_EQ(half_ulp(Dtype::bf16, -2), 0x1p-7);
  EXPECT_EQ(half_ulp(Dtype::f16, 0), 0x1p-25);
}

TEST(Storage, NormalDataHasItsMeanAndDeviation) {
  Data data;
  data.mean = 3;
  data.deviation = 2;
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double value = static_cast<double>(sample(data, Dtype::f32, 1, 0, i, kCount)) - 3;
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.05);
  EXPECT_NEAR(squares / kCount, 4, 0.1);
}

TEST(Reference, IsRightWhereTheAnswerIsKnown) {
  Tensors tensors(must_parse("layer_norm_forward:f32:1x4:gamma,beta,statistics,eps=0"),
                  Placement::end_flush);
  tensors.fill(Data(), 1);
  const float x[] = {1, 3, 5, 7};
  for (int64_t i = 0; i < 4; ++i) {
    tensors.x.set(0, i, x[i]);
    tensors.gamma->set(0, i, 10);
    tensors.beta->set(0, i, static_cast<float>(i));
  }
  const Expected layer = reference(tensors);
  EXPECT_EQ(layer.mean[0], 4);
  EXPECT_DOUBLE_EQ(layer.rstd[0], 1 / std::sqrt(5.0));
  EXPECT_DOUBLE_EQ(layer.y[3], 30 / std::sqrt(5.0) + 3);

  tensors.problem = must_parse("rms_norm_forward:f32:1x4:gamma,zero_centered,statistics,eps=4");
  tensors.beta.reset();
  const Expected rms = reference(tensors);
  EXPECT_DOUBLE_EQ(rms.rstd[0], 1 / 5.0);  // (1 + 9 + 25 + 49) / 4 + 4
  EXPECT_DOUBLE_EQ(rms.y[1], 3 * 11 / 5.0);
}

// Two channels of two samples: x is 1, 3 and 2, 6, so that xhat is -1 and 1.
TEST(Reference, IsRightForABatchOfTwo) {
  const float x[] = {1, 2, 3, 6};
  Tensors training(must_parse("batch_norm_training:f32:2x2:statistics,running,momentum=0.5,eps=0"),
                   Placement::end_flush);
  training.fill(Data(), 1);
  for (int64_t row = 0; row < 4; ++row) training.x.set(row, 0, x[row]);
  training.running_mean->set_all(10);
  training.running_var->set_all(6);
  const Expected forward = reference(training);
  EXPECT_EQ(forward.mean, (std::vector<double>{2, 4}));
  EXPECT_EQ(forward.rstd, (std::vector<double>{1, 0.5}));
  EXPECT_EQ(forward.y, (std::vector<double>{-1, -1, 1, 1}));
  EXPECT_EQ(forward.running_mean, (std::vector<double>{6, 7}));
  EXPECT_EQ(forward.running_var, (std::vector<double>{4, 7}));  // unbiased: 2 and 8

  Tensors backward(must_parse("batch_norm_backward:f32:2x2:gamma,dgamma,dbeta,fixed,eps=0"),
                   Placement::end_flush);
  backward.fill(Data(), 1);
  for (int64_t row = 0; row < 4; ++row) {
    backward.x.set(row, 0, x[row]);
    backward.dy->set(row, 0, static_cast<float>(row + 1));
  }
  backward.gamma->set_all(3);
  for (int64_t channel = 0; channel < 2; ++channel) {
    backward.mean->set(channel, 0, static_cast<float>(forward.mean[static_cast<size_t>(channel)]));
    backward.rstd->set(channel, 0, static_cast<float>(forward.rstd[static_cast<size_t>(channel)]));
  }
  const Expected fixed = reference(backward);
  EXPECT_EQ(fixed.y, (std::vector<double>{3, 3, 9, 6}));
  EXPECT_EQ(fixed.dgamma, (std::vector<double>{-1 + 3, -2 + 4}));
  EXPECT_EQ(fixed.dbeta, (std::vector<double>{1 + 3, 2 + 4}));
  // A norm of two elements gives -1 and 1 whatever they are.
  backward.problem.fixed = false;
  EXPECT_EQ(reference(backward).y, (std::vector<double>{0, 0, 0, 0}));
}

TEST(Reference, BoundsAreTight) {
  Tensors tensors(must_parse("layer_norm_forward:f32:1x1024:"), Placement::end_flush);
  tensors.fill(Data(), 1);
  const Expected expected = reference(tensors);
  for (size_t i = 0; i < 1024; ++i) {
    EXPECT_LT(expected.y_bound[i], 1e-5);
    EXPECT_GT(expected.y_bound[i], 1e-8);
  }
  Tensors backward(must_parse("layer_norm_backward:f32:64x1024:gamma,dgamma,dbeta"),
                   Placement::end_flush);
  backward.fill(Data(), 1);
  const Expected gradients = reference(backward);
  for (double bound : gradients.y_bound) ASSERT_LT(bound, 1e-5);
  for (double bound : gradients.dgamma_bound) ASSERT_LT(bound, 2e-4);  // of sums of 64
  for (double bound : gradients.dbeta_bound) ASSERT_LT(bound, 2e-4);
  EXPECT_FALSE(within(0, std::numeric_limits<double>::quiet_NaN(), 1));
  EXPECT_FALSE(within(std::numeric_limits<double>::quiet_NaN(), 0, 1));
  EXPECT_FALSE(within(-HUGE_VAL, HUGE_VAL, 1));
  EXPECT_TRUE(within(1.5, 1, 0.5));
}

TEST(Memory, CanariesSeeAWriteBetweenElements) {
  for (Layout layout : {Layout::padded, Layout::gaps, Layout::dense}) {
    Tensor tensor(Dtype::f32, {3, 4}, strides_of(layout, {3, 4}, 1), 1, Placement::odd_offset);
    tensor.set_all(1);
    EXPECT_TRUE(tensor.canaries_unchanged());
    float *first = static_cast<float *>(tensor.view().data) + 3;  // byte_offset
    first[layout == Layout::gaps ? 1 : layout == Layout::padded ? 4 : 12] = 0;
    EXPECT_FALSE(tensor.canaries_unchanged()) << name(layout);
  }
}

TEST(Memory, PartsLieWhereTheyAre) {
  for (Layout layout : kLayouts) {
    Tensor tensor(Dtype::f32, {3, 4, 5}, strides_of(layout, {3, 4, 5}, 2), 2,
                  Placement::odd_offset);
    for (int64_t row = 0; row < 12; ++row) {
      for (int64_t i = 0; i < 5; ++i) tensor.set(row, i, static_cast<float>(10 * row + i));
    }
    for (size_t rank : {size_t{0}, size_t{1}, size_t{2}}) {
      const int64_t rows_of_part = rank == 0 ? 12 : rank == 1 ? 4 : 1;
      const int64_t last = 12 / rows_of_part - 1;
      const halnorm_tensor view = tensor.view_of_part(last, rank);
      const uint8_t *data = static_cast<const uint8_t *>(view.data) + view.byte_offset;
      EXPECT_EQ(*reinterpret_cast<const float *>(data),
                static_cast<float>(10 * last * rows_of_part))
          << name(layout) << " " << rank;
      for (size_t d = 0; d < rank; ++d) EXPECT_EQ(view.shape[d], 1);
      EXPECT_EQ(view.shape[2], 5);
    }
  }
}

TEST(MemoryDeathTest, GuardPagesStopAReadOnEitherSide) {
  for (Placement placement : {Placement::end_flush, Placement::start_flush}) {
    Tensor tensor(Dtype::f32, {5}, {1}, 0, placement);
    const volatile float *data = static_cast<const float *>(tensor.view().data);
    EXPECT_DEATH(static_cast<void>(data[placement == Placement::end_flush ? 5 : -1]), "");
  }
}

}  // namespace
}  // namespace halnorm_test
