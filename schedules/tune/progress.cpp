// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace halnorm_tune {

Progress::Progress(double budget) : budget_(budget), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::show(double spent, const std::string &what, int tried, double best) {
  if (!terminal_) return;
  constexpr int kWidth = 24;
  const double share = std::clamp(spent / budget_, 0.0, 1.0);
  const auto done = static_cast<int>(share * kWidth);
  const auto left = static_cast<int>(std::max(0.0, budget_ - spent));
  std::fprintf(stderr, "\r\033[K[%s%s] %3.0f%%  %d:%02d left  %s: best %.2fx of %d",
               std::string(static_cast<size_t>(done), '#').c_str(),
               std::string(static_cast<size_t>(kWidth - done), '.').c_str(), 100 * share, left / 60,
               left % 60, what.c_str(), best, tried);
}

void Progress::say(const std::string &text) {
  std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\033[K" : "", text.c_str());
}

}  // namespace halnorm_tune
