// SPDX-License-Identifier: Apache-2.0
// Cuts the sizes of problems into ranges, each with the schedule that is best there.
#ifndef HALNORM_SCHEDULES_TUNE_BUCKETS_H_
#define HALNORM_SCHEDULES_TUNE_BUCKETS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rows.h"

namespace halnorm_tune {

struct Size {
  int64_t n, bytes;
};

struct Bucket {
  Bounds bounds;
  size_t choice;
};

// The ranges, in the order of rows: an optional cut by bytes, and on either side of it up to three
// ranges of n. scores[choice][size] are logarithms; the ranges have the greatest sum of the scores
// of their choices, less `worth` for each range after the first, so that one that gains less does
// not become a row. Bounds lie halfway, on a scale of ratios, between the sizes that they part.
std::vector<Bucket> choose_buckets(const std::vector<Size> &sizes,
                                   const std::vector<std::vector<double>> &scores, double worth);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_BUCKETS_H_
