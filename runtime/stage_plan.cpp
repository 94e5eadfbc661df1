// SPDX-License-Identifier: Apache-2.0
#include "stage_plan.h"

#include "errors.h"
#include "parallel.h"
#include "parameters.h"
#include "workspace.h"

namespace halnorm {
namespace {

// Beyond, blocks gain nothing over tiles. Columns leave the cache sooner: they are read in pieces.
constexpr int64_t kMostBytesOfABlock = 8 * 1024 * 1024;
constexpr int64_t kMostBytesOfColumns = 2 * 1024 * 1024;
// What a block costs by itself counts where rows are short; threads want many to share.
constexpr int64_t kMostRowsOfABlock = 256, kMostRowsOfASharedBlock = 64;
constexpr int64_t kFewestColumns = 256;  // so that memory is read in stretches
// Gradients of parameters along the rows: a block of the column tree where rows are dense, some
// lanes of the row tree where they are neighbours.
constexpr int64_t kParameterRows = kBlock, kParameterColumns = 128;

constexpr int64_t kKib = 1024;

int64_t clamp(int64_t value, int64_t least, int64_t most) {
  return larger(least, smaller(value, most));
}

int64_t power_of_two_below(int64_t value) {
  int64_t power = 1;
  while (2 * power <= value) power *= 2;
  return power;
}

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

// That kernel takes rows of whole groups, and dx apart from dy.
bool can_fuse_parameters(const NormCall &call, const Grid &grid) {
  return call.gamma_along_rows() && call.wants_parameter_gradients() && !grid.columns &&
         grid.n % kLanes == 0 && call.y != nullptr && call.y != call.dy;
}

Part last_part(const NormCall &call, const Grid &grid) {
  if (can_fuse_parameters(call, grid)) return Part::row_backward_parameters;
  static constexpr Part kParts[2][2][2] = {
      {{Part::row_apply_channel, Part::row_apply},
       {Part::column_apply_channel, Part::column_apply}},
      {{Part::row_backward_channel, Part::row_backward},
       {Part::column_backward_channel, Part::column_backward}}};
  return kParts[takes_gradient(call)][grid.columns][call.gamma_along_rows()];
}

// Deals out memory in whole cache lines, or, from null, counts it.
class Carver {
 public:
  explicit Carver(uint8_t *memory) : memory_(memory) {}

  template <typename T>
  T *take(int64_t count) {
    uint8_t *taken = memory_ == nullptr ? nullptr : memory_ + used_;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), kLine);
    return reinterpret_cast<T *>(taken);
  }
  int64_t used() const { return used_; }

 private:
  static constexpr int64_t kLine = 64;

  uint8_t *memory_;
  int64_t used_ = 0;
};

void carve_block(const Plan &plan, int64_t rows, Carver *carver, Block *block) {
  const int64_t sums = ceil_div(rows, plan.rows_of_a_sum);
  if (plan.wants_totals) {
    for (double *&totals : block->totals) totals = carver->take<double>(sums);
    block->center = carver->take<float>(sums);
    int64_t partial_sums = 0;
    if (plan.is_long()) partial_sums = sums * plan.chunks_of_a_row() * kLanes;
    if (plan.sums_grid.columns) {
      const int64_t outers = plan.by_blocks ? plan.outers_of_a_block : plan.grid.outer_count;
      partial_sums = outers * plan.blocks_of_a_column() * padded(sums / outers);
    }
    for (float *&partial : block->partial) partial = carver->take<float>(partial_sums);
  }
  block->mean = carver->take<float>(rows);
  block->rstd = carver->take<float>(rows);
  if (plan.call.is_backward()) {
    block->mean_g = carver->take<float>(rows);
    block->slope = carver->take<float>(rows);
  } else {
    block->low = carver->take<float>(rows);
  }
}

void carve_task(const Plan &plan, Carver *carver, TaskMemory *memory, Block *block) {
  const NormCall &call = plan.call;
  const int64_t tile_bytes = plan.tile.rows * plan.tile.elements * element_size(call.storage);
  const auto room = [&](const Tensor &tensor, const Grid &grid) {
    const bool packed = tensor.data != nullptr && is_packed(grid, tensor.stride);
    return carver->take<uint8_t>(packed ? tile_bytes : 0);
  };
  // Samples may be too far apart for kernels where elements are not.
  memory->x = room(plan.x, plan.has_samples ? plan.samples_grid : plan.grid);
  memory->dy = room(plan.dy, plan.grid);
  memory->y = room(plan.y, plan.grid);
  if (call.gamma_along_rows()) {
    const int64_t floats = parameter_room(plan.tile.elements);
    memory->gamma = carver->take<float>(gamma_needs_room(call) ? floats : 0);
    memory->beta = carver->take<float>(beta_needs_room(call) ? floats : 0);
  }
  if (plan.by_blocks) {
    carve_block(plan, plan.rows_of_a_block * plan.outers_of_a_block, carver, block);
  }
}

}  // namespace

