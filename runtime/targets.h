// SPDX-License-Identifier: Apache-2.0
// The CPU targets of this build, from the table that the build generates (dispatch.cpp).
#ifndef HALNORM_RUNTIME_TARGETS_H_
#define HALNORM_RUNTIME_TARGETS_H_

#include <stdint.h>

namespace halnorm {

// Targets are numbered from 0, best first.
int32_t target_count();
const char *target_name(int32_t target);
bool target_usable(int32_t target);  // this machine can run it
int32_t target_device_type(int32_t target);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_TARGETS_H_
