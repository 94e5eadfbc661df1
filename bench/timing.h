// SPDX-License-Identifier: Apache-2.0
// Times the contenders of a problem with Google Benchmark, their rounds mixed.
#ifndef HALNORM_BENCH_TIMING_H_
#define HALNORM_BENCH_TIMING_H_

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>
#include <vector>

#include "contenders.h"

namespace halnorm_bench {

class Timing {
 public:
  // `json` may be empty. Only where several threads work, each round begins with a pause in which
  // the threads of the previous contender's library can fall asleep.
  Timing(const std::string &json, int threads);

  // False when the file could not be opened.
  bool ready() const { return json_.empty() || file_.is_open(); }

  // Appends to the seconds of each contender that has a solver; the trouble of the others goes to
  // the file. A run is named problem/contender and labelled kind: detail.
  void run(const std::string &problem, std::vector<Contender> *contenders);

  // Ends the file. False when it could not be written.
  bool finish();

 private:
  const std::string json_;
  const bool pauses_;
  std::ofstream file_;
  benchmark::JSONReporter reporter_;
  bool wrote_context_ = false;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_TIMING_H_
