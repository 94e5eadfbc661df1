// SPDX-License-Identifier: Apache-2.0
// The calling thread's last failure, as halnorm_last_error() reports it.
#ifndef HALNORM_RUNTIME_ERRORS_H_
#define HALNORM_RUNTIME_ERRORS_H_

#include <stddef.h>

#include "halnorm.h"

namespace halnorm {

// Keeps the sentence for halnorm_last_error() and returns `status`. Cold, so that the checks that
// call it stay small and straight where nothing fails.
[[gnu::cold, gnu::noinline, gnu::format(printf, 2, 3)]] halnorm_status fail(halnorm_status status,
                                                                            const char *format,
                                                                            ...);

// Part of a message that takes a loop to write, such as a shape; cut short at its capacity.
struct Text {
  char data[512] = "";
  size_t length = 0;

  [[gnu::cold, gnu::noinline, gnu::format(printf, 2, 3)]] void append(const char *format, ...);
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_ERRORS_H_
