// SPDX-License-Identifier: Apache-2.0
#include "grid.h"

#include <string.h>

#include "view.h"

namespace halnorm {
namespace {

int64_t product(const Axis *axes, int32_t rank) {
  int64_t count = 1;
  for (int32_t d = 0; d < rank; ++d) count *= axes[d].extent;
  return count;
}

void copy_axes(Axis *to, const Axis *from, int32_t rank) {
  memcpy(to, from, static_cast<size_t>(rank) * sizeof(Axis));
}

constexpr int64_t kSamples = 64;

Axis single_row() {
  Axis axis = {};
  axis.extent = 1;
  return axis;
}

// The axis followed by the reduced axes of the call, in canonical form.
int32_t axis_before_reduced(const NormCall &call, const Axis &axis, Axis *axes) {
  axes[0] = axis;
  copy_axes(axes + 1, call.reduced, call.reduced_rank);
  return canonicalize(axes, call.reduced_rank + 1);
}

void *element(const Grid &grid, const NormCall &call, const Tensor &tensor, const Tile &tile,
              int64_t begin) {
  const int64_t step = even_step(grid.reduced, grid.reduced_rank, tensor.stride);
  const int64_t offset = offset_of(grid.outer, grid.outer_rank, tensor.stride, tile.outer) +
                         tile.row * (grid.rows.*tensor.stride) + begin * step;
  return advance(tensor.data, offset, call.storage);
}

// Calls run(row, packed) for each row of a packed tile.
template <typename Run>
void for_each_row(const NormCall &call, const Grid &grid, const Tile &tile, void *scratch,
                  const Run &run) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    run(r, advance(scratch, grid.columns ? r : r * tile.count, call.storage));
  }
}

KernelShape packed_shape(const Grid &grid, const Tile &tile) {
  if (grid.columns) return {tile.rows, 1, tile.count, tile.rows};
  return {tile.count, 1, tile.rows, tile.count};
}

}  // namespace

Grid grid_of(const NormCall &call) {
  Grid grid;
  grid.columns = call.rows_are_neighbours();
  grid.reduced_rank = call.reduced_rank;
  copy_axes(grid.reduced, call.reduced, call.reduced_rank);
  grid.rows = call.kept_rank == 0 ? single_row() : call.kept[call.kept_rank - 1];
  grid.outer_rank = call.kept_rank == 0 ? 0 : call.kept_rank - 1;
  copy_axes(grid.outer, call.kept, grid.outer_rank);
  if (!call.gamma_along_rows() && call.reduced_rank == 0) grid.columns = true;
  if (grid.columns && call.sharing == Sharing::batch) {
    Axis axes[kMaxRank + 1];
    const int32_t rank = axis_before_reduced(call, call.kept[0], axes);
    if (even_step(axes, rank, &Axis::x) != 0) {
      grid.outer_rank = 0;
      grid.reduced_rank = rank;
      copy_axes(grid.reduced, axes, rank);
    }
  }
  grid.outer_count = product(grid.outer, grid.outer_rank);
  grid.n = product(grid.reduced, grid.reduced_rank);
  return grid;
}

Grid sums_grid_of(const NormCall &call, const Grid &grid) {
  if (call.sharing != Sharing::groups || call.is_backward()) return grid;
  Axis axes[kMaxRank + 1];
  Axis channels = grid.rows;
  channels.extent = call.channels_of_a_group;
  const int32_t rank = axis_before_reduced(call, channels, axes);
  if (!is_dense(axes, rank, &Axis::x)) return grid;
  Grid groups = grid;
  groups.columns = false;
  groups.reduced_rank = rank;
  copy_axes(groups.reduced, axes, rank);
  groups.n = grid.n * call.channels_of_a_group;
  groups.rows.extent /= call.channels_of_a_group;
  for (Stride stride : {&Axis::x, &Axis::y}) groups.rows.*stride *= call.channels_of_a_group;
  return groups;
}

Grid samples_grid_of(const Grid &sums_grid) {
  Grid samples = sums_grid;
  samples.n = smaller(sums_grid.n, kSamples);
  const int64_t step = even_step(sums_grid.reduced, sums_grid.reduced_rank, &Axis::x);
  if (step == 0) return samples;
  samples.reduced_rank = 1;
  samples.reduced[0] = {};
  samples.reduced[0].extent = samples.n;
  samples.reduced[0].x = step * (sums_grid.n / samples.n);
  return samples;
}

int64_t most_rows_in_place(const Grid &grid, Stride stride) {
  if (grid.columns) return INT32_MAX;
  const int64_t step = grid.rows.*stride;
  return larger(1, INT32_MAX / larger(step < 0 ? -step : step, 1));
}

int64_t most_elements_in_place(const Grid &grid, Stride stride) {
  if (!grid.columns) return INT32_MAX;
  const int64_t step = even_step(grid.reduced, grid.reduced_rank, stride);
  return larger(1, INT32_MAX / larger(step < 0 ? -step : step, 1));
}

bool is_packed(const Grid &grid, Stride stride) {
  const int64_t step = even_step(grid.reduced, grid.reduced_rank, stride);
  if (!grid.columns) return step != 1;
  // Kernels count strides in 32 bits, and take at least a block of elements.
  if (step == 0 || !fits_int32(step, kBlock)) return true;
  return grid.rows.*stride != 1 && grid.rows.extent > 1;
}

TileView load(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
              void *scratch) {
  TileView view = room_for(call, grid, tensor, tile, scratch);
  if (!view.packed) return view;
  const void *first = element(grid, call, tensor, tile, 0);
  for_each_row(call, grid, tile, scratch, [&](int64_t r, void *packed) {
    gather(packed, grid.columns ? tile.rows : 1,
           advance(first, r * (grid.rows.*tensor.stride), call.storage),
           {grid.reduced, grid.reduced_rank, tensor.stride, tile.begin, tile.count}, call.storage);
  });
  return view;
}

TileView room_for(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
                  void *scratch) {
  if (is_packed(grid, tensor.stride)) return {scratch, packed_shape(grid, tile), true};
  void *first = element(grid, call, tensor, tile, tile.begin);
  const int64_t row_step = tile.rows == 1 ? 0 : grid.rows.*tensor.stride;
  if (!grid.columns) return {first, {tile.count, 1, tile.rows, row_step}, false};
  const int64_t step = even_step(grid.reduced, grid.reduced_rank, tensor.stride);
  return {first, {tile.rows, 1, tile.count, tile.count == 1 ? 0 : step}, false};
}

void store(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
           const TileView &view) {
  if (!view.packed) return;
  void *first = element(grid, call, tensor, tile, 0);
  for_each_row(call, grid, tile, view.data, [&](int64_t r, void *packed) {
    scatter(advance(first, r * (grid.rows.*tensor.stride), call.storage),
            {grid.reduced, grid.reduced_rank, tensor.stride, tile.begin, tile.count}, packed,
            grid.columns ? tile.rows : 1, call.storage);
  });
}

}  // namespace halnorm
