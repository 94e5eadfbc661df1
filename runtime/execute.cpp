// SPDX-License-Identifier: Apache-2.0
// Chooses how a call runs, cuts it into kernel calls and spreads them over threads. Which order the
// sums take is settled by lengths and strides alone: never by target, threads or schedule.
#include <stddef.h>
#include <string.h>

#include <atomic>

#include "context.h"
#include "dispatch.h"
#include "errors.h"
#include "kernel_call.h"
#include "long_row.h"
#include "parallel.h"
#include "parameters.h"
#include "strided.h"
#include "workspace.h"

namespace halnorm {
namespace {

constexpr int64_t kMostRows = 64;  // of a kernel call
constexpr int64_t kFewestColumns = 8;
constexpr int64_t kBytesOfAThread = 128 * 1024;  // below, waking a thread costs more than it brings
constexpr int64_t kTasksOfAThread = 4;

// A call cut into blocks: as many rows as one kernel call takes, adjacent along one kept axis.
struct Blocks {
  const NormCall &call;
  const Kernel &kernel;
  const float *gamma, *beta;
  float eps;
  bool stream;  // y bypasses the cache
  bool dense;   // the kernel reads x and writes y as they lie
  Axis rows;    // the axis that blocks are cut from
  int64_t rows_of_a_block, blocks_of_an_axis, block_count, task_count;
  std::atomic<int64_t> bytes_missing{0};

  int64_t first_block(int64_t task) const { return block_count * task / task_count; }
};

// The statistics that a kernel writes; the runtime hands on those that the caller wants.
struct Statistics {
  float high[kMostRows], low[kMostRows], mean[kMostRows], rstd[kMostRows];
  KernelBuffer high_buffer{1, 1}, low_buffer{1, 1}, mean_buffer{1, 1}, rstd_buffer{1, 1};

  void set_rows(int64_t rows) {
    for (KernelBuffer *b : {&high_buffer, &low_buffer, &mean_buffer, &rstd_buffer}) {
      b->dimensions[0].extent = static_cast<int32_t>(rows);
    }
  }
  void hand_on(const NormCall &call, int64_t offset, int64_t stride, int64_t rows) const {
    for (int64_t r = 0; call.mean != nullptr && r < rows; ++r) {
      call.mean[offset + r * stride] = mean[r];
    }
    for (int64_t r = 0; call.rstd != nullptr && r < rows; ++r) {
      call.rstd[offset + r * stride] = rstd[r];
    }
  }
};

// The kernel's arguments: x, gamma, beta, eps, y, then its statistics, as its generator lists them.
struct NormArguments {
  Statistics statistics;
  KernelBuffer x, y, gamma, beta;
  float eps;
  void *list[9];

