// SPDX-License-Identifier: Apache-2.0
// Sixteen threads call at once, with a context in common or one each, on the library's threads or
// on a pool of the caller's. Built with ThreadSanitizer, too.
#include <atomic>
#include <thread>
#include <tuple>

#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr size_t kCallers = 16;
constexpr size_t kCallsEach = 4;
constexpr int32_t kThreads = 4;

// Large enough for a pool, by blocks of rows, by tiles of one row and of columns, and packed; and
// one that runs alone.
constexpr const char *kProblems[] = {
    "layer_norm_forward:f32:100x900:gamma,beta,statistics",
    "layer_norm_backward:bf16:100x1200:gamma,dgamma,dbeta,narrow_parameters",
    "rms_norm_forward:f16:1x200000:gamma",
    "rms_norm_backward:f32:70x900:gamma,dgamma,layout=gaps",
    "instance_norm_forward:f32:2x8x75x75:gamma,beta,statistics,layout=channels_last",
    "group_norm_backward:f16:2x20x55x55:gamma,dgamma,dbeta,groups=5",
    "batch_norm_training:f32:8x20x600:gamma,beta,statistics,running,layout=channels_last",
    "batch_norm_inference:f32:8x20x600:gamma,beta",
    "layer_norm_forward:f16:3x50:gamma,beta,zero_centered",
};
constexpr size_t kProblemCount = sizeof kProblems / sizeof *kProblems;

// A pool with as many threads as tasks, which live as long as the call.
std::atomic<int> pool_calls{0};

void start_a_thread_each(void *, int64_t count, halnorm_task run, void *task) {
  ++pool_calls;
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < count; ++i) threads.emplace_back([=] { run(task, i); });
  run(task, 0);
  for (std::thread &thread : threads) thread.join();
}

class CallersContext {
 public:
  CallersContext(int32_t threads, bool own_pool) {
    EXPECT_EQ(halnorm_context_create(&context_), HALNORM_OK);
    EXPECT_EQ(halnorm_context_set_num_threads(context_, threads), HALNORM_OK);
    if (own_pool) return;
    EXPECT_EQ(halnorm_context_set_parallel_for(context_, start_a_thread_each, nullptr), HALNORM_OK);
  }
  ~CallersContext() { halnorm_context_destroy(context_); }
  CallersContext(const CallersContext &) = delete;
  CallersContext &operator=(const CallersContext &) = delete;

  std::vector<uint32_t> bits(const char *problem) const {
    Tensors tensors(must_parse(problem), Placement::end_flush);
    tensors.fill(Data(), 1);
    if (tensors.call(context_) != HALNORM_OK) return {};
    return bits_of(&tensors);
  }

 private:
  halnorm_context *context_ = nullptr;
};

class Callers : public testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(Callers, GetTheBitsOfACallAlone) {
  const bool share = std::get<0>(GetParam()), own_pool = std::get<1>(GetParam());
  std::vector<std::vector<uint32_t>> expected;
  const CallersContext alone(1, /*own_pool=*/true), shared(kThreads, own_pool);
  for (const char *problem : kProblems) {
    expected.push_back(alone.bits(problem));
    ASSERT_FALSE(expected.back().empty()) << halnorm_last_error();
  }
  pool_calls = 0;
  std::atomic<int> wrong{0}, refusals{0};
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      const CallersContext own(kThreads, own_pool);
      for (size_t i = 0; i < kCallsEach; ++i) {
        const size_t which = (caller + i) % kProblemCount;
        if ((share ? shared : own).bits(kProblems[which]) != expected[which]) ++wrong;
        // Each thread has a message of its own.
        halnorm_context_set_num_threads(nullptr, static_cast<int32_t>(caller));
        if (std::string(halnorm_last_error()).rfind("context: ", 0) == 0) ++refusals;
      }
    });
  }
  for (std::thread &caller : callers) caller.join();
  EXPECT_EQ(wrong, 0) << "of " << kCallers * kCallsEach << " calls";
  EXPECT_EQ(refusals, static_cast<int>(kCallers * kCallsEach));
  EXPECT_EQ(pool_calls > 0, !own_pool) << "the pool ran " << pool_calls << " calls";
}

INSTANTIATE_TEST_SUITE_P(Sixteen, Callers, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto &info) {
                           return std::string(std::get<0>(info.param) ? "SharedContext"
                                                                      : "OwnContexts") +
                                  (std::get<1>(info.param) ? "OwnPool" : "ForeignPool");
                         });

}  // namespace
}  // namespace halnorm_test
