// SPDX-License-Identifier: Apache-2.0
// What the norms have to do with each other and with themselves, whatever the reference says.
#include <cmath>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

// Gradients of a norm lie across what it takes away: it does not see a constant added to the
// elements of a statistic, so that their dx add up to 0, nor (but for eps) a factor, so that their
// dx * xhat do. RMS norm sees the constant.
class Directions : public testing::TestWithParam<const char *> {};

TEST_P(Directions, ThatTheNormDoesNotSeeHaveNoGradient) {
  Tensors tensors(must_parse(GetParam()), Placement::end_flush);
  tensors.fill(Data(), 1);
  ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
  const Problem &problem = tensors.problem;
  struct Sums {
    double dx = 0, product = 0, magnitude = 0;
  };
  std::vector<Sums> all(static_cast<size_t>(problem.statistic_count()));
  for (int64_t row = 0; row < tensors.x.rows(); ++row) {
    const int64_t statistic = problem.statistic_of(row);
    const double mean = tensors.mean ? static_cast<double>(tensors.mean->value(statistic, 0)) : 0;
    const double rstd = static_cast<double>(tensors.rstd->value(statistic, 0));
    Sums &sums = all[static_cast<size_t>(statistic)];
    for (int64_t i = 0; i < tensors.x.row_length(); ++i) {
      const double dx = static_cast<double>(tensors.dx->value(row, i));
      const double xhat = (static_cast<double>(tensors.x.value(row, i)) - mean) * rstd;
      sums.dx += dx;
      sums.product += dx * xhat;
      sums.magnitude += std::fabs(dx) * (1 + std::fabs(xhat));
    }
  }
  for (size_t s = 0; s < all.size(); ++s) {
    if (problem.norm() != Norm::rms) {
      EXPECT_NEAR(all[s].dx, 0, 1e-6 * all[s].magnitude) << "statistic " << s;
    }
    EXPECT_NEAR(all[s].product, 0, 1e-6 * all[s].magnitude) << "statistic " << s;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Directions,
    testing::Values("layer_norm_backward:f32:5x300:gamma,eps=1e-12",
                    "rms_norm_backward:f32:5x300:gamma,eps=1e-12",
                    "instance_norm_backward:f32:3x4x300:gamma,eps=1e-12",
                    "group_norm_backward:f32:3x12x70:gamma,groups=3,eps=1e-12",
                    "group_norm_backward:f32:3x12x70:gamma,groups=3,eps=1e-12,layout=channels_last",
                    "batch_norm_backward:f32:6x5x70:gamma,eps=1e-12",
                    "batch_norm_backward:f32:6x5x70:gamma,eps=1e-12,layout=channels_last"),
    [](const auto &info) { return test_name(info.param); });

// The data depends on the statistic and the place in it alone, so that these pairs have the same
// elements and, part by part, the same outputs.
void expect_same_bits(const Problem &a, const Problem &b) {
  const RunOptions options;
  EXPECT_TRUE(same_bits(a, options, run(a, options), b, options, run(b, options)));
}

// By design: their statistics are of the same elements in the same order.
TEST(Identities, InstanceNormIsGroupNormWithAGroupForEachChannel) {
  for (Dtype dtype : kDtypes) {
    for (Layout layout : {Layout::dense, Layout::channels_last, Layout::padded}) {
      for (const std::vector<int64_t> &shape :
           {std::vector<int64_t>{3, 10, 7, 9}, {2, 3, 1100}, {2, 5, 1}}) {
        for (bool backward : {false, true}) {
          Problem instance = full_problem(
              backward ? Operation::instance_norm_backward : Operation::instance_norm_forward,
              dtype, shape);
          instance.layout = layout;
          Problem group = instance;
          group.operation =
              backward ? Operation::group_norm_backward : Operation::group_norm_forward;
          group.groups = shape[1];
          expect_same_bits(instance, group);
        }
      }
    }
  }
}

// By design where the channels of a sample are dense: one row of C * H * W elements. (With gamma
// they are not the same operation: that of layer norm lies along the row.)
TEST(Identities, LayerNormOfWholeSamplesIsGroupNormWithOneGroup) {
  for (Dtype dtype : kDtypes) {
    Problem layer = full_problem(Operation::layer_norm_forward, dtype, {3, 6 * 5 * 7});
    Problem group = full_problem(Operation::group_norm_forward, dtype, {3, 6, 5, 7});
    for (Problem *problem : {&layer, &group}) problem->gamma = problem->beta = false;
    group.groups = 1;
    expect_same_bits(layer, group);
    layer.shape = {2, 4 * 900};  // several chunks
    group.shape = {2, 4, 900};
    expect_same_bits(layer, group);
  }
}

// What a call of one problem wrote is what the reference expects of another.
testing::AssertionResult meets(const Problem &called, const Problem &other) {
  Tensors tensors(called, Placement::end_flush);
  tensors.fill(Data(), 1);
  if (tensors.call(nullptr) != HALNORM_OK) {
    return testing::AssertionFailure() << print(called) << ": " << halnorm_last_error();
  }
  const testing::AssertionResult result = as_expected(&tensors, expected_of(other, RunOptions()));
  if (result) return result;
  return testing::AssertionFailure()
         << print(called) << " is not " << print(other) << ": " << result.message();
}

// By design: strides choose the order of the sums and nothing else.
TEST(Identities, LayoutsWithTheSameOrderOfSumsGiveTheSameBits) {
  for (Operation operation : kOperations) {
    for (Dtype dtype : kDtypes) {
      const Problem dense = full_problem(operation, dtype, {3, 4, 150});
      Problem padded = dense, gaps = dense, reversed = dense;
      padded.layout = Layout::padded;
      gaps.layout = Layout::gaps;
      reversed.layout = Layout::reversed;
      // Elements of a row are neighbours. Dense channels of a group are one row.
      if (operation != Operation::group_norm_forward) expect_same_bits(dense, padded);
      // They are not.
      expect_same_bits(gaps, reversed);
      Problem columns = gaps;
      columns.layout = dense.has_channels() ? Layout::channels_last : Layout::channels_first;
      if (dense.norm() == Norm::batch && dense.part_rank() == 0) continue;  // samples are one row
      // Gradients of the parameters of rows are summed over another order of rows.
      if (!dense.has_channels()) {
        for (Problem *problem : {&gaps, &columns}) problem->dgamma = problem->dbeta = false;
      }
      expect_same_bits(gaps, columns);
    }
  }
}

// By design: x alone decides.
TEST(Identities, StridesOfOtherTensorsThanXDoNotMatter) {
  for (Operation operation : kOperations) {
    for (Dtype dtype : kDtypes) {
      const Problem problem = full_problem(operation, dtype, {3, 10, 70});
      Tensors dense(problem, Placement::end_flush), strided(problem, Placement::end_flush);
      const size_t first = problem.first_reduced();
      for (std::optional<Tensor> *tensor : {&strided.dy, &strided.y, &strided.dx}) {
        if (!*tensor) continue;
        tensor->emplace(dtype, problem.shape, strides_of(Layout::gaps, problem.shape, first), first,
                        Placement::end_flush);
      }
      const std::vector<int64_t> shape = problem.parameter_shape();
      for (std::optional<Tensor> *tensor :
           {&strided.gamma, &strided.beta, &strided.dgamma, &strided.dbeta}) {
        if (!*tensor) continue;
        tensor->emplace(Dtype::f32, shape, strides_of(Layout::reversed, shape, 0), 0,
                        Placement::end_flush);
      }
      for (Tensors *tensors : {&dense, &strided}) {
        tensors->fill(Data(), 1);
        ASSERT_EQ(tensors->call(nullptr), HALNORM_OK) << halnorm_last_error();
      }
      const Expected nothing;
      const std::vector<Output> one = outputs_of(dense, nothing),
                                other = outputs_of(strided, nothing);
      for (size_t k = 0; k < one.size(); ++k) {
        for (int64_t row = 0; row < one[k].actual->rows(); ++row) {
          for (int64_t i = 0; i < one[k].actual->row_length(); ++i) {
            ASSERT_EQ(one[k].actual->bits(row, i), other[k].actual->bits(row, i))
                << print(problem) << ": " << one[k].name << " row " << row << " element " << i;
          }
        }
      }
    }
  }
}

// Not bit for bit: a channel's rows may be added in another way where there may be many samples.
TEST(Identities, BatchNormOfOneSampleIsInstanceNorm) {
  for (Dtype dtype : kDtypes) {
    for (Layout layout : {Layout::dense, Layout::channels_last}) {
      for (bool backward : {false, true}) {
        Problem batch =
            full_problem(backward ? Operation::batch_norm_backward : Operation::batch_norm_training,
                         dtype, {1, 10, 7, 9});
        batch.running = false;
        batch.layout = layout;
        Problem instance = batch;
        instance.operation =
            backward ? Operation::instance_norm_backward : Operation::instance_norm_forward;
        EXPECT_TRUE(meets(batch, instance));
        EXPECT_TRUE(meets(instance, batch));
      }
    }
  }
}

// Each element and its negative: the mean is 0, and layer norm has nothing to subtract.
TEST(Identities, RmsNormIsLayerNormOfRowsAroundZero) {
  for (Dtype dtype : kDtypes) {
    Tensors rms(full_problem(Operation::rms_norm_forward, dtype, {4, 400}), Placement::end_flush);
    Tensors layer(full_problem(Operation::layer_norm_forward, dtype, {4, 400}),
                  Placement::end_flush);
    for (Tensors *tensors : {&rms, &layer}) {
      if (tensors == &layer) tensors->beta.reset();
      tensors->fill(Data(), 1);
      for (int64_t row = 0; row < 4; ++row) {
        for (int64_t i = 0; i < 400; i += 2) {
          tensors->x.set(row, i + 1, -tensors->x.value(row, i));
        }
      }
      tensors->x.remember();
      ASSERT_EQ(tensors->call(nullptr), HALNORM_OK) << halnorm_last_error();
    }
    Expected expected = reference(layer);
    EXPECT_TRUE(as_expected(&rms, expected)) << name(dtype);
    EXPECT_TRUE(as_expected(&layer, expected)) << name(dtype);
  }
}

// Nothing that is not asked for changes what is.
TEST(Identities, OutputsDoNotDependOnWhichOthersAreWanted) {
  for (Operation operation : kOperations) {
    for (Layout layout : {Layout::dense, Layout::transposed}) {
      Problem all = full_problem(operation, Dtype::f32, {3, 10, 130});
      all.layout = layout;
      Problem first = all;
      first.statistics = first.running = first.dgamma = first.dbeta = false;
      const RunOptions options;
      const Result whole = run(all, options), alone = run(first, options);
      ASSERT_EQ(whole.status, HALNORM_OK) << whole.error;
      ASSERT_EQ(alone.status, HALNORM_OK) << alone.error;
      const size_t parts = static_cast<size_t>(all.part_count());
      for (size_t part = 0; part < parts; ++part) {
        for (size_t i = 0; i < alone.bits_of_part; ++i) {
          ASSERT_EQ(whole.bits[part * whole.bits_of_part + i],
                    alone.bits[part * alone.bits_of_part + i])
              << print(all) << ": part " << part << " element " << i;
        }
      }
      if (!all.is_backward()) continue;
      // dgamma and dbeta come last.
      Problem rest = all;
      rest.no_dx = true;
      const Result gradients = run(rest, options);
      ASSERT_EQ(gradients.status, HALNORM_OK) << gradients.error;
      const std::vector<uint32_t> last(
          whole.bits.end() - static_cast<std::ptrdiff_t>(gradients.bits.size()), whole.bits.end());
      EXPECT_EQ(gradients.bits, last) << print(all);
    }
  }
}

}  // namespace
}  // namespace halnorm_test
