// SPDX-License-Identifier: Apache-2.0
// The stages that sum: parts of rows, and the totals of rows from them.
#include <string.h>

#include "kernel_call.h"
#include "stage_executor.h"
#include "statistics.h"

namespace halnorm {
namespace {

constexpr int64_t kColumnsToFold = 128;  // that a thread takes at once

}  // namespace

void StageExecutor::sum_tile(const Kernel &kernel, const Block &block, const Tile &tile,
                             TaskMemory *memory) const {
  const Grid &grid = plan_.sums_grid;
  const int64_t first = at(block, tile, grid);
  const bool backward = call_.is_backward();
  const bool weighted = backward && call_.gamma_along_rows();
  const bool deviations = !backward && &kernel == kernels_.sums;
  const int sums = &kernel == kernels_.first_sums ? 1 : 2;
  if (weighted) parameters_of(tile, memory);
  TileView dy = {};
  if (backward) dy = load(call_, grid, plan_.dy, tile, memory->dy);
  const TileView x = load(call_, grid, plan_.x, tile, memory->x);

  // Some rows of the tile, or, where rows are neighbours, some of its elements.
  const auto run = [&](int64_t skip, int64_t count, const auto &add_sums) {
    KernelArguments arguments;
    const auto add_tensor = [&](const TileView &view) {
      KernelShape shape = view.shape;
      shape.extent1 = count;
      arguments.add(advance(view.data, skip * shape.stride1, call_.storage), shape);
    };
    const int64_t row = grid.columns ? first : first + skip;
    const int64_t rows = grid.columns ? tile.rows : count;
    if (backward) add_tensor(dy);
    add_tensor(x);
    if (deviations) arguments.add(block.center + row, {rows});
    if (backward) arguments.add(block.mean + row, {rows});
    if (weighted) {
      if (grid.columns) {
        arguments.add(memory->gamma + skip, {count});
      } else {
        arguments.add(memory->gamma, {tile.count});
      }
    }
    for (int k = 0; k < sums; ++k) add_sums(&arguments, k);
    arguments.run(kernel);
  };

  if (grid.columns) {
    const int64_t blocks = plan_.blocks_of_a_column();
    const int64_t outer = tile.outer - block.outer, row = tile.row - block.row;
    for (int64_t e = 0; e < tile.count; e += kBlock) {
      const int64_t number = outer * blocks + (tile.begin + e) / kBlock;
      run(e, smaller(kBlock, tile.count - e), [&](KernelArguments *arguments, int k) {
        float *partial = block.partial[k] + number * padded(block.rows) + row;
        memset(partial, 0, static_cast<size_t>(tile.rows) * sizeof(float));
        arguments->add(partial, {tile.rows});
      });
    }
    return;
  }
  const int64_t chunks = plan_.chunks_of_a_row();
  for (int64_t r = 0; r < tile.rows; r += kernel.rows) {
    const int64_t rows = smaller(kernel.rows, tile.rows - r);
    run(r, rows, [&](KernelArguments *arguments, int k) {
      if (!plan_.is_long()) {
        arguments->add(block.totals[k] + first + r, {rows});
        return;
      }
      const int64_t chunk = (first + r) * chunks + tile.begin / kChunk;
      arguments->add(
          block.partial[k] + chunk * kLanes,
          {kLanes, 1, ceil_div(tile.count, kChunk), kLanes, rows, rows == 1 ? 0 : chunks * kLanes});
    });
  }
}

// Totals of a few elements of each row: some of a block.
void StageExecutor::sum_samples(const Block &block, const Tile &tile, TaskMemory *memory) const {
  const Grid &grid = plan_.samples_grid;
  const int64_t first = at(block, tile, grid);
  const TileView x = load(call_, grid, plan_.x, tile, memory->x);
  float *sums = block.partial[0] +
                (tile.outer - block.outer) * plan_.blocks_of_a_column() * padded(block.rows) +
                tile.row - block.row;
  memset(sums, 0, static_cast<size_t>(tile.rows) * sizeof(float));
  KernelArguments arguments;
  arguments.add(x.data, x.shape);
  arguments.add(sums, {tile.rows});
  arguments.run(*kernels_.first_sums);
  add_up_blocks(sums, 1, 0, tile.rows, block.totals[0] + first);
}

void StageExecutor::sum_first(const Block &block, const Tile &tile, TaskMemory *memory) const {
  sum_tile(*kernels_.first_sums, block, tile, memory);
}

void StageExecutor::sum(const Block &block, const Tile &tile, TaskMemory *memory) const {
  sum_tile(*kernels_.sums, block, tile, memory);
}

// Totals of a row, or of some rows that are neighbours, from their parts.
void StageExecutor::fold(const Block &block, const Tile &tile, TaskMemory *) const {
  const Grid &grid = plan_.sums_grid;
  const int64_t first = at(block, tile, grid);
  for (int k = 0; k < 2; ++k) {
    if (grid.columns) {
      const int64_t blocks = plan_.blocks_of_a_column(), step = padded(block.rows);
      const int64_t number = (tile.outer - block.outer) * blocks;
      add_up_blocks(block.partial[k] + number * step + tile.row - block.row, blocks, step,
                    tile.rows, block.totals[k] + first);
      continue;
    }
    const int64_t lanes = plan_.chunks_of_a_row() * kLanes;
    KernelArguments arguments;
    arguments.add(block.partial[k] + first * lanes, {kLanes, 1, plan_.chunks_of_a_row(), kLanes});
    arguments.add(block.totals[k] + first, {1});
    arguments.run(*kernels_.fold);
  }
}

void StageExecutor::sum_up(const Block &block, TaskMemory *memory) const {
  const Grid &grid = plan_.sums_grid;
  const bool in_parts = grid.columns || plan_.is_long();
  const TileSize to_fold = {grid.columns ? kColumnsToFold : 1, grid.n};
  const auto pass = [&](Step step, Order order) {
    for_each_tile(block, grid, plan_.sums_tile, step, order, memory);
    if (in_parts) for_each_tile(block, grid, to_fold, &StageExecutor::fold, order, memory);
  };
  const auto sum_about_centers = [&](Order order) {
    pass(&StageExecutor::sum, order);
    for (double *totals : block.totals) add_up_rows(block, totals);
  };
  if (has_two_passes_of_sums()) {
    pass(&StageExecutor::sum_first, Order::front_to_back);
    find_centers(block, grid.n);
    sum_about_centers(Order::back_to_front);
  } else if (plan_.has_samples) {
    const Grid &samples = plan_.samples_grid;
    for_each_tile(block, samples, {plan_.sums_tile.rows, samples.n}, &StageExecutor::sum_samples,
                  Order::front_to_back, memory);
    find_centers(block, samples.n);
    sum_about_centers(Order::front_to_back);
    if (move_centers(block)) sum_about_centers(Order::front_to_back);
  } else if (call_.is_backward()) {
    pass(&StageExecutor::sum, Order::front_to_back);
  } else {
    memset(block.center, 0, static_cast<size_t>(block.outers * block.rows) * sizeof(float));
    sum_about_centers(Order::front_to_back);
  }
  if (!call_.is_backward()) find_statistics(block);
}

}  // namespace halnorm
