// SPDX-License-Identifier: Apache-2.0
// Contexts: target, threads, pool and workspace of a call, and several threads with one context.
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <thread>

#include "test_util.h"

namespace halnorm_test {
namespace {

class Context : public testing::Test {
 protected:
  Context() { EXPECT_EQ(halnorm_context_create(&context_), HALNORM_OK) << halnorm_last_error(); }
  ~Context() override { halnorm_context_destroy(context_); }

  // The bits of one call with context_.
  std::vector<uint32_t> bits(const char *problem) {
    Tensors tensors(must_parse(problem), Placement::end_flush);
    tensors.fill(Data(), 1);
    EXPECT_EQ(tensors.call(context_), HALNORM_OK) << halnorm_last_error();
    return bits_of(&tensors);
  }

  halnorm_context *context_ = nullptr;
};

constexpr char kSmall[] = "layer_norm_forward:f16:5x300:gamma,beta,narrow_parameters";
constexpr char kLarge[] = "layer_norm_forward:f32:600x3000:gamma,beta";
constexpr char kLongRow[] = "rms_norm_forward:f16:1x300000:gamma,narrow_parameters";
constexpr char kAcross[] = "layer_norm_forward:f16:2x20x20x80:gamma,beta,layout=channels_first";
constexpr char kBackward[] = "layer_norm_backward:f32:400x700:gamma,dgamma,dbeta";
constexpr char kChannels[] =
    "batch_norm_training:f16:8x20x300:gamma,beta,statistics,running,layout=channels_last";
constexpr char kChannelsBackward[] =
    "group_norm_backward:bf16:4x20x300:gamma,dgamma,dbeta,groups=5,narrow_parameters";
constexpr const char *kProblems[] = {kSmall,    kLarge,    kLongRow,         kAcross,
                                     kBackward, kChannels, kChannelsBackward};
constexpr size_t kProblemCount = sizeof kProblems / sizeof *kProblems;
constexpr halnorm_device kCpu = {HALNORM_CPU, 0};

// A process of its own, since the environment is read once and threads stay once started.
struct Child {
  int status;  // exit status
  std::string output;
};

Child run_check(const std::string &environment, const std::string &arguments) {
  const std::string line = "env " + environment +
                           " " HALNORM_EMULATOR " '" HALNORM_CHECK_PROGRAM "' " + arguments +
                           " 2>&1";
  Child child = {-1, "command: " + line + "\n"};
  FILE *pipe = popen(line.c_str(), "r");
  if (pipe == nullptr) return child;
  char text[256];
  while (std::fgets(text, sizeof text, pipe) != nullptr) child.output += text;
  const int status = pclose(pipe);
  if (WIFEXITED(status)) child.status = WEXITSTATUS(status);
  return child;
}

std::string line_of(const Child &child, const std::string &key) {
  const size_t at = child.output.find("\n" + key);
  if (at == std::string::npos) return "";
  return child.output.substr(at + 1, child.output.find('\n', at + 1) - at - 1);
}

TEST(Targets, AreNumberedFromTheBest) {
  ASSERT_GT(halnorm_target_count(), 0);
  EXPECT_FALSE(usable_targets().empty()) << "this machine can run no target of this build";
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    EXPECT_NE(halnorm_target_name(i), nullptr);
  }
  for (int32_t i : {-1, halnorm_target_count()}) {
    EXPECT_EQ(halnorm_target_name(i), nullptr);
    EXPECT_EQ(halnorm_target_usable(i), 0);
  }
}

TEST(Targets, VersionHasAValue) { EXPECT_STRNE(halnorm_version(), ""); }

TEST_F(Context, TargetIsForced) {
  for (const std::string &target : usable_targets()) {
    ASSERT_EQ(halnorm_context_set_target(context_, target.c_str()), HALNORM_OK)
        << halnorm_last_error();
    bits(kSmall);
    EXPECT_NE(std::string(halnorm_last_kernel()).find(target), std::string::npos)
        << "last kernel " << halnorm_last_kernel();
  }
}

TEST_F(Context, TargetNullIsTheBestUsable) {
  const std::vector<std::string> targets = usable_targets();
  ASSERT_EQ(halnorm_context_set_target(context_, targets.back().c_str()), HALNORM_OK);
  ASSERT_EQ(halnorm_context_set_target(context_, nullptr), HALNORM_OK);
  bits(kSmall);
  EXPECT_NE(std::string(halnorm_last_kernel()).find(targets.front()), std::string::npos)
      << "last kernel " << halnorm_last_kernel();
}

TEST_F(Context, TargetThatCannotRunIsRefusedWithTheNames) {
  std::vector<std::string> refused = unusable_targets();
  refused.push_back("x86_avx3");
  refused.push_back("");
  for (const std::string &target : refused) {
    EXPECT_EQ(halnorm_context_set_target(context_, target.c_str()), HALNORM_UNSUPPORTED) << target;
    const std::string message = halnorm_last_error();
    EXPECT_NE(message.find(target), std::string::npos) << message;
    for (int32_t i = 0; i < halnorm_target_count(); ++i) {
      EXPECT_TRUE(contains_word(message, halnorm_target_name(i))) << message;
    }
  }
  bits(kSmall);  // the context still works
}

TEST(Environment, TargetIsForced) {
  for (const std::string &target : usable_targets()) {
    const Child child = run_check("HALNORM_TARGET=" + target, kSmall);
    EXPECT_EQ(child.status, 0) << child.output;
    EXPECT_NE(line_of(child, "kernel:").find(target), std::string::npos) << child.output;
  }
}

TEST(Environment, TargetYieldsToTheContext) {
  const std::string best = usable_targets().front(), worst = usable_targets().back();
  const Child child = run_check("HALNORM_TARGET=" + best, kSmall + (" --target=" + worst));
  EXPECT_EQ(child.status, 0) << child.output;
  EXPECT_NE(line_of(child, "kernel:").find(worst), std::string::npos) << child.output;
}

TEST(Environment, TargetThatCannotRunIsRefusedWithTheNames) {
  std::vector<std::string> refused = unusable_targets();
  refused.push_back("x86_avx3");
  for (const std::string &target : refused) {
    const Child child = run_check("HALNORM_TARGET=" + target, kSmall);
    EXPECT_EQ(child.status, 1) << child.output;
    const std::string line = line_of(child, "FAILED:");
    EXPECT_TRUE(contains_word(line, target)) << child.output;
    for (int32_t i = 0; i < halnorm_target_count(); ++i) {
      EXPECT_TRUE(contains_word(line, halnorm_target_name(i))) << child.output;
    }
  }
}

TEST(Threads, OneStartsNone) {
#ifndef __linux__
  GTEST_SKIP() << "threads are counted in /proc/self/task, which only Linux has";
#endif
  for (const char *problem : {kLarge, kLongRow, kBackward, kChannels}) {
    const Child child = run_check("HALNORM_TARGET=", problem + std::string(" --threads=1"));
    EXPECT_EQ(child.status, 0) << child.output;
    EXPECT_EQ(line_of(child, "threads started:"), "threads started: 0") << child.output;
  }
}

TEST(Threads, NoMoreThanAskedForAreStarted) {
#ifndef __linux__
  GTEST_SKIP() << "threads are counted in /proc/self/task, which only Linux has";
#endif
  const Child child = run_check("HALNORM_TARGET=", kLarge + std::string(" --threads=2"));
  EXPECT_EQ(child.status, 0) << child.output;
  const std::string line = line_of(child, "threads started:");
  EXPECT_TRUE(line == "threads started: 0" || line == "threads started: 1") << child.output;
}

TEST(Threads, NoMoreThanThePoolHoldsAreStarted) {
#ifndef __linux__
  GTEST_SKIP() << "threads are counted in /proc/self/task, which only Linux has";
#endif
  const Child child =
      run_check("HALNORM_TARGET=", "rms_norm_forward:f32:640x14000: --threads=100000");
  EXPECT_EQ(child.status, 0) << child.output;
  int started = 0;
  EXPECT_EQ(
      std::sscanf(line_of(child, "threads started:").c_str(), "threads started: %d", &started), 1)
      << child.output;
  EXPECT_GT(started, 4);
  EXPECT_LE(started, 256);
}

// What a pool of the caller's saw.
struct Pool {
  std::atomic<int> calls{0};
  std::atomic<bool> right{true};
};

void count_calls(void *pool_argument, int64_t count, halnorm_task task, void *argument) {
  Pool *pool = static_cast<Pool *>(pool_argument);
  ++pool->calls;
  if (count < 2) pool->right = false;
  for (int64_t i = 0; i < count; ++i) task(argument, i);
}

TEST_F(Context, CallersPoolIsUsedUntilItIsTakenBack) {
  const std::vector<uint32_t> expected = bits(kLarge);
  Pool pool;
  ASSERT_EQ(halnorm_context_set_num_threads(context_, 4), HALNORM_OK);
  ASSERT_EQ(halnorm_context_set_parallel_for(context_, count_calls, &pool), HALNORM_OK);
  EXPECT_EQ(bits(kLarge), expected);
  EXPECT_GT(pool.calls, 0);
  EXPECT_TRUE(pool.right) << "the pool was called for fewer than two tasks";

  const int calls = pool.calls;
  ASSERT_EQ(halnorm_context_set_parallel_for(context_, nullptr, nullptr), HALNORM_OK);
  EXPECT_EQ(bits(kLarge), expected);
  EXPECT_EQ(pool.calls, calls);
}

// As many tasks as the pool likes, where the context names no number of threads.
TEST_F(Context, CallersPoolIsUsedForAllThreads) {
  const std::vector<uint32_t> expected = bits(kLarge);
  Pool pool;
  ASSERT_EQ(halnorm_context_set_parallel_for(context_, count_calls, &pool), HALNORM_OK);
  EXPECT_EQ(bits(kLarge), expected);
  EXPECT_TRUE(pool.calls > 0 || std::thread::hardware_concurrency() < 2);
  EXPECT_TRUE(pool.right) << "the pool was called for fewer than two tasks";
}

// Waking threads costs more than such a call: that of the gradients of parameters included.
TEST_F(Context, SmallCallsLeaveThePoolAlone) {
  Pool pool;
  ASSERT_EQ(halnorm_context_set_num_threads(context_, 4), HALNORM_OK);
  ASSERT_EQ(halnorm_context_set_parallel_for(context_, count_calls, &pool), HALNORM_OK);
  for (const char *problem : {"layer_norm_forward:f32:8x2000:gamma,beta,statistics",
                              "layer_norm_backward:f32:8x2000:gamma,dgamma,dbeta",
                              "batch_norm_backward:f32:8x2000:gamma,dgamma,dbeta"}) {
    bits(problem);
    EXPECT_EQ(pool.calls, 0) << problem;
  }
}

TEST_F(Context, WorkspaceOfTheCallersIsEnoughAndStaysWithinItsBytes) {
  for (const char *problem : kProblems) {
    ASSERT_EQ(halnorm_context_set_workspace(context_, kCpu, nullptr, 0), HALNORM_OK);
    const std::vector<uint32_t> expected = bits(problem);
    // Up to the guard page, and at an odd address.
    const GuardedPages pages(size_t{8} << 20);
    ASSERT_EQ(halnorm_context_set_workspace(context_, kCpu, pages.data() + 1, pages.size() - 1),
              HALNORM_OK);
    EXPECT_EQ(bits(problem), expected) << problem;
  }
}

TEST_F(Context, WorkspaceThatIsTooSmallIsReportedBeforeAnythingIsWritten) {
  char byte;
  ASSERT_EQ(halnorm_context_set_workspace(context_, kCpu, &byte, 1), HALNORM_OK);
  for (const char *problem : kProblems) {
    Tensors tensors(must_parse(problem), Placement::end_flush);
    tensors.fill(Data(), 1);
    const halnorm_status status = tensors.call(context_);
    if (status == HALNORM_OK) continue;  // needs none
    EXPECT_EQ(status, HALNORM_OUT_OF_MEMORY);
    EXPECT_TRUE(contains_word(halnorm_last_error(), "bytes")) << halnorm_last_error();
    const Expected nothing;
    for (const Output &output : outputs_of(tensors, nothing)) {
      EXPECT_TRUE(output.actual->unchanged()) << problem << ": " << output.name;
    }
  }
}

TEST_F(Context, WorkspaceThatAlignmentMakesTooSmallIsRefused) {
  constexpr size_t kLine = 64;  // may lose one byte less to alignment, says halnorm.h
  int tested = 0;
  for (const char *problem : kProblems) {
    Tensors tensors(must_parse(problem), Placement::end_flush);
    tensors.fill(Data(), 1);
    char byte;
    const auto call_with = [&](void *data, size_t bytes) {
      EXPECT_EQ(halnorm_context_set_workspace(context_, kCpu, data, bytes), HALNORM_OK);
      return tensors.call(context_);
    };
    size_t bytes;
    if (call_with(&byte, 1) == HALNORM_OK) continue;  // needs none
    ASSERT_EQ(std::sscanf(halnorm_last_error(), "workspace: the call needs %zu", &bytes), 1);
    const GuardedPages pages(bytes + kLine);
    uint8_t *const lines = pages.data() + pages.size() - (bytes + kLine - 1) / kLine * kLine;
    EXPECT_EQ(call_with(lines - 1, bytes), HALNORM_OUT_OF_MEMORY) << problem;
    EXPECT_EQ(call_with(lines - kLine + 1, bytes + kLine - 2), HALNORM_OUT_OF_MEMORY) << problem;
    EXPECT_EQ(call_with(lines - kLine + 1, bytes + kLine - 1), HALNORM_OK) << problem;
    EXPECT_EQ(call_with(lines, bytes), HALNORM_OK) << problem;
    ++tested;
  }
  EXPECT_GT(tested, 0);
}

TEST_F(Context, MayBeSharedByEightThreads) {
  std::vector<std::vector<uint32_t>> expected;
  for (const char *problem : kProblems) expected.push_back(bits(problem));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kProblemCount; ++i) {
        const size_t which = (t + i) % kProblemCount;
        if (bits(kProblems[which]) != expected[which]) ++wrong;
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(wrong, 0) << "of " << 8 * kProblemCount << " calls on 8 threads that share a context";
}

TEST(LastError, BelongsToItsThread) {
  ASSERT_EQ(halnorm_context_create(nullptr), HALNORM_INVALID_ARGUMENT);
  const std::string here = halnorm_last_error();
  EXPECT_TRUE(contains_word(here, "out")) << here;
  std::thread([&] {
    EXPECT_STREQ(halnorm_last_error(), "");
    EXPECT_EQ(halnorm_context_set_num_threads(nullptr, 1), HALNORM_INVALID_ARGUMENT);
    EXPECT_NE(halnorm_last_error(), here);
  }).join();
  EXPECT_EQ(halnorm_last_error(), here);
}

TEST(Setters, RefuseANullContext) {
  char byte;
  EXPECT_EQ(halnorm_context_set_target(nullptr, nullptr), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_set_kernel(nullptr, nullptr), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_set_num_threads(nullptr, 1), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_set_parallel_for(nullptr, count_calls, nullptr),
            HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_set_cuda_stream(nullptr, nullptr), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_set_workspace(nullptr, kCpu, &byte, 1), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_prepare(nullptr, kCpu), HALNORM_INVALID_ARGUMENT);
  halnorm_context_destroy(nullptr);
}

TEST_F(Context, KernelThatDoesNotExistIsRefused) {
  EXPECT_EQ(halnorm_context_set_kernel(context_, "halnorm_fastest"), HALNORM_INVALID_ARGUMENT);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "halnorm_fastest")) << halnorm_last_error();
  EXPECT_EQ(halnorm_context_set_kernel(context_, nullptr), HALNORM_OK) << halnorm_last_error();
  bits(kSmall);  // the context still works
}

TEST_F(Context, SettersRefuseWhatMakesNoSense) {
  char byte;
  const halnorm_device unknown = {99, 0};
  EXPECT_EQ(halnorm_context_set_num_threads(context_, -1), HALNORM_INVALID_ARGUMENT);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "-1")) << halnorm_last_error();
  EXPECT_EQ(halnorm_context_set_workspace(context_, unknown, &byte, 1), HALNORM_INVALID_ARGUMENT);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "99")) << halnorm_last_error();
  EXPECT_EQ(halnorm_context_set_workspace(context_, kCpu, nullptr, 1), HALNORM_INVALID_ARGUMENT);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "NULL")) << halnorm_last_error();
  EXPECT_EQ(halnorm_context_prepare(context_, unknown), HALNORM_INVALID_ARGUMENT);
  EXPECT_EQ(halnorm_context_prepare(context_, kCpu), HALNORM_OK) << halnorm_last_error();
  bits(kSmall);  // the context still works
}

}  // namespace
}  // namespace halnorm_test
