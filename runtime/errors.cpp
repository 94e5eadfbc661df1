// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <stdarg.h>
#include <stdio.h>

namespace halnorm {
namespace {

// Room for the longest message: a sentence with two Texts in it.
__thread char last_error[1280];

}  // namespace

halnorm_status fail(halnorm_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

void Text::append(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = vsnprintf(data + length, sizeof data - length, format, arguments);
  va_end(arguments);
  if (written < 0) return;
  length += static_cast<size_t>(written);
  if (length > sizeof data - 1) length = sizeof data - 1;
}

}  // namespace halnorm

const char *halnorm_last_error(void) { return halnorm::last_error; }