  NormArguments(const Blocks &blocks, int64_t n, const KernelBuffer &shape_x,
                const KernelBuffer &shape_y)
      : x(shape_x.dimensions[0].extent, shape_x.dimensions[0].stride, shape_x.dimensions[1].extent,
          shape_x.dimensions[1].stride),
        y(shape_y.dimensions[0].extent, shape_y.dimensions[0].stride, shape_y.dimensions[1].extent,
          shape_y.dimensions[1].stride),
        gamma(n, 1),
        beta(n, 1),
        eps(blocks.eps) {
    Statistics &s = statistics;
    int count = 0;
    list[count++] = &x.buffer;
    list[count++] = gamma.at(blocks.gamma);
    const bool has_mean = blocks.call.operation == Operation::layer_norm_forward;
    if (has_mean) list[count++] = beta.at(blocks.beta);
    list[count++] = &eps;
    list[count++] = &y.buffer;
    if (has_mean) {
      list[count++] = s.high_buffer.at(s.high);
      list[count++] = s.low_buffer.at(s.low);
      list[count++] = s.mean_buffer.at(s.mean);
    }
    list[count++] = s.rstd_buffer.at(s.rstd);
  }
};

// Where a block lies: its first row, and how many rows it has.
struct Place {
  Offsets offsets;
  int64_t rows;
};
Place place_of(const Blocks &blocks, int64_t block) {
  const NormCall &call = blocks.call;
  Place place;
  const int64_t along = block % blocks.blocks_of_an_axis;
  if (call.kept_rank > 1) {
    place.offsets = offsets_of(call.kept, call.kept_rank - 1, block / blocks.blocks_of_an_axis);
  }
  const int64_t first = along * blocks.rows_of_a_block;
  place.rows = smaller(blocks.rows_of_a_block, blocks.rows.extent - first);
  place.offsets.x += first * blocks.rows.x;
  place.offsets.y += first * blocks.rows.y;
  place.offsets.statistic += first * blocks.rows.statistic;
  return place;
}

void *task_scratch(Blocks *blocks, int64_t bytes) {
  void *scratch = thread_scratch(static_cast<size_t>(bytes));
  if (scratch == nullptr) blocks->bytes_missing.store(bytes, std::memory_order_relaxed);
  return scratch;
}

void run_row_blocks(void *task, int64_t index) {
  Blocks &blocks = *static_cast<Blocks *>(task);
  const NormCall &call = blocks.call;
  const int64_t n = call.row_length, most = blocks.rows_of_a_block;
  const bool through_scratch = !blocks.dense || blocks.stream;
  void *scratch = nullptr;
  if (through_scratch) {
    scratch = task_scratch(&blocks, most * n * element_size(call.storage));
    if (scratch == nullptr) return;
  }
  const KernelBuffer dense_rows(n, 1, most, n);
  const KernelBuffer x_rows(n, 1, most, blocks.rows.x), y_rows(n, 1, most, blocks.rows.y);
  NormArguments arguments(blocks, n, blocks.dense ? x_rows : dense_rows,
                          through_scratch ? dense_rows : y_rows);
  for (int64_t b = blocks.first_block(index); b < blocks.first_block(index + 1); ++b) {
    const Place place = place_of(blocks, b);
    const void *x = advance(call.x, place.offsets.x, call.storage);
    void *y = advance(call.y, place.offsets.y, call.storage);
    for (int64_t r = 0; !blocks.dense && r < place.rows; ++r) {
      gather(advance(scratch, r * n, call.storage), advance(x, r * blocks.rows.x, call.storage),
             call.reduced, call.reduced_rank, &Axis::x, 0, n, call.storage);
    }
    arguments.x.at(blocks.dense ? x : scratch);
    arguments.y.at(through_scratch ? scratch : y);
    arguments.x.dimensions[1].extent = arguments.y.dimensions[1].extent =
        static_cast<int32_t>(place.rows);
    arguments.statistics.set_rows(place.rows);
    blocks.kernel.run(arguments.list);
    arguments.statistics.hand_on(call, place.offsets.statistic, blocks.rows.statistic, place.rows);
    for (int64_t r = 0; through_scratch && r < place.rows; ++r) {
      const void *row = advance(scratch, r * n, call.storage);
      void *to = advance(y, r * blocks.rows.y, call.storage);
      if (blocks.dense) {
        copy_past_cache(to, row, n * element_size(call.storage));
      } else {
        scatter(to, row, call.reduced, call.reduced_rank, &Axis::y, 0, n, call.storage);
      }
    }
  }
  if (blocks.stream) finish_copies_past_cache();
}

// A kernel of side by side rows takes exactly as many as it is made for; what is left at the end of
// an axis is widened to that in scratch memory.
void run_column_blocks(void *task, int64_t index) {
  Blocks &blocks = *static_cast<Blocks *>(task);
  const NormCall &call = blocks.call;
  const int64_t n = call.row_length, width = blocks.rows_of_a_block;
  const Axis &elements = call.reduced[0];
  NormArguments arguments(blocks, n, KernelBuffer(width, 1, n, elements.x),
                          KernelBuffer(width, 1, n, elements.y));
  arguments.statistics.set_rows(width);
  for (int64_t b = blocks.first_block(index); b < blocks.first_block(index + 1); ++b) {
    const Place place = place_of(blocks, b);
    const void *x = advance(call.x, place.offsets.x, call.storage);
    void *y = advance(call.y, place.offsets.y, call.storage);
    if (place.rows == width) {
      arguments.x.at(x);
      arguments.y.at(y);
      blocks.kernel.run(arguments.list);
    } else {
      const int64_t bytes = n * width * element_size(call.storage);
      const auto used = static_cast<size_t>(place.rows * element_size(call.storage));
      void *scratch = task_scratch(&blocks, bytes);
      if (scratch == nullptr) return;
      memset(scratch, 0, static_cast<size_t>(bytes));
      for (int64_t i = 0; i < n; ++i) {
        memcpy(advance(scratch, i * width, call.storage), advance(x, i * elements.x, call.storage),
               used);
      }
      NormArguments widened(blocks, n, KernelBuffer(width, 1, n, width),
                            KernelBuffer(width, 1, n, width));
      widened.statistics.set_rows(width);
      widened.x.at(scratch);
      widened.y.at(scratch);
      blocks.kernel.run(widened.list);
      for (int64_t i = 0; i < n; ++i) {
        memcpy(advance(y, i * elements.y, call.storage), advance(scratch, i * width, call.storage),
               used);
      }
      widened.statistics.hand_on(call, place.offsets.statistic, blocks.rows.statistic, place.rows);
      continue;
    }
    arguments.statistics.hand_on(call, place.offsets.statistic, blocks.rows.statistic, width);
  }
}

bool fits_int32(int64_t stride, int64_t count) {
  const int64_t magnitude = stride < 0 ? -stride : stride;
  return magnitude <= INT32_MAX / larger(count, 1);
}

// Rows side by side in memory, each of elements at one distance.
bool takes_columns(const NormCall &call) {
  if (call.kept_rank == 0 || call.reduced_rank != 1) return false;
  const Axis &rows = call.kept[call.kept_rank - 1];
  const Axis &elements = call.reduced[0];
  return rows.x == 1 && rows.y == 1 && rows.extent >= kFewestColumns &&
         call.row_length <= kLongestWholeRow && fits_int32(elements.x, call.row_length) &&
         fits_int32(elements.y, call.row_length);
}

halnorm_status no_kernel(const NormCall &call, int32_t target) {
  static const char *const kStorageNames[] = {"f32", "f16", "bf16"};
  return fail(HALNORM_UNSUPPORTED, "x: this build has no kernel for %s on %s",
              kStorageNames[static_cast<int>(call.storage)], halnorm_target_name(target));
}

halnorm_status run_blocks(Blocks *blocks, halnorm_task run) {
  const NormCall &call = blocks->call;
  const int64_t bytes = call.row_count * call.row_length * 2 * element_size(call.storage);
  blocks->stream =
      blocks->stream && blocks->kernel.stream_from > 0 && bytes >= blocks->kernel.stream_from;
  blocks->blocks_of_an_axis = ceil_div(blocks->rows.extent, blocks->rows_of_a_block);
  blocks->block_count = call.row_count / blocks->rows.extent * blocks->blocks_of_an_axis;
  blocks->task_count = 1;
  set_last_kernel(&blocks->kernel);
  if (bytes < 2 * kBytesOfAThread) {
    run(blocks, 0);
  } else {
    const int64_t threads = smaller(thread_limit(call.context), bytes / kBytesOfAThread);
    if (threads > 1) blocks->task_count = smaller(blocks->block_count, threads * kTasksOfAThread);
    parallel_for(call.context, blocks->task_count, run, blocks);
  }
  const int64_t missing = blocks->bytes_missing.load(std::memory_order_relaxed);
  if (missing == 0) return HALNORM_OK;
  return fail(HALNORM_OUT_OF_MEMORY, "out of memory: no %lld bytes of scratch for a thread",
              static_cast<long long>(missing));
}

}  // namespace

halnorm_status execute(const NormCall &call) {
  int32_t target = 0;
  if (halnorm_status status = resolve_cpu_target(call.context, &target)) return status;
  const bool columns = takes_columns(call);
  if (!columns && takes_parts(call)) return execute_in_parts(call, target);

  const int64_t n = call.row_length;
  const Part part = columns ? Part::columns : n <= kChunk ? Part::row : Part::long_row;
  const Kernel *kernel = find_kernel(call.context, target, call.operation, part, call.storage, n);
  if (kernel == nullptr) return no_kernel(call, target);
  const float *gamma = nullptr, *beta = nullptr;
  if (halnorm_status status = dense_parameters(call, target, &gamma, &beta)) return status;

  const Axis one_row = {1, 0, 0, 0, 0, 0};
  Blocks blocks{call,
                *kernel,
                gamma,
                beta,
                static_cast<float>(call.eps),
                !columns,
                call.reduced_rank == 0 || (is_dense(call.reduced, call.reduced_rank, &Axis::x) &&
                                           is_dense(call.reduced, call.reduced_rank, &Axis::y)),
                call.kept_rank == 0 ? one_row : call.kept[call.kept_rank - 1],
                kernel->rows,
                0,
                0,
                0};
  if (columns) return run_blocks(&blocks, run_column_blocks);
  if (blocks.dense &&
      !(fits_int32(blocks.rows.x, kMostRows) && fits_int32(blocks.rows.y, kMostRows))) {
    blocks.rows_of_a_block = 1;
  }
  return run_blocks(&blocks, run_row_blocks);
}

}  // namespace halnorm
