// SPDX-License-Identifier: Apache-2.0
// What comes between the sums and the last pass: the statistics of a block's rows, or what its
// gradients need of them.
#include <string.h>

#include "stage_executor.h"
#include "statistics.h"
#include "strided.h"

namespace halnorm {

// Which rows a statistic is of: `count` of them, `step` apart, in the arrays of a block.
struct RowSet {
  int64_t first, count, step;
};

// Calls run(rows of the sums, rows, offset of the statistic, channel of its first row).
template <typename Run>
void StageExecutor::for_each_statistic(const Block &block, const Run &run) const {
  const Grid &grid = plan_.grid;
  const int64_t group = call_.channels_of_a_group;
  if (call_.sharing == Sharing::batch) {
    for (int64_t r = 0; r < block.rows; ++r) {
      const RowSet rows = {r, block.outers, block.rows};
      run(rows, rows, (block.row + r) * grid.rows.statistic, block.row + r);
    }
    return;
  }
  for (int64_t o = 0; o < block.outers; ++o) {
    const int64_t offset =
        offset_of(grid.outer, grid.outer_rank, &Axis::statistic, block.outer + o);
    for (int64_t r = 0; r < block.rows; r += group) {
      const RowSet rows = {o * block.rows + r, group, 1};
      const RowSet sums = {rows.first / plan_.rows_of_a_sum, group / plan_.rows_of_a_sum, 1};
      run(sums, rows, offset + (block.row + r) / group * grid.rows.statistic, block.row + r);
    }
  }
}

double sum_of(const double *totals, const RowSet &rows) {
  double sum = totals[rows.first];
  for (int64_t k = 1; k < rows.count; ++k) sum += totals[rows.first + k * rows.step];
  return sum;
}

void fill(float *values, const RowSet &rows, float value) {
  for (int64_t k = 0; k < rows.count; ++k) values[rows.first + k * rows.step] = value;
}

void StageExecutor::find_centers(const Block &block, int64_t elements_of_a_row) const {
  for_each_statistic(block, [&](const RowSet &sums, const RowSet &, int64_t, int64_t) {
    const auto n = static_cast<double>(sums.count * elements_of_a_row);
    fill(block.center, sums, static_cast<float>(sum_of(block.totals[0], sums) / n));
  });
}

// The variance is the mean square about a center less the square of what the center is off, so that
// the second must be a small part of the first. Moves the other centers to their means; true if
// there are any. Once will do: no element of n is further than sqrt(n) deviations from their mean,
// nor is a mean of some, and the error of the sums makes next to nothing of that.
bool StageExecutor::move_centers(const Block &block) const {
  bool moved = false;
  for_each_statistic(block, [&](const RowSet &sums, const RowSet &, int64_t, int64_t) {
    const auto n = static_cast<double>(sums.count * plan_.sums_grid.n);
    const double square = sum_of(block.totals[0], sums) / n;
    const double off = sum_of(block.totals[1], sums) / n;
    if (!(off * off > square / 4)) return;
    fill(block.center, sums,
         static_cast<float>(static_cast<double>(block.center[sums.first]) + off));
    moved = true;
  });
  return moved;
}

void StageExecutor::find_statistics(const Block &block) const {
  const int64_t n = plan_.sums_grid.n;
  for_each_statistic(
      block, [&](const RowSet &sums, const RowSet &rows, int64_t offset, int64_t channel) {
        const bool of_one_chunk = !plan_.sums_grid.columns && !plan_.is_long() && sums.count == 1;
        const DeviationSums deviations = {
            sum_of(block.totals[0], sums), sum_of(block.totals[1], sums),
            static_cast<double>(sums.count * n), of_one_chunk, plan_.has_samples};
        const Statistic s = statistic_of(call_, block.center[sums.first], deviations);
        fill(block.mean, rows, s.high);
        fill(block.low, rows, s.low);
        fill(block.rstd, rows, s.rstd);
        if (call_.mean != nullptr) call_.mean[offset] = s.high + s.low;
        if (call_.rstd != nullptr) call_.rstd[offset] = s.rstd;
        const bool training = call_.operation == Operation::batch_norm_training;
        if (training && call_.running_mean != nullptr) {
          update_running_statistics(call_, s, sums.count * n, channel);
        }
      });
}

void StageExecutor::find_running_statistics(const Block &block) const {
  const auto bytes = static_cast<size_t>(block.rows) * sizeof(float);
  const float eps = static_cast<float>(call_.eps);
  memcpy(block.mean, call_.running_mean + block.row, bytes);
  for (int64_t r = 0; r < block.rows; ++r) {
    block.rstd[r] = reciprocal_deviation(call_.running_var[block.row + r], eps);
  }
  for (int64_t o = 1; o < block.outers; ++o) {
    memcpy(block.mean + o * block.rows, block.mean, bytes);
    memcpy(block.rstd + o * block.rows, block.rstd, bytes);
  }
  memset(block.low, 0, static_cast<size_t>(block.outers) * bytes);
}

void StageExecutor::read_saved_statistics(const Block &block) const {
  const Grid &grid = plan_.grid;
  if (call_.sharing == Sharing::none && grid.rows.statistic == 1) {
    const auto bytes = static_cast<size_t>(block.rows) * sizeof(float);
    for (int64_t o = 0; o < block.outers; ++o) {
      const int64_t offset =
          offset_of(grid.outer, grid.outer_rank, &Axis::statistic, block.outer + o) + block.row;
      if (call_.has_mean()) {
        memcpy(block.mean + o * block.rows, call_.saved_mean + offset, bytes);
      } else {
        memset(block.mean + o * block.rows, 0, bytes);
      }
      memcpy(block.rstd + o * block.rows, call_.saved_rstd + offset, bytes);
    }
    return;
  }
  for_each_statistic(block, [&](const RowSet &, const RowSet &rows, int64_t offset, int64_t) {
    fill(block.mean, rows, call_.has_mean() ? call_.saved_mean[offset] : 0);
    fill(block.rstd, rows, call_.saved_rstd[offset]);
  });
}

// The means of g and, times rstd, of g * xhat.
void StageExecutor::find_gradient_means(const Block &block) const {
  const int64_t rows = block.outers * block.rows;
  const auto bytes = static_cast<size_t>(rows) * sizeof(float);
  const auto n = static_cast<double>(plan_.grid.n);
  if (call_.fixed_statistics) {
    memset(block.mean_g, 0, bytes);
    memset(block.slope, 0, bytes);
    return;
  }
  if (call_.gamma_along_rows()) {
    for (int64_t r = 0; r < rows; ++r) {
      block.mean_g[r] = static_cast<float>(block.totals[0][r] / n);
      block.slope[r] = slope_of(block.totals[1][r] / n, block.rstd[r]);
    }
    if (!call_.has_mean()) memset(block.mean_g, 0, bytes);
    return;
  }
  for_each_statistic(block, [&](const RowSet &sums, const RowSet &of, int64_t, int64_t channel) {
    const int64_t next = call_.sharing == Sharing::groups ? 1 : 0;
    double means[2] = {0, 0};
    for (int64_t r = 0; r < sums.count; ++r) {
      const auto gamma = static_cast<double>(plan_.gamma[channel + r * next]);
      for (int k = 0; k < 2; ++k) {
        means[k] += gamma * block.totals[k][sums.first + r * sums.step];
      }
    }
    const double count = static_cast<double>(sums.count) * n;
    fill(block.mean_g, of, static_cast<float>(means[0] / count));
    fill(block.slope, of, slope_of(means[1] / count, block.rstd[of.first]));
  });
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
