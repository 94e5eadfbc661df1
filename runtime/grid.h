// SPDX-License-Identifier: Apache-2.0
// The rows of a call as kernels in stages see them: which way they lie in memory, and the tiles
// that one kernel call reads or writes.
#ifndef HALNORM_RUNTIME_GRID_H_
#define HALNORM_RUNTIME_GRID_H_

#include <stdint.h>

#include "kernel_call.h"
#include "norm_call.h"
#include "strided.h"

namespace halnorm {

struct Grid {
  // Neighbours in memory are elements of neighbouring rows, and sums take the column tree; else
  // they are elements of a row, and sums take the row tree. The strides of x decide, and nothing
  // else.
  bool columns;
  int32_t outer_rank, reduced_rank;
  int64_t outer_count;  // product of the outer extents
  Axis outer[kMaxRank];
  Axis rows;  // the axis along which the rows of a tile are taken
  Axis reduced[kMaxRank];
  int64_t n;  // product of the reduced extents: elements of a row

  int64_t row_count() const { return outer_count * rows.extent; }
};

// Rows as the last pass takes them: those of the call, but that batch norm over rows that are
// neighbours counts the batch among the reduced axes where x allows it.
Grid grid_of(const NormCall &call);

// Rows as the sums take them: the same, but that the channels of a group are one row in the forward
// pass where they are dense.
Grid sums_grid_of(const NormCall &call, const Grid &grid);

// A few elements of each row, no more than a block: evenly spread where all steps along the row are
// alike, else the first ones.
Grid samples_grid_of(const Grid &sums_grid);

// Rows [row, row + rows) of one position of the outer axes, and elements [begin, begin + count).
struct Tile {
  int64_t outer, row, rows, begin, count;
};

// One of the tensors of a call that has all elements.
struct Tensor {
  void *data;
  Stride stride;
};

// How a tile of a tensor lies for a kernel: in place, or packed in scratch.
struct TileView {
  void *data;
  KernelShape shape;
  bool packed;
};

// The most rows of a tile that a kernel's int32 indices reach; likewise elements.
int64_t most_rows_in_place(const Grid &grid, Stride stride);
int64_t most_elements_in_place(const Grid &grid, Stride stride);

// A view of a tile, to be read (packed tiles are gathered), or to be written and then stored.
// Scratch holds rows * count elements.
TileView load(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
              void *scratch);
TileView room_for(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
                  void *scratch);
void store(const NormCall &call, const Grid &grid, const Tensor &tensor, const Tile &tile,
           const TileView &view);

// True if every tile of the tensor has to be packed.
bool is_packed(const Grid &grid, Stride stride);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_GRID_H_
