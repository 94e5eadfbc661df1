// SPDX-License-Identifier: Apache-2.0
// halnorm_calls TARGET PROBLEM...: runs each problem once on one thread, without a reference, for
// callgrind, which tells the problems apart by the end of the function `halnorm_calls_problem`.
#include <cstdio>
#include <string>

#include "problem.h"
#include "run.h"

namespace {

halnorm_test::Result result;

}  // namespace

extern "C" __attribute__((noinline)) void halnorm_calls_problem(
    const halnorm_test::Problem *problem, const halnorm_test::RunOptions *options) {
  result = halnorm_test::run(*problem, *options);
}

int main(int argc, char **argv) {
  halnorm_test::RunOptions options;
  if (argc > 1) options.target = argv[1];
  for (int i = 2; i < argc; ++i) {
    std::string error;
    const std::optional<halnorm_test::Problem> problem = halnorm_test::parse(argv[i], &error);
    if (problem) {
      halnorm_calls_problem(&*problem, &options);
      if (result.status == HALNORM_OK) continue;
      error = result.error;
    }
    std::fprintf(stderr, "halnorm_calls: %s: %s\n", argv[i], error.c_str());
    return 1;
  }
  return 0;
}
