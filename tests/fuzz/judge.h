// SPDX-License-Identifier: Apache-2.0
// Whether a call of the C interface went as halnorm.h promises.
#ifndef HALNORM_TESTS_FUZZ_JUDGE_H_
#define HALNORM_TESTS_FUZZ_JUDGE_H_

#include <string>
#include <vector>

#include "attempt.h"

namespace halnorm_test {

struct Judgement {
  std::string failure;  // empty when all is well
  bool refused = false;
  bool compared = false;             // with the reference
  std::vector<std::string> kernels;  // the last one of each target
};

// Makes the call with each target that this machine can run. A call that is right has the same bits
// with all of them, and errors within the bounds of the reference; one that is not is refused, with
// a message that names an argument, and changes nothing.
Judgement judge(const Attempt &attempt);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FUZZ_JUDGE_H_
