// SPDX-License-Identifier: Apache-2.0
// Runs one call in stages: stages.cpp has the loops and the last pass, stage_sums.cpp the sums,
// stage_statistics.cpp what comes between.
#ifndef HALNORM_RUNTIME_STAGE_EXECUTOR_H_
#define HALNORM_RUNTIME_STAGE_EXECUTOR_H_

#include <stdint.h>

#include "dispatch.h"
#include "grid.h"
#include "halnorm.h"
#include "norm_call.h"
#include "stage_plan.h"

namespace halnorm {

// The kernels of a call; null where it has no such stage.
struct Kernels {
  const Kernel *first_sums, *sums, *fold, *last, *parameter_sums, *gamma_gradient, *beta_gradient;
};

class StageExecutor {
 public:
  StageExecutor(const NormCall &call, int32_t target) : call_(call), plan_(call, target) {}

  halnorm_status run();

 private:
  // A step of a stage on one tile of a block.
  using Step = void (StageExecutor::*)(const Block &block, const Tile &tile,
                                       TaskMemory *memory) const;
  struct Loop;

  halnorm_status find_kernels();
  const Kernel *kernel_to_report() const;
  const Kernel *find(Part part, Storage storage) const {
    return find_kernel(call_, plan_.target, Operation::any_norm, part, storage);
  }

  static void run_units(void *executor, int64_t task);
  static void run_tiles(void *loop, int64_t task);
  static void finish_parameters(void *executor, int64_t task);
  void run_block(const Block &block, TaskMemory *memory) const;
  // Each pass over a call that is dealt out by tiles runs against the one before: it begins with
  // what is still in the cache.
  enum class Order { front_to_back, back_to_front };
  void for_each_tile(const Block &block, const Grid &grid, TileSize size, Step step, Order order,
                     TaskMemory *memory) const;
  bool has_two_passes_of_sums() const {
    return !call_.is_backward() && call_.has_mean() && !plan_.has_samples;
  }
  void sum_up(const Block &block, TaskMemory *memory) const;

  void sum_samples(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void sum_first(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void sum(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void fold(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void finish(const Block &block, const Tile &tile, TaskMemory *memory) const;

  void sum_tile(const Kernel &kernel, const Block &block, const Tile &tile,
                TaskMemory *memory) const;
  float *parameter_sums_of(const Tile &tile, int k) const;
  void sum_parameters(const Block &block, const Tile &tile, const TileView &dy,
                      const TileView &x) const;
  void apply(const Block &block, const Tile &tile, const TileView &dy, const TileView &x,
             TaskMemory *memory) const;
  void parameters_of(const Tile &tile, TaskMemory *memory) const;
  void store_gradient(void *gradient, Stride stride, const Kernel *kernel, const double *totals,
                      int64_t begin, int64_t count) const;

  int64_t rows_of_a_statistic(const Block &block) const;
  int64_t sums_of_a_statistic(const Block &block) const;
  int64_t statistics_of(const Block &block) const;
  template <typename Run>
  void for_each_statistic(const Block &block, const Run &run) const;
  void add_up_rows(const Block &block, double *sums) const;
  void spread_over_rows(const Block &block, int64_t count, float *values) const;
  void gather_from_rows(const Block &block, int64_t count, float *values) const;
  void find_centers(const Block &block, int64_t elements_of_a_row) const;
  bool move_centers(const Block &block) const;
  void find_statistics(const Block &block) const;
  void find_running_statistics(const Block &block) const;
  void read_saved_statistics(const Block &block) const;
  void find_gradient_means(const Block &block) const;
  void weigh_by_gamma(const Block &block, double *totals) const;
  void keep_gradient_totals(const Block &block) const;

  // Where a tile's first row is in the arrays of its block.
  int64_t at(const Block &block, const Tile &tile, const Grid &grid) const {
    const int64_t merged = plan_.merged_rows(grid);
    return (tile.outer - block.outer) * (block.rows / merged) + tile.row - block.row / merged;
  }

  const NormCall &call_;
  Plan plan_;
  Kernels kernels_ = {};
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_STAGE_EXECUTOR_H_
