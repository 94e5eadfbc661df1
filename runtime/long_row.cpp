// SPDX-License-Identifier: Apache-2.0
#include "long_row.h"

#include <stddef.h>

#include <atomic>

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

// A batch of rows, each cut into the same parts. A task is one part of one row.
struct Parts {
  const NormCall &call;
  int32_t target;
  const Kernel *moments, *apply;
  bool dense;
  int64_t parts_of_a_row, chunks_of_a_row;
  int64_t first_row;
  float *squares, *deviations;  // [row][chunk][lane]
  RowStatistics *rows;
  std::atomic<int64_t> bytes_missing{0};
};

struct RowPart {
  int64_t row, begin, count;  // row counts from the first of the batch; elements of the row
  Offsets offsets;
};

RowPart part_of(const Parts &parts, int64_t index) {
  RowPart part;
  part.row = index / parts.parts_of_a_row;
  part.begin = index % parts.parts_of_a_row * kPart;
  part.count = smaller(kPart, parts.call.row_length - part.begin);
  part.offsets = offsets_of(parts.call.kept, parts.call.kept_rank, parts.first_row + part.row);
  return part;
}

// The part of x, in place or gathered to scratch.
const void *x_of(const Parts &parts, const RowPart &part, void *scratch) {
  const NormCall &call = parts.call;
  const void *row = advance(call.x, part.offsets.x, call.storage);
  if (parts.dense) return advance(row, part.begin, call.storage);
  gather(scratch, row, call.reduced, call.reduced_rank, &Axis::x, part.begin, part.count,
         call.storage);
  return scratch;
}

void *scratch_of(Parts *parts, int64_t bytes) {
  void *scratch = thread_scratch(static_cast<size_t>(bytes));
  if (scratch == nullptr) parts->bytes_missing.store(bytes, std::memory_order_relaxed);
  return scratch;
}

void sum_part(void *task, int64_t index) {
  Parts &parts = *static_cast<Parts *>(task);
  const RowPart part = part_of(parts, index);
  void *scratch = parts.dense ? nullptr : scratch_of(&parts, kPart * element_size(Storage::f32));
  if (!parts.dense && scratch == nullptr) return;
  const int64_t chunks = ceil_div(part.count, kChunk);
  const int64_t first = (part.row * parts.chunks_of_a_row + part.begin / kChunk) * kLanes;
  KernelBuffer x(part.count, 1), squares(kLanes, 1, chunks, kLanes);
  KernelBuffer deviations(kLanes, 1, chunks, kLanes);
  float center = parts.rows[part.row].high;
  void *arguments[] = {x.at(x_of(parts, part, scratch)), &center, squares.at(parts.squares + first),
                       deviations.at(parts.deviations + first)};
  parts.moments->run(arguments);
}

void apply_part(void *task, int64_t index) {
  Parts &parts = *static_cast<Parts *>(task);
  const NormCall &call = parts.call;
  const RowPart part = part_of(parts, index);
  // gamma, beta, then a dense x and y.
  const int64_t rooms = 2 * parameter_room(kPart) + kPart;
  auto *scratch = static_cast<float *>(scratch_of(&parts, rooms * element_size(Storage::f32)));
  if (scratch == nullptr) return;
  float *beta_room = scratch + parameter_room(kPart), *dense = beta_room + parameter_room(kPart);
  KernelBuffer x(part.count, 1), gamma(part.count, 1), beta(part.count, 1), y(part.count, 1);
  RowStatistics row = parts.rows[part.row];
  void *row_of_y = advance(call.y, part.offsets.y, call.storage);
  void *to = parts.dense ? advance(row_of_y, part.begin, call.storage) : dense;
  void *arguments[] = {x.at(x_of(parts, part, dense)),
                       gamma.at(dense_gamma(call, parts.target, part.begin, part.count, scratch)),
                       beta.at(dense_beta(call, parts.target, part.begin, part.count, beta_room)),
                       &row.high,
                       &row.low,
                       &row.rstd,
                       y.at(to)};
  parts.apply->run(arguments);
  if (!parts.dense) {
    scatter(row_of_y, dense, call.reduced, call.reduced_rank, &Axis::y, part.begin, part.count,
            call.storage);
  }
}

// What the row's center lacks to be its mean, and rstd, from the moments of its chunks.
RowStatistics fold(const Parts &parts, const Kernel &kernel, int64_t row) {
  const int64_t first = row * parts.chunks_of_a_row * kLanes;
  KernelBuffer squares(kLanes, 1, parts.chunks_of_a_row, kLanes);
  KernelBuffer deviations(kLanes, 1, parts.chunks_of_a_row, kLanes);
  KernelBuffer low(1, 1), rstd(1, 1);
  auto n = static_cast<double>(parts.call.row_length);
  auto eps = static_cast<float>(parts.call.eps);
  RowStatistics statistics = parts.rows[row];
  void *arguments[] = {squares.at(parts.squares + first),
                       deviations.at(parts.deviations + first),
                       &n,
                       &eps,
                       low.at(&statistics.low),
                       rstd.at(&statistics.rstd)};
  kernel.run(arguments);
  return statistics;
}

