// SPDX-License-Identifier: Apache-2.0
// Whatever the system refuses, a call either does without it or is HALNORM_OUT_OF_MEMORY with every
// output as it was, and the next call works.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <set>
#include <sstream>
#include <thread>

#include "failing_calls.h"
#include "process.h"
#include "scoped_context.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr int32_t kThreads = 4;

Tensors filled(const Problem &problem) {
  Tensors tensors(problem, Placement::end_flush);
  tensors.fill(Data(), 1);
  return tensors;
}

// Of every operation, with work for all threads; those with gaps are gathered.
std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (Operation operation : kOperations) {
    for (Layout layout : {Layout::dense, Layout::gaps}) {
      const Dtype dtype = kDtypes[all.size() % (sizeof kDtypes / sizeof *kDtypes)];
      all.push_back(full_problem(operation, dtype, {4, 16, 3000}));
      all.back().layout = layout;
      all.back().narrow_parameters = true;
    }
  }
  return all;
}

// In one thread and in memory of the test's, so that this process asks the system for nothing and
// its children do so for the first time.
std::vector<uint32_t> expected_bits(const Problem &problem) {
  static const GuardedPages memory(size_t{16} << 20);
  const ScopedContext context(1);
  halnorm_context_set_workspace(context, {HALNORM_CPU, 0}, memory.data(), memory.size());
  Tensors tensors = filled(problem);
  EXPECT_EQ(tensors.call(context), HALNORM_OK) << halnorm_last_error();
  return bits_of(&tensors);
}

// A call that may have been refused something, and the one after it.
struct Calls {
  explicit Calls(const Problem &problem) : first(filled(problem)), next(filled(problem)) {}

  Tensors first, next;
};

// What is wrong after a call with this status, in words.
std::string what_is_wrong(Calls *calls, halnorm_status status, bool may_be_refused,
                          const halnorm_context *context, const std::vector<uint32_t> &expected) {
  const std::string message = halnorm_last_error();
  if (status == HALNORM_OUT_OF_MEMORY && may_be_refused) {
    if (!contains_word(message, "bytes")) return "message: " + message;
    const Expected nothing;
    for (const Output &output : outputs_of(calls->first, nothing)) {
      if (!output.actual->unchanged()) return std::string(output.name) + " was written";
    }
  } else if (status != HALNORM_OK) {
    return "status " + std::to_string(status) + ": " + message;
  } else if (bits_of(&calls->first) != expected) {
    return "other bits";
  }
  const std::string damage = calls->first.damage();
  if (!damage.empty()) return damage;
  if (calls->next.call(context) != HALNORM_OK) {
    return std::string("the next call is refused: ") + halnorm_last_error();
  }
  return bits_of(&calls->next) == expected ? "" : "the next call gives other bits";
}

// What a child has to say to its parent, in memory that both have.
struct Report {
  char text[1024];
  bool refused;
  int threads;
};

