// SPDX-License-Identifier: Apache-2.0
#include "long_row.h"

#include <stddef.h>

#include "context.h"
#include "dispatch.h"
#include "errors.h"
#include "kernel_call.h"
#include "parallel.h"
#include "parameters.h"
#include "strided.h"
#include "workspace.h"

namespace halnorm {
namespace {

constexpr int64_t kChunksOfAPart = 16;
constexpr int64_t kPart = kChunksOfAPart * kChunk;
constexpr int64_t kFewestBytes = 512 * 1024;  // of x and y, for threads to share a row

// What is known of a row so far; its mean is high + low.
struct RowStatistics {
  float high, low, rstd;
};

// Scratch of a task: gamma and beta of a part, then its x and y, dense.
constexpr int64_t kRoom = parameter_room(kPart);
constexpr int64_t kScratchFloats = 2 * kRoom + kPart;

// A batch of rows, each cut into the same parts, which are dealt out to tasks.
struct Batch {
  const NormCall &call;
  int32_t target;
  const Kernel *moments, *fold, *apply;
  bool dense;
  int64_t parts_of_a_row, chunks_of_a_row, task_count;
  float *scratch;               // of the first task
  float *squares, *deviations;  // [row][chunk][lane]
  RowStatistics *rows;
  int64_t first_row = 0, part_count = 0;
};

struct RowPart {
  int64_t row, begin, count;  // row counts from the first of the batch; elements of the row
  Offsets offsets;            // of the row
};

RowPart part_of(const Batch &batch, int64_t index) {
  RowPart part;
  part.row = index / batch.parts_of_a_row;
  part.begin = index % batch.parts_of_a_row * kPart;
  part.count = smaller(kPart, batch.call.row_length - part.begin);
  part.offsets = offsets_of(batch.call.kept, batch.call.kept_rank, batch.first_row + part.row);
  return part;
}

// The part of x, in place or gathered to scratch.
const void *x_of(const Batch &batch, const RowPart &part, void *scratch) {
  const NormCall &call = batch.call;
  const void *row = advance(call.x, part.offsets.x, call.storage);
  if (batch.dense) return advance(row, part.begin, call.storage);
  gather(scratch, 1, row, {call.reduced, call.reduced_rank, &Axis::x, part.begin, part.count},
         call.storage);
  return scratch;
}

void sum_part(const Batch &batch, const RowPart &part, float *scratch) {
  const int64_t chunks = ceil_div(part.count, kChunk);
  const int64_t first = (part.row * batch.chunks_of_a_row + part.begin / kChunk) * kLanes;
  KernelBuffer x(part.count, 1), squares(kLanes, 1, chunks, kLanes);
  KernelBuffer deviations(kLanes, 1, chunks, kLanes);
  float center = batch.rows[part.row].high;
  void *arguments[] = {x.at(x_of(batch, part, scratch)), &center, squares.at(batch.squares + first),
                       deviations.at(batch.deviations + first)};
  batch.moments->run(arguments);
}

void apply_part(const Batch &batch, const RowPart &part, float *scratch) {
  const NormCall &call = batch.call;
  float *beta_room = scratch + kRoom, *dense = beta_room + kRoom;
  KernelBuffer x(part.count, 1), gamma(part.count, 1), beta(part.count, 1), y(part.count, 1);
  RowStatistics row = batch.rows[part.row];
  void *row_of_y = advance(call.y, part.offsets.y, call.storage);
  void *to = batch.dense ? advance(row_of_y, part.begin, call.storage) : dense;
  void *arguments[] = {x.at(x_of(batch, part, dense)),
                       gamma.at(dense_gamma(call, batch.target, part.begin, part.count, scratch)),
                       beta.at(dense_beta(call, batch.target, part.begin, part.count, beta_room)),
                       &row.high,
                       &row.low,
                       &row.rstd,
                       y.at(to)};
  batch.apply->run(arguments);
  if (!batch.dense) {
    scatter(row_of_y, {call.reduced, call.reduced_rank, &Axis::y, part.begin, part.count}, dense, 1,
            call.storage);
  }
}

template <void (*run)(const Batch &, const RowPart &, float *)>
void run_task(void *task, int64_t index) {
  const Batch &batch = *static_cast<const Batch *>(task);
  const int64_t end = batch.part_count * (index + 1) / batch.task_count;
  for (int64_t i = batch.part_count * index / batch.task_count; i < end; ++i) {
    run(batch, part_of(batch, i), batch.scratch + index * kScratchFloats);
  }
}

// What the row's center lacks to be its mean, and rstd, from the moments of its chunks.
RowStatistics fold(const Batch &batch, int64_t row) {
  const int64_t first = row * batch.chunks_of_a_row * kLanes;
  KernelBuffer squares(kLanes, 1, batch.chunks_of_a_row, kLanes);
  KernelBuffer deviations(kLanes, 1, batch.chunks_of_a_row, kLanes);
  KernelBuffer low(1, 1), rstd(1, 1);
  auto n = static_cast<double>(batch.call.row_length);
  auto eps = static_cast<float>(batch.call.eps);
  bool has_mean = batch.call.has_mean();
  RowStatistics statistics = batch.rows[row];
  void *arguments[] = {squares.at(batch.squares + first),
                       deviations.at(batch.deviations + first),
                       &n,
                       &eps,
                       &has_mean,
                       low.at(&statistics.low),
                       rstd.at(&statistics.rstd)};
  batch.fold->run(arguments);
  return statistics;
}

void run_batch(Batch *batch, int64_t row_count) {
  const NormCall &call = batch->call;
  batch->part_count = row_count * batch->parts_of_a_row;
  for (int64_t r = 0; r < row_count; ++r) batch->rows[r] = {0, 0, 0};
  parallel_for(call.context, batch->task_count, run_task<sum_part>, batch);
  if (call.has_mean()) {
    for (int64_t r = 0; r < row_count; ++r) batch->rows[r].high = fold(*batch, r).low;
    parallel_for(call.context, batch->task_count, run_task<sum_part>, batch);
  }
  for (int64_t r = 0; r < row_count; ++r) {
    RowStatistics &row = batch->rows[r];
    row = fold(*batch, r);
    if (!call.has_low_mean()) row.low = 0;
    const int64_t at = offsets_of(call.kept, call.kept_rank, batch->first_row + r).statistic;
    if (call.mean != nullptr) call.mean[at] = row.high + row.low;
    if (call.rstd != nullptr) call.rstd[at] = row.rstd;
  }
  parallel_for(call.context, batch->task_count, run_task<apply_part>, batch);
}

bool prefers_parts(const NormCall &call) {
  return prefers(call, Part::moments) || prefers(call, Part::fold) || prefers(call, Part::apply);
}

}  // namespace

bool takes_parts(const NormCall &call) {
  if (call.row_length > kLongestWholeRow) return true;
  if (call.row_length <= kPart) return call.row_length > kChunk && prefers_parts(call);
  return prefers_parts(call) ||
         (call.bytes() >= kFewestBytes && call.row_count < thread_limit(call.context));
}

halnorm_status execute_in_parts(const NormCall &call, int32_t target) {
  Batch batch{call,
              target,
              find_kernel(call, target, Operation::any_norm, Part::moments, call.storage),
              find_kernel(call, target, Operation::any_norm, Part::fold, call.storage),
              find_kernel(call, target, Operation::any_norm, Part::apply, call.storage),
              is_dense(call.reduced, call.reduced_rank, &Axis::x) &&
                  is_dense(call.reduced, call.reduced_rank, &Axis::y),
              ceil_div(call.row_length, kPart),
              ceil_div(call.row_length, kChunk),
              thread_limit(call.context),
              nullptr,
              nullptr,
              nullptr,
              nullptr};
  if (batch.fold == nullptr || batch.moments == nullptr || batch.apply == nullptr) {
    return no_kernel(call, target);
  }
  const int64_t most_rows = smaller(call.row_count, batch.task_count);
  const int64_t sums = most_rows * batch.chunks_of_a_row * kLanes;
  const int64_t scratch = batch.task_count * kScratchFloats;
  const auto bytes = static_cast<size_t>(scratch + 2 * sums) * sizeof(float) +
                     static_cast<size_t>(most_rows) * sizeof(RowStatistics);
  batch.scratch = static_cast<float *>(workspace(call.context, bytes));
  if (batch.scratch == nullptr) {
    return fail(HALNORM_OUT_OF_MEMORY, "workspace: the call needs %zu bytes", bytes);
  }
  batch.squares = batch.scratch + scratch;
  batch.deviations = batch.squares + sums;
  batch.rows = reinterpret_cast<RowStatistics *>(batch.deviations + sums);
  set_last_kernel(batch.apply);
  for (; batch.first_row < call.row_count; batch.first_row += most_rows) {
    run_batch(&batch, smaller(most_rows, call.row_count - batch.first_row));
  }
  return HALNORM_OK;
}

}  // namespace halnorm
