// SPDX-License-Identifier: Apache-2.0
// Chooses how a call runs. Which tree its sums take is settled by the strides and lengths of the
// reduced axes alone: never by the other rows, the target, the threads or the schedule.
#include <stdint.h>

#include "blocks.h"
#include "context.h"
#include "cuda_memory.h"
#include "dispatch.h"
#include "errors.h"
#include "stages.h"
#include "strided.h"

namespace halnorm {
namespace {

void run_row_blocks(void *task, int64_t index) {
  Blocks &blocks = *static_cast<Blocks *>(task);
  const NormCall &call = blocks.call;
  const int64_t n = call.row_length, most = blocks.rows_of_a_block;
  const bool through_scratch = !blocks.dense || blocks.stream;
  void *scratch = blocks.scratch + index * blocks.scratch_of_task;
  const KernelShape dense_rows = {n, 1, most, n};
  const KernelShape x_rows = {n, 1, most, blocks.rows.x}, y_rows = {n, 1, most, blocks.rows.y};
  NormArguments arguments(blocks, n, blocks.dense ? x_rows : dense_rows,
                          through_scratch ? dense_rows : y_rows);
  for (int64_t b = blocks.first_block(index); b < blocks.first_block(index + 1); ++b) {
    const Place place = place_of(blocks, b);
    const void *x = advance(call.x, place.x, call.storage);
    void *y = advance(call.y, place.y, call.storage);
    for (int64_t r = 0; !blocks.dense && r < place.rows; ++r) {
      gather(advance(scratch, r * n, call.storage), 1, advance(x, r * blocks.rows.x, call.storage),
             {call.reduced, call.reduced_rank, &Axis::x, 0, n}, call.storage);
    }
    arguments.x.at(blocks.dense ? x : scratch);
    arguments.y.at(through_scratch ? scratch : y);
    arguments.x.dimensions[1].extent = arguments.y.dimensions[1].extent =
        static_cast<int32_t>(place.rows);
    arguments.statistics.set_rows(place.rows);
    blocks.kernel.run(arguments.list);
    arguments.statistics.hand_on(call, place.statistic, blocks.rows.statistic, place.rows);
    for (int64_t r = 0; through_scratch && r < place.rows; ++r) {
      const void *row = advance(scratch, r * n, call.storage);
      void *to = advance(y, r * blocks.rows.y, call.storage);
      if (blocks.dense) {
        copy_past_cache(to, row, n * element_size(call.storage));
      } else {
        scatter(to, {call.reduced, call.reduced_rank, &Axis::y, 0, n}, row, 1, call.storage);
      }
    }
  }
  if (blocks.stream) finish_copies_past_cache();
}

// Dense rows, those of the next block added up beside the deviations of a block.
void run_row_blocks_ahead(void *task, int64_t index) {
  Blocks &blocks = *static_cast<Blocks *>(task);
  const NormCall &call = blocks.call;
  const int64_t n = call.row_length, most = blocks.rows_of_a_block;
  NormArguments arguments(blocks, n, {n, 1, most, blocks.rows.x}, {n, 1, most, blocks.rows.y},
                          true);
  Statistics &statistics = arguments.statistics;
  const auto run = [&](const Place &place, int64_t rows_of_y, const Place &next) {
    arguments.x.at(advance(call.x, place.x, call.storage));
    arguments.next.at(advance(call.x, next.x, call.storage));
    arguments.y.at(advance(call.y, place.y, call.storage));
    arguments.x.dimensions[1].extent = static_cast<int32_t>(place.rows);
    arguments.next.dimensions[1].extent = static_cast<int32_t>(next.rows);
    arguments.y.dimensions[1].extent = static_cast<int32_t>(rows_of_y);
    statistics.set_rows(place.rows);
    blocks.kernel.run(arguments.list);
    memcpy(arguments.center, statistics.high, sizeof(arguments.center));
  };
  memset(arguments.center, 0, sizeof(arguments.center));
  memset(statistics.high, 0, sizeof(statistics.high));
  bool added_up = false;
  const int64_t end = blocks.first_block(index + 1);
  for (int64_t b = blocks.first_block(index); b < end; ++b) {
    const Place place = place_of(blocks, b);
    if (!added_up) run(place, 0, place);
    const Place next = b + 1 < end ? place_of(blocks, b + 1) : place;
    // No more rows are added up than there are in this block.
    added_up = next.rows <= place.rows;
    run(place, place.rows, added_up ? next : place);
    statistics.hand_on(call, place.statistic, blocks.rows.statistic, place.rows);
  }
}

halnorm_status execute_rows(const NormCall &call, int32_t target, const Axis &rows) {
  const Part part = call.row_length <= kChunk ? Part::row : Part::long_row;
  const bool dense = is_dense(call.reduced, call.reduced_rank, &Axis::x) &&
                     is_dense(call.reduced, call.reduced_rank, &Axis::y);
  // What a row says of how it is run counts as that row, whichever kernels it takes.
  const Kernel *row = find_kernel(call, target, call.operation, part, call.storage);
  if (row == nullptr) return no_kernel(call, target);
  if (row->launch.stages != 0) {
    const halnorm_status status = execute_in_stages(call, target);
    set_last_kernel(row);
    return status;
  }
  const bool prefers_ahead = prefers(call, Part::row_ahead);
  const bool ahead = dense && part == Part::row && (row->launch.ahead != 0 || prefers_ahead);
  const Kernel *kernel =
      ahead ? find_kernel(call, target, call.operation, Part::row_ahead, call.storage) : row;
  if (kernel == nullptr) return no_kernel(call, target);
  const bool far_apart = !fits_int32(rows.x, kMostRows) || !fits_int32(rows.y, kMostRows);
  const bool stream = dense && !ahead && kernel->launch.stream != 0;
  const int64_t rows_of_a_block = dense && far_apart ? 1 : kernel->rows;
  const int64_t block_bytes = rows_of_a_block * call.row_length * element_size(call.storage);
  Blocks blocks{
      call, *kernel, rows, rows_of_a_block, dense, stream, !dense || stream ? block_bytes : 0};
  const halnorm_status status =
      run_blocks(&blocks, target, ahead ? run_row_blocks_ahead : run_row_blocks);
  if (status == HALNORM_OK && !prefers_ahead) set_last_kernel(row);
  return status;
}

}  // namespace

halnorm_status execute(const NormCall &call) {
  if (call.device.device_type == HALNORM_CUDA) return execute_on_cuda(call);
  int32_t target = 0;
  if (halnorm_status status = resolve_target(call.context, HALNORM_CPU, &target)) return status;
  const bool has_kernels_of_its_own = call.operation == Operation::layer_norm_forward ||
                                      call.operation == Operation::rms_norm_forward;
  if (!has_kernels_of_its_own || takes_stages(call)) return execute_in_stages(call, target);
  Axis one_row = {};
  one_row.extent = 1;
  return execute_rows(call, target, call.kept_rank == 0 ? one_row : call.kept[call.kept_rank - 1]);
}

}  // namespace halnorm
