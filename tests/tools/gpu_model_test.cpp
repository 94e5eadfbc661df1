// SPDX-License-Identifier: Apache-2.0
// The model of GPUs on kernels written by hand in the form of Halide's PTX, against figures
// computed by hand: the A100 has 108 multiprocessors, 1.41 GHz, 1.555 TB/s, and memory that answers
// after 932 clocks (twice 466) or, from its cache, after 262.
#include "gpu_model.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "ptxas.h"

namespace halnorm_tune {
namespace {

const Gpu &a100() { return gpus().at(0); }
const Gpu &h200() { return gpus().at(1); }

GpuLaunch launch_of(int64_t blocks, int64_t warps, int64_t bytes) {
  return {{blocks, 1, 1}, {32, warps, 1}, 0, {std::nullopt, 5}, {bytes, 0}};
}

PtxKernel kernel_of(const std::string &body) {
  return read_ptx(
      ".visible .entry k(\n\t.param .u64 k_param_0,\n\t.param .u32 k_param_1\n)\n{\n"
      "\t.reg .b32 \t%r<9>;\n\n// %bb.0:                 // %entry\n" +
      body + "\tret;\n}\n");
}

constexpr char kPointer[] =
    "\tld.param.b64 \t%rd1, [k_param_0];\n\tcvta.to.global.u64 \t%rd2, %rd1;\n";

std::vector<Step> steps(const PtxKernel &kernel, const GpuLaunch &launch) {
  return steps_of(kernel, {{0, 0, 0}, {0, 0, 0}, launch.values});
}

int count(const PtxKernel &kernel, const GpuLaunch &launch, const std::string &opcode) {
  int found = 0;
  for (const Step &step : steps(kernel, launch)) found += step.instruction->opcode == opcode;
  return found;
}

TEST(GpuModelOccupancy, ByBlocksWarpsRegistersAndSharedMemory) {
  const auto blocks = [](const Gpu &gpu, int registers, int64_t warps, int64_t shared) {
    GpuLaunch launch = launch_of(1, warps, 0);
    launch.shared_bytes = shared;
    return resident_blocks(gpu, registers, launch);
  };
  EXPECT_EQ(blocks(a100(), 16, 1, 0), 32);  // the most blocks
  EXPECT_EQ(blocks(a100(), 32, 4, 0), 16);  // the most warps
  EXPECT_EQ(blocks(a100(), 33, 4, 0), 12);  // 1280 registers a warp, 12 in each of 4 parts
  EXPECT_EQ(blocks(a100(), 255, 1, 0), 8);  // 8192 registers a warp
  EXPECT_EQ(blocks(a100(), 128, 16, 0), 1);
  EXPECT_EQ(blocks(a100(), 129, 16, 0), 0);       // 4352 registers a warp, 3 in each part
  EXPECT_EQ(blocks(a100(), 16, 1, 48 << 10), 3);  // 164 KiB, one more in each block
  EXPECT_EQ(blocks(h200(), 16, 1, 48 << 10), 4);  // 228 KiB
}

TEST(GpuModelSteps, LoopsAndBranchesGoAsTheArgumentsSay) {
  const PtxKernel kernel =
      kernel_of(std::string(kPointer) +
                "\tld.param.b32 \t%r1, [k_param_1];\n"
                "\tmov.b32 \t%r2, 0;\n"
                "$L__BB0_1:                              // =>This Inner Loop Header: Depth=1\n"
                "\tmul.wide.s32 \t%rd3, %r2, 16;\n"
                "\tadd.s64 \t%rd4, %rd2, %rd3;\n"
                "\tld.global.v4.b32 \t{%r3, %r4, %r5, %r6}, [%rd4+512];\n"
                "\tadd.s32 \t%r2, %r2, 1;\n"
                "\tsetp.lt.s32 \t%p1, %r2, %r1;\n"
                "\t@%p1 bra \t$L__BB0_1;\n"
                "\tsetp.gt.s32 \t%p2, %r1, 7;\n"
                "\t@%p2 bra \t$L__BB0_2;\n"
                "\tadd.rn.f32 \t%r7, %r3, %r4;\n"
                "$L__BB0_2:\n");
  GpuLaunch launch = launch_of(1, 1, 0);
  EXPECT_EQ(count(kernel, launch, "ld.global.v4.b32"), 5);
  EXPECT_EQ(count(kernel, launch, "add.rn.f32"), 1);
  launch.values[1] = 8;
  EXPECT_EQ(count(kernel, launch, "ld.global.v4.b32"), 8);
  EXPECT_EQ(count(kernel, launch, "add.rn.f32"), 0);
  for (const Step &step : steps(kernel, launch)) {
    if (step.instruction->unit != Unit::load) continue;
    EXPECT_EQ(step.instruction->bytes, 16);
    EXPECT_EQ(step.parameter, 0);
  }
}

TEST(GpuModelSteps, AKernelThatDoesNotEndIsNamed) {
  const PtxKernel kernel =
      kernel_of("$L__BB0_1:\n\tadd.s32 \t%r1, 1, 1;\n\tbra.uni \t$L__BB0_1;\n");
  EXPECT_THROW(steps(kernel, launch_of(1, 1, 0)), std::runtime_error);
  EXPECT_THROW(read_ptx("nothing"), std::runtime_error);
}

// Two loads, and a sum that waits for them.
std::string sum(const std::string &between) {
  return std::string(kPointer) + "\tld.global.b32 \t%r1, [%rd2];\n\tadd.rn.f32 \t%r3, %r1, %r1;\n" +
         between +
         "\tld.global.b32 \t%r2, [%rd2+128];\n\tadd.rn.f32 \t%r4, %r3, %r2;\n"
         "\tst.global.b32 \t[%rd2], %r4;\n";
}

TEST(GpuModelClocks, LoadsOfABasicBlockWaitTogether) {
  const GpuLaunch launch = launch_of(1, 1, 1 << 30);
  const auto alone = [&](const std::string &body) {
    return clocks_of_warp(a100(), steps(kernel_of(body), launch), launch).alone;
  };
  // Both loads at 0, sums at 932 and 936, the store at 940.
  EXPECT_EQ(alone(sum("")), 940);
  // The second load begins with its block, after the first sum, at 932: sum at 1864, store at 1868;
  // a branch waits 4 clocks for its predicate.
  EXPECT_EQ(alone(sum("$L__BB0_1:\n\tsetp.lt.s32 \t%p1, 1, 0;\n\t@%p1 bra \t$L__BB0_1;\n")), 1872);
  EXPECT_EQ(alone(sum("\tbar.sync \t0;\n")), 1868);
}

TEST(GpuModelClocks, WhatAllWarpsReadIsInTheCache) {
  // 32 threads load 4 bytes each: 256 in all by two loads, of a tensor of so many and of fewer.
  const auto alone = [&](int64_t bytes) {
    const GpuLaunch launch = launch_of(1, 1, bytes);
    return clocks_of_warp(a100(), steps(kernel_of(sum("")), launch), launch).alone;
  };
  EXPECT_EQ(alone(128), 940);
  EXPECT_EQ(alone(4), 262 + 4 + 4);
}

TEST(GpuModelClocks, TheBusiestUnitDecidesWhatIsIssued) {
  const GpuLaunch launch = launch_of(1, 1, 1 << 30);
  const auto issue = [&](const Gpu &gpu, const std::string &body) {
    return clocks_of_warp(gpu, steps(kernel_of(body), launch), launch).issue;
  };
  std::string sums, folds;
  for (int i = 0; i < 8; ++i) {
    sums += "\tadd.rn.f32 \t%r1, %r1, %r2;\n";
    folds += "\tshfl.sync.down.b32 \t%r1, %r2, 16, 31, -1;\n";
  }
  EXPECT_EQ(issue(a100(), sums), 4);     // 64 lanes
  EXPECT_EQ(issue(h200(), sums), 2.25);  // 128 lanes, but four instructions a clock, with the ret
  EXPECT_EQ(issue(h200(), folds), 8);
}

TEST(GpuModelTime, OfALaunch) {
  const PtxKernel kernel = kernel_of(sum(""));
  const double latency = 932 / 1.41e9, launching = 0.9e-6;
  // All blocks at once: 10 on the busiest multiprocessor, of 32 that fit.
  const LaunchTime moving = time_of_launch(a100(), kernel, 32, launch_of(1080, 1, 1555000000));
  EXPECT_NEAR(moving.moving, 1e-3, 1e-12);
  EXPECT_NEAR(moving.seconds, launching + latency + 1e-3, 1e-12);
  EXPECT_EQ(moving.warps, 10);
  // 8 fit of 255 registers: 80 blocks wait ten times, 81 eleven times.
  const double alone = 940 / 1.41e9;
  EXPECT_NEAR(time_of_launch(a100(), kernel, 255, launch_of(108 * 80, 1, 2 << 20)).seconds,
              launching + 10 * alone, 1e-12);
  EXPECT_NEAR(time_of_launch(a100(), kernel, 255, launch_of(108 * 80 + 1, 1, 2 << 20)).seconds,
              launching + 11 * alone, 1e-12);
  EXPECT_THROW(time_of_launch(a100(), kernel, 255, launch_of(1, 16, 1 << 20)), NoTime);
}

TEST(GpuModelTime, BytesInFlightByLittlesLaw) {
  // 8 warps of 1024 bytes each wait 940 clocks, of which 932 for memory.
  const LaunchTime time =
      time_of_launch(a100(), kernel_of(sum("")), 255, launch_of(108 * 8, 1, 108 * 8 * 1024));
  EXPECT_NEAR(time.bytes_in_flight, 8 * 1024 * 932 / 940.0, 1);
  EXPECT_NEAR(time.bytes_to_saturate, 1.555e12 / 108 * 932 / 1.41e9, 1);
}

TEST(GpuModelPtxas, RegistersAndSpills) {
  const std::string good =
      "ptxas info    : Compiling entry function 'k' for 'sm_90'\n"
      "ptxas info    : Function properties for k\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 56 registers, used 0 barriers\n";
  EXPECT_EQ(read_ptxas(good).registers, 56);
  EXPECT_EQ(read_ptxas(good).trouble, "");
  const std::string spills =
      "    32 bytes stack frame, 28 bytes spill stores, 28 bytes spill loads\n"
      "ptxas info    : Used 255 registers, used 0 barriers\n";
  EXPECT_NE(read_ptxas(spills).trouble.find("28 bytes spill stores"), std::string::npos);
  EXPECT_NE(read_ptxas("").trouble, "");
}

TEST(GpuModelPtxas, WithoutTheProgramTheErrorSaysWhereItIsFrom) {
  try {
    assemble("", "/no/such/ptxas", architectures(), 1);
    ADD_FAILURE() << "was assembled";
  } catch (const std::runtime_error &error) {
    EXPECT_NE(std::string(error.what()).find("nvidia-cuda-nvcc"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace halnorm_tune
