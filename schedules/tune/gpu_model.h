// SPDX-License-Identifier: Apache-2.0
// How long a GPU needs for a launch, from the kernel's code alone: for comparing schedules where no
// GPU is there. docs/tuning.md says what it cannot see.
//
// Resident warps (occupancy): as many blocks as registers, shared memory, and the most blocks and
// warps of a multiprocessor allow. A warp has registers in units of 256, in one of four parts of
// the multiprocessor.
//
// Of one warp, from what its first thread executes (ptx.h):
//   alone  clocks until its last instruction is issued, were it alone: each instruction waits for
//          its operands; within a basic block the assembler may order them as it likes, across
//          blocks, loops and barriers they are issued in order, one a clock. Loads that begin
//          before one of them is waited for are in flight together.
//   issue  clocks of the multiprocessor for its instructions: the most of 1/4 for each of them, and
//          32 / (results a clock) for those of each unit.
//
// Of a launch, on S multiprocessors, each with room for R blocks of W warps, the busiest one with
// B = ceil(blocks / S) of them:
//   moving  = bytes of all tensors that it takes / bandwidth
//   issuing = B W issue / clock rate
//   waiting = ceil(B / R) alone / clock rate
//   time    = kLaunch + max(latency of memory + max(moving, issuing), waiting)
//
// `waiting` is memory at limited concurrency, by Little's law: a multiprocessor has the bytes of R
// W warps in flight for `alone`; to move bytes at full bandwidth it needs bandwidth / S x latency
// of them. The tail is in the rounding up of B and of B / R.
#ifndef HALNORM_SCHEDULES_TUNE_GPU_MODEL_H_
#define HALNORM_SCHEDULES_TUNE_GPU_MODEL_H_

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ptx.h"

namespace halnorm_tune {

// A kernel that has no time: it spills, or no multiprocessor has room for a block of it.
struct NoTime : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Gpu {
  const char *name, *architecture;
  int multiprocessors;
  double clock_hz, bytes_per_second;
  // Of a multiprocessor.
  int most_warps, most_blocks, registers, shared_bytes;
  // Clocks until a load has come, with nothing else under way.
  int memory_clocks, l2_clocks;
  std::array<double, kUnits> results_a_clock;  // by Unit, of a multiprocessor; 0: any number
};
const std::vector<Gpu> &gpus();

// Of kernels of PTX for compute capability 8.0, what a GPU has to run without spills.
const std::vector<std::string> &architectures();

struct GpuLaunch {
  Three blocks, threads;
  int64_t shared_bytes = 0;
  std::vector<std::optional<int64_t>> values;  // of parameters; none: a tensor
  std::vector<int64_t> tensor_bytes;           // of those that are tensors, else 0
};

// Blocks that a multiprocessor has room for; 0: not one.
int64_t resident_blocks(const Gpu &gpu, int registers_of_thread, const GpuLaunch &launch);

struct WarpClocks {
  double alone = 0, issue = 0;
};
WarpClocks clocks_of_warp(const Gpu &gpu, const std::vector<Step> &steps, const GpuLaunch &launch);

struct LaunchTime {
  double moving = 0, issuing = 0, waiting = 0, seconds = 0;
  double warps = 0;                                   // resident
  double bytes_in_flight = 0, bytes_to_saturate = 0;  // of a multiprocessor
};
// Throws NoTime where a block does not fit.
LaunchTime time_of_launch(const Gpu &gpu, const PtxKernel &kernel, int registers_of_thread,
                          const GpuLaunch &launch);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_GPU_MODEL_H_
