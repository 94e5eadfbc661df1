// SPDX-License-Identifier: Apache-2.0
// What the user reads: the machine, a table for each problem, and a summary of them all.
#ifndef HALNORM_BENCH_TABLE_H_
#define HALNORM_BENCH_TABLE_H_

#include <string>
#include <vector>

#include "contenders.h"
#include "options.h"

namespace halnorm_bench {

void print_heading(const Options &options);

void print_table(const Workload &workload, const std::vector<Contender> &contenders);

// Collects the ratios of many problems.
class Summary {
 public:
  void add(const std::string &problem, const std::vector<Contender> &contenders);
  void print() const;

  // No row of halnorm failed or was wrong.
  bool halnorm_is_right() const { return broken_rows_ == 0; }

 private:
  struct Ratio {
    std::string problem;
    double value;
  };
  static void print_line(const char *rival, const std::vector<Ratio> &ratios);

  std::vector<Ratio> to_peer_, to_best_autoscheduler_, to_halide_default_, to_default_row_;
  std::vector<Ratio> of_limit_;
  int problems_ = 0, broken_rows_ = 0, troubled_ = 0;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_TABLE_H_
