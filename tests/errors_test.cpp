// SPDX-License-Identifier: Apache-2.0
// Every error of the operations, a table row each: the status, what the message must name, and that
// no output was written.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "test_util.h"

namespace halnorm_test {
namespace {

// A tensor with its numbers in place, so that a test may bend any of them.
struct LooseTensor {
  LooseTensor(std::vector<int64_t> extents) : shape(std::move(extents)) {
    size_t count = 1;
    for (int64_t extent : shape) count *= static_cast<size_t>(extent);
    elements.assign(count, kUnwritten);
    tensor.data = elements.data();
    tensor.device.device_type = HALNORM_CPU;
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = HALNORM_F32;
    tensor.shape = shape.data();
  }
  LooseTensor(const LooseTensor &) = delete;
  LooseTensor &operator=(const LooseTensor &) = delete;

  void reshape(std::vector<int64_t> extents) {
    shape = std::move(extents);
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.shape = shape.data();
  }
  void stride(std::vector<int64_t> steps) {
    strides = std::move(steps);
    tensor.strides = strides.data();
  }
  void set_dtype(halnorm_dtype dtype) { tensor.dtype = dtype; }
  halnorm_tensor *pointer() { return given ? &tensor : nullptr; }

  bool given = true;
  std::vector<int64_t> shape, strides;
  std::vector<float> elements;
  halnorm_tensor tensor = {};
};

constexpr halnorm_dtype kF16 = HALNORM_F16, kBf16 = HALNORM_BF16;

// A valid call of 4 rows of 6, until a table row bends it. It has memory for twice as much.
struct Call {
  LooseTensor x{{8, 6}}, gamma{{12}}, beta{{12}}, y{{8, 6}}, mean{{8}}, rstd{{8}};
  int32_t axis = 1;
  double eps = 1e-5;
  uint32_t flags = 0;

  Call() {
    for (LooseTensor *tensor : {&x, &y}) tensor->reshape({4, 6});
    for (LooseTensor *tensor : {&gamma, &beta}) tensor->reshape({6});
    for (LooseTensor *tensor : {&mean, &rstd}) tensor->reshape({4});
  }

