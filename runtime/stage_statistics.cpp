// SPDX-License-Identifier: Apache-2.0
// What comes between the sums and the last pass: the statistics of a block's rows, or what its
// gradients need of them. Where rows have a statistic in common, arrays of rows hold for a while
// one value for each statistic, in order, at their beginning.
#include <string.h>

#include "stage_executor.h"
#include "statistics.h"
#include "strided.h"

namespace halnorm {

// Rows of the grid that have a statistic in common, and rows of the sums.
int64_t StageExecutor::rows_of_a_statistic(const Block &block) const {
  return call_.sharing == Sharing::batch ? block.outers : call_.channels_of_a_group;
}

int64_t StageExecutor::sums_of_a_statistic(const Block &block) const {
  return rows_of_a_statistic(block) / plan_.rows_of_a_sum;
}

int64_t StageExecutor::statistics_of(const Block &block) const {
  return block.outers * block.rows / rows_of_a_statistic(block);
}

// Calls run(statistic, its offset in memory).
template <typename Run>
void StageExecutor::for_each_statistic(const Block &block, const Run &run) const {
  const Grid &grid = plan_.grid;
  const int64_t step = grid.rows.statistic;
  if (call_.sharing == Sharing::batch) {
    for (int64_t r = 0; r < block.rows; ++r) run(r, (block.row + r) * step);
    return;
  }
  const int64_t count = block.rows / call_.channels_of_a_group;
  const int64_t first = block.row / call_.channels_of_a_group;
  for (int64_t o = 0; o < block.outers; ++o) {
    const int64_t offset =
        offset_of(grid.outer, grid.outer_rank, &Axis::statistic, block.outer + o);
    for (int64_t s = 0; s < count; ++s) run(o * count + s, offset + (first + s) * step);
  }
}

// From sums of rows to those of statistics.
void StageExecutor::add_up_rows(const Block &block, double *sums) const {
  const int64_t count = sums_of_a_statistic(block);
  if (count == 1) return;
  if (call_.sharing == Sharing::batch) {
    for (int64_t o = 1; o < count; ++o) {
      const double *of_sample = sums + o * block.rows;
      for (int64_t r = 0; r < block.rows; ++r) sums[r] += of_sample[r];
    }
    return;
  }
  for (int64_t s = 0; s < statistics_of(block); ++s) {
    double sum = sums[s * count];
    for (int64_t k = 1; k < count; ++k) sum += sums[s * count + k];
    sums[s] = sum;
  }
}

// From values of statistics to those of `count` rows each, and back.
void StageExecutor::spread_over_rows(const Block &block, int64_t count, float *values) const {
  if (count == 1) return;
  if (call_.sharing == Sharing::batch) {
    const auto bytes = static_cast<size_t>(block.rows) * sizeof(float);
    for (int64_t o = 1; o < count; ++o) memcpy(values + o * block.rows, values, bytes);
    return;
  }
  for (int64_t s = statistics_of(block) - 1; s >= 0; --s) {
    const float value = values[s];
    for (int64_t k = 0; k < count; ++k) values[s * count + k] = value;
  }
}

void StageExecutor::gather_from_rows(const Block &block, int64_t count, float *values) const {
  if (count == 1 || call_.sharing == Sharing::batch) return;
  for (int64_t s = 0; s < statistics_of(block); ++s) values[s] = values[s * count];
}

void StageExecutor::find_centers(const Block &block, int64_t elements_of_a_row) const {
  const int64_t sums = sums_of_a_statistic(block), statistics = statistics_of(block);
  const auto n = static_cast<double>(sums * elements_of_a_row);
  const double *totals = block.totals[0];
  add_up_rows(block, block.totals[0]);
  for (int64_t s = 0; s < statistics; ++s) block.center[s] = static_cast<float>(totals[s] / n);
  spread_over_rows(block, sums, block.center);
}

// The variance is the mean square about a center less the square of what the center is off, so that
// the second must be a small part of the first. Moves the other centers to their means; true if
// there are any. Once will do: no element of n is further than sqrt(n) deviations from their mean,
// nor is a mean of some, and the error of the sums makes next to nothing of that.
bool StageExecutor::move_centers(const Block &block) const {
  const int64_t sums = sums_of_a_statistic(block), statistics = statistics_of(block);
  const auto n = static_cast<double>(sums * plan_.sums_grid.n);
  const double *squares = block.totals[0], *deviations = block.totals[1];
  float *center = block.center;
  const auto is_far = [&](int64_t s) {
    const double off = deviations[s] / n;
    return off * off > squares[s] / n / 4;
  };
  int32_t far = 0;
  for (int64_t s = 0; s < statistics; ++s) far |= is_far(s) ? 1 : 0;
  if (far == 0) return false;
  gather_from_rows(block, sums, center);
  for (int64_t s = 0; s < statistics; ++s) {
    if (!is_far(s)) continue;
    center[s] = static_cast<float>(static_cast<double>(center[s]) + deviations[s] / n);
  }
  spread_over_rows(block, sums, center);
  return true;
}

void StageExecutor::find_statistics(const Block &block) const {
  const int64_t sums = sums_of_a_statistic(block), rows = rows_of_a_statistic(block);
  const int64_t n = sums * plan_.sums_grid.n;
  const bool of_one_chunk = !plan_.sums_grid.columns && !plan_.is_long() && sums == 1;
  const CenterOf center_of = plan_.has_samples ? CenterOf::samples
                             : of_one_chunk    ? CenterOf::one_chunk
                                               : CenterOf::all;
  gather_from_rows(block, sums, block.center);
  double *variance = block.totals[0];
  halnorm::find_statistics(call_, center_of, static_cast<double>(n),
                           {statistics_of(block), block.center, variance, block.totals[1],
                            block.mean, block.low, block.rstd});
  if (call_.mean != nullptr) {
    for_each_statistic(block, [&](int64_t s, int64_t offset) {
      call_.mean[offset] = block.mean[s] + block.low[s];
    });
  }
  if (call_.rstd != nullptr) {
    for_each_statistic(block,
                       [&](int64_t s, int64_t offset) { call_.rstd[offset] = block.rstd[s]; });
  }
  if (call_.operation == Operation::batch_norm_training && call_.running_mean != nullptr) {
    for (int64_t s = 0; s < statistics_of(block); ++s) {
      const double mean = static_cast<double>(block.mean[s]) + static_cast<double>(block.low[s]);
      update_running_statistics(call_, mean, variance[s], n, block.row + s);
    }
  }
  for (float *values : {block.mean, block.low, block.rstd}) spread_over_rows(block, rows, values);
}

void StageExecutor::find_running_statistics(const Block &block) const {
  const auto bytes = static_cast<size_t>(block.rows) * sizeof(float);
  const float eps = static_cast<float>(call_.eps);
  memcpy(block.mean, call_.running_mean + block.row, bytes);
  for (int64_t r = 0; r < block.rows; ++r) {
    block.rstd[r] = reciprocal_deviation(call_.running_var[block.row + r], eps);
  }
  for (float *values : {block.mean, block.rstd}) spread_over_rows(block, block.outers, values);
  memset(block.low, 0, static_cast<size_t>(block.outers) * bytes);
}

void StageExecutor::read_saved_statistics(const Block &block) const {
  const int64_t rows = rows_of_a_statistic(block);
  const auto read = [&](float *values, const float *saved) {
    for_each_statistic(block, [&](int64_t s, int64_t offset) { values[s] = saved[offset]; });
    spread_over_rows(block, rows, values);
  };
  read(block.rstd, call_.saved_rstd);
  if (call_.has_mean()) {
    read(block.mean, call_.saved_mean);
  } else {
    memset(block.mean, 0, static_cast<size_t>(block.outers * block.rows) * sizeof(float));
  }
}

// The means of g and, times rstd, of g * xhat. Afterwards the totals are those of statistics.
void StageExecutor::find_gradient_means(const Block &block) const {
  const auto bytes = static_cast<size_t>(block.outers * block.rows) * sizeof(float);
  if (call_.fixed_statistics) {
    memset(block.mean_g, 0, bytes);
    memset(block.slope, 0, bytes);
    return;
  }
  if (!call_.gamma_along_rows()) {
    for (double *totals : block.totals) {
      weigh_by_gamma(block, totals);
      add_up_rows(block, totals);
    }
  }
  const int64_t rows = rows_of_a_statistic(block), statistics = statistics_of(block);
  const auto n = static_cast<double>(rows * plan_.grid.n);
  const int64_t next = call_.sharing == Sharing::groups ? rows : 1;
  for (int64_t s = 0; s < statistics; ++s) {
    block.mean_g[s] = static_cast<float>(block.totals[0][s] / n);
    block.slope[s] = slope_of(block.totals[1][s] / n, block.rstd[s * next]);
  }
  for (float *values : {block.mean_g, block.slope}) spread_over_rows(block, rows, values);
  if (!call_.has_mean()) memset(block.mean_g, 0, bytes);
}

// Sums of dy become such of g, which are no -0.
void StageExecutor::weigh_by_gamma(const Block &block, double *totals) const {
  const float *gamma = plan_.gamma + block.row;
  for (int64_t o = 0; o < block.outers; ++o) {
    double *of_sample = totals + o * block.rows;
    for (int64_t r = 0; r < block.rows; ++r) {
      of_sample[r] = static_cast<double>(gamma[r]) * of_sample[r] + 0.0;
    }
  }
}

// The totals of dy and of dy * xhat, for the gradients of parameters.
void StageExecutor::keep_gradient_totals(const Block &block) const {
  for (int64_t o = 0; o < block.outers; ++o) {
    const int64_t from = o * block.rows;
    const int64_t to = (block.outer + o) * plan_.grid.rows.extent + block.row;
    for (int64_t r = 0; r < block.rows; ++r) {
      plan_.gradient_totals[0][to + r] = block.totals[0][from + r];
      plan_.gradient_totals[1][to + r] =
          block.totals[1][from + r] * static_cast<double>(block.rstd[from + r]);
    }
  }
}

}  // namespace halnorm
