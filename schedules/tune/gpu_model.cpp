// SPDX-License-Identifier: Apache-2.0
#include "gpu_model.h"

#include <algorithm>

namespace halnorm_tune {
namespace {

constexpr int kWarp = 32, kParts = 4;
constexpr double kIssued = 4;  // warp instructions a clock
constexpr int kRegisterUnit = 256, kSharedUnit = 128, kSharedOfSystem = 1024;
// From one kernel to the next on a stream: 3.8 us for kernels of 2.9 us (NVIDIA's blog, Getting
// Started with CUDA Graphs, 2019).
constexpr double kLaunch = 0.9e-6;
// Memory that is in use answers later than at rest; how much later is a guess.
constexpr double kInUse = 2;

// Clocks from an instruction to one that takes its result. Arithmetic: CUDA C++ Programming Guide,
// Multiprocessor Level; others as measured by Luo et al. (below) and, for shuffles and f64, Jia et
// al., Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking, 2018.
constexpr double kLatency[kUnits] = {0, 4, 4, 8, 12, 23, 29, 0, 0, 1};

bool is_shared_by_warps(const GpuLaunch &launch, const Step &step) {
  const auto at = static_cast<size_t>(step.parameter);
  if (step.parameter < 0 || at >= launch.tensor_bytes.size()) return false;
  double loaded = step.instruction->bytes;
  for (int d = 0; d < 3; ++d) {
    const auto k = static_cast<size_t>(d);
    loaded *= static_cast<double>(launch.blocks[k] * launch.threads[k]);
  }
  return loaded > static_cast<double>(launch.tensor_bytes[at]);
}

int64_t volume(const Three &extents) { return extents[0] * extents[1] * extents[2]; }

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t warps_of_block(const GpuLaunch &launch) { return ceil_div(volume(launch.threads), kWarp); }

}  // namespace

// Multiprocessors, bandwidth, registers and shared memory: NVIDIA A100 Tensor Core GPU Architecture
// (2020; the 40 GB A100, of compute capability 8.0) and the data sheet of the H200 (2024; 9.0). The
// clock of the H200 is that at which its multiprocessors, with 128 fused multiply-adds a clock,
// make the 67 TFLOPS of the data sheet. The most warps and blocks, and results a clock: CUDA C++
// Programming Guide, Technical Specifications per Compute Capability and Throughput of Native
// Arithmetic Instructions. Latencies: Luo et al., Benchmarking and Dissecting the Nvidia Hopper GPU
// Architecture, 2024 (arXiv:2402.13499).
const std::vector<Gpu> &gpus() {
  static const std::vector<Gpu> all = {
      {"A100",
       "sm_80",
       108,
       1.41e9,
       1.555e12,
       64,
       32,
       65536,
       164 * 1024,
       466,
       262,
       {0, 64, 64, 32, 16, 32, 32, 32, 32, 0}},
      {"H200",
       "sm_90",
       132,
       1.98e9,
       4.8e12,
       64,
       32,
       65536,
       228 * 1024,
       479,
       262,
       {0, 64, 128, 64, 16, 32, 32, 32, 32, 0}},
  };
  return all;
}

const std::vector<std::string> &architectures() {
  static const std::vector<std::string> all = {"sm_80", "sm_90", "sm_100"};
  return all;
}

int64_t resident_blocks(const Gpu &gpu, int registers_of_thread, const GpuLaunch &launch) {
  const int64_t warps = warps_of_block(launch);
  const int64_t of_warp = ceil_div(registers_of_thread * kWarp, kRegisterUnit) * kRegisterUnit;
  const int64_t warps_with_registers =
      gpu.registers / kParts / std::max<int64_t>(of_warp, 1) * kParts;
  const int64_t shared = ceil_div(launch.shared_bytes, kSharedUnit) * kSharedUnit + kSharedOfSystem;
  return std::min({int64_t{gpu.most_blocks}, gpu.most_warps / warps, warps_with_registers / warps,
                   gpu.shared_bytes / shared});
}

WarpClocks clocks_of_warp(const Gpu &gpu, const std::vector<Step> &steps, const GpuLaunch &launch) {
  std::vector<double> ready;
  const auto ready_at = [&](int reg) -> double & {
    const auto at = static_cast<size_t>(reg);
    if (at >= ready.size()) ready.resize(at + 1, 0);
    return ready[at];
  };
  std::array<double, kUnits> counts = {};
  double block_begins = 0, last_issue = 0, issued = 0;
  for (const Step &step : steps) {
    const PtxInstruction &instruction = *step.instruction;
    const auto unit = static_cast<size_t>(instruction.unit);
    counts[unit] += instruction.count;
    issued += instruction.count;
    if (step.begins_block) block_begins = std::max(last_issue, issued - instruction.count);
    double begin = block_begins;
    for (const int reg : instruction.reads) begin = std::max(begin, ready_at(reg));
    last_issue = std::max({last_issue, begin, issued});
    double latency = kLatency[unit] * instruction.count;
    if (instruction.unit == Unit::load) {
      latency = is_shared_by_warps(launch, step) ? gpu.l2_clocks : kInUse * gpu.memory_clocks;
    }
    for (const int reg : instruction.writes) ready_at(reg) = begin + latency;
    if (instruction.unit == Unit::barrier) block_begins = last_issue;
  }
  WarpClocks clocks = {last_issue, issued / kIssued};
  for (size_t unit = 0; unit < kUnits; ++unit) {
    if (gpu.results_a_clock[unit] == 0) continue;
    clocks.issue = std::max(clocks.issue, counts[unit] * kWarp / gpu.results_a_clock[unit]);
  }
  return clocks;
}

LaunchTime time_of_launch(const Gpu &gpu, const PtxKernel &kernel, int registers_of_thread,
                          const GpuLaunch &launch) {
  const int64_t resident = resident_blocks(gpu, registers_of_thread, launch);
  if (resident == 0) {
    throw NoTime(std::string("a block does not fit a multiprocessor of ") + gpu.name);
  }
  // A thread of the middle: the last block may have rows that are not there.
  const Three middle = {launch.blocks[0] / 2, launch.blocks[1] / 2, launch.blocks[2] / 2};
  const std::vector<Step> steps = steps_of(kernel, {middle, {0, 0, 0}, launch.values});
  const WarpClocks warp = clocks_of_warp(gpu, steps, launch);
  const int64_t blocks = volume(launch.blocks), warps = warps_of_block(launch);
  const int64_t busiest = ceil_div(blocks, gpu.multiprocessors);
  double bytes = 0;
  for (const int64_t of_tensor : launch.tensor_bytes) bytes += static_cast<double>(of_tensor);

  const double alone = warp.alone / gpu.clock_hz;
  LaunchTime time;
  time.moving = bytes / gpu.bytes_per_second;
  time.issuing = static_cast<double>(busiest * warps) * warp.issue / gpu.clock_hz;
  time.waiting = static_cast<double>(ceil_div(busiest, resident)) * alone;
  const double latency = kInUse * gpu.memory_clocks / gpu.clock_hz;
  time.seconds = kLaunch + std::max(latency + std::max(time.moving, time.issuing), time.waiting);
  time.warps = static_cast<double>(std::min(resident, busiest) * warps);
  const double of_warp = bytes / static_cast<double>(blocks * warps);
  time.bytes_in_flight = time.warps * of_warp * std::min(1.0, latency / alone);
  time.bytes_to_saturate = gpu.bytes_per_second / gpu.multiprocessors * latency;
  return time;
}

}  // namespace halnorm_tune
