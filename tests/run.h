// SPDX-License-Identifier: Apache-2.0
// Runs a problem as a whole: memory, inputs, the call, and either its bits or a comparison with the
// reference. No gtest in it: halnorm_check and the benchmarks use it too.
#ifndef HALNORM_TESTS_RUN_H_
#define HALNORM_TESTS_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "float_mode.h"
#include "halnorm.h"
#include "problem.h"
#include "reference.h"
#include "tensors.h"

namespace halnorm_test {

struct RunOptions {
  std::string target;  // empty: the library's choice
  std::string kernel;  // empty: the library's choice
  int32_t threads = 1;
  Data data;
  uint64_t seed = 1;
  int64_t part = kAllParts;  // or one row or sample alone, where it lies in the batch
  Placement placement = Placement::end_flush;
  // What a command line cannot say: a pool and a floating-point mode of the caller's.
  halnorm_parallel_for parallel_for = nullptr;
  void *pool = nullptr;
  FloatMode float_mode = FloatMode::standard;
};

// The command that repeats a run.
std::string command(const Problem &problem, const RunOptions &options);

struct Result {
  halnorm_status status = HALNORM_OK;
  std::string error;   // the library's, when the status is not HALNORM_OK
  std::string kernel;  // what halnorm_last_kernel() said
  // Of y, mean and rstd, or of dx, part by part; after them running_mean, running_var, dgamma and
  // dbeta. All NaNs are made one.
  std::vector<uint32_t> bits;
  size_t bits_of_part = 0;  // how many of them each part has
  bool float_state_untouched = true;
};

Result run(const Problem &problem, const RunOptions &options);

// Of all that a call on the tensors wrote, an output after the other. All NaNs are made one.
std::vector<uint32_t> bits_of(Tensors *tensors);

struct Report {
  std::string failure;  // empty when all is within the bound; ends in the command that repeats it
  std::string kernel;
  // Of the first output (y, or of a backward dx), where error / bound is largest.
  double worst_error = 0, worst_bound = 0;
};

Report check(const Problem &problem, const RunOptions &options);

// The same in two steps: what is expected depends on the problem, the data and the seed only.
Expected expected_of(const Problem &problem, const RunOptions &options);
Report check(const Problem &problem, const RunOptions &options, const Expected &expected);

std::vector<std::string> usable_targets();
std::vector<std::string> unusable_targets();

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_RUN_H_
