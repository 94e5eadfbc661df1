// SPDX-License-Identifier: Apache-2.0
// A child of fork() may go on calling, whatever the threads of its parent were doing.
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
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

// Calls far enough apart for the threads of the pool to go to sleep in between: all that the pool
// has is used.
bool true_each_time(const std::function<bool()> &call) {
  for (int i = 0; i < 8; ++i) {
    if (!call()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return thread_count() != 1;
}

TEST_F(Fork, ChildMayCall) {
  for (const char *problem : kProblems) {
    const std::vector<uint32_t> expected = bits(problem);  // the pool is up
    EXPECT_TRUE(true_in_child([&] {
      return true_each_time([&] { return bits(problem) == expected; });
    })) << problem
        << ": the child got other bits, no threads, or never came back";
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

pid_t parent;
std::atomic<int> stopped{0};
std::atomic<bool> go_on{false};

// Of a thread that reads x: it stops here. None in a child has a reason to.
void stop(int) {
  if (getpid() != parent) _exit(1);
  ++stopped;
  while (!go_on) sched_yield();
}

// A call whose threads stop in the middle of it.
class StoppedCall {
 public:
  StoppedCall() : tensors_(must_parse("rms_norm_forward:f32:128x2048:"), Placement::start_flush) {
    tensors_.fill(Data(), 1);
    allow(PROT_NONE);
    caller_ = std::thread([this] { status_ = tensors_.call(ScopedContext(4)); });
  }
  halnorm_status finish() {
    caller_.join();
    return status_;
  }
  void allow(int protection) {
    ASSERT_EQ(mprotect(tensors_.x.view().data, size_t{128} * 2048 * sizeof(float), protection), 0);
  }

 private:
  Tensors tensors_;
  halnorm_status status_ = HALNORM_INTERNAL_ERROR;
  std::thread caller_;
};

// The first call has all three threads of the pool, the second waits for them.
TEST_F(Fork, ChildLeavesTheCallsOfItsParentAlone) {
  const Problem problem = must_parse("rms_norm_forward:f32:4x30000:");
  const ScopedContext context(4);
  Tensors tensors(problem, Placement::end_flush);
  tensors.fill(Data(), 1);
  parent = getpid();
  stopped = 0;
  go_on = false;
  struct sigaction action = {}, before;
  action.sa_handler = stop;
  ASSERT_EQ(sigaction(SIGSEGV, &action, &before), 0);
  const auto wait_for = [](int threads) {
    while (stopped < threads) sched_yield();
  };
  StoppedCall first;
  wait_for(4);
  StoppedCall second;
  wait_for(5);
  EXPECT_TRUE(true_in_child([&] {
    return true_each_time([&] { return tensors.call(context) == HALNORM_OK; });
  })) << "it went on with a call of its parent, got no threads, or never came back";
  for (StoppedCall *call : {&first, &second}) call->allow(PROT_READ | PROT_WRITE);
  go_on = true;
  EXPECT_EQ(first.finish(), HALNORM_OK);
  EXPECT_EQ(second.finish(), HALNORM_OK);
  sigaction(SIGSEGV, &before, nullptr);
}

}  // namespace
}  // namespace halnorm_test
