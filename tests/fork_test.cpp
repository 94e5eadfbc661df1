// SPDX-License-Identifier: Apache-2.0
// A child of fork() may go on calling, whatever the threads of its parent were doing.
#include <atomic>
#include <thread>

#include "process.h"
#include "scoped_context.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

class Fork : public testing::Test {
 protected:
  void SetUp() override {
    if (*HALNORM_EMULATOR != '\0') {
      GTEST_SKIP() << "qemu-user fails an assertion of its own (plugins/core.c, seen with 7.2) "
                      "where the child of a process with threads starts one";
    }
  }
};

// Each with threads and memory of the library's own.
constexpr const char *kProblems[] = {
    "layer_norm_forward:f32:64x5000:gamma,beta",
    "rms_norm_forward:f16:300x1000:gamma,narrow_parameters,layout=gaps",
    "batch_norm_backward:bf16:4x20x2000:gamma,dgamma,dbeta",
};

std::vector<uint32_t> bits(const char *problem) {
  RunOptions options;
  options.threads = 4;
  const Result result = run(must_parse(problem), options);
  EXPECT_EQ(result.status, HALNORM_OK) << result.error;
  return result.bits;
}

TEST_F(Fork, ChildMayCall) {
  for (const char *problem : kProblems) {
    const std::vector<uint32_t> expected = bits(problem);  // the pool is up
    EXPECT_TRUE(true_in_child([&] { return bits(problem) == expected && thread_count() != 1; }))
        << problem << ": the child got other bits, no threads, or never came back";
    EXPECT_EQ(bits(problem), expected) << "in the parent, afterwards";
  }
}

// faults/faults_test.cpp has a child whose parent was just starting threads.
TEST_F(Fork, ChildMayCallWhereOthersWereCalling) {
  constexpr int kChildren = 100;
  constexpr uint64_t kCallers = 3;
  const Problem problem = must_parse("rms_norm_forward:f32:4x30000:");
  const ScopedContext context(4);
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<std::thread> callers;
  for (uint64_t t = 0; t < kCallers; ++t) {
    callers.emplace_back([&, t] {
      Tensors tensors(problem, Placement::end_flush);
      tensors.fill(Data(), t);
      while (!stop) {
        if (tensors.call(context) != HALNORM_OK) ++refused;
      }
    });
  }
  Tensors tensors(problem, Placement::end_flush);
  tensors.fill(Data(), kCallers);
  EXPECT_EQ(tensors.call(context), HALNORM_OK) << halnorm_last_error();
  const std::vector<uint32_t> expected = bits_of(&tensors);
  tensors.fill(Data(), kCallers);
  for (int i = 0; i < kChildren; ++i) {
    const bool same = true_in_child(
        [&] { return tensors.call(context) == HALNORM_OK && bits_of(&tensors) == expected; });
    EXPECT_TRUE(same) << "child " << i << " got other bits, or never came back";
    if (!same) break;
  }
  stop = true;
  for (std::thread &caller : callers) caller.join();
  EXPECT_EQ(refused, 0) << "calls of the parent's threads";
}

}  // namespace
}  // namespace halnorm_test
