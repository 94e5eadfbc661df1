// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_OPTIONS_H_
#define HALNORM_BENCH_OPTIONS_H_

#include <optional>
#include <string>
#include <vector>

#include "problem.h"

namespace halnorm_bench {

enum class Cache {
  warm,  // each call finds what the last one left there
  cold,  // each call works on other tensors, which other data has driven out
};

struct NamedLibrary {
  std::string name, path;
  bool same_bits;  // false: of another version, whose sums may have another order
};

struct Options {
  std::vector<halnorm_test::Problem> problems;
  std::string target;      // the one that the library would choose, unless told
  std::string contenders;  // a regular expression; only these are timed
  std::string json;        // empty: none is written
  std::vector<NamedLibrary> libraries;
  std::vector<Cache> caches;
  bool rows = false;   // single rows of the last part too
  bool check = false;  // time nothing
  int threads = 1;
};

// Takes halnorm_bench's own flags and hands all others to Google Benchmark. Nothing when the
// program should end, with *exit_status; what is wrong or was asked for is then printed.
std::optional<Options> parse_options(int argc, char **argv, int *exit_status);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_OPTIONS_H_
