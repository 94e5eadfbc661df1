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
       }) {
    EXPECT_EQ(print(must_parse(text)), text);
  }
  EXPECT_EQ(print(must_parse("layer_norm_forward:f32:2x3:beta,gamma,axis=-1,layout=dense")),
            "layer_norm_forward:f32:2x3:gamma,beta");
}

TEST(Grammar, SaysWhatIsWrongWhere) {
  const struct {
    const char *text, *message;
  } cases[] = {
      {"layer_norm_forward:f32:64", "3 parts between colons"},
      {"layernorm:f32:64x768:", "operation 'layernorm': expected one of layer_norm_forward, rms"},
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
      {"rms_norm_forward:f32:4x5:beta", "rms_norm_forward has no beta"},
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

TEST(Reference, BoundsAreTight) {
  Tensors tensors(must_parse("layer_norm_forward:f32:1x1024:"), Placement::end_flush);
  tensors.fill(Data(), 1);
  const Expected expected = reference(tensors);
  for (size_t i = 0; i < 1024; ++i) {
    EXPECT_LT(expected.y_bound[i], 1e-5);
    EXPECT_GT(expected.y_bound[i], 1e-8);
  }
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
    float *first = static_cast<float *>(tensor.view_of_row(0).data) + 3;  // byte_offset
    first[layout == Layout::gaps ? 1 : layout == Layout::padded ? 4 : 12] = 0;
    EXPECT_FALSE(tensor.canaries_unchanged()) << name(layout);
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
