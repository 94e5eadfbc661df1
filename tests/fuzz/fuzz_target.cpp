// SPDX-License-Identifier: Apache-2.0
// What libFuzzer calls.
#include <cstdio>
#include <cstdlib>
#include <map>

#include "halnorm.h"
#include "judge.h"

namespace halnorm_test {
namespace {

// Kernels have no counters of the compiler's: that one ran is news, too.
constexpr size_t kMostKernels = 1024;
__attribute__((section("__libfuzzer_extra_counters"))) uint8_t kernels_that_ran[kMostKernels];

void count_kernels(const std::vector<std::string> &names) {
  static const std::map<std::string, size_t> numbers = [] {
    std::map<std::string, size_t> all;
    for (int32_t i = 0; i < halnorm_kernel_count(); ++i) {
      all.emplace(halnorm_kernel_name(i), static_cast<size_t>(i));
    }
    return all;
  }();
  for (const std::string &name : names) {
    const auto found = numbers.find(name);
    if (found != numbers.end()) kernels_that_ran[found->second % kMostKernels] = 1;
  }
}

}  // namespace
}  // namespace halnorm_test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const halnorm_test::Attempt attempt = halnorm_test::decode(data, size);
  const halnorm_test::Judgement judgement = halnorm_test::judge(attempt);
  halnorm_test::count_kernels(judgement.kernels);
  if (judgement.failure.empty()) return 0;
  std::fprintf(stderr, "FAILED: %s\n%s", judgement.failure.c_str(),
               halnorm_test::print(attempt).c_str());
  std::abort();
}
