// SPDX-License-Identifier: Apache-2.0
// Signals are the application's: no thread of the pool takes one that is sent to the process, calls
// leave the mask as it was, and a signal in the middle of a call does it no harm.
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <thread>

#include "process.h"
#include "scoped_context.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr char kProblem[] = "layer_norm_backward:f32:16x20000:gamma,dgamma,dbeta";

std::vector<uint32_t> bits(int32_t threads) {
  RunOptions options;
  options.threads = threads;
  const Result result = run(must_parse(kProblem), options);
  EXPECT_EQ(result.status, HALNORM_OK) << result.error;
  return result.bits;
}

volatile sig_atomic_t handled;
void count(int) { handled = handled + 1; }

// A handler of a signal for the life of the object; calls that it interrupts are not restarted.
class Handler {
 public:
  explicit Handler(int number) : number_(number) {
    struct sigaction action = {};
    action.sa_handler = count;
    installed_ = sigaction(number, &action, &before_) == 0;
  }
  ~Handler() {
    if (installed_) sigaction(number_, &before_, nullptr);
  }
  Handler(const Handler &) = delete;
  Handler &operator=(const Handler &) = delete;

  bool installed() const { return installed_; }

 private:
  const int number_;
  bool installed_;
  struct sigaction before_;
};

// Those that a thread raises by a fault of its own are delivered to it, whatever it is.
bool is_of_a_fault(int number) {
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
    if (number == fault) return true;
  }
  return false;
}

TEST(Signals, OfTheProcessAreNotTakenByThreadsOfThePool) {
  bits(4);  // the pool is up, from a thread that blocks nothing
  if (thread_count() == -1) GTEST_SKIP() << "this system does not count the threads of a process";
  ASSERT_GE(thread_count(), 4);
  sigset_t all, before;
  sigfillset(&all);
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
  int tested = 0;
  for (int number = 1; number < NSIG; ++number) {
    if (number == SIGKILL || number == SIGSTOP || is_of_a_fault(number)) continue;
    const Handler handler(number);
    if (!handler.installed()) continue;  // the C library's own
    handled = 0;
    ASSERT_EQ(kill(getpid(), number), 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(handled, 0) << "a thread of the pool took signal " << number << ", "
                          << strsignal(number);
    // Takes the pending one, so that it does not come when the mask is lifted.
    sigset_t pending;
    sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, number), 1) << number;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    const timespec no_time = {};
    sigtimedwait(&one, nullptr, &no_time);
    ++tested;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_GT(tested, 20);
}

// The call starts threads, whose mask is set on the way: more than there were.
TEST(Signals, MaskIsAsItWas) {
  sigset_t some, before, after;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  sigaddset(&some, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &some, &before), 0);
  const int threads = thread_count();
  bits(8);
  pthread_sigmask(SIG_SETMASK, &before, &after);
  EXPECT_TRUE(threads == -1 || thread_count() > threads);
  for (int number = 1; number < NSIG; ++number) {
    EXPECT_EQ(sigismember(&after, number), sigismember(&some, number)) << "signal " << number;
  }
}

// SIGALRM, every 200 microseconds, for the life of the object.
class Alarms {
 public:
  Alarms() { set({{0, 200}, {0, 200}}); }
  ~Alarms() { set({}); }
  Alarms(const Alarms &) = delete;
  Alarms &operator=(const Alarms &) = delete;

 private:
  static void set(const itimerval &times) { EXPECT_EQ(setitimer(ITIMER_REAL, &times, nullptr), 0); }
};

// More threads than there are processors, so that the caller often waits for those of the pool.
TEST(Signals, InTheMiddleOfCallsDoNoHarm) {
  const ScopedContext context(16);
  Tensors tensors(must_parse("layer_norm_backward:f32:16x100000:gamma,dgamma,dbeta"),
                  Placement::end_flush);
  tensors.fill(Data(), 1);
  ASSERT_EQ(tensors.call(context), HALNORM_OK) << halnorm_last_error();
  const std::vector<uint32_t> expected = bits_of(&tensors);
  const Handler handler(SIGALRM);
  const Alarms alarms;
  for (int in_calls = 0; in_calls < 1000;) {
    tensors.restore();
    const int before = handled;
    ASSERT_EQ(tensors.call(context), HALNORM_OK) << halnorm_last_error();
    const int in_this_call = handled - before;
    ASSERT_TRUE(bits_of(&tensors) == expected) << "with " << in_this_call << " signals in the call";
    in_calls += in_this_call;
  }
}

}  // namespace
}  // namespace halnorm_test
