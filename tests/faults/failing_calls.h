// SPDX-License-Identifier: Apache-2.0
// Faults of the C library on demand. HALNORM_FAILING_CALLS are all functions of it that halnorm
// calls and that may fail for want of memory, threads or keys (tests/library/symbols.py knows of no
// others); the linker puts those of failing_calls.cpp in their place.
#ifndef HALNORM_TESTS_FAULTS_FAILING_CALLS_H_
#define HALNORM_TESTS_FAULTS_FAILING_CALLS_H_

#include <functional>

namespace halnorm_test {

// While alive, the k-th call of them fails, k from 1, on whatever thread. One at a time.
class FailingCall {
 public:
  explicit FailingCall(int k);
  ~FailingCall();
  FailingCall(const FailingCall &) = delete;
  FailingCall &operator=(const FailingCall &) = delete;

  const char *failed() const;  // the name of the one that failed; "" if there were fewer
};

// While alive, this runs before each thread is created, on the thread that creates it. One at a
// time.
class BeforeThreads {
 public:
  explicit BeforeThreads(std::function<void()> run);
  ~BeforeThreads();
  BeforeThreads(const BeforeThreads &) = delete;
  BeforeThreads &operator=(const BeforeThreads &) = delete;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FAULTS_FAILING_CALLS_H_