Plan::Plan(const NormCall &norm_call, int32_t cpu_target)
    : call(norm_call),
      target(cpu_target),
      grid(grid_of(norm_call)),
      sums_grid(sums_grid_of(norm_call, grid)),
      rows_of_a_sum(grid.rows.extent / larger(sums_grid.rows.extent, 1)),
      x{const_cast<void *>(norm_call.x), &Axis::x},
      dy{const_cast<void *>(norm_call.dy), &Axis::dy},
      y{norm_call.y, &Axis::y} {
  const bool wants_parameters = call.wants_parameter_gradients();
  wants_parameters_of_rows = wants_parameters && call.gamma_along_rows();
  if (call.is_backward()) {
    wants_totals = (call.y != nullptr && !call.fixed_statistics) ||
                   (wants_parameters && !call.gamma_along_rows());
  } else {
    wants_totals = call.operation != Operation::batch_norm_inference;
  }
  // Rows in one piece stay in a cache from pass to pass; and kernels of whole rows have two, too.
  has_samples = !call.is_backward() && wants_totals && call.has_mean() && sums_grid.columns;
  if (has_samples) samples_grid = samples_grid_of(sums_grid);
  parameter_rows = grid.columns ? kParameterColumns : kParameterRows;
  parameter_blocks = grid.outer_count * ceil_div(grid.rows.extent, parameter_rows);
  fuses_parameters = can_fuse_parameters(call, grid);
  if (fuses_parameters && !is_long()) {
    choose_last(Part::row_gradients);
    // Only blocks have whole rows; and a context may prefer a kernel of another stage.
    const bool prefers_others = prefers_stages(call) && preferred_kernel(call) != last;
    sums_rows = last != nullptr && launch.stages == 0 && by_blocks && !prefers_others;
    wants_totals = wants_totals && !sums_rows;
  }
  if (!sums_rows) choose_last(last_part(call, grid));
  choose_tiles();
}

void Plan::choose_last(Part part) {
  last = find_kernel(call, target, Operation::any_norm, part, call.storage);
  launch = last == nullptr ? Launch() : last->launch;
  launch.columns = static_cast<int32_t>(padded(larger(launch.columns, 1)));
  threads = threads_for(call.context, call.bytes(), launch.grain_kib);
  choose_blocks();
}

// Of the inputs that a block reads of one row.
int64_t Plan::row_bytes() const {
  return outers_of_a_block * grid.n * element_size(call.storage) * (call.is_backward() ? 2 : 1);
}

void Plan::choose_blocks() {
  // With given statistics each row is by itself.
  const bool by_channels = call.sharing == Sharing::batch && wants_totals;
  outers_of_a_block = by_channels ? grid.outer_count : 1;
  const int64_t fitting = launch.block_kib * kKib / larger(row_bytes(), 1);
  int64_t rows;
  if (grid.columns) {
    // If so few do not stay in the cache, a block had better be read in longer stretches.
    rows = smaller(fitting / kFewestColumns * kFewestColumns, launch.columns);
    if (rows == 0) rows = launch.columns;
  } else {
    rows = clamp(fitting, 1, threads == 1 ? kMostRowsOfABlock : kMostRowsOfASharedBlock);
  }
  int64_t unit = rows;
  if (wants_parameters_of_rows) {
    unit = parameter_rows;
    rows = grid.columns ? unit : power_of_two_below(smaller(rows, unit));
  }
  const int64_t group = call.channels_of_a_group;
  rows_of_a_block = smaller(round_up(rows, group), grid.rows.extent);
  blocks_of_a_unit = unit > rows ? unit / rows : 1;
  units_of_an_outer = ceil_div(grid.rows.extent, rows_of_a_block * blocks_of_a_unit);
  unit_count = units_of_an_outer * (grid.outer_count / outers_of_a_block);
  const int64_t most_bytes = grid.columns ? kMostBytesOfColumns : kMostBytesOfABlock;
  by_blocks = unit_count >= threads && rows_of_a_block * row_bytes() <= most_bytes;
  task_count = by_blocks ? smaller(threads, unit_count) : threads;
}

