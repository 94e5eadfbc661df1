// SPDX-License-Identifier: Apache-2.0
// The promise: the same call gives the same bits on every target, for any number of threads, for a
// row alone or in any batch, and for every schedule.
#include <atomic>
#include <cfenv>
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
    "layer_norm_forward:f16:37x1025:gamma,beta,statistics",
    "layer_norm_forward:f16:4x12x11x70:gamma,beta,statistics,layout=channels_first",
    "layer_norm_forward:bf16:37x64:gamma,beta,narrow_parameters,statistics",
    "layer_norm_forward:bf16:37x1025:gamma,beta,statistics",
    "layer_norm_forward:bf16:4x12x11x70:gamma,beta,statistics,layout=channels_first",
    "rms_norm_forward:f32:37x64:gamma,statistics",
    "rms_norm_forward:f32:37x1025:gamma,statistics",
    "rms_norm_forward:f32:4x12x11x70:gamma,statistics,layout=channels_first",
    "rms_norm_forward:f16:37x64:gamma,narrow_parameters,statistics",
    "rms_norm_forward:f16:37x1025:gamma,statistics",
    "rms_norm_forward:f16:4x12x11x70:gamma,statistics,layout=channels_first",
    "rms_norm_forward:bf16:37x64:gamma,narrow_parameters,statistics",
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
  for (int32_t threads = 0; threads <= 8; ++threads) {
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
    ASSERT_EQ(run(must_parse("layer_norm_forward:bf16:9x3000:gamma,beta"), other).status,
              HALNORM_OK)
        << halnorm_last_error();
  }
}

TEST_P(Bits, AreTheSameForARowAloneAndInABatch) {
  ASSERT_EQ(base_.status, HALNORM_OK) << base_.error;
  const int64_t rows = problem_.row_count();
  const auto per_row = static_cast<std::ptrdiff_t>(base_.bits.size()) / rows;
  for (int64_t row : {int64_t{0}, rows / 2, rows - 1}) {
    RunOptions options;
    options.row = row;
    Result in_batch = base_;
    in_batch.bits.assign(base_.bits.begin() + row * per_row,
                         base_.bits.begin() + (row + 1) * per_row);
    EXPECT_TRUE(
        same_bits(problem_, base_options_, in_batch, problem_, options, run(problem_, options)));
  }
}

// Another rounding mode of the caller's, and of the threads of its pool, which inherit it.
TEST_P(Bits, AreTheSameInAnotherRoundingMode) {
  for (halnorm_parallel_for pool : {halnorm_parallel_for{nullptr}, &four_threads}) {
    RunOptions options;
    options.threads = pool == nullptr ? 1 : 4;
    options.parallel_for = pool;
    options.rounding = FE_UPWARD;
    SCOPED_TRACE("rounding upward");
    expect_same(options);
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

// What halnorm_last_kernel() must contain where `kernel` was preferred and legal: its name, or, for
// the first kernels of a call in parts, that the call ran in parts, since it names the last one.
// Empty for the kernel that widens parameters: it goes before another one.
std::string report_of(const std::string &kernel) {
  const std::string part = split_at_double_underscores(kernel)[0];
  if (part.find("_parameter_") != std::string::npos) return "";
  const bool is_early =
      part.find("_moments_") != std::string::npos || part.find("_fold_") != std::string::npos;
  return is_early ? "_apply_" : kernel;
}

// Of the dtype and, where the kernel has one, the operation of the problem.
bool concerns(const std::string &kernel, const Problem &problem) {
  const std::string first = split_at_double_underscores(kernel)[0] + "_";
  return first.find("_" + std::string(name(problem.dtype)) + "_") != std::string::npos &&
         (first.find("_any_norm_") != std::string::npos ||
          first.find("_" + std::string(name(problem.operation)) + "_") != std::string::npos);
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
