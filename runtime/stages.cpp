// SPDX-License-Identifier: Apache-2.0
#include "stages.h"

#include <string.h>

#include "context.h"
#include "generators/summands.h"
#include "kernel_call.h"
#include "parallel.h"
#include "parameters.h"
#include "stage_executor.h"
#include "statistics.h"
#include "strided.h"

namespace halnorm {
namespace {

// Longer rows run in parts, so that the memory for a whole row stays small.
constexpr int64_t kLongestWholeRow = int64_t{1} << 20;
constexpr int64_t kFewestBytesOfARow = 512 * 1024;  // of x and y, for threads to share a row

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

}  // namespace

// The tiles of a block, numbered with the elements fastest.
struct StageExecutor::Loop {
  const StageExecutor &executor;
  const Block &block;
  const Grid &grid;
  TileSize size;
  Step step;
  Order order;
  int64_t first_row, rows, row_tiles, element_tiles;

  Loop(const StageExecutor &e, const Block &b, const Grid &g, TileSize s, Step st, Order o)
      : executor(e), block(b), grid(g), size(s), step(st), order(o) {
    const int64_t merged = e.plan_.merged_rows(g);
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

void StageExecutor::run_tiles(void *loop, int64_t task) {
  const Loop &tiles = *static_cast<const Loop *>(loop);
  const Plan &plan = tiles.executor.plan_;
  TaskMemory memory;
  Block unused = {};
  plan.task_memory(task, &memory, &unused);
  const int64_t begin = tiles.count() * task / plan.task_count;
  const int64_t end = tiles.count() * (task + 1) / plan.task_count;
  for (int64_t i = begin; i < end; ++i) {
    tiles.run(tiles.order == Order::front_to_back ? i : begin + end - 1 - i, &memory);
  }
}

// On the thread that has the block, or on all.
void StageExecutor::for_each_tile(const Block &block, const Grid &grid, TileSize size, Step step,
                                  Order order, TaskMemory *memory) const {
  Loop loop(*this, block, grid, size, step, order);
  if (memory == nullptr) {
    parallel_for(call_.context, plan_.task_count, run_tiles, &loop);
    return;
  }
  for (int64_t i = 0; i < loop.count(); ++i) loop.run(i, memory);
}

// The last pass --------------------------------------------------------------------------------

// gamma and beta of the elements of a tile, where they lie along the rows.
void StageExecutor::parameters_of(const Tile &tile, TaskMemory *memory) const {
  if (memory->begin == tile.begin && memory->count == tile.count) return;
  memory->begin = tile.begin;
  memory->count = tile.count;
  memory->gamma =
      const_cast<float *>(dense_gamma(call_, plan_.target, tile.begin, tile.count, memory->gamma));
  memory->beta =
      const_cast<float *>(dense_beta(call_, plan_.target, tile.begin, tile.count, memory->beta));
}

// Of beta or gamma, those that a tile adds to: zeros where its block of parameters begins.
float *StageExecutor::parameter_sums_of(const Tile &tile, int k) const {
  const Grid &grid = plan_.grid;
  const int64_t number = tile.outer * ceil_div(grid.rows.extent, plan_.parameter_rows) +
                         tile.row / plan_.parameter_rows;
  float *sums = plan_.parameter_sums[k] + number * padded(grid.n) + tile.begin;
  if (tile.row % plan_.parameter_rows == 0) {
    memset(sums, 0, static_cast<size_t>(tile.count) * sizeof(float));
  }
  return sums;
}

// Adds a tile to the sums of its block of parameters, in the order of its rows.
void StageExecutor::sum_parameters(const Block &block, const Tile &tile, const TileView &dy,
                                   const TileView &x) const {
  const Kernel &kernel = *kernels_.parameter_sums;
  const Grid &grid = plan_.grid;
  const int64_t first = at(block, tile, grid);
  float *const sums[2] = {parameter_sums_of(tile, 0), parameter_sums_of(tile, 1)};
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
    for (float *of_parameter : sums) arguments.add(of_parameter + e, {count});
    arguments.run(kernel);
  }
}

void StageExecutor::apply(const Block &block, const Tile &tile, const TileView &dy,
                          const TileView &x, TaskMemory *memory) const {
  const Grid &grid = plan_.grid;
  const int64_t first = at(block, tile, grid);
  const bool along = call_.gamma_along_rows(), gradient = takes_gradient(call_);
  const TileView y = room_for(call_, grid, plan_.y, tile, memory->y);
  float *sums[2] = {};
  if (plan_.fuses_parameters) {
    for (int k = 0; k < 2; ++k) sums[k] = parameter_sums_of(tile, k);
  }
  const int32_t has_mean = call_.has_mean() ? 1 : 0;
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
      if (!plan_.sums_rows) {
        add_rows(block.mean_g);
        add_rows(block.slope);
      }
      add_parameter(memory->gamma, plan_.gamma);
      if (plan_.sums_rows) arguments.add(&has_mean);
    } else {
      add_tensor(call_.is_backward() ? dy : x);
      add_rows(call_.is_backward() ? block.mean_g : block.mean);
      add_rows(call_.is_backward() ? block.slope : block.low);
      add_rows(block.rstd);
      add_parameter(memory->gamma, plan_.gamma);
      add_parameter(memory->beta, plan_.beta);
    }
    add_tensor(y);
    for (const float *of_parameter : sums) {
      if (of_parameter != nullptr) arguments.add(of_parameter, {tile.count});
    }
    arguments.run(*kernels_.last);
  }
  store(call_, grid, plan_.y, tile, y);
}