void Plan::choose_tiles() {
  const int64_t size = element_size(call.storage), tile_bytes = launch.tile_kib * kKib;
  int64_t reach_rows = INT32_MAX, reach_elements = INT32_MAX;
  for (const Tensor &tensor : {x, dy, y}) {
    if (tensor.data == nullptr) continue;
    for (const Grid *g : {&grid, &sums_grid}) {
      reach_rows = smaller(reach_rows, most_rows_in_place(*g, tensor.stride));
      reach_elements = smaller(reach_elements, most_elements_in_place(*g, tensor.stride));
    }
  }
  if (is_long()) {
    reach_rows = smaller(reach_rows, larger(1, INT32_MAX / (chunks_of_a_row() * kLanes)));
  }
  if (by_blocks) {
    tile = {smaller(rows_of_a_block, power_of_two_below(reach_rows)), grid.n};
  } else if (grid.columns) {
    const int64_t most = wants_parameters_of_rows ? kParameterColumns : launch.columns;
    tile.rows = smaller(grid.rows.extent, most);
    tile.elements = larger(kBlock, tile_bytes / (tile.rows * size) / kBlock * kBlock);
  } else {
    tile.elements = smaller(grid.n, kElementsOfATile);
    const int64_t fitting = clamp(tile_bytes / (tile.elements * size), 1, kParameterRows);
    tile.rows = power_of_two_below(smaller(fitting, reach_rows));
  }
  if (tile.elements > reach_elements)
    tile.elements = larger(kBlock, reach_elements / kBlock * kBlock);
  tile.elements = smaller(tile.elements, grid.n);
  sums_tile = tile;
  if (rows_of_a_sum > 1) {
    sums_tile.rows = larger(1, tile.rows / rows_of_a_sum);
    sums_tile.elements = by_blocks ? sums_grid.n : smaller(sums_grid.n, kElementsOfATile);
  }
  last_tile = tile;
  if (!by_blocks && wants_parameters_of_rows) {
    // Rows of a parameter block run in order, so that threads share the elements of them.
    last_tile.rows = parameter_rows;
    last_tile.elements =
        smaller(tile.elements, round_up(ceil_div(grid.n, threads), grid.columns ? 1 : kChunk));
  }
}

halnorm_status Plan::allocate() {
  const bool of_channels = !call.gamma_along_rows();
  TaskMemory unused_memory;
  Block unused_block = {};
  Carver task(nullptr);
  carve_task(*this, &task, &unused_memory, &unused_block);
  bytes_of_a_task = task.used();

  const auto lay_out = [&](uint8_t *memory) {
    Carver carver(memory);
    if (of_channels) {
      const int64_t channels = call.kept[1].extent;
      gamma = carver.take<float>(gamma_needs_room(call) ? parameter_room(channels) : 0);
      beta = carver.take<float>(beta_needs_room(call) ? parameter_room(channels) : 0);
    }
    if (call.wants_parameter_gradients() && of_channels) {
      for (double *&totals : gradient_totals) totals = carver.take<double>(grid.row_count());
    }
    if (wants_parameters_of_rows) {
      for (float *&sums : parameter_sums)
        sums = carver.take<float>(parameter_blocks * padded(grid.n));
    }
    if (!by_blocks) {
      whole = {0, grid.outer_count, 0, grid.rows.extent, {}, {}, {}, {}, {}, {}, {}, {}};
      carve_block(*this, grid.row_count(), &carver, &whole);
    }
    memory_of_tasks = carver.take<uint8_t>(task_count * bytes_of_a_task);
    return carver.used();
  };
  const auto bytes = static_cast<size_t>(lay_out(nullptr));
  auto *memory = static_cast<uint8_t *>(workspace(call.context, bytes));
  if (memory == nullptr) {
    return fail(HALNORM_OUT_OF_MEMORY, "workspace: the call needs %zu bytes", bytes);
  }
  lay_out(memory);
  if (of_channels) {
    gamma = const_cast<float *>(dense_gamma(call, target, 0, call.kept[1].extent, gamma));
    beta = const_cast<float *>(dense_beta(call, target, 0, call.kept[1].extent, beta));
  }
  return HALNORM_OK;
}

void Plan::task_memory(int64_t index, TaskMemory *memory, Block *block) const {
  Carver carver(memory_of_tasks + index * bytes_of_a_task);
  carve_task(*this, &carver, memory, block);
}

}  // namespace halnorm
