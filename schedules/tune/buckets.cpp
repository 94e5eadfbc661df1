// SPDX-License-Identifier: Apache-2.0
#include "buckets.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace halnorm_tune {
namespace {

constexpr size_t kMostRanges = 3;

using Scores = std::vector<std::vector<double>>;

struct Plan {
  double value = 0;
  std::vector<Bucket> buckets;
};

int64_t halfway(int64_t a, int64_t b) {
  return static_cast<int64_t>(std::sqrt(static_cast<double>(a) * static_cast<double>(b)));
}

std::vector<int64_t> distinct(const std::vector<Size> &sizes, int64_t Size::*key) {
  std::vector<int64_t> values;
  for (const Size &size : sizes) values.push_back(size.*key);
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// The best single choice for the sizes that `belongs` names.
Plan one_choice(const std::vector<Size> &sizes, const Scores &scores, const Bounds &bounds,
                const std::function<bool(const Size &)> &belongs) {
  Plan best;
  for (size_t choice = 0; choice < scores.size(); ++choice) {
    double sum = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (belongs(sizes[i])) sum += scores[choice][i];
    }
    if (best.buckets.empty() || sum > best.value) best = {sum, {{bounds, choice}}};
  }
  return best;
}

// Up to so many ranges of n among the sizes of n > after that are on one side of the cut by bytes.
Plan ranges_of_n(const std::vector<Size> &sizes, const Scores &scores, double worth,
                 int64_t fewest_bytes, int64_t fewer_than, int64_t after, size_t ranges) {
  const auto on_this_side = [&](const Size &size) {
    return size.bytes >= fewest_bytes && size.bytes < fewer_than && size.n > after;
  };
  Plan best = one_choice(sizes, scores, {kAnyLength, fewest_bytes}, on_this_side);
  if (ranges == 1) return best;
  std::vector<Size> here;
  std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(here), on_this_side);
  const std::vector<int64_t> lengths = distinct(here, &Size::n);
  for (size_t i = 0; i + 1 < lengths.size(); ++i) {
    const int64_t longest = halfway(lengths[i], lengths[i + 1]);
    Plan shorter = one_choice(sizes, scores, {longest, fewest_bytes}, [&](const Size &size) {
      return on_this_side(size) && size.n <= longest;
    });
    const Plan longer =
        ranges_of_n(sizes, scores, worth, fewest_bytes, fewer_than, longest, ranges - 1);
    const double value = shorter.value + longer.value - worth;
    if (value <= best.value) continue;
    shorter.buckets.insert(shorter.buckets.end(), longer.buckets.begin(), longer.buckets.end());
    best = {value, shorter.buckets};
  }
  return best;
}

}  // namespace

std::vector<Bucket> choose_buckets(const std::vector<Size> &sizes, const Scores &scores,
                                   double worth) {
  Plan best = ranges_of_n(sizes, scores, worth, 0, INT64_MAX, 0, kMostRanges);
  const std::vector<int64_t> bytes = distinct(sizes, &Size::bytes);
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    const int64_t cut = halfway(bytes[i], bytes[i + 1]) + 1;
    Plan large = ranges_of_n(sizes, scores, worth, cut, INT64_MAX, 0, kMostRanges);
    const Plan small = ranges_of_n(sizes, scores, worth, 0, cut, 0, kMostRanges);
    const double value = large.value + small.value - worth;
    if (value <= best.value) continue;
    large.buckets.insert(large.buckets.end(), small.buckets.begin(), small.buckets.end());
    best = {value, large.buckets};
  }
  return best.buckets;
}

}  // namespace halnorm_tune
