// SPDX-License-Identifier: Apache-2.0
// A call cut into blocks, each one kernel call, and spread over threads.
#ifndef HALNORM_RUNTIME_BLOCKS_H_
#define HALNORM_RUNTIME_BLOCKS_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dispatch.h"
#include "halnorm.h"
#include "kernel_call.h"
#include "norm_call.h"

namespace halnorm {

constexpr int64_t kMostRows = 64;  // of a kernel call

// A call cut into blocks: as many rows as one kernel call takes, adjacent along one kept axis.
struct Blocks {
  const NormCall &call;
  const Kernel &kernel;
  Axis rows;  // the axis that blocks are cut from
  int64_t rows_of_a_block;
  bool dense;               // the kernel reads x and writes y as they lie
  bool stream;              // y bypasses the cache
  int64_t scratch_of_task;  // bytes that each task wants

  int64_t blocks_of_an_axis = 0, block_count = 0, task_count = 1;
  float eps = 0;
  const float *gamma = nullptr, *beta = nullptr;
  uint8_t *scratch = nullptr;  // of the first task

  int64_t first_block(int64_t task) const { return block_count * task / task_count; }
};

// The statistics that a kernel writes; the runtime hands on those that the caller wants.
struct Statistics {
  float high[kMostRows], low[kMostRows], mean[kMostRows], rstd[kMostRows];
  KernelBuffer high_buffer, low_buffer, mean_buffer, rstd_buffer;

  void set_rows(int64_t rows) {
    for (KernelBuffer *b : {&high_buffer, &low_buffer, &mean_buffer, &rstd_buffer}) {
      b->reshape({rows});
    }
  }
  void hand_on(const NormCall &call, int64_t offset, int64_t stride, int64_t rows) const {
    if (call.mean != nullptr) copy(call.mean + offset, stride, mean, rows);
    if (call.rstd != nullptr) copy(call.rstd + offset, stride, rstd, rows);
  }

 private:
  static void copy(float *to, int64_t stride, const float *from, int64_t count) {
    if (stride == 1) {
      memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i * stride] = from[i];
    }
  }
};

// The kernel's arguments: x, gamma, beta, eps, the next rows and the high parts of these rows'
// means if it looks ahead, y, then its statistics, as its generator lists them.
struct NormArguments {
  Statistics statistics;
  KernelBuffer x, next, y, gamma, beta, center_buffer;
  float eps, center[kMostRows];
  void *list[11];

  NormArguments(const Blocks &blocks, int64_t n, const KernelShape &shape_of_x,
                const KernelShape &shape_of_y, bool ahead = false)
      : x(shape_of_x),
        next(shape_of_x),
        y(shape_of_y),
        gamma({n}),
        beta({n}),
        center_buffer({kMostRows}),
        eps(blocks.eps) {
    Statistics &s = statistics;
    int count = 0;
    list[count++] = &x.buffer;
    list[count++] = gamma.at(blocks.gamma);
    const bool has_mean = blocks.call.has_mean();
    if (has_mean) list[count++] = beta.at(blocks.beta);
    list[count++] = &eps;
    if (ahead) {
      list[count++] = &next.buffer;
      list[count++] = center_buffer.at(center);
    }
    list[count++] = &y.buffer;
    if (has_mean) {
      list[count++] = s.high_buffer.at(s.high);
      list[count++] = s.low_buffer.at(s.low);
      list[count++] = s.mean_buffer.at(s.mean);
    }
    list[count++] = s.rstd_buffer.at(s.rstd);
  }
};

// Where a block lies: the offsets of its first row, and how many rows it has.
struct Place {
  int64_t x, y, statistic;
  int64_t rows;
};
Place place_of(const Blocks &blocks, int64_t block);

// Allocates what the call needs, then runs tasks 0 to task_count - 1, each over its blocks.
halnorm_status run_blocks(Blocks *blocks, int32_t target, halnorm_task run);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_BLOCKS_H_
