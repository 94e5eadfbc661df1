// SPDX-License-Identifier: Apache-2.0
// The promise: the same call gives the same bits on every target, for any number of threads, for a
// row alone or in any batch, and for every schedule.
#include <atomic>
#include <cstddef>
#include <map>
#include <thread>

#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr const char *kProblems[] = {
    "layer_norm_forward:f32:37x1:gamma,beta,statistics",
    "layer_norm_forward:f32:37x7:gamma,beta,statistics",
    "layer_norm_forward:f32:37x64:gamma,beta,statistics",
    "layer_norm_forward:f32:37x257:gamma,beta,statistics",
    "layer_norm_forward:f32:37x768:gamma,beta",
    "layer_norm_forward:f32:37x1023:statistics",
    "layer_norm_forward:f32:37x1024:gamma,beta,statistics,inplace",
    "layer_norm_forward:f32:37x4097:gamma,zero_centered,statistics",
    "layer_norm_forward:f32:37x500:gamma,beta,statistics,layout=padded",
    "layer_norm_forward:f32:37x500:gamma,beta,statistics,layout=gaps",
    "layer_norm_forward:f32:37x500:gamma,beta,statistics,layout=transposed",
    "layer_norm_forward:f32:37x2100:gamma,beta,statistics,layout=transposed",
    "layer_norm_forward:f32:4x12x11x70:gamma,beta,statistics,layout=channels_first",
    "layer_norm_forward:f32:4x12x11x70:gamma,beta,statistics,axis=2,layout=channels_first",
    "layer_norm_forward:f16:37x64:gamma,beta,narrow_parameters,statistics",
    "layer_norm_forward:f16:37x257:gamma,beta,narrow_parameters,statistics",
    "layer_norm_forward:f16:37x1025:gamma,beta,statistics",
    "layer_norm_forward:f16:4x12x11x70:gamma,beta,statistics,layout=channels_first",
    "layer_norm_forward:bf16:37x64:gamma,beta,narrow_parameters,statistics",
    "layer_norm_forward:bf16:37x257:gamma,beta,narrow_parameters,statistics",
    "layer_norm_forward:bf16:37x1025:gamma,beta,statistics",
    "layer_norm_forward:bf16:4x12x11x70:gamma,beta,statistics,layout=channels_first",
    "rms_norm_forward:f32:37x64:gamma,statistics",
    "rms_norm_forward:f32:37x257:gamma,statistics",
    "rms_norm_forward:f32:37x1025:gamma,statistics",
    "rms_norm_forward:f32:4x12x11x70:gamma,statistics,layout=channels_first",
    "rms_norm_forward:f16:37x64:gamma,narrow_parameters,statistics",
    "rms_norm_forward:f16:37x257:gamma,narrow_parameters,statistics",
    "rms_norm_forward:f16:37x1025:gamma,statistics",
    "rms_norm_forward:f16:4x12x11x70:gamma,statistics,layout=channels_first",
    "rms_norm_forward:bf16:37x64:gamma,narrow_parameters,statistics",
    "rms_norm_forward:bf16:37x257:gamma,narrow_parameters,statistics",
    "rms_norm_forward:bf16:37x4097:gamma,zero_centered,statistics",
    "rms_norm_forward:bf16:4x12x11x70:gamma,statistics,layout=channels_first",
    // Fewer rows than threads, and rows long enough to be shared out.
    "layer_norm_forward:f32:1x100000:gamma,beta,statistics",
    "layer_norm_forward:f16:3x70000:gamma,beta,statistics",
    "layer_norm_forward:bf16:3x70000:gamma,beta,statistics",
    "rms_norm_forward:f32:3x70000:gamma,statistics",
    "rms_norm_forward:f16:1x100000:gamma,statistics",
    "rms_norm_forward:bf16:1x100000:gamma,statistics",
    // Enough rows to be shared out.
    "layer_norm_forward:f32:300x2000:gamma,beta,statistics",
    "rms_norm_forward:bf16:300x2000:gamma,statistics",
    // Backward: odd lengths, tall, wide, a single row.
    "layer_norm_backward:f32:37x1:gamma,dgamma,dbeta",
    "layer_norm_backward:f32:37x64:gamma,dgamma,dbeta",
    "layer_norm_backward:f32:37x257:dgamma,dbeta",
    "layer_norm_backward:f32:37x1024:gamma,dgamma,dbeta,inplace",
    "layer_norm_backward:f32:37x4097:gamma,dgamma,dbeta,zero_centered",
    "layer_norm_backward:f32:5000x33:gamma,dgamma,dbeta",
    "layer_norm_backward:f32:1x700:gamma,dgamma,dbeta",
    "layer_norm_backward:f32:2x70000:gamma,dgamma,dbeta",
    "layer_norm_backward:f32:300x500:gamma,dgamma,dbeta,no_dx",
    "layer_norm_backward:f32:37x500:gamma,dgamma,dbeta,layout=padded",
    "layer_norm_backward:f32:37x500:gamma,dgamma,dbeta,layout=gaps",
    "layer_norm_backward:f32:37x500:gamma,dgamma,dbeta,layout=transposed",
    "layer_norm_backward:f32:4x12x11x70:gamma,dgamma,dbeta,layout=channels_first",
    "layer_norm_backward:f16:37x1025:gamma,dgamma,dbeta,narrow_parameters",
    "layer_norm_backward:f16:4x12x11x70:gamma,dgamma,dbeta,layout=channels_first",
    "layer_norm_backward:f16:3x70000:gamma,dgamma,dbeta",
    "layer_norm_backward:bf16:37x64:gamma,dgamma,dbeta,narrow_parameters",
    "layer_norm_backward:bf16:37x1025:gamma,dgamma,dbeta",
    "layer_norm_backward:bf16:4x12x11x70:gamma,dgamma,dbeta,layout=channels_first",
    "rms_norm_backward:f32:37x64:gamma,dgamma",
    "rms_norm_backward:f32:37x4097:gamma,dgamma,zero_centered",
    "rms_norm_backward:f32:700x130:gamma,dgamma",
    "rms_norm_backward:f32:4x12x11x70:gamma,dgamma,layout=channels_first",
    "rms_norm_backward:f16:37x64:gamma,dgamma,narrow_parameters",
    "rms_norm_backward:f16:37x1025:gamma,dgamma",
    "rms_norm_backward:f16:4x12x11x70:gamma,dgamma,layout=channels_first",
    "rms_norm_backward:bf16:1x1023:gamma,dgamma",
    "rms_norm_backward:bf16:3x70000:gamma,dgamma,narrow_parameters",
    "rms_norm_backward:bf16:4x12x11x70:gamma,dgamma,layout=channels_first",
    // Samples and channels: of 0 to 3 spatial dimensions, one element, odd numbers, many.
    "instance_norm_forward:f32:3x10x1:gamma,beta,statistics",
    "instance_norm_forward:f32:3x10x37:gamma,beta,statistics",
    "instance_norm_forward:f32:5x6x7x9:gamma,beta,statistics,inplace",
    "instance_norm_forward:f32:5x70x7x9:gamma,beta,statistics,layout=channels_last",
    "instance_norm_forward:f32:2x3x40x50:gamma,beta,statistics",
    "instance_norm_forward:f32:5x6x7x9:gamma,statistics,layout=padded",
    "instance_norm_forward:f32:5x6x70:gamma,statistics,layout=transposed",
    "instance_norm_forward:f16:5x6x4x5x7:gamma,beta,narrow_parameters,statistics",
    "instance_norm_forward:f16:5x70x7x9:gamma,beta,statistics,layout=channels_last",
    "instance_norm_forward:bf16:2x3x40x50:gamma,beta,statistics",
    "instance_norm_forward:bf16:5x33x7x9:gamma,beta,statistics,layout=channels_last",
    "instance_norm_backward:f32:3x10x1:gamma,dgamma,dbeta",
    "instance_norm_backward:f32:5x6x7x9:gamma,dgamma,dbeta,inplace",
    "instance_norm_backward:f32:5x70x7x9:gamma,dgamma,dbeta,layout=channels_last",
    "instance_norm_backward:f32:2x3x40x50:gamma,dgamma,dbeta",
    "instance_norm_backward:f32:90x3x37:dgamma,dbeta,no_dx",
    "instance_norm_backward:f32:5x6x7x9:gamma,dgamma,dbeta,layout=padded",
    "instance_norm_backward:f16:5x6x4x5x7:gamma,dgamma,dbeta,narrow_parameters",
    "instance_norm_backward:f16:5x70x7x9:gamma,dgamma,dbeta,layout=channels_last",
    "instance_norm_backward:bf16:2x3x40x50:gamma,dgamma,dbeta",
    "instance_norm_backward:bf16:5x33x7x9:gamma,dgamma,dbeta,layout=channels_last",
    "group_norm_forward:f32:7x36:gamma,beta,statistics,groups=4",
    "group_norm_forward:f32:5x12x7x9:gamma,beta,statistics,groups=3",
    "group_norm_forward:f32:5x96x7x9:gamma,beta,statistics,groups=8,layout=channels_last",
    "group_norm_forward:f32:1x6x60x50:gamma,beta,statistics,groups=2",
    "group_norm_forward:f32:1x4x50000:gamma,beta,statistics,groups=1",
    "group_norm_forward:f32:5x10x31:gamma,beta,statistics,groups=5,layout=padded",
    "group_norm_forward:f32:5x10x31:gamma,beta,statistics,groups=2,layout=transposed",
    "group_norm_forward:f32:3x7x33:beta,statistics",
    "group_norm_forward:f16:5x12x7x9:gamma,beta,statistics,groups=3,narrow_parameters",
    "group_norm_forward:f16:5x96x7x9:gamma,beta,statistics,groups=8,layout=channels_last",
    "group_norm_forward:bf16:1x6x60x50:gamma,beta,statistics,groups=2,inplace",
    "group_norm_forward:bf16:5x33x7x9:gamma,beta,statistics,groups=3,layout=channels_last",
    "group_norm_backward:f32:7x36:gamma,dgamma,dbeta,groups=4",
    "group_norm_backward:f32:5x12x7x9:gamma,dgamma,dbeta,groups=3",
    "group_norm_backward:f32:5x96x7x9:gamma,dgamma,dbeta,groups=8,layout=channels_last",
    "group_norm_backward:f32:1x6x60x50:gamma,dgamma,dbeta,groups=2,inplace",
    "group_norm_backward:f32:5x10x31:gamma,dgamma,dbeta,groups=5,layout=gaps",
    "group_norm_backward:f16:5x12x7x9:gamma,dgamma,dbeta,groups=3,narrow_parameters",
    "group_norm_backward:f16:5x96x7x9:gamma,dgamma,dbeta,groups=8,layout=channels_last",
    "group_norm_backward:f16:1x6x60x50:gamma,dgamma,dbeta,groups=2",
    "group_norm_backward:bf16:1x6x60x50:gamma,dgamma,dbeta,groups=2",
    "group_norm_backward:bf16:5x12x7x9:gamma,dgamma,dbeta,groups=3",
    "group_norm_backward:bf16:5x33x7x9:gamma,dgamma,dbeta,groups=3,layout=channels_last",
    "batch_norm_inference:f32:37x70:gamma,beta",
    "batch_norm_inference:f32:2x1x100000:gamma,beta",
    "batch_norm_inference:f32:5x6x7x9:gamma,beta,inplace",
    "batch_norm_inference:f32:5x70x7x9:gamma,beta,layout=channels_last",
    "batch_norm_inference:f32:2x3x40x50:gamma",
    "batch_norm_inference:f16:5x6x7x9:gamma,beta,narrow_parameters",
    "batch_norm_inference:f16:5x70x7x9:gamma,beta,layout=channels_last",
    "batch_norm_inference:bf16:2x3x40x50:gamma,beta,zero_centered",
    "batch_norm_inference:bf16:5x33x7x9:gamma,beta,layout=channels_last",
    "batch_norm_training:f32:37x70:gamma,beta,statistics,running",
    "batch_norm_training:f32:5x6x7x9:gamma,beta,statistics,running,inplace",
    "batch_norm_training:f32:5x70x7x9:gamma,beta,statistics,running,layout=channels_last",
    "batch_norm_training:f32:2x3x40x50:gamma,beta,statistics,running,biased",
    "batch_norm_training:f32:90x3x37:statistics,running,momentum=0.5",
    "batch_norm_training:f32:5x6x7x9:gamma,statistics,layout=padded",
    "batch_norm_training:f32:5x6x70:gamma,statistics,layout=transposed",
    "batch_norm_training:f32:1x2x300x300:gamma,beta,statistics,running",
    "batch_norm_training:f32:9x300:gamma,beta,statistics,running,layout=transposed",
    "batch_norm_training:f16:5x6x4x5x7:gamma,beta,narrow_parameters,statistics,running",
    "batch_norm_training:f16:5x70x7x9:gamma,beta,statistics,running,layout=channels_last",
    "batch_norm_training:bf16:2x3x40x50:gamma,beta,statistics,running",
    "batch_norm_training:bf16:5x33x7x9:gamma,beta,statistics,running,layout=channels_last",
    "batch_norm_backward:f32:37x70:gamma,dgamma,dbeta",
    "batch_norm_backward:f32:5x6x7x9:gamma,dgamma,dbeta,inplace",
    "batch_norm_backward:f32:5x70x7x9:gamma,dgamma,dbeta,layout=channels_last",
    "batch_norm_backward:f32:2x3x40x50:gamma,dgamma,dbeta",
    "batch_norm_backward:f32:90x3x37:gamma,dgamma,dbeta,no_dx",
    "batch_norm_backward:f32:5x6x7x9:gamma,dgamma,dbeta,fixed,layout=padded",
    "batch_norm_backward:f32:1x2x300x300:gamma,dgamma,dbeta",
    "batch_norm_backward:f16:5x6x4x5x7:gamma,dgamma,dbeta,narrow_parameters",
    "batch_norm_backward:f16:5x70x7x9:gamma,dgamma,dbeta,layout=channels_last",
    "batch_norm_backward:bf16:2x3x40x50:gamma,dgamma,dbeta,fixed",
    "batch_norm_backward:bf16:5x33x7x9:gamma,dgamma,dbeta,layout=channels_last",
};

