// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_PTX_LAUNCH_H_
#define HALNORM_TESTS_PTX_LAUNCH_H_

#include <string>

#include "warp.h"

namespace halnorm_ptx {

// Runs a kernel, block after block. What it did wrong, with the place, goes to `fault`.
CUresult run(const Launch &launch, Memory *memory, std::string *fault);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_LAUNCH_H_
