// SPDX-License-Identifier: Apache-2.0
// What a kernel did wrong, as an exception: the launch that catches it says where.
#ifndef HALNORM_TESTS_PTX_FAULT_H_
#define HALNORM_TESTS_PTX_FAULT_H_

#include <stdint.h>

#include <string>

#include "runtime/cuda_driver.h"

namespace halnorm_ptx {

struct Fault {
  CUresult result;
  std::string what;
  uint32_t lane;
};

__attribute__((format(printf, 1, 2))) std::string format(const char *text, ...);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_FAULT_H_