class Bits : public testing::TestWithParam<const char *> {
 protected:
  Bits() : problem_(must_parse(GetParam())), base_(run(problem_, base_options_)) {}

  void expect_same(const RunOptions &options) {
    EXPECT_TRUE(
        same_bits(problem_, base_options_, base_, problem_, options, run(problem_, options)));
  }

  const Problem problem_;
  const RunOptions base_options_;  // the best target, one thread
  const Result base_;
};

TEST_P(Bits, AreTheSameOnEveryTarget) {
  const std::vector<std::string> targets = usable_targets();
  ASSERT_FALSE(targets.empty());
  for (const std::string &target : targets) {
    RunOptions options;
    options.target = target;
    expect_same(options);
  }
}

void backwards(void *, int64_t count, halnorm_task task, void *argument) {
  for (int64_t i = count; i-- > 0;) task(argument, i);
}

void four_threads(void *, int64_t count, halnorm_task task, void *argument) {
  std::atomic<int64_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int64_t i = next++; i < count; i = next++) task(argument, i);
    });
  }
  for (std::thread &thread : threads) thread.join();
}

TEST_P(Bits, AreTheSameForAnyThreadsAndPool) {
  for (int32_t threads : {0, 2, 3, 5, 8}) {
    RunOptions options;
    options.threads = threads;
    expect_same(options);
  }
  for (halnorm_parallel_for pool : {&backwards, &four_threads}) {
    RunOptions options;
    options.threads = 4;
    options.parallel_for = pool;
    SCOPED_TRACE(pool == &backwards ? "tasks in reverse order" : "tasks on four threads");
    expect_same(options);
  }
}

