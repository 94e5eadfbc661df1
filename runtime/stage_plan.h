// SPDX-License-Identifier: Apache-2.0
// How a call in stages is cut up, and the memory that it works in.
//
// A block is a set of rows whose statistics are complete within it: all stages can run on it while
// it is in the cache. Where there are blocks for every thread, each thread takes blocks of its own.
// Else the whole call is one block, and each stage is dealt out to the threads by tiles.
#ifndef HALNORM_RUNTIME_STAGE_PLAN_H_
#define HALNORM_RUNTIME_STAGE_PLAN_H_

#include <stddef.h>
#include <stdint.h>

#include "dispatch.h"
#include "grid.h"
#include "norm_call.h"

namespace halnorm {

// Floats of a row of sums that a kernel adds to, which have to begin at a cache line.
constexpr int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

struct TileSize {
  int64_t rows, elements;
};

// Parts of a row of the row tree: whole chunks.
constexpr int64_t kElementsOfATile = 16 * kChunk;

// Rows [row, row + rows) of `outers` positions of the outer axes, and what is known of them. Arrays
// are indexed [outer][row] from the first of the block.
struct Block {
  int64_t outer, outers, row, rows;
  double *totals[2];  // of rows of the sums: x, or d * d and d, or g and g * d
  // The same in parts: [outer][row][chunk][lane], or [outer][block][row] with padded() rows.
  float *partial[2];
  float *center;          // of rows of the sums
  float *mean, *rstd;     // of rows; forward, mean is its high part
  float *low;             // forward
  float *mean_g, *slope;  // backward, see input_gradient() of generators/norm_math.h
};

// Memory of one task besides its block.
struct TaskMemory {
  void *x, *dy, *y;               // packed tiles
  float *gamma, *beta;            // of the elements of a tile
  int64_t begin = -1, count = 0;  // which elements those are
};

// Fixed statistics are constants: dx is then to dy what y is to x - mean.
inline bool takes_gradient(const NormCall &call) {
  return call.is_backward() && !call.fixed_statistics;
}

struct Plan {
  Plan(const NormCall &call, int32_t target);

  const NormCall &call;
  int32_t target;
  Grid grid, sums_grid;
  Grid samples_grid;      // if has_samples
  int64_t rows_of_a_sum;  // rows of grid that one row of sums_grid holds
  Tensor x, dy, y;
  bool wants_totals;  // of the forward sums, or of the gradients
  // The sums of a forward are of deviations from the mean of a few elements, which saves a pass;
  // else from the mean.
  bool has_samples;
  bool wants_parameters_of_rows;  // a gradient of parameters that lie along the rows
  bool fuses_parameters;          // that gradient comes from the last pass too
  bool sums_rows = false;         // and it sums up each row before
  // Those gradients are summed by so many rows, in order, and then over these blocks.
  int64_t parameter_rows, parameter_blocks;

  const Kernel *last;  // of the pass that writes y or dx; null where there is none
  Launch launch;       // as its row says

  int64_t threads, task_count;
  bool by_blocks;  // else one block, by tiles
  int64_t rows_of_a_block, outers_of_a_block;
  int64_t unit_count, units_of_an_outer, blocks_of_a_unit;  // a unit: blocks that run in order
  TileSize tile;                                            // the most that kernels take at once
  TileSize sums_tile;                                       // the same, of rows of the sums
  TileSize last_tile;                                       // what a thread takes of the last pass

  // Laid out by allocate(): for the whole call, and for each task.
  float *gamma = nullptr, *beta = nullptr;          // one for each channel
  float *parameter_sums[2] = {nullptr, nullptr};    // of beta and of gamma: [block][element],
                                                    // with padded() elements
  double *gradient_totals[2] = {nullptr, nullptr};  // of channels: [outer][channel]
  uint8_t *memory_of_tasks = nullptr;
  int64_t bytes_of_a_task = 0;
  Block whole = {};  // where not by blocks

  // In parts: rows of the row tree that are longer than a chunk.
  bool is_long() const { return !sums_grid.columns && sums_grid.n > kChunk; }
  // Rows of the last pass that one row of the grid holds.
  int64_t merged_rows(const Grid &g) const { return &g == &sums_grid ? rows_of_a_sum : 1; }
  // How many elements gamma has.
  int64_t parameter_count() const { return call.gamma_along_rows() ? grid.n : grid.rows.extent; }
  int64_t chunks_of_a_row() const { return ceil_div(sums_grid.n, kChunk); }
  int64_t blocks_of_a_column() const { return ceil_div(sums_grid.n, kBlock); }

  halnorm_status allocate();
  // Of task `index`; the block's arrays only where the call runs by blocks.
  void task_memory(int64_t index, TaskMemory *memory, Block *block) const;

 private:
  void choose_last(Part part);
  void choose_blocks();
  void choose_tiles();
  int64_t row_bytes() const;
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_STAGE_PLAN_H_
