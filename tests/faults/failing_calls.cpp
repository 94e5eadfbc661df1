// SPDX-License-Identifier: Apache-2.0
#include "failing_calls.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include <atomic>
#include <utility>

namespace halnorm_test {
namespace {

std::atomic<int> left{0};  // calls until one fails; 0: none does
std::atomic<const char *> failed_call{""};
std::function<void()> before_threads;

bool fails(const char *name) {
  for (int now = left; now > 0;) {
    if (!left.compare_exchange_weak(now, now - 1)) continue;
    if (now == 1) failed_call = name;
    return now == 1;
  }
  return false;
}

}  // namespace

FailingCall::FailingCall(int k) {
  failed_call = "";
  left = k;
}

FailingCall::~FailingCall() { left = 0; }

const char *FailingCall::failed() const { return failed_call; }

BeforeThreads::BeforeThreads(std::function<void()> run) { before_threads = std::move(run); }

BeforeThreads::~BeforeThreads() { before_threads = nullptr; }

}  // namespace halnorm_test

using halnorm_test::fails;

// What `ld --wrap` calls in the place of a function, and under which name it leaves that.
extern "C" {

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) {
  if (!fails("malloc")) return __real_malloc(bytes);
  errno = ENOMEM;
  return nullptr;
}

void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
  if (!fails("aligned_alloc")) return __real_aligned_alloc(alignment, bytes);
  errno = ENOMEM;
  return nullptr;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
  if (halnorm_test::before_threads) halnorm_test::before_threads();
  if (fails("pthread_create")) return EAGAIN;
  return __real_pthread_create(thread, attributes, run, argument);
}

int __real_pthread_key_create(pthread_key_t *key, void (*at_thread_end)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*at_thread_end)(void *)) {
  return fails("pthread_key_create") ? EAGAIN : __real_pthread_key_create(key, at_thread_end);
}

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value) {
  return fails("pthread_setspecific") ? ENOMEM : __real_pthread_setspecific(key, value);
}

int __real_pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)());
int __wrap_pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)()) {
  return fails("pthread_atfork") ? ENOMEM : __real_pthread_atfork(prepare, parent, child);
}

}  // extern "C"