// A workspace that keeps anything from call to call shows when other calls come between.
TEST_P(Bits, AreTheSameTheSecondTimeAndAtAnyAddress) {
  for (Placement placement :
       {Placement::end_flush, Placement::start_flush, Placement::odd_offset}) {
    RunOptions options;
    options.placement = placement;
    expect_same(options);
    RunOptions other;
    other.data.kind = Data::Kind::special;
    for (const char *between : {"layer_norm_forward:bf16:9x3000:gamma,beta",
                                "batch_norm_backward:f32:9x8x300:gamma,dgamma,dbeta"}) {
      ASSERT_EQ(run(must_parse(between), other).status, HALNORM_OK) << halnorm_last_error();
    }
  }
}

// A row, or of the norms with channels a sample.
TEST_P(Bits, AreTheSameForAPartAloneAndInABatch) {
  ASSERT_EQ(base_.status, HALNORM_OK) << base_.error;
  const int64_t parts = problem_.part_count();
  if (problem_.part_rank() == 0 || problem_.no_dx) return;  // all sums are over the batch
  const auto each = static_cast<std::ptrdiff_t>(base_.bits_of_part);
  for (int64_t part : {int64_t{0}, parts / 2, parts - 1}) {
    RunOptions options;
    options.part = part;
    Result in_batch = base_;
    in_batch.bits.assign(base_.bits.begin() + part * each, base_.bits.begin() + (part + 1) * each);
    EXPECT_TRUE(
        same_bits(problem_, base_options_, in_batch, problem_, options, run(problem_, options)));
  }
}

