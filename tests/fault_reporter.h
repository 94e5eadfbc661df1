// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_FAULT_REPORTER_H_
#define HALNORM_TESTS_FAULT_REPORTER_H_

#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

namespace halnorm_test {

// While alive, a fault (a guard page was touched) first prints the command that repeats the run.
// One at a time in a process.
class FaultReporter {
 public:
  explicit FaultReporter(const std::string &repeat) {
    std::snprintf(text_, sizeof text_, "memory outside of the tensors was touched\n  repeat: %s\n",
                  repeat.c_str());
    struct sigaction action = {};
    action.sa_handler = report;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // on return the fault ends the process
    for (size_t i = 0; i < kCount; ++i) sigaction(kSignals[i], &action, &previous_[i]);
  }
  ~FaultReporter() {
    for (size_t i = 0; i < kCount; ++i) sigaction(kSignals[i], &previous_[i], nullptr);
  }
  FaultReporter(const FaultReporter &) = delete;
  FaultReporter &operator=(const FaultReporter &) = delete;

 private:
  static void report(int) {
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text_, std::strlen(text_));
  }

  static constexpr int kSignals[] = {SIGSEGV, SIGBUS};
  static constexpr size_t kCount = sizeof kSignals / sizeof *kSignals;
  static inline char text_[1024];
  struct sigaction previous_[kCount];
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FAULT_REPORTER_H_