class SharedReport {
 public:
  SharedReport()
      : report_(static_cast<Report *>(mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~SharedReport() { munmap(report_, sizeof(Report)); }
  SharedReport(const SharedReport &) = delete;
  SharedReport &operator=(const SharedReport &) = delete;
  Report *operator->() const { return report_; }

  void say(const std::string &text) const {
    std::snprintf(report_->text, sizeof report_->text, "%s", text.c_str());
  }

 private:
  Report *const report_;
};

// What the C library asks the kernel for: stacks of threads, memory of malloc. Each child may map
// some bytes more than the one before. The first test, so that there are no stacks of threads that
// have ended; and what the test needs is given back at once.
TEST(FaultsOfMappings, AreReportedOrDoneWithout) {
  if (*HALNORM_EMULATOR != '\0') GTEST_SKIP() << "qemu-user has no RLIMIT_AS";
  if (address_space_bytes() < 0) GTEST_SKIP() << "this system does not tell the address space";
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
  const Problem problem = must_parse("layer_norm_backward:f32:16x20000:gamma,dgamma,layout=gaps");
  const std::vector<uint32_t> expected = expected_bits(problem);
  Calls calls(problem);
  int refused = 0, fewer_threads = 0, all_threads = 0;
  for (rlim_t more = 0; all_threads < 2; more = more * 5 / 4 + 4096) {
    const SharedReport report;
    const bool ended = true_in_child([&] {
      const ScopedContext context(kThreads);
      rlimit limit;
      getrlimit(RLIMIT_AS, &limit);
      rlimit small = limit;
      small.rlim_cur = static_cast<rlim_t>(address_space_bytes()) + more;
      setrlimit(RLIMIT_AS, &small);
      const halnorm_status status = calls.first.call(context);
      setrlimit(RLIMIT_AS, &limit);
      report->refused = status == HALNORM_OUT_OF_MEMORY;
      report->threads = thread_count();
      report.say(what_is_wrong(&calls, status, true, context, expected));
      return true;
    });
    ASSERT_TRUE(ended) << more << " bytes: the process ended, or hung";
    EXPECT_STREQ(report->text, "") << more << " bytes";
    if (report->refused) {
      ++refused;
    } else {
      ++(report->threads < kThreads ? fewer_threads : all_threads);
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(fewer_threads, 0);
}

// A call that is lost without it, and not just a thread less.
bool is_needed(const std::string &function) {
  return function != "pthread_create" && function != "pthread_atfork";
}

class Faults : public testing::TestWithParam<bool> {};

// In a process that has not used the library, and in one where a smaller call of fewer threads came
// before.
TEST_P(Faults, OfEveryCallInTurnAreReportedOrDoneWithout) {
  const bool after_another = GetParam();
  std::set<std::string> seen;
  Calls smaller(must_parse("rms_norm_forward:f32:64x3000:gamma,layout=gaps"));
  for (const Problem &problem : problems()) {
    const std::vector<uint32_t> expected = expected_bits(problem);
    Calls calls(problem);
    for (int k = 1;; ++k) {
      const SharedReport report;
      std::string failed;
      const bool ended = true_in_child([&] {
        if (after_another) smaller.first.call(ScopedContext(2));
        const ScopedContext context(kThreads);
        halnorm_status status;
        {
          const FailingCall failing(k);
          status = calls.first.call(context);
          failed = failing.failed();
        }
        const bool needed = !failed.empty() && is_needed(failed);
        std::string wrong = what_is_wrong(&calls, status, needed, context, expected);
        if (needed && status == HALNORM_OK) wrong = "it was not noticed";
        if (!failed.empty() && !needed && thread_count() == 1) wrong = "no threads ever after";
        report.say(failed + "\n" + wrong);
        return true;
      });
      ASSERT_TRUE(ended) << print(problem) << ", failure " << k << ": the process ended, or hung";
      std::istringstream lines(report->text);
      std::string wrong;
      std::getline(lines, failed);
      std::getline(lines, wrong);
      EXPECT_EQ(wrong, "") << print(problem) << ", failure " << k << ", of " << failed;
      if (failed.empty()) break;
      seen.insert(failed);
    }
  }
  std::istringstream functions(HALNORM_FAILING_CALLS);
  for (std::string function; functions >> function;) {
    if (function == "malloc") continue;  // of contexts, below
    if (after_another && (function == "pthread_key_create" || function == "pthread_atfork" ||
                          function == "pthread_setspecific")) {
      continue;
    }
    EXPECT_EQ(seen.count(function), 1) << function << " never failed";
  }
}

INSTANTIATE_TEST_SUITE_P(All, Faults, testing::Bool(), [](const auto &info) {
  return std::string(info.param ? "LaterUse" : "FirstUse");
});

TEST(FaultsOfContexts, AreReported) {
  const ScopedContext another(1);
  halnorm_context *context = another;
  halnorm_status status;
  {
    const FailingCall failing(1);
    status = halnorm_context_create(&context);
    EXPECT_STREQ(failing.failed(), "malloc");
  }
  EXPECT_EQ(status, HALNORM_OUT_OF_MEMORY);
  EXPECT_TRUE(contains_word(halnorm_last_error(), "bytes")) << halnorm_last_error();
  EXPECT_EQ(context, another) << "out was written";
  ASSERT_EQ(halnorm_context_create(&context), HALNORM_OK) << halnorm_last_error();
  halnorm_context_destroy(context);
}

// While the pool's mutex is locked by a thread that the child does not have.
TEST(ForkedChildren, MayCallWhereThreadsWereBeingStarted) {
  if (*HALNORM_EMULATOR != '\0') GTEST_SKIP() << "see fork_test.cpp";
  const Problem problem = must_parse("rms_norm_forward:f32:16x30000:");
  const std::vector<uint32_t> expected = expected_bits(problem);
  EXPECT_TRUE(true_in_child([&] {
    Calls calls(problem);
    const ScopedContext context(kThreads);
    std::atomic<bool> starting{false}, forked{false};
    const BeforeThreads before([&] {
      starting = true;
      while (!forked) std::this_thread::yield();
    });
    std::thread caller([&] { calls.first.call(context); });
    while (!starting) std::this_thread::yield();
    const bool right = true_in_child(
        [&] {
          forked = true;
          return calls.next.call(context) == HALNORM_OK && bits_of(&calls.next) == expected;
        },
        5);
    forked = true;
    caller.join();
    return right && bits_of(&calls.first) == expected;
  }));
}

// The name of what a second, equal call asked the system for; "" where it is nothing.
std::string asked_by_a_warm_call(const Problem &problem) {
  const ScopedContext context(kThreads);
  Calls calls(problem);
  if (calls.first.call(context) != HALNORM_OK) return halnorm_last_error();
  const FailingCall failing(1);
  calls.next.call(context);
  return failing.failed();
}

TEST(WarmCalls, AskTheSystemForNothing) {
  for (const Problem &problem : problems()) {
    EXPECT_TRUE(true_in_child([&] { return asked_by_a_warm_call(problem).empty(); }))
        << print(problem);
  }
}

// With a workspace of the caller's, and one thread, there is nothing to warm up.
TEST(CallsWithAWorkspace, AskTheSystemForNothing) {
  const GuardedPages memory(size_t{16} << 20);
  const ScopedContext context(1);
  halnorm_context_set_workspace(context, {HALNORM_CPU, 0}, memory.data(), memory.size());
  for (const Problem &problem : problems()) {
    Tensors tensors = filled(problem);
    const FailingCall failing(1);
    EXPECT_EQ(tensors.call(context), HALNORM_OK) << halnorm_last_error();
    EXPECT_STREQ(failing.failed(), "") << print(problem);
  }
}

}  // namespace
}  // namespace halnorm_test
