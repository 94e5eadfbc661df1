// SPDX-License-Identifier: Apache-2.0
// What a call launches on CUDA, recorded in place of being launched. Programs of trials are linked
// so that kernels call this in place of the runtime's launcher (program.cpp).
#ifndef HALNORM_SCHEDULES_TUNE_TRIAL_LAUNCHES_H_
#define HALNORM_SCHEDULES_TUNE_TRIAL_LAUNCHES_H_

#include <cstdint>
#include <vector>

struct halide_filter_metadata_t;

namespace halnorm_tune {

struct RecordedLaunch {
  struct Argument {
    bool is_tensor;
    uint64_t value;  // bits of a scalar, bytes of a tensor
  };
  const char *kernel, *ptx;
  int blocks[3], threads[3], shared_bytes;
  std::vector<Argument> arguments;
};

// Launches since then, where this is not null; else they happen.
void record_launches(std::vector<RecordedLaunch> *launches);

// A line of JSON for each kernel, with its PTX, before its first launch; a list of launches.
void print_kernels(const std::vector<RecordedLaunch> &launches);
void print_launches(const std::vector<RecordedLaunch> &launches);

// Runs a kernel for its wrapper.
int run_recorded(int (*run)(void **), const char *kernel, const halide_filter_metadata_t *metadata,
                 void **arguments);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_TRIAL_LAUNCHES_H_