  halnorm_status run(Operation operation) {
    if (operation == Operation::layer_norm_forward) {
      return halnorm_layer_norm(nullptr, x.pointer(), gamma.pointer(), beta.pointer(), axis, eps,
                                y.pointer(), mean.pointer(), rstd.pointer(), flags);
    }
    return halnorm_rms_norm(nullptr, x.pointer(), gamma.pointer(), axis, eps, y.pointer(),
                            rstd.pointer(), flags);
  }
};

struct Row {
  const char *name;
  halnorm_status status;
  std::vector<const char *> message;  // words that it must contain
  std::function<void(Call &)> bend;
  bool layer_norm_only = false;  // the argument is one that rms_norm does not have
};

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kHuge = int64_t{1} << 62;
constexpr halnorm_status kInvalid = HALNORM_INVALID_ARGUMENT;
constexpr bool kLayerNormOnly = true;

const std::vector<Row> &rows() {
  static const std::vector<Row> rows = {
      // NULL where something is required.
      {"x_null", kInvalid, {"x", "NULL"}, [](Call &c) { c.x.given = false; }},
      {"y_null", kInvalid, {"y", "NULL"}, [](Call &c) { c.y.given = false; }},
      {"x_data_null", kInvalid, {"x", "NULL"}, [](Call &c) { c.x.tensor.data = nullptr; }},
      {"y_data_null", kInvalid, {"y", "NULL"}, [](Call &c) { c.y.tensor.data = nullptr; }},
      {"gamma_data_null", kInvalid, {"gamma"}, [](Call &c) { c.gamma.tensor.data = nullptr; }},
      {"rstd_data_null", kInvalid, {"rstd"}, [](Call &c) { c.rstd.tensor.data = nullptr; }},
      {"x_shape_null", kInvalid, {"x", "shape"}, [](Call &c) { c.x.tensor.shape = nullptr; }},
      {"mean_shape_null",
       kInvalid,
       {"mean", "shape"},
       [](Call &c) { c.mean.tensor.shape = nullptr; },
       kLayerNormOnly},
      // Shapes.
      {"x_rank_negative", kInvalid, {"x", "-1"}, [](Call &c) { c.x.tensor.ndim = -1; }},
      {"x_rank_zero", kInvalid, {"x"}, [](Call &c) { c.x.tensor.ndim = c.y.tensor.ndim = 0; }},
      {"x_rank_33",
       HALNORM_UNSUPPORTED,
       {"x", "33"},
       [](Call &c) {
         c.x.reshape(std::vector<int64_t>(33, 1));
         c.y.reshape(std::vector<int64_t>(33, 1));
       }},
      {"x_extent_negative",
       kInvalid,
       {"x", "-4"},
       [](Call &c) {
         c.x.reshape({-4, 6});
       }},
      {"x_too_many_elements",
       kInvalid,
       {"x", "4611686018427387904"},
       [](Call &c) {
         c.x.reshape({kHuge, 6});
       }},
      {"x_beyond_memory",
       kInvalid,
       {"x", "memory"},
       [](Call &c) {
         c.x.stride({kHuge, 1});
       }},
      {"y_shape",
       kInvalid,
       {"y", "[4, 5]", "[4, 6]"},
       [](Call &c) {
         c.y.reshape({4, 5});
       }},
      {"y_rank", kInvalid, {"y", "[24]", "[4, 6]"}, [](Call &c) { c.y.reshape({24}); }},
      {"gamma_shape", kInvalid, {"gamma", "[5]", "[6]"}, [](Call &c) { c.gamma.reshape({5}); }},
      {"gamma_rank",
       kInvalid,
       {"gamma", "[4, 6]", "[6]"},
       [](Call &c) {
         c.gamma.reshape({1, 6}), c.gamma.shape[0] = 4;
       }},
      {"gamma_of_another_axis", kInvalid, {"gamma", "[6]", "[4, 6]"}, [](Call &c) { c.axis = 0; }},
      {"beta_shape",
       kInvalid,
       {"beta", "[7]", "[6]"},
       [](Call &c) { c.beta.reshape({7}); },
       kLayerNormOnly},
      {"mean_shape",
       kInvalid,
       {"mean", "[3]", "[4]"},
       [](Call &c) { c.mean.reshape({3}); },
       kLayerNormOnly},
      {"mean_keeps_too_much",
       kInvalid,
       {"mean", "[4, 2]", "[4, 1]"},
       [](Call &c) {
         c.mean.reshape({4, 2});
       },
       kLayerNormOnly},
      {"rstd_shape", kInvalid, {"rstd", "[5]", "[4]"}, [](Call &c) { c.rstd.reshape({5}); }},
      {"mean_not_dense",
       kInvalid,
       {"mean", "dense"},
       [](Call &c) { c.mean.stride({2}); },
       kLayerNormOnly},
      {"rstd_not_dense", kInvalid, {"rstd", "dense"}, [](Call &c) { c.rstd.stride({-1}); }},
      // Numbers.
      {"axis_too_large", kInvalid, {"axis", "2"}, [](Call &c) { c.axis = 2; }},
      {"axis_too_small", kInvalid, {"axis", "-3"}, [](Call &c) { c.axis = -3; }},
      {"eps_negative", kInvalid, {"eps", "-1"}, [](Call &c) { c.eps = -1; }},
      {"eps_nan", kInvalid, {"eps", "nan"}, [](Call &c) { c.eps = kNan; }},
      {"eps_infinite", kInvalid, {"eps", "inf"}, [](Call &c) { c.eps = kInfinity; }},
      {"flags_unknown", kInvalid, {"flags"}, [](Call &c) { c.flags = 1u << 31; }},
      // dtypes.
      {"x_f64",
       kInvalid,
       {"x", "dtype", "64"},
       [](Call &c) {
         c.x.set_dtype({2, 64, 1});
       }},
      {"x_int32",
       kInvalid,
       {"x", "dtype"},
       [](Call &c) {
         c.x.set_dtype({0, 32, 1});
       }},
      {"x_f8",
       kInvalid,
       {"x", "dtype"},
       [](Call &c) {
         c.x.set_dtype({2, 8, 1});
       }},
      {"x_bf32",
       kInvalid,
       {"x", "dtype"},
       [](Call &c) {
         c.x.set_dtype({4, 32, 1});
       }},
      {"x_lanes",
       kInvalid,
       {"x", "lanes 4"},
       [](Call &c) {
         c.x.set_dtype({2, 32, 4});
       }},
      {"y_another_dtype", kInvalid, {"y", "dtype"}, [](Call &c) { c.y.set_dtype(kF16); }},
      {"gamma_narrower_than_x",
       kInvalid,
       {"gamma", "dtype"},
       [](Call &c) { c.gamma.set_dtype(kF16); }},
      {"gamma_other_16_bits",
       kInvalid,
       {"gamma", "dtype"},
       [](Call &c) {
         c.x.set_dtype(kF16);
         c.y.set_dtype(kF16);
         c.gamma.set_dtype(kBf16);
       }},
      {"beta_narrower_than_x",
       kInvalid,
       {"beta", "dtype"},
       [](Call &c) { c.beta.set_dtype(kBf16); },
       kLayerNormOnly},
      {"mean_f16",
       kInvalid,
       {"mean", "dtype"},
       [](Call &c) { c.mean.set_dtype(kF16); },
       kLayerNormOnly},
      {"rstd_bf16", kInvalid, {"rstd", "dtype"}, [](Call &c) { c.rstd.set_dtype(kBf16); }},
      // Devices.
      {"x_device_unknown",
       kInvalid,
       {"x", "99"},
       [](Call &c) { c.x.tensor.device.device_type = 99; }},
      {"rstd_device_unknown",
       kInvalid,
       {"rstd", "0"},
       [](Call &c) { c.rstd.tensor.device.device_type = 0; }},
      {"y_on_another_device",
       kInvalid,
       {"y", "device"},
       [](Call &c) { c.y.tensor.device.device_type = HALNORM_CUDA; }},
      {"gamma_on_another_device",
       kInvalid,
       {"gamma", "device"},
       [](Call &c) { c.gamma.tensor.device.device_type = HALNORM_CUDA; }},
      // Alignment.
      {"x_misaligned", kInvalid, {"x"}, [](Call &c) { c.x.tensor.byte_offset = 2; }},
      {"y_misaligned", kInvalid, {"y"}, [](Call &c) { c.y.tensor.byte_offset = 1; }},
      {"rstd_misaligned", kInvalid, {"rstd"}, [](Call &c) { c.rstd.tensor.byte_offset = 3; }},
      {"x_f16_misaligned",
       kInvalid,
       {"x"},
       [](Call &c) {
         c.x.set_dtype(kF16);
         c.y.set_dtype(kF16);
         c.x.tensor.byte_offset = 1;
       }},
      // Outputs that share elements.
      {"y_overlaps_itself",
       kInvalid,
       {"y"},
       [](Call &c) {
         c.y.stride({0, 1});
       }},
      {"y_rows_overlap",
       kInvalid,
       {"y"},
       [](Call &c) {
         c.y.stride({5, 1});
       }},
      {"y_one_row_after_x",
       kInvalid,
       {"y", "x"},
       [](Call &c) { c.y.tensor.data = c.x.elements.data() + 6; }},
      {"y_one_element_after_x",
       kInvalid,
       {"y", "x"},
       [](Call &c) { c.y.tensor.data = c.x.elements.data() + 1; }},
      {"y_transposes_x",
       kInvalid,
       {"y", "x"},
       [](Call &c) {
         c.y.tensor.data = c.x.tensor.data;
         c.y.stride({1, 4});
       }},
      {"y_reverses_x",
       kInvalid,
       {"y", "x"},
       [](Call &c) {
         c.y.tensor.data = c.x.elements.data() + 23;
         c.y.stride({-6, -1});
       }},
      {"gamma_in_y",
       kInvalid,
       {"gamma", "y"},
       [](Call &c) { c.gamma.tensor.data = c.y.elements.data() + 18; }},
      {"beta_in_y",
       kInvalid,
       {"beta", "y"},
       [](Call &c) { c.beta.tensor.data = c.y.elements.data() + 3; },
       kLayerNormOnly},
      {"mean_in_x",
       kInvalid,
       {"mean", "x"},
       [](Call &c) { c.mean.tensor.data = c.x.elements.data() + 20; },
       kLayerNormOnly},
      {"rstd_in_gamma",
       kInvalid,
       {"rstd", "gamma"},
       [](Call &c) { c.rstd.tensor.data = c.gamma.elements.data() + 2; }},
      {"rstd_is_mean",
       kInvalid,
       {"rstd", "mean"},
       [](Call &c) { c.rstd.tensor.data = c.mean.tensor.data; },
       kLayerNormOnly},
      {"rstd_in_y",
       kInvalid,
       {"rstd", "y"},
       [](Call &c) { c.rstd.tensor.data = c.y.elements.data() + 20; }},
  };
  return rows;
}

class Errors : public testing::TestWithParam<Row> {};

TEST_P(Errors, AreNamedAndNothingIsWritten) {
  const Row &row = GetParam();
  for (Operation operation : kOperations) {
    if (row.layer_norm_only && operation != Operation::layer_norm_forward) continue;
    SCOPED_TRACE(name(operation));
    Call call;
    row.bend(call);
    LooseTensor *const tensors[] = {&call.x, &call.gamma, &call.beta,
                                    &call.y, &call.mean,  &call.rstd};
    std::vector<std::vector<float>> before;
    for (const LooseTensor *tensor : tensors) before.push_back(tensor->elements);

    EXPECT_EQ(call.run(operation), row.status) << halnorm_last_error();
    for (const char *part : row.message) {
      EXPECT_TRUE(contains_word(halnorm_last_error(), part))
          << "the message '" << halnorm_last_error() << "' does not contain '" << part << "'";
    }
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(tensors[i]->elements, before[i]) << "tensor " << i << " was written";
    }
  }
}

void PrintTo(const Row &row, std::ostream *out) { *out << row.name; }

INSTANTIATE_TEST_SUITE_P(All, Errors, testing::ValuesIn(rows()),
                         [](const auto &info) { return std::string(info.param.name); });

// The call that the table bends is itself fine; otherwise a row might fail for the wrong reason.
TEST(ErrorsTable, StartsFromAValidCall) {
  for (Operation operation : kOperations) {
    Call call;
    EXPECT_EQ(call.run(operation), HALNORM_OK) << halnorm_last_error();
  }
}

TEST(ErrorsTable, CudaTensorsAreUnsupportedWithoutACudaTarget) {
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    if (std::strncmp(halnorm_target_name(i), "cuda", 4) == 0) {
      GTEST_SKIP() << "this build has the target " << halnorm_target_name(i)
                   << ", and host memory must not be passed to it as device memory";
    }
  }
  for (Operation operation : kOperations) {
    Call call;
    for (LooseTensor *tensor :
         {&call.x, &call.gamma, &call.beta, &call.y, &call.mean, &call.rstd}) {
      tensor->tensor.device.device_type = HALNORM_CUDA;
    }
    EXPECT_EQ(call.run(operation), HALNORM_UNSUPPORTED);
    EXPECT_NE(std::string(halnorm_last_error()).find("CUDA"), std::string::npos)
        << halnorm_last_error();
  }
}

TEST(ErrorsTable, ZeroCenteredGammaWithoutGammaHasNoEffect) {
  for (Operation operation : kOperations) {
    Call plain, flagged;
    for (Call *call : {&plain, &flagged}) {
      for (size_t i = 0; i < 24; ++i) call->x.elements[i] = static_cast<float>(i * i % 7);
      call->gamma.given = call->beta.given = false;
    }
    flagged.flags = HALNORM_ZERO_CENTERED_GAMMA;
    ASSERT_EQ(plain.run(operation), HALNORM_OK) << halnorm_last_error();
    ASSERT_EQ(flagged.run(operation), HALNORM_OK) << halnorm_last_error();
    EXPECT_EQ(plain.y.elements, flagged.y.elements);
  }
}

}  // namespace
}  // namespace halnorm_test
