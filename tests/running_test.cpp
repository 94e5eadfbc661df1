// SPDX-License-Identifier: Apache-2.0
// Running statistics of batch norm.
#include <cmath>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

TEST(Running, StatisticsAreAccurate) {
  for (double momentum : {0.0, 0.1, 0.25, 1.0}) {
    for (bool biased : {false, true}) {
      for (Dtype dtype : kDtypes) {
        for (const std::vector<int64_t> &shape :
             {std::vector<int64_t>{5, 7, 9, 3}, {2, 3, 1100}, {40, 9}, {2, 1}}) {
          for (Layout layout : {Layout::dense, Layout::channels_last}) {
            if (layout == Layout::channels_last && shape.size() < 3) continue;
            Problem problem = full_problem(Operation::batch_norm_training, dtype, shape);
            problem.momentum = momentum;
            problem.biased = biased;
            problem.layout = layout;
            EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
          }
        }
      }
    }
  }
}

class RunningUpdate : public testing::Test {
 protected:
  // One channel of the samples 1 and 3: its mean is 2, its variance 1, or 2 where it is unbiased.
  void update(const char *options, float old_mean, float old_var) {
    Tensors tensors(must_parse(std::string("batch_norm_training:f32:2x1:running") + options),
                    Placement::end_flush);
    tensors.fill(Data(), 1);
    tensors.x.set(0, 0, 1);
    tensors.x.set(1, 0, 3);
    tensors.running_mean->set(0, 0, old_mean);
    tensors.running_var->set(0, 0, old_var);
    ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
    mean_ = tensors.running_mean->value(0, 0);
    var_ = tensors.running_var->value(0, 0);
  }

  float mean_ = 0, var_ = 0;
};

TEST_F(RunningUpdate, IsUnbiasedByDefault) {
  update(",momentum=0.25", 10, 4);
  EXPECT_FLOAT_EQ(mean_, 0.75f * 10 + 0.25f * 2);
  EXPECT_FLOAT_EQ(var_, 0.75f * 4 + 0.25f * 2);
}

TEST_F(RunningUpdate, IsBiasedWhereThatIsAskedFor) {
  update(",biased,momentum=0.25", 10, 4);
  EXPECT_FLOAT_EQ(mean_, 0.75f * 10 + 0.25f * 2);
  EXPECT_FLOAT_EQ(var_, 0.75f * 4 + 0.25f * 1);
}

TEST_F(RunningUpdate, WithMomentumZeroKeepsTheOld) {
  update(",momentum=0", 0.1f, 0.3f);
  EXPECT_EQ(mean_, 0.1f);
  EXPECT_EQ(var_, 0.3f);
}

TEST_F(RunningUpdate, WithMomentumOneTakesTheNew) {
  update(",momentum=1", 10, 4);
  EXPECT_FLOAT_EQ(mean_, 2);
  EXPECT_FLOAT_EQ(var_, 2);
}

TEST(Running, StatisticsWithMomentumOneAreThoseThatInferenceNeeds) {
  Problem problem = full_problem(Operation::batch_norm_training, Dtype::f32, {8, 5, 30});
  problem.biased = true;
  problem.momentum = 1;
  Tensors training(problem, Placement::end_flush);
  training.fill(Data(), 1);
  const Expected expected = reference(training);
  ASSERT_EQ(training.call(nullptr), HALNORM_OK) << halnorm_last_error();

  Tensors inference(full_problem(Operation::batch_norm_inference, Dtype::f32, {8, 5, 30}),
                    Placement::end_flush);
  inference.fill(Data(), 1);
  for (int64_t channel = 0; channel < 5; ++channel) {
    inference.running_mean->set(channel, 0, training.running_mean->value(channel, 0));
    inference.running_var->set(channel, 0, training.running_var->value(channel, 0));
  }
  inference.running_mean->remember();
  inference.running_var->remember();
  ASSERT_EQ(inference.call(nullptr), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(as_expected(&inference, expected));
}

TEST(Running, VarianceOfOneElementHasToBeBiased) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{1, 6}, {1, 6, 1, 1}}) {
    Problem problem = full_problem(Operation::batch_norm_training, Dtype::f32, shape);
    problem.biased = true;
    EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
    Problem none = problem;
    none.running = none.biased = false;
    EXPECT_TRUE(accurate_on_all_targets(none, RunOptions()));

    problem.biased = false;  // the grammar would refuse it too
    Tensors tensors(problem, Placement::end_flush);
    tensors.fill(Data(), 1);
    for (std::optional<Tensor> *tensor :
         {&tensors.y, &tensors.mean, &tensors.rstd, &tensors.running_mean, &tensors.running_var}) {
      (*tensor)->remember();
    }
    EXPECT_EQ(tensors.call(nullptr), HALNORM_INVALID_ARGUMENT);
    EXPECT_TRUE(contains_word(halnorm_last_error(), "running_var")) << halnorm_last_error();
    EXPECT_TRUE(contains_word(halnorm_last_error(), "HALNORM_RUNNING_VAR_BIASED"))
        << halnorm_last_error();
    for (std::optional<Tensor> *tensor :
         {&tensors.y, &tensors.mean, &tensors.rstd, &tensors.running_mean, &tensors.running_var}) {
      EXPECT_TRUE((*tensor)->unchanged());
    }
  }
}

TEST(Running, StatisticsOfAnEmptyBatchStay) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{0, 6}, {0, 6, 4}, {3, 6, 0}}) {
    Tensors tensors(full_problem(Operation::batch_norm_training, Dtype::f32, shape),
                    Placement::end_flush);
    tensors.fill(Data(), 1);
    ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
    EXPECT_TRUE(tensors.running_mean->unchanged());
    EXPECT_TRUE(tensors.running_var->unchanged());
    for (int64_t channel = 0; channel < 6; ++channel) {
      EXPECT_TRUE(std::isnan(tensors.mean->value(channel, 0)));
      EXPECT_TRUE(std::isnan(tensors.rstd->value(channel, 0)));
    }
  }
}

}  // namespace
}  // namespace halnorm_test
