// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_SCOPED_CONTEXT_H_
#define HALNORM_TESTS_SCOPED_CONTEXT_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "halnorm.h"

namespace halnorm_test {

// A halnorm_context of so many threads. Aborts where there is none.
class ScopedContext {
 public:
  explicit ScopedContext(int32_t threads) {
    if (halnorm_context_create(&context_) == HALNORM_OK &&
        halnorm_context_set_num_threads(context_, threads) == HALNORM_OK) {
      return;
    }
    std::fprintf(stderr, "no context: %s\n", halnorm_last_error());
    std::abort();
  }
  ~ScopedContext() { halnorm_context_destroy(context_); }
  ScopedContext(const ScopedContext &) = delete;
  ScopedContext &operator=(const ScopedContext &) = delete;

  operator halnorm_context *() const { return context_; }

 private:
  halnorm_context *context_ = nullptr;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_SCOPED_CONTEXT_H_
