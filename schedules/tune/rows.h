// SPDX-License-Identifier: Apache-2.0
// The .sched files: rows of knobs, as cmake/HalnormKernels.cmake reads them too.
#ifndef HALNORM_SCHEDULES_TUNE_ROWS_H_
#define HALNORM_SCHEDULES_TUNE_ROWS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "schedule.h"

namespace halnorm_tune {

constexpr int64_t kAnyLength = INT64_MAX;

// The sizes that a row is for: rows of up to `longest` elements, from `fewest_bytes` of x and y on.
struct Bounds {
  int64_t longest = kAnyLength;
  int64_t fewest_bytes = 0;

  bool hold(int64_t n, int64_t bytes) const { return n <= longest && bytes >= fewest_bytes; }
  bool operator==(const Bounds &other) const {
    return longest == other.longest && fewest_bytes == other.fewest_bytes;
  }
};

struct Row {
  std::string operation, part, dtype;  // or "*"
  Bounds bounds;
  std::string knobs, launch;
  std::string provenance;
  // Of a row that was just found: over the default row, for each kernel that it serves, and the
  // size of the largest of them. The provenance begins with both when the row is printed.
  std::vector<double> gains;
  int64_t bytes = 0;

  bool serves(const Family &family) const;
  bool is_default() const { return provenance.rfind("the default", 0) == 0; }
  Settings settings() const;  // knobs and launch
  // Apart from where they come from.
  bool says_the_same(const Row &other) const;
};

// Throws std::runtime_error with file and line where a row does not parse.
std::vector<Row> read_rows(const std::string &file);
// "operation part dtype [n<=N] [bytes>=B] : knobs : launch", without the provenance.
std::string print_row(const Row &row);
std::string print_rows(const std::string &target, const std::vector<Row> &rows);

// A line of targets.txt.
struct Target {
  std::string name, halide_target, features, parent;
};
std::vector<Target> read_targets(const std::string &file);

// The rows of a target followed by those of its parents.
std::vector<Row> rows_of_target(const std::string &directory, const std::string &target);

// Those that serve a family, in order, up to the first without bounds, none twice.
std::vector<Row> rows_of_family(const std::vector<Row> &rows, const Family &family);

// The rows of all dtypes, or operations, or both, made one with a "*" where they say the same.
// `families` are all there are of the parts that the rows serve.
using RowsOfFamily = std::pair<Family, std::vector<Row>>;
std::vector<Row> merge_alike(const std::vector<RowsOfFamily> &families);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_ROWS_H_
