// SPDX-License-Identifier: Apache-2.0
#include "stages.h"

#include <string.h>

#include "context.h"
#include "dispatch.h"
#include "errors.h"
#include "grid.h"
#include "kernel_call.h"
#include "parallel.h"
#include "parameters.h"
#include "stage_plan.h"
#include "statistics.h"

namespace halnorm {
namespace {

// Longer rows run in parts, so that the memory for a whole row stays small.
constexpr int64_t kLongestWholeRow = int64_t{1} << 20;
constexpr int64_t kFewestBytesOfARow = 512 * 1024;  // of x and y, for threads to share a row

// What a pass over all elements sums; see generators/sums.cpp.
enum class Summands { values, deviations, gradients, weighted_gradients };

Summands gradients_of(const NormCall &call) {
  return call.gamma_along_rows() ? Summands::weighted_gradients : Summands::gradients;
}

Part sums_part(const Plan &plan, Summands summands) {
  static constexpr Part kParts[][3] = {
      {Part::row_totals_values, Part::row_chunks_values, Part::column_sums_values},
      {Part::row_totals_deviations, Part::row_chunks_deviations, Part::column_sums_deviations},
      {Part::row_totals_gradients, Part::row_chunks_gradients, Part::column_sums_gradients},
      {Part::row_totals_weighted, Part::row_chunks_weighted, Part::column_sums_weighted},
  };
  return kParts[static_cast<int>(summands)][plan.sums_grid.columns ? 2 : plan.is_long() ? 1 : 0];
}

// Fixed statistics are constants: dx is then to dy what y is to x - mean.
bool takes_gradient(const NormCall &call) { return call.is_backward() && !call.fixed_statistics; }

Part last_part(const Plan &plan) {
  static constexpr Part kParts[2][2][2] = {
      {{Part::row_apply_channel, Part::row_apply},
       {Part::column_apply_channel, Part::column_apply}},
      {{Part::row_backward_channel, Part::row_backward},
       {Part::column_backward_channel, Part::column_backward}}};
  return kParts[takes_gradient(plan.call)][plan.grid.columns][plan.call.gamma_along_rows()];
}

// The kernels of a call; null where it has no such stage.
struct Kernels {
  const Kernel *first_sums, *sums, *fold, *last, *parameter_sums, *gamma_gradient, *beta_gradient;
};

class Executor {
 public:
  Executor(const NormCall &call, int32_t target) : call_(call), plan_(call, target) {}

  halnorm_status run();

 private:
  // A step of a stage on one tile of a block.
  using Step = void (Executor::*)(const Block &block, const Tile &tile, TaskMemory *memory) const;
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
  void for_each_tile(const Block &block, const Grid &grid, TileSize size, Step step,
                     TaskMemory *memory) const;
  void sum_up(const Block &block, TaskMemory *memory) const;