// Some rows at a time. Parameters first: dx may be dy.
void StageExecutor::finish(const Block &block, const Tile &tile, TaskMemory *memory) const {
  if (call_.gamma_along_rows()) parameters_of(tile, memory);
  const bool backward = call_.is_backward();
  for (int64_t r = 0; r < tile.rows; r += plan_.tile.rows) {
    Tile rows = tile;
    rows.row += r;
    rows.rows = smaller(plan_.tile.rows, tile.rows - r);
    TileView dy = {};
    if (backward) dy = load(call_, plan_.grid, plan_.dy, rows, memory->dy);
    const TileView x = load(call_, plan_.grid, plan_.x, rows, memory->x);
    if (plan_.wants_parameters_of_rows && !plan_.fuses_parameters) {
      sum_parameters(block, rows, dy, x);
    }
    if (call_.y != nullptr) apply(block, rows, dy, x, memory);
  }
}

void StageExecutor::run_block(const Block &block, TaskMemory *memory) const {
  if (call_.is_backward()) {
    read_saved_statistics(block);
    if (plan_.wants_totals) sum_up(block, memory);
    if (plan_.gradient_totals[0] != nullptr) keep_gradient_totals(block);
    if (call_.y != nullptr && !plan_.sums_rows) find_gradient_means(block);
  } else if (plan_.wants_totals) {
    sum_up(block, memory);
  } else {
    find_running_statistics(block);
  }
  if (call_.y != nullptr || plan_.wants_parameters_of_rows) {
    const bool after_one_pass = plan_.wants_totals && !has_two_passes_of_sums();
    for_each_tile(block, plan_.grid, plan_.last_tile, &StageExecutor::finish,
                  after_one_pass ? Order::back_to_front : Order::front_to_back, memory);
  }
}

void StageExecutor::run_units(void *executor, int64_t task) {
  const StageExecutor &self = *static_cast<const StageExecutor *>(executor);
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

void StageExecutor::store_gradient(void *gradient, Stride stride, const Kernel *kernel,
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

void StageExecutor::finish_parameters(void *executor, int64_t task) {
  const StageExecutor &self = *static_cast<const StageExecutor *>(executor);
  const NormCall &call = self.call_;
  const Plan &plan = self.plan_;
  const bool along = call.gamma_along_rows();
  const int64_t parameters = plan.parameter_count();
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

halnorm_status StageExecutor::find_kernels() {
  const auto look_up = [&](const Kernel **kernel, bool wanted, Part part) {
    if (wanted) *kernel = find(part, call_.storage);
    return !wanted || *kernel != nullptr;
  };
  const bool backward = call_.is_backward(), columns = plan_.grid.columns;
  const Summands summands = backward ? gradients_of(call_) : Summands::deviations;
  const bool first = plan_.has_samples || (plan_.wants_totals && has_two_passes_of_sums());
  const bool of_rows = plan_.wants_parameters_of_rows && !plan_.fuses_parameters;
  kernels_.last = plan_.last;
  const bool found =
      look_up(&kernels_.first_sums, first, sums_part(plan_, Summands::values)) &&
      look_up(&kernels_.sums, plan_.wants_totals, sums_part(plan_, summands)) &&
      look_up(&kernels_.fold, plan_.wants_totals && plan_.is_long(), Part::row_fold) &&
      kernels_.last != nullptr &&
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
const Kernel *StageExecutor::kernel_to_report() const {
  const Kernel *preferred = preferred_kernel(call_);
  for (const Kernel *kernel :
       {kernels_.first_sums, kernels_.sums, kernels_.fold, kernels_.parameter_sums,
        kernels_.gamma_gradient, kernels_.beta_gradient}) {
    if (kernel != nullptr && kernel == preferred) return kernel;
  }
  return kernels_.last;
}

halnorm_status StageExecutor::run() {
  if (halnorm_status status = find_kernels()) return status;
  if (halnorm_status status = plan_.allocate()) return status;
  set_last_kernel(kernel_to_report());
  if (plan_.by_blocks) {
    parallel_for(call_.context, plan_.task_count, run_units, this);
  } else {
    run_block(plan_.whole, nullptr);
  }
  if (!call_.wants_parameter_gradients()) return HALNORM_OK;
  const int64_t tasks = ceil_div(plan_.parameter_count(), kParametersOfATask);
  if (plan_.threads > 1) {
    parallel_for(call_.context, tasks, finish_parameters, this);
  } else {  // a small call wakes no thread
    for (int64_t t = 0; t < tasks; ++t) finish_parameters(this, t);
  }
  return HALNORM_OK;
}

bool takes_stages(const NormCall &call) {
  if (call.rows_are_neighbours() || call.row_length > kLongestWholeRow || prefers_stages(call)) {
    return true;
  }
  return call.row_length > kElementsOfATile && call.bytes() >= kFewestBytesOfARow &&
         call.row_count < thread_limit(call.context);
}

halnorm_status execute_in_stages(const NormCall &call, int32_t target) {
  return StageExecutor(call, target).run();
}

}  // namespace halnorm
