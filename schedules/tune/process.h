// SPDX-License-Identifier: Apache-2.0
// Programs in processes of their own, with a time limit.
#ifndef HALNORM_SCHEDULES_TUNE_PROCESS_H_
#define HALNORM_SCHEDULES_TUNE_PROCESS_H_

#include <string>
#include <vector>

namespace halnorm_tune {

using Command = std::vector<std::string>;

struct Finished {
  bool timed_out = false;
  int signal = 0;  // that ended it, or 0
  int status = 0;  // with which it ended by itself
  std::string output, errors;
  double seconds = 0;

  bool good() const { return !timed_out && signal == 0 && status == 0; }
  // Empty when it is good; else what happened, with the end of what it said.
  std::string trouble() const;
};

// Runs it to its end, or kills it and all that it started after `limit` seconds. Throws
// std::runtime_error where it cannot be started.
Finished run(const Command &command, double limit);

// The same for many, up to `jobs` at a time, in their order.
std::vector<Finished> run_all(const std::vector<Command> &commands, int jobs, double limit);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PROCESS_H_
