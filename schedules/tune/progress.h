// SPDX-License-Identifier: Apache-2.0
// A line that tells how far the tuner is.
#ifndef HALNORM_SCHEDULES_TUNE_PROGRESS_H_
#define HALNORM_SCHEDULES_TUNE_PROGRESS_H_

#include <string>

namespace halnorm_tune {

class Progress {
 public:
  explicit Progress(double budget);
  // Draws it again where a terminal shows it.
  void show(double spent, const std::string &what, int tried, double best);
  // A line that stays.
  void say(const std::string &text);

 private:
  const double budget_;
  const bool terminal_;
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PROGRESS_H_
