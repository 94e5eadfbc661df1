// SPDX-License-Identifier: Apache-2.0
// The time that a trial spends in each kernel. The tuner writes wrappers that fill it; programs
// that time have none.
#ifndef HALNORM_SCHEDULES_TUNE_TRIAL_PROFILE_H_
#define HALNORM_SCHEDULES_TUNE_TRIAL_PROFILE_H_

#include <chrono>

namespace halnorm_tune {

struct Profile {
  const char *kernel;
  double seconds;
};
extern Profile profiles[];
extern const int profile_count;

// Runs a kernel for its wrapper.
template <int (*run)(void **)>
int profiled(Profile *profile, void **arguments) {
  const auto start = std::chrono::steady_clock::now();
  const int status = run(arguments);
  profile->seconds +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return status;
}

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_TRIAL_PROFILE_H_