void finish_batch(Parts *parts, const Kernel &fold_kernel, int64_t row_count) {
  const NormCall &call = parts->call;
  const int64_t count = row_count * parts->parts_of_a_row;
  const bool has_mean = call.operation == Operation::layer_norm_forward;
  for (int64_t r = 0; r < row_count; ++r) parts->rows[r] = {0, 0, 0};
  parallel_for(call.context, count, sum_part, parts);
  if (has_mean) {
    for (int64_t r = 0; r < row_count; ++r) {
      parts->rows[r].high = fold(*parts, fold_kernel, r).low;
    }
    parallel_for(call.context, count, sum_part, parts);
  }
  for (int64_t r = 0; r < row_count; ++r) {
    RowStatistics &row = parts->rows[r];
    row = fold(*parts, fold_kernel, r);
    // The mean of 16-bit rows has no low part.
    if (!has_mean || call.storage != Storage::f32) row.low = 0;
    const int64_t at = offsets_of(call.kept, call.kept_rank, parts->first_row + r).statistic;
    if (call.mean != nullptr) call.mean[at] = row.high + row.low;
    if (call.rstd != nullptr) call.rstd[at] = row.rstd;
  }
  parallel_for(call.context, count, apply_part, parts);
}

bool names_a_part(const halnorm_context *context) {
  if (context == nullptr || context->kernel == nullptr) return false;
  const Part part = context->kernel->part;
  return part == Part::moments || part == Part::fold || part == Part::apply;
}

}  // namespace

bool takes_parts(const NormCall &call) {
  if (call.row_length > kLongestWholeRow) return true;
  if (call.row_length <= kPart) return call.row_length > kChunk && names_a_part(call.context);
  const int64_t bytes = call.row_count * call.row_length * 2 * element_size(call.storage);
  return names_a_part(call.context) ||
         (bytes >= kFewestBytes && call.row_count < thread_limit(call.context));
}

halnorm_status execute_in_parts(const NormCall &call, int32_t target) {
  const Kernel *fold_kernel =
      find_kernel(call.context, target, call.operation, Part::fold, call.storage, call.row_length);
  Parts parts{
      call,
      target,
      find_kernel(call.context, target, Operation::any_norm, Part::moments, call.storage, kPart),
      find_kernel(call.context, target, Operation::any_norm, Part::apply, call.storage, kPart),
      is_dense(call.reduced, call.reduced_rank, &Axis::x) &&
          is_dense(call.reduced, call.reduced_rank, &Axis::y),
      ceil_div(call.row_length, kPart),
      ceil_div(call.row_length, kChunk),
      0,
      nullptr,
      nullptr,
      nullptr};
  if (fold_kernel == nullptr || parts.moments == nullptr || parts.apply == nullptr) {
    return fail(HALNORM_UNSUPPORTED, "x: this build has no kernels for rows of %lld elements on %s",
                static_cast<long long>(call.row_length), halnorm_target_name(target));
  }
  const int64_t batch = smaller(call.row_count, thread_limit(call.context));
  const int64_t floats = parts.chunks_of_a_row * kLanes;
  const auto bytes = static_cast<size_t>(batch) *
                     (2 * static_cast<size_t>(floats) * sizeof(float) + sizeof(RowStatistics));
  auto *memory = static_cast<float *>(workspace(call.context, bytes));
  if (memory == nullptr) {
    return fail(HALNORM_OUT_OF_MEMORY, "workspace: the sums of %lld rows need %zu bytes",
                static_cast<long long>(batch), bytes);
  }
  const WorkspaceHold hold;
  parts.squares = memory;
  parts.deviations = memory + batch * floats;
  parts.rows = reinterpret_cast<RowStatistics *>(parts.deviations + batch * floats);
  set_last_kernel(parts.apply);
  for (; parts.first_row < call.row_count; parts.first_row += batch) {
    finish_batch(&parts, *fold_kernel, smaller(batch, call.row_count - parts.first_row));
    const int64_t missing = parts.bytes_missing.load(std::memory_order_relaxed);
    if (missing != 0) {
      return fail(HALNORM_OUT_OF_MEMORY, "out of memory: no %lld bytes of scratch for a thread",
                  static_cast<long long>(missing));
    }
  }
  return HALNORM_OK;
}

}  // namespace halnorm