  void sum_first(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void sum(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void fold(const Block &block, const Tile &tile, TaskMemory *memory) const;
  void finish(const Block &block, const Tile &tile, TaskMemory *memory) const;

  void sum_tile(const Kernel &kernel, const Block &block, const Tile &tile,
                TaskMemory *memory) const;
  void sum_parameters(const Block &block, const Tile &tile, const TileView &dy,
                      const TileView &x) const;
  void apply(const Block &block, const Tile &tile, const TileView &dy, const TileView &x,
             TaskMemory *memory) const;
  void parameters_of(const Tile &tile, TaskMemory *memory) const;
  void store_gradient(void *gradient, Stride stride, const Kernel *kernel, const double *totals,
                      int64_t begin, int64_t count) const;

  template <typename Run>
  void for_each_statistic(const Block &block, const Run &run) const;
  void find_centers(const Block &block) const;
  void find_statistics(const Block &block) const;
  void find_running_statistics(const Block &block) const;
  void read_saved_statistics(const Block &block) const;
  void find_gradient_means(const Block &block) const;
  void keep_gradient_totals(const Block &block) const;

  // Where a tile's first row is in the arrays of its block.
  int64_t at(const Block &block, const Tile &tile, const Grid &grid) const {
    const int64_t merged = &grid == &plan_.sums_grid ? plan_.rows_of_a_sum : 1;
    return (tile.outer - block.outer) * (block.rows / merged) + tile.row - block.row / merged;
  }

  const NormCall &call_;
  Plan plan_;
  Kernels kernels_ = {};
};

// The tiles of a block, numbered with the elements fastest.
struct Executor::Loop {
  const Executor &executor;
  const Block &block;
  const Grid &grid;
  TileSize size;
  Step step;
  int64_t first_row, rows, row_tiles, element_tiles;

  Loop(const Executor &e, const Block &b, const Grid &g, TileSize s, Step st)
      : executor(e), block(b), grid(g), size(s), step(st) {
    const int64_t merged = &g == &e.plan_.sums_grid ? e.plan_.rows_of_a_sum : 1;
    first_row = b.row / merged;
    rows = b.rows / merged;
    row_tiles = ceil_div(rows, size.rows);
    element_tiles = ceil_div(g.n, size.elements);
  }
  int64_t count() const { return block.outers * row_tiles * element_tiles; }
  void run(int64_t index, TaskMemory *memory) const {
    const int64_t begin = index % element_tiles * size.elements;
    const int64_t row = index / element_tiles % row_tiles * size.rows;
    const Tile tile = {block.outer + index / element_tiles / row_tiles, first_row + row,
                       smaller(size.rows, rows - row), begin,
                       smaller(size.elements, grid.n - begin)};
    (executor.*step)(block, tile, memory);
  }
};

void Executor::run_tiles(void *loop, int64_t task) {
  const Loop &tiles = *static_cast<const Loop *>(loop);
  const Plan &plan = tiles.executor.plan_;
  TaskMemory memory;
  Block unused = {};
  plan.task_memory(task, &memory, &unused);
  const int64_t end = tiles.count() * (task + 1) / plan.task_count;
  for (int64_t i = tiles.count() * task / plan.task_count; i < end; ++i) tiles.run(i, &memory);
}

// On the thread that has the block, or on all.
void Executor::for_each_tile(const Block &block, const Grid &grid, TileSize size, Step step,
                             TaskMemory *memory) const {
  Loop loop(*this, block, grid, size, step);
  if (memory == nullptr) {
    parallel_for(call_.context, plan_.task_count, run_tiles, &loop);
    return;
  }
  for (int64_t i = 0; i < loop.count(); ++i) loop.run(i, memory);
}

// Sums -----------------------------------------------------------------------------------------

void Executor::sum_tile(const Kernel &kernel, const Block &block, const Tile &tile,
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

void Executor::sum_first(const Block &block, const Tile &tile, TaskMemory *memory) const {
  sum_tile(*kernels_.first_sums, block, tile, memory);
}

void Executor::sum(const Block &block, const Tile &tile, TaskMemory *memory) const {
  sum_tile(*kernels_.sums, block, tile, memory);
}

// Totals of some rows from their parts.
void Executor::fold(const Block &block, const Tile &tile, TaskMemory *) const {
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
    arguments.add(block.partial[k] + first * lanes, {kLanes, 1, plan_.chunks_of_a_row(), kLanes,
                                                     tile.rows, tile.rows == 1 ? 0 : lanes});
    arguments.add(block.totals[k] + first, {tile.rows});
    arguments.run(*kernels_.fold);
  }
}

void Executor::sum_up(const Block &block, TaskMemory *memory) const {
  const Grid &grid = plan_.sums_grid;
  TileSize size = plan_.tile;
  TileSize fold_size = {grid.columns ? 128 : 1, grid.n};
  if (&grid != &plan_.grid && plan_.rows_of_a_sum > 1) {
    size = {larger(1, size.rows / plan_.rows_of_a_sum), plan_.is_long() ? 16 * kChunk : grid.n};
    if (plan_.by_blocks) size.elements = grid.n;
  }
  const bool in_parts = grid.columns || plan_.is_long();
  const auto pass = [&](Step step) {
    for_each_tile(block, grid, size, step, memory);
    if (in_parts) for_each_tile(block, grid, fold_size, &Executor::fold, memory);
  };
  if (!call_.is_backward()) {
    if (call_.has_mean()) {
      pass(&Executor::sum_first);
      find_centers(block);
    } else {
      memset(block.center, 0, static_cast<size_t>(block.outers * block.rows) * sizeof(float));
    }
    pass(&Executor::sum);
    find_statistics(block);
    return;
  }
  pass(&Executor::sum);
}

// Statistics -----------------------------------------------------------------------------------

// Which rows a statistic is of: `count` of them, `step` apart, in the arrays of a block.
struct RowSet {
  int64_t first, count, step;
};

// Calls run(rows of the sums, rows, offset of the statistic, channel of its first row).
template <typename Run>
void Executor::for_each_statistic(const Block &block, const Run &run) const {
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

void Executor::find_centers(const Block &block) const {
  for_each_statistic(block, [&](const RowSet &sums, const RowSet &, int64_t, int64_t) {
    const auto n = static_cast<double>(sums.count * plan_.sums_grid.n);
    fill(block.center, sums, static_cast<float>(sum_of(block.totals[0], sums) / n));
  });
}

void Executor::find_statistics(const Block &block) const {
  const int64_t n = plan_.sums_grid.n;
  for_each_statistic(block, [&](const RowSet &sums, const RowSet &rows, int64_t offset,
                                int64_t channel) {
    const bool of_one_chunk = !plan_.sums_grid.columns && !plan_.is_long() && sums.count == 1;
    const Statistic s = statistic_of(call_, block.center[sums.first],
                                     {sum_of(block.totals[0], sums), sum_of(block.totals[1], sums),
                                      static_cast<double>(sums.count * n), of_one_chunk});
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

void Executor::find_running_statistics(const Block &block) const {
  for_each_statistic(block, [&](const RowSet &, const RowSet &rows, int64_t, int64_t channel) {
    fill(block.mean, rows, call_.running_mean[channel]);
    fill(block.low, rows, 0);
    fill(block.rstd, rows, reciprocal_deviation(call_.running_var[channel], call_.eps));
  });
}

void Executor::read_saved_statistics(const Block &block) const {
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
void Executor::find_gradient_means(const Block &block) const {
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
void Executor::keep_gradient_totals(const Block &block) const {
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

// The last pass --------------------------------------------------------------------------------

// gamma and beta of the elements of a tile, where they lie along the rows.
void Executor::parameters_of(const Tile &tile, TaskMemory *memory) const {
  if (memory->begin == tile.begin && memory->count == tile.count) return;
  memory->begin = tile.begin;
  memory->count = tile.count;
  memory->gamma =
      const_cast<float *>(dense_gamma(call_, plan_.target, tile.begin, tile.count, memory->gamma));
  memory->beta =
      const_cast<float *>(dense_beta(call_, plan_.target, tile.begin, tile.count, memory->beta));
}

// Adds a tile to the sums of its block of parameters, in the order of its rows.
void Executor::sum_parameters(const Block &block, const Tile &tile, const TileView &dy,
                              const TileView &x) const {
  const Kernel &kernel = *kernels_.parameter_sums;
  const Grid &grid = plan_.grid;
  const int64_t first = at(block, tile, grid);
  const int64_t number = tile.outer * ceil_div(grid.rows.extent, plan_.parameter_rows) +
                         tile.row / plan_.parameter_rows;
  const bool begins = tile.row % plan_.parameter_rows == 0;
  // Where rows are neighbours they add up in lanes, some elements at a time.
  const int64_t step = grid.columns ? kernel.rows : tile.count;
  for (int64_t e = 0; e < tile.count; e += step) {
    const int64_t count = smaller(step, tile.count - e);
    KernelArguments arguments;
    for (const TileView *view : {&dy, &x}) {
      KernelShape shape = view->shape;
      if (grid.columns) shape.extent1 = count;
      arguments.add(advance(view->data, e * (grid.columns ? shape.stride1 : 1), call_.storage),
                    shape);
    }
    arguments.add(block.mean + first, {tile.rows});
    arguments.add(block.rstd + first, {tile.rows});
    for (float *sums : plan_.parameter_sums) {
      float *of_tile = sums + number * padded(grid.n) + tile.begin + e;
      if (begins) memset(of_tile, 0, static_cast<size_t>(count) * sizeof(float));
      arguments.add(of_tile, {count});
    }
    arguments.run(kernel);
  }
}

void Executor::apply(const Block &block, const Tile &tile, const TileView &dy, const TileView &x,
                     TaskMemory *memory) const {
  const Grid &grid = plan_.grid;
  const int64_t first = at(block, tile, grid);
  const bool along = call_.gamma_along_rows(), gradient = takes_gradient(call_);
  const TileView y = room_for(call_, grid, plan_.y, tile, memory->y);
  const int64_t step = grid.columns ? tile.rows : kernels_.last->rows;
  for (int64_t r = 0; r < tile.rows; r += step) {
    const int64_t rows = smaller(step, tile.rows - r);
    KernelArguments arguments;
    const auto add_tensor = [&](const TileView &view) {
      KernelShape shape = view.shape;
      if (!grid.columns) shape.extent1 = rows;
      arguments.add(advance(view.data, r * shape.stride1, call_.storage), shape);
    };
    const auto add_rows = [&](const float *values) { arguments.add(values + first + r, {rows}); };
    const auto add_parameter = [&](const float *of_elements, const float *of_channels) {
      if (along) {
        arguments.add(of_elements, {tile.count});
      } else {
        arguments.add(of_channels + tile.row + r, {rows});
      }
    };
    if (gradient) {
      add_tensor(dy);
      add_tensor(x);
      add_rows(block.mean);
      add_rows(block.rstd);
      add_rows(block.mean_g);
      add_rows(block.slope);
      add_parameter(memory->gamma, plan_.gamma);
    } else {
      add_tensor(call_.is_backward() ? dy : x);
      add_rows(call_.is_backward() ? block.mean_g : block.mean);
      add_rows(call_.is_backward() ? block.slope : block.low);
      add_rows(block.rstd);
      add_parameter(memory->gamma, plan_.gamma);
      add_parameter(memory->beta, plan_.beta);
    }
    add_tensor(y);
    arguments.run(*kernels_.last);
  }
  store(call_, grid, plan_.y, tile, y);
}

// Some rows at a time. Parameters first: dx may be dy.
void Executor::finish(const Block &block, const Tile &tile, TaskMemory *memory) const {
  if (call_.gamma_along_rows()) parameters_of(tile, memory);
  const bool backward = call_.is_backward();
  for (int64_t r = 0; r < tile.rows; r += plan_.tile.rows) {
    Tile rows = tile;
    rows.row += r;
    rows.rows = smaller(plan_.tile.rows, tile.rows - r);
    TileView dy = {};
    if (backward) dy = load(call_, plan_.grid, plan_.dy, rows, memory->dy);
    const TileView x = load(call_, plan_.grid, plan_.x, rows, memory->x);
    if (plan_.wants_parameters_of_rows) sum_parameters(block, rows, dy, x);
    if (call_.y != nullptr) apply(block, rows, dy, x, memory);
  }
}

void Executor::run_block(const Block &block, TaskMemory *memory) const {
  if (call_.is_backward()) {
    read_saved_statistics(block);
    if (plan_.wants_totals) sum_up(block, memory);
    if (call_.y != nullptr) find_gradient_means(block);
    if (plan_.gradient_totals[0] != nullptr) keep_gradient_totals(block);
  } else if (plan_.wants_totals) {
    sum_up(block, memory);
  } else {
    find_running_statistics(block);
  }
  if (call_.y != nullptr || plan_.wants_parameters_of_rows) {
    for_each_tile(block, plan_.grid, plan_.last_tile, &Executor::finish, memory);
  }
}

void Executor::run_units(void *executor, int64_t task) {
  const Executor &self = *static_cast<const Executor *>(executor);
  const Plan &plan = self.plan_;
  TaskMemory memory;
  Block block = {};
  plan.task_memory(task, &memory, &block);
  block.outers = plan.outers_of_a_block;
  const int64_t end = plan.unit_count * (task + 1) / plan.task_count;
  for (int64_t u = plan.unit_count * task / plan.task_count; u < end; ++u) {
    block.outer = u / plan.units_of_an_outer * plan.outers_of_a_block;
    block.row = u % plan.units_of_an_outer * plan.blocks_of_a_unit * plan.rows_of_a_block;
    for (int64_t b = 0; b < plan.blocks_of_a_unit && block.row < plan.grid.rows.extent; ++b) {
      block.rows = smaller(plan.rows_of_a_block, plan.grid.rows.extent - block.row);
      self.run_block(block, &memory);
      block.row += block.rows;
    }
  }
}

// Gradients of parameters ----------------------------------------------------------------------

constexpr int64_t kParametersOfATask = 512;

void Executor::store_gradient(void *gradient, Stride stride, const Kernel *kernel,
                              const double *totals, int64_t begin, int64_t count) const {
  if (gradient == nullptr) return;
  const bool along = call_.gamma_along_rows();
  const Stretch stretch = {along ? call_.reduced : &call_.kept[1], along ? call_.reduced_rank : 1,
                           stride, begin, count};
  float rounded[kParametersOfATask], stored[kParametersOfATask];
  for (int64_t i = 0; i < count; ++i) rounded[i] = static_cast<float>(totals[i]);
  KernelArguments arguments;
  arguments.add(rounded, {count});
  arguments.add(stored, {count});
  arguments.run(*kernel);
  scatter(gradient, stretch, stored, 1, kernel->storage);
}

void Executor::finish_parameters(void *executor, int64_t task) {
  const Executor &self = *static_cast<const Executor *>(executor);
  const NormCall &call = self.call_;
  const Plan &plan = self.plan_;
  const bool along = call.gamma_along_rows();
  const int64_t parameters = along ? plan.grid.n : plan.grid.rows.extent;
  const int64_t begin = task * kParametersOfATask;
  const int64_t count = smaller(kParametersOfATask, parameters - begin);
  double totals[2][kParametersOfATask] = {};
  for (int k = 0; k < 2; ++k) {
    if (!along) {
      for (int64_t o = 0; o < plan.grid.outer_count; ++o) {
        const double *of_outer = plan.gradient_totals[k] + o * parameters + begin;
        for (int64_t i = 0; i < count; ++i) totals[k][i] += of_outer[i];
      }
      continue;
    }
    add_up_blocks(plan.parameter_sums[k] + begin, plan.parameter_blocks, padded(parameters), count,
                  totals[k]);
  }
  self.store_gradient(call.dbeta, &Axis::dbeta, self.kernels_.beta_gradient, totals[0], begin,
                      count);
  self.store_gradient(call.dgamma, &Axis::dgamma, self.kernels_.gamma_gradient, totals[1], begin,
                      count);
}

// The whole ------------------------------------------------------------------------------------

halnorm_status Executor::find_kernels() {
  const auto look_up = [&](const Kernel **kernel, bool wanted, Part part) {
    if (wanted) *kernel = find(part, call_.storage);
    return !wanted || *kernel != nullptr;
  };
  const bool backward = call_.is_backward(), columns = plan_.grid.columns;
  const Summands summands = backward ? gradients_of(call_) : Summands::deviations;
  const bool first = plan_.wants_totals && !backward && call_.has_mean();
  const bool of_rows = plan_.wants_parameters_of_rows;
  const bool found =
      look_up(&kernels_.first_sums, first, sums_part(plan_, Summands::values)) &&
      look_up(&kernels_.sums, plan_.wants_totals, sums_part(plan_, summands)) &&
      look_up(&kernels_.fold, plan_.wants_totals && plan_.is_long(), Part::row_fold) &&
      look_up(&kernels_.last, true, last_part(plan_)) &&
      look_up(&kernels_.parameter_sums, of_rows,
              columns ? Part::row_totals_parameters : Part::column_sums_parameters);
  if (call_.dgamma != nullptr) {
    kernels_.gamma_gradient = find(Part::parameter_gradient, call_.dgamma_storage);
  }
  if (call_.dbeta != nullptr) {
    kernels_.beta_gradient = find(Part::parameter_gradient, call_.dbeta_storage);
  }
  return found ? HALNORM_OK : no_kernel(call_, plan_.target);
}

// The last one, unless the caller asks about another by preferring it.
const Kernel *Executor::kernel_to_report() const {
  const Kernel *preferred = call_.context == nullptr ? nullptr : call_.context->kernel;
  for (const Kernel *kernel :
       {kernels_.first_sums, kernels_.sums, kernels_.fold, kernels_.parameter_sums,
        kernels_.gamma_gradient, kernels_.beta_gradient}) {
    if (kernel != nullptr && kernel == preferred) return kernel;
  }
  return kernels_.last;
}

halnorm_status Executor::run() {
  if (halnorm_status status = find_kernels()) return status;
  if (halnorm_status status = plan_.allocate()) return status;
  set_last_kernel(kernel_to_report());
  if (plan_.by_blocks) {
    parallel_for(call_.context, plan_.task_count, run_units, this);
  } else {
    run_block(plan_.whole, nullptr);
  }
  if (call_.dgamma != nullptr || call_.dbeta != nullptr) {
    const int64_t parameters = call_.gamma_along_rows() ? plan_.grid.n : plan_.grid.rows.extent;
    parallel_for(call_.context, ceil_div(parameters, kParametersOfATask), finish_parameters, this);
  }
  return HALNORM_OK;
}

}  // namespace

bool takes_stages(const NormCall &call) {
  if (call.reduced_rank > 0 && call.reduced[call.reduced_rank - 1].x != 1) return true;
  if (call.row_length > kLongestWholeRow || prefers_stages(call)) return true;
  return call.row_length > 16 * kChunk && call.bytes() >= kFewestBytesOfARow &&
         call.row_count < thread_limit(call.context);
}

halnorm_status execute_in_stages(const NormCall &call, int32_t target) {
  return Executor(call, target).run();
}

}  // namespace halnorm
