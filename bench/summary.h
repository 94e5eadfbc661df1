// SPDX-License-Identifier: Apache-2.0
// What the tables of many problems come to.
#ifndef HALNORM_BENCH_SUMMARY_H_
#define HALNORM_BENCH_SUMMARY_H_

#include <string>
#include <vector>

#include "contenders.h"

namespace halnorm_bench {

class Summary {
 public:
  void add(const std::string &problem, Cache cache, const std::vector<Contender> &contenders);
  void print() const;

  // Nothing of halnorm failed or was wrong.
  bool halnorm_is_right() const { return broken_ == 0; }
  // Nor had anybody else a wrong result; others may refuse a problem.
  bool none_is_wrong() const { return wrong_ == 0; }

 private:
  // The times of halnorm as a user gets it, and those of the quickest of a group of rivals.
  struct Comparison {
    std::string rival, problem, operation;
    Cache cache;
    double of_minima, of_medians;  // rival over halnorm
  };
  void compare(const std::string &problem, Cache cache, const Contender &own,
               const std::string &rival, const std::vector<const Contender *> &others);
  void print_group(Cache cache, const std::string &operation) const;
  void print_comparisons() const;
  void print_behind() const;

  std::vector<Comparison> comparisons_;
  std::vector<std::string> rivals_, operations_;  // in the order of their appearance
  int problems_ = 0, broken_ = 0, troubled_ = 0, wrong_ = 0;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_SUMMARY_H_
