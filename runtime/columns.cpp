// SPDX-License-Identifier: Apache-2.0
#include "columns.h"

#include <string.h>

#include "blocks.h"
#include "dispatch.h"
#include "long_row.h"
#include "parameters.h"

namespace halnorm {
namespace {

// Elements of a part of longer rows: whole blocks of the column tree.
constexpr int64_t kElementsOfAPart = 1024;

// Elements [begin, begin + count) of the rows of a block, side by side. A kernel takes exactly as
// many rows as it is made for, each an element apart: what is otherwise goes through scratch.
struct Tile {
  int64_t width;  // rows of the kernel
  bool in_place;
  void *scratch;
};

Tile tile_of(const Blocks &blocks, const Place &place, void *scratch) {
  const int64_t width = blocks.rows_of_a_block;
  return {width, blocks.dense && place.rows == width, scratch};
}

struct Elements {
  int64_t begin, count;
};

const void *load(const Tile &tile, const Blocks &blocks, const Place &place, Elements elements) {
  const NormCall &call = blocks.call;
  const Storage storage = call.storage;
  const void *x = advance(call.x, place.offsets.x, storage);
  if (tile.in_place) return advance(x, elements.begin * call.reduced[0].x, storage);
  memset(tile.scratch, 0, static_cast<size_t>(tile.width * elements.count * element_size(storage)));
  if (blocks.dense) {
    const auto bytes = static_cast<size_t>(place.rows * element_size(storage));
    for (int64_t i = 0; i < elements.count; ++i) {
      memcpy(advance(tile.scratch, i * tile.width, storage),
             advance(x, (elements.begin + i) * call.reduced[0].x, storage), bytes);
    }
    return tile.scratch;
  }
  for (int64_t r = 0; r < place.rows; ++r) {
    gather(advance(tile.scratch, r, storage), tile.width, advance(x, r * blocks.rows.x, storage),
           {call.reduced, call.reduced_rank, &Axis::x, elements.begin, elements.count}, storage);
  }
  return tile.scratch;
}

// Where a kernel writes elements of y; what it wrote elsewhere, store() takes to y.
void *room_for(const Tile &tile, const Blocks &blocks, const Place &place, Elements elements) {
  const NormCall &call = blocks.call;
  if (!tile.in_place) return tile.scratch;
  return advance(call.y, place.offsets.y + elements.begin * call.reduced[0].y, call.storage);
}

void store(const Tile &tile, const Blocks &blocks, const Place &place, Elements elements) {
  if (tile.in_place) return;
  const NormCall &call = blocks.call;
  const Storage storage = call.storage;
  void *y = advance(call.y, place.offsets.y, storage);
  if (blocks.dense) {
    const auto bytes = static_cast<size_t>(place.rows * element_size(storage));
    for (int64_t i = 0; i < elements.count; ++i) {
      memcpy(advance(y, (elements.begin + i) * call.reduced[0].y, storage),
             advance(tile.scratch, i * tile.width, storage), bytes);
    }
    return;
  }
  for (int64_t r = 0; r < place.rows; ++r) {
    scatter(advance(y, r * blocks.rows.y, storage),
            {call.reduced, call.reduced_rank, &Axis::y, elements.begin, elements.count},
            advance(tile.scratch, r, storage), tile.width, storage);
  }
}

void run_column_blocks(void *task, int64_t index) {
  const Blocks &blocks = *static_cast<const Blocks *>(task);
  const NormCall &call = blocks.call;
  const int64_t n = call.row_length, width = blocks.rows_of_a_block;
  const Elements all = {0, n};
  const KernelShape in_scratch = {width, 1, n, width};
  const KernelShape x_shape = {width, 1, n, blocks.dense ? call.reduced[0].x : width};
  const KernelShape y_shape = {width, 1, n, blocks.dense ? call.reduced[0].y : width};
  NormArguments in_place(blocks, n, x_shape, y_shape);
  NormArguments through_scratch(blocks, n, in_scratch, in_scratch);
  for (int64_t b = blocks.first_block(index); b < blocks.first_block(index + 1); ++b) {
    const Place place = place_of(blocks, b);
    const Tile tile = tile_of(blocks, place, blocks.scratch + index * blocks.scratch_of_task);
    NormArguments &arguments = tile.in_place ? in_place : through_scratch;
    arguments.statistics.set_rows(width);
    arguments.x.at(load(tile, blocks, place, all));
    arguments.y.at(room_for(tile, blocks, place, all));
    blocks.kernel.run(arguments.list);
    store(tile, blocks, place, all);
    arguments.statistics.hand_on(call, place.offsets.statistic, blocks.rows.statistic, place.rows);
  }
}

// The kernels of longer rows; blocks.kernel is column_apply.
struct LongColumns {
  Blocks blocks;
  int32_t target;
  const Kernel *moments, *fold;
};

// Adds up d^2 and d over all elements and finds what center lacks to be the mean, and rstd.
void reduce(const LongColumns &columns, const Place &place, const Tile &tile, const float *center,
            float *low, float *rstd) {
  const Blocks &blocks = columns.blocks;
  const NormCall &call = blocks.call;
  const int64_t width = tile.width;
  double sums[2][2][kMostRows] = {};  // before and after a part, of d^2 and of d
  KernelBuffer rows(width, 1), squares(width, 1), deviations(width, 1), squares_after(width, 1),
      deviations_after(width, 1), low_rows(width, 1), rstd_rows(width, 1);
  int now = 0;
  for (int64_t begin = 0; begin < call.row_length; begin += kElementsOfAPart) {
    const Elements part = {begin, smaller(kElementsOfAPart, call.row_length - begin)};
    KernelBuffer x(width, 1, part.count, tile.in_place ? call.reduced[0].x : width);
    void *arguments[] = {x.at(load(tile, blocks, place, part)),
                         rows.at(center),
                         squares.at(sums[now][0]),
                         deviations.at(sums[now][1]),
                         squares_after.at(sums[1 - now][0]),
                         deviations_after.at(sums[1 - now][1])};
    columns.moments->run(arguments);
    now = 1 - now;
  }
  auto n = static_cast<double>(call.row_length);
  float eps = blocks.eps;
  bool has_mean = call.has_mean();
  void *arguments[] = {squares.at(sums[now][0]), deviations.at(sums[now][1]), &n, &eps, &has_mean,
                       low_rows.at(low),         rstd_rows.at(rstd)};
  columns.fold->run(arguments);
}

void run_long_column_blocks(void *task, int64_t index) {
  const LongColumns &columns = *static_cast<const LongColumns *>(task);
  const Blocks &blocks = columns.blocks;
  const NormCall &call = blocks.call;
  const int64_t width = blocks.rows_of_a_block;
  auto *room = reinterpret_cast<float *>(blocks.scratch + index * blocks.scratch_of_task);
  float *beta_room = room + parameter_room(kElementsOfAPart);
  float *scratch = beta_room + parameter_room(kElementsOfAPart);
  for (int64_t b = blocks.first_block(index); b < blocks.first_block(index + 1); ++b) {
    const Place place = place_of(blocks, b);
    const Tile tile = tile_of(blocks, place, scratch);
    Statistics s = {};
    reduce(columns, place, tile, s.high, s.low, s.rstd);
    if (call.has_mean()) {
      memcpy(s.high, s.low, sizeof s.high);
      reduce(columns, place, tile, s.high, s.low, s.rstd);
    }
    if (!call.has_low_mean()) memset(s.low, 0, sizeof s.low);
    for (int64_t r = 0; r < width; ++r) s.mean[r] = s.high[r] + s.low[r];
    s.set_rows(width);
    for (int64_t begin = 0; begin < call.row_length; begin += kElementsOfAPart) {
      const Elements part = {begin, smaller(kElementsOfAPart, call.row_length - begin)};
      KernelBuffer x(width, 1, part.count, tile.in_place ? call.reduced[0].x : width);
      KernelBuffer y(width, 1, part.count, tile.in_place ? call.reduced[0].y : width);
      KernelBuffer gamma(part.count, 1), beta(part.count, 1);
      void *arguments[] = {x.at(load(tile, blocks, place, part)),
                           gamma.at(dense_gamma(call, columns.target, begin, part.count, room)),
                           beta.at(dense_beta(call, columns.target, begin, part.count, beta_room)),
                           s.high_buffer.at(s.high),
                           s.low_buffer.at(s.low),
                           s.rstd_buffer.at(s.rstd),
                           y.at(room_for(tile, blocks, place, part))};
      blocks.kernel.run(arguments);
      store(tile, blocks, place, part);
    }
    s.hand_on(call, place.offsets.statistic, blocks.rows.statistic, place.rows);
  }
}

}  // namespace

halnorm_status execute_columns(const NormCall &call, int32_t target, const Axis &rows) {
  const bool long_rows = call.row_length > kLongestWholeRow ||
                         prefers(call, Part::column_moments) || prefers(call, Part::column_fold) ||
                         prefers(call, Part::column_apply);
  const Kernel *kernel = find_kernel(call, target, long_rows ? Operation::any_norm : call.operation,
                                     long_rows ? Part::column_apply : Part::columns, call.storage);
  if (kernel == nullptr) return no_kernel(call, target);
  const int64_t elements = long_rows ? kElementsOfAPart : call.row_length;
  const bool dense = rows.x == 1 && rows.y == 1 && call.reduced_rank == 1 &&
                     fits_int32(call.reduced[0].x, elements) &&
                     fits_int32(call.reduced[0].y, elements);
  const int64_t tile_bytes = kernel->rows * elements * element_size(call.storage);
  const bool all_in_place = dense && rows.extent % kernel->rows == 0;
  if (!long_rows) {
    Blocks blocks{call, *kernel, rows, kernel->rows, dense, false, all_in_place ? 0 : tile_bytes,
                  true};
    return run_blocks(&blocks, target, run_column_blocks);
  }
  const int64_t room = 2 * parameter_room(kElementsOfAPart) * element_size(Storage::f32);
  LongColumns columns{
      {call, *kernel, rows, kernel->rows, dense, false, room + tile_bytes, false},
      target,
      find_kernel(call, target, Operation::any_norm, Part::column_moments, call.storage),
      find_kernel(call, target, Operation::any_norm, Part::column_fold, call.storage)};
  if (columns.moments == nullptr || columns.fold == nullptr) return no_kernel(call, target);
  return run_blocks(&columns.blocks, target, run_long_column_blocks);
}

}  // namespace halnorm
