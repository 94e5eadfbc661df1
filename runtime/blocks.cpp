// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include "errors.h"
#include "parallel.h"
#include "parameters.h"
#include "strided.h"
#include "workspace.h"

namespace halnorm {
namespace {

constexpr int64_t kTasksOfAThread = 4;

int64_t whole_lines(int64_t bytes) { return ceil_div(bytes, 64) * 64; }

// Memory for everything that the call needs and its caller did not bring.
halnorm_status allocate(Blocks *blocks, int32_t target) {
  const NormCall &call = blocks->call;
  const int64_t n = call.row_length;
  const bool has_beta = call.has_mean();
  const bool room_for_gamma = gamma_needs_room(call);
  const bool room_for_beta = has_beta && beta_needs_room(call);
  const int64_t room = whole_lines(parameter_room(n) * element_size(Storage::f32));
  const int64_t rooms = (room_for_gamma ? room : 0) + (room_for_beta ? room : 0);
  const int64_t bytes = rooms + blocks->task_count * blocks->scratch_of_task;
  uint8_t *memory = nullptr;
  if (bytes > 0) {
    memory = static_cast<uint8_t *>(workspace(call.context, static_cast<size_t>(bytes)));
    if (memory == nullptr) {
      return fail(HALNORM_OUT_OF_MEMORY, "workspace: the call needs %lld bytes",
                  static_cast<long long>(bytes));
    }
  }
  blocks->gamma = dense_gamma(call, target, 0, n, reinterpret_cast<float *>(memory));
  if (room_for_gamma) memory += room;
  if (has_beta) {
    blocks->beta = dense_beta(call, target, 0, n, reinterpret_cast<float *>(memory));
  }
  if (room_for_beta) memory += room;
  blocks->scratch = memory;
  return HALNORM_OK;
}

}  // namespace

Place place_of(const Blocks &blocks, int64_t block) {
  const NormCall &call = blocks.call;
  const int64_t first = block % blocks.blocks_of_an_axis * blocks.rows_of_a_block;
  Place place = {first * blocks.rows.x, first * blocks.rows.y, first * blocks.rows.statistic,
                 smaller(blocks.rows_of_a_block, blocks.rows.extent - first)};
  if (call.kept_rank > 1) {
    const int64_t outer = block / blocks.blocks_of_an_axis;
    place.x += offset_of(call.kept, call.kept_rank - 1, &Axis::x, outer);
    place.y += offset_of(call.kept, call.kept_rank - 1, &Axis::y, outer);
    place.statistic += offset_of(call.kept, call.kept_rank - 1, &Axis::statistic, outer);
  }
  return place;
}

halnorm_status run_blocks(Blocks *blocks, int32_t target, halnorm_task run) {
  const NormCall &call = blocks->call;
  blocks->eps = static_cast<float>(call.eps);
  const int64_t threads = threads_for(call.context, call.bytes(), blocks->kernel.launch.grain_kib);
  const int64_t tasks =
      blocks->scratch_of_task > 0 || threads == 1 ? threads : threads * kTasksOfAThread;
  // A call of few rows has a block for each task even if the kernel would take more rows at once.
  if (threads > 1) {
    blocks->rows_of_a_block = smaller(blocks->rows_of_a_block, larger(1, call.row_count / tasks));
  }
  blocks->blocks_of_an_axis = ceil_div(blocks->rows.extent, blocks->rows_of_a_block);
  blocks->block_count = call.row_count / blocks->rows.extent * blocks->blocks_of_an_axis;
  blocks->task_count = smaller(blocks->block_count, tasks);
  blocks->scratch_of_task = whole_lines(blocks->scratch_of_task);
  if (halnorm_status status = allocate(blocks, target)) return status;
  set_last_kernel(&blocks->kernel);
  if (blocks->task_count == 1) {
    run(blocks, 0);
  } else {
    parallel_for(call.context, blocks->task_count, run, blocks);
  }
  return HALNORM_OK;
}

}  // namespace halnorm