// A mode of the caller's, and of the threads of its pool, which inherit it.
TEST_P(Bits, AreTheSameInAnyFloatMode) {
  for (FloatMode mode : kFloatModes) {
    if (!available(mode)) continue;
    for (halnorm_parallel_for pool : {halnorm_parallel_for{nullptr}, &four_threads}) {
      RunOptions options;
      options.threads = pool == nullptr ? 1 : 4;
      options.parallel_for = pool;
      options.float_mode = mode;
      SCOPED_TRACE(name(mode));
      expect_same(options);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Bits, testing::ValuesIn(kProblems),
                         [](const auto &info) { return test_name(info.param); });

std::vector<std::string> split_at_double_underscores(const std::string &text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find("__", begin)) != std::string::npos; begin = end + 2) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// A kernel's name is halnorm_<operation>_<part>_<dtype>[_n<longest row>]__<target>[__<schedule>].
std::string target_of(const std::string &kernel) {
  const std::vector<std::string> parts = split_at_double_underscores(kernel);
  return parts.size() > 1 ? parts[1] : "";
}

// What halnorm_last_kernel() must contain where `kernel` was preferred and legal: its name. Empty
// for the kernel that widens parameters: it goes before another one, which is named.
std::string report_of(const std::string &kernel) {
  const bool widens = kernel.find("_any_norm_parameter_") != std::string::npos &&
                      kernel.find("_parameter_gradient_") == std::string::npos;
  return widens ? "" : kernel;
}

// Of the dtype and the operation of the problem. A kernel that is named after no operation of the
// grammar serves several.
bool concerns(const std::string &kernel, const Problem &problem) {
  const std::string first = split_at_double_underscores(kernel)[0] + "_";
  if (first.find("_" + std::string(name(problem.dtype)) + "_") == std::string::npos) return false;
  for (Operation operation : kOperations) {
    if (first.find("_" + std::string(name(operation)) + "_") == std::string::npos) continue;
    return operation == problem.operation;
  }
  return true;
}

class ScheduleRows : public testing::TestWithParam<std::string> {};

TEST_P(ScheduleRows, NeverChangeABit) {
  std::map<std::string, Result> base;
  for (const char *text : kProblems) base[text] = run(must_parse(text), RunOptions());

  int kernels = 0;
  for (int32_t i = 0; i < halnorm_kernel_count(); ++i) {
    const std::string kernel = halnorm_kernel_name(i);
    if (target_of(kernel) != GetParam()) continue;
    ++kernels;
    bool has_run = false;
    for (const char *text : kProblems) {
      const Problem problem = must_parse(text);
      if (!concerns(kernel, problem)) continue;
      RunOptions options;
      options.target = GetParam();
      options.kernel = kernel;
      const Result forced = run(problem, options);
      EXPECT_TRUE(same_bits(problem, RunOptions(), base[text], problem, options, forced));
      has_run = has_run || forced.kernel.find(report_of(kernel)) != std::string::npos;
    }
    EXPECT_TRUE(has_run) << kernel << " was preferred and ran for none of the problems";
  }
  EXPECT_GT(kernels, 0) << "the table has no kernel of target " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(All, ScheduleRows, testing::ValuesIn(usable_targets()),
                         [](const auto &info) { return test_name(info.param); });

TEST(KernelTable, NamesItsTargets) {
  ASSERT_GT(halnorm_kernel_count(), 0);
  for (int32_t i = 0; i < halnorm_kernel_count(); ++i) {
    const std::string kernel = halnorm_kernel_name(i);
    bool known = false;
    for (int32_t t = 0; t < halnorm_target_count(); ++t) {
      known = known || target_of(kernel) == halnorm_target_name(t);
    }
    EXPECT_TRUE(known) << kernel;
  }
  for (int32_t i : {-1, halnorm_kernel_count()}) EXPECT_EQ(halnorm_kernel_name(i), nullptr);
}

}  // namespace
}  // namespace halnorm_test
