// SPDX-License-Identifier: Apache-2.0
// Every supported instruction against values computed by hand: most of them in instructions.txt,
// those that are of several threads or of the kernel in whole kernels here. On a real GPU they
// must give the same.
#include "ptx.h"

#include <dlfcn.h>
#include <fenv.h>

#include <set>

#include "gpu.h"
#include "instruction_case.h"

namespace halnorm_ptx_test {
namespace {

// A warp whose lanes are all active, and one of a single lane.
constexpr unsigned int kThreads = 33;

class Instructions : public Gpu {
 protected:
  void check(const Case &of_file) {
    const CaseKernel kernel(of_file);
    std::vector<uint8_t> pattern(kThreads * kRegion);
    for (size_t k = 0; k < pattern.size(); ++k) pattern[k] = static_cast<uint8_t>(k % kRegion);
    CUdeviceptr memory = allocate(pattern);
    CUdeviceptr results = allocate(std::vector<uint64_t>(kThreads * kRegion / 8));
    std::vector<uint64_t> operands = kernel.operands();
    std::vector<void *> parameters = {&results, &memory};
    for (uint64_t &operand : operands) parameters.push_back(&operand);
    const CUfunction function = load(kernel.text());
    ASSERT_EQ(launch(function, kThreads, parameters, kThreads * kRegion), CUDA_SUCCESS);
    const std::vector<uint64_t> expected = kernel.results();
    const auto actual = read<uint64_t>(results, kThreads * kRegion / 8);
    for (size_t thread : {size_t{0}, size_t{31}, size_t{32}}) {
      for (size_t k = 0; k < expected.size(); ++k) {
        EXPECT_EQ(actual[thread * kRegion / 8 + k], expected[k]) << std::hex << "thread " << thread;
      }
    }
    EXPECT_EQ(cuModuleUnload(module_), CUDA_SUCCESS);
    for (const CUdeviceptr address : {memory, results}) cuMemFree_v2(address);
  }
};

TEST_F(Instructions, GiveWhatWasComputedByHand) {
  for (const Case &of_file : read_cases()) {
    SCOPED_TRACE(of_file.text);
    check(of_file);
    if (HasFatalFailure()) return;
  }
}

// Each thread stores %r0, a function of its number that is known beforehand, to `results`.
struct KernelCase {
  std::vector<std::string> tested;  // as instructions.txt names them
  std::string body;
  uint32_t (*expected)(uint32_t thread);
  unsigned int threads = 64;
};

// %r1 is the number of the thread, %r2 its lane, %r3 a value that tells threads apart.
const std::string kProlog =
    "mov.u32 %r1, %tid.x;\nand.b32 %r2, %r1, 31;\nadd.s32 %r3, %r1, 1000;\n";
const std::string kEpilog =
    "\nld.param.b64 %d0, [results];\nmul.wide.u32 %d1, %r1, 4;\nadd.s64 %d0, %d0, %d1;\n"
    "st.global.b32 [%d0], %r0;\nret;";

const KernelCase kKernels[] = {
    {{"ld.param.b8 h[m]"},
     "ld.param.b8 %h0, [p8]; cvt.u32.u16 %r0, %h0;",
     [](uint32_t) { return 0xa1u; }},
    {{"ld.param.b16 h[m]"},
     "ld.param.b16 %h0, [p16]; cvt.u32.u16 %r0, %h0;",
     [](uint32_t) { return 0xb2b1u; }},
    {{"ld.param.b32 r[m]"}, "ld.param.b32 %r0, [p32];", [](uint32_t) { return 0xc4c3c2c1u; }},
    {{"ld.param.b64 d[m]"},
     "ld.param.b64 %d2, [p64]; cvt.u32.u64 %r0, %d2;",
     [](uint32_t) { return 0xd4d3d2d1u; }},
    {{}, "ld.param.b32 %r0, [p64+4];", [](uint32_t) { return 0xd8d7d6d5u; }},
    {{"cvta.to.global.u64 dd"},
     "ld.param.b64 %d2, [results]; cvta.to.global.u64 %d3, %d2; sub.s64 %d4, %d3, %d2;"
     "cvt.u32.u64 %r0, %d4;",
     [](uint32_t) { return 0u; }},
    // Threads part and meet again; the shuffle after it would fail if they did not.
    {{"bra L"},
     "setp.lt.u32 %p0, %r2, 5; @%p0 bra LOW; mov.b32 %r0, 7; bra MEET; LOW: mov.b32 %r0, 9;"
     "MEET: shfl.sync.idx.b32 %r0, %r0, %r2, 31, -1;",
     [](uint32_t thread) { return thread % 32 < 5 ? 9u : 7u; }},
    // Each thread leaves the loop at its own time.
    {{},
     "mov.b32 %r0, 0; mov.b32 %r4, %r2; LOOP: setp.eq.b32 %p0, %r4, 0; @%p0 bra DONE;"
     "add.s32 %r0, %r0, 2; add.s32 %r4, %r4, -1; bra LOOP; DONE: bar.sync 0;",
     [](uint32_t thread) { return 2 * (thread % 32); }},
    {{"bra.uni L"},
     "mov.b32 %r0, 1; bra.uni OVER; mov.b32 %r0, 2; OVER:",
     [](uint32_t) { return 1u; }},
    {{},
     "mov.b32 %r0, 1; setp.lt.u32 %p0, %r1, 32; @!%p0 bra.uni OVER; mov.b32 %r0, 2; OVER:",
     [](uint32_t thread) { return thread < 32 ? 2u : 1u; }},
    // An instruction with a predicate leaves the other threads' registers alone.
    {{},
     "mov.b32 %r0, %r3; setp.gt.u32 %p0, %r2, 3; @%p0 mov.b32 %r0, 5;",
     [](uint32_t thread) { return thread % 32 > 3 ? 5 : thread + 1000; }},
    // Results begin as zeros, which threads that end at once leave there.
    {{"ret "},
     "mov.b32 %r0, 3; setp.ge.u32 %p0, %r1, 40; @%p0 ret; bar.sync 0;",
     [](uint32_t thread) { return thread < 40 ? 3u : 0u; }},
    {{"exit "},
     "mov.b32 %r0, 3; setp.lt.u32 %p0, %r1, 40; @%p0 exit;",
     [](uint32_t thread) { return thread < 40 ? 0u : 3u; }},
    // Neighbours in the other warp are read after the barrier.
    {{"bar.sync r"},
     "mul.wide.u32 %d2, %r1, 4; st.shared.b32 [%d2], %r3; bar.sync 0; xor.b32 %r4, %r1, 32;"
     "mul.wide.u32 %d2, %r4, 4; ld.shared.b32 %r0, [%d2];",
     [](uint32_t thread) { return (thread ^ 32) + 1000; }},
    {{"bar.warp.sync r"},
     "mul.wide.u32 %d2, %r1, 4; st.shared.b32 [%d2], %r3; bar.warp.sync -1; xor.b32 %r4, %r1, 1;"
     "mul.wide.u32 %d2, %r4, 4; ld.shared.b32 %r0, [%d2];",
     [](uint32_t thread) { return (thread ^ 1) + 1000; }},
    // All threads add 1.5 to one word.
    {{"atom.global.add.f32 r[d]r"},
     "ld.param.b64 %d2, [results]; mov.b32 %r4, 0f3fc00000; atom.global.add.f32 %r5, [%d2+252], "
     "%r4;"
     "bar.sync 0; ld.global.b32 %r0, [%d2+252]; bar.sync 0;",
     [](uint32_t) { return 0x42c00000u; }},
    // Each gets what its own word was before.
    {{},
     "ld.param.b64 %d2, [results]; mul.wide.u32 %d3, %r1, 4; add.s64 %d2, %d2, %d3;"
     "mov.b32 %r4, 0f3fc00000; atom.global.add.f32 %r5, [%d2], %r4;"
     "atom.global.add.f32 %r0, [%d2], %r4;",
     [](uint32_t) { return 0x3fc00000u; }},
    // Subnormals are zeros: 2^-127 twice is none.
    {{},
     "ld.param.b64 %d2, [results]; mul.wide.u32 %d3, %r1, 4; add.s64 %d2, %d2, %d3;"
     "mov.b32 %r4, 0f00400000; st.global.b32 [%d2], %r4; atom.global.add.f32 %r5, [%d2], %r4;"
     "ld.global.b32 %r0, [%d2];",
     [](uint32_t) { return 0u; }},
    {{"shfl.sync.down.b32 rrrrr"},
     "shfl.sync.down.b32 %r0, %r3, 5, 31, -1;",
     [](uint32_t thread) { return thread + 1000 + (thread % 32 < 27 ? 5 : 0); }},
    {{"shfl.sync.up.b32 rrrrr"},
     "shfl.sync.up.b32 %r0, %r3, 5, 0, -1;",
     [](uint32_t thread) { return thread + 1000 - (thread % 32 >= 5 ? 5 : 0); }},
    {{"shfl.sync.bfly.b32 rrrrr"},
     "shfl.sync.bfly.b32 %r0, %r3, 6, 31, -1;",
     [](uint32_t thread) { return (thread ^ 6) + 1000; }},
    {{"shfl.sync.idx.b32 rrrrr"},
     "shfl.sync.idx.b32 %r0, %r3, 17, 31, -1;",
     [](uint32_t thread) { return thread / 32 * 32 + 17 + 1000; }},
    // In segments of 8 lanes (0x18 in bits 8 to 12), by a distance of each thread's own.
    {{},
     "shfl.sync.down.b32 %r0, %r3, 3, 0x181f, -1;",
     [](uint32_t thread) { return thread + 1000 + (thread % 8 < 5 ? 3 : 0); }},
    {{},
     "shfl.sync.up.b32 %r0, %r3, 3, 0x1800, -1;",
     [](uint32_t thread) { return thread + 1000 - (thread % 8 >= 3 ? 3 : 0); }},
    {{},
     "shfl.sync.idx.b32 %r0, %r3, 10, 0x181f, -1;",
     [](uint32_t thread) { return thread / 8 * 8 + 2 + 1000; }},
    {{},
     "xor.b32 %r4, %r2, 31; shfl.sync.idx.b32 %r0, %r3, %r4, 31, -1;",
     [](uint32_t thread) { return (thread ^ 31) + 1000; }},
    {{}, "mov.u32 %r0, %laneid;", [](uint32_t thread) { return thread % 32; }},
    {{}, "mov.u32 %r0, %ntid.x;", [](uint32_t) { return 64u; }},
    {{},
     "mov.b32 %r0, 0f3fc00000; add.f32 %r0, %r0, 0f3F000000;",
     [](uint32_t) { return 0x40000000u; }},
    {{},
     "mov.b32 %r0, 3; // %r0, 4;\n/* mov.b32 %r0,\n5; */ add.s32 %r0, %r0, 1;//\n",
     [](uint32_t) { return 4u; }},
    {{},
     "{ .reg .b16 tmp; mov.b32 {tmp, %h0}, %r3; } cvt.u32.u16 %r4, %h0; add.s32 %r0, %r4, 0x7U;",
     [](uint32_t) { return 7u; }},
};

class Kernels : public Gpu {};

TEST_F(Kernels, GiveWhatWasComputedByHand) {
  for (const KernelCase &kernel : kKernels) {
    SCOPED_TRACE(kernel.body);
    const CUfunction function =
        load(kernel_text(".param .u64 results, .param .u8 p8, .param .u16 p16, .param .f32 p32, "
                         ".param .u64 .ptr .global .align 1 p64",
                         kProlog + kernel.body + kEpilog));
    CUdeviceptr results = allocate(std::vector<uint32_t>(kernel.threads));
    uint8_t p8 = 0xa1;
    uint16_t p16 = 0xb2b1;
    uint32_t p32 = 0xc4c3c2c1;
    uint64_t p64 = 0xd8d7d6d5d4d3d2d1;
    ASSERT_EQ(launch(function, kernel.threads, {&results, &p8, &p16, &p32, &p64}, 1024),
              CUDA_SUCCESS);
    const auto actual = read<uint32_t>(results, kernel.threads);
    for (uint32_t thread = 0; thread < kernel.threads; ++thread) {
      EXPECT_EQ(actual[thread], kernel.expected(thread)) << "thread " << thread;
    }
  }
}

// Special registers of a launch with three axes: %r5 * 1000 + %r6 * 100 + %r7 * 10 + %r8.
TEST_F(Kernels, KnowTheirPlace) {
  const std::string sum =
      "mul.lo.s32 %r0, %r5, 1000; mad.lo.s32 %r0, %r6, 100, %r0; mad.lo.s32 %r0, %r7, 10, %r0;"
      "add.s32 %r0, %r0, %r8;";
  for (const char *axis : {"x", "y", "z"}) {
    const std::string a(axis);
    const CUfunction function = load(kernel_text(
        ".param .u64 results",
        "mov.u32 %r5, %nctaid." + a + "; mov.u32 %r6, %ctaid." + a + "; mov.u32 %r7, %ntid." + a +
            "; mov.u32 %r8, %tid." + a + ";" + sum +
            "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ctaid.y; mov.u32 %r3, %ctaid.z;"
            "mad.lo.s32 %r1, %r2, 2, %r1; mad.lo.s32 %r1, %r3, 6, %r1;"  // of 2 x 3 x 4 blocks
            "mov.u32 %r2, %tid.x; mad.lo.s32 %r1, %r1, 3, %r2;"          // of 3 x 2 x 2 threads
            "mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z; mad.lo.s32 %r2, %r3, 2, %r2;"
            "mad.lo.s32 %r1, %r2, 72, %r1;" +
            kEpilog));
    constexpr uint32_t kCount = 2 * 3 * 4 * 3 * 2 * 2;
    CUdeviceptr results = allocate(std::vector<uint32_t>(kCount));
    void *parameters[] = {&results};
    ASSERT_EQ(cuLaunchKernel(function, 2, 3, 4, 3, 2, 2, 0, nullptr, parameters, nullptr),
              CUDA_SUCCESS);
    const auto actual = read<uint32_t>(results, kCount);
    for (uint32_t k = 0; k < kCount; ++k) {
      const uint32_t block[] = {k / 3 % 2, k / 6 % 3, k / 18 % 4};
      const uint32_t thread[] = {k % 3, k / 72 % 2, k / 144};
      const uint32_t blocks[] = {2, 3, 4}, threads[] = {3, 2, 2};
      const size_t d = static_cast<size_t>(axis[0] - 'x');
      EXPECT_EQ(actual[k], blocks[d] * 1000 + block[d] * 100 + threads[d] * 10 + thread[d]) << k;
    }
  }
}

// 1 + 2^-24 is 1, however the calling thread rounds.
TEST_F(Kernels, DoNotKnowHowTheirCallerRounds) {
  const CUfunction function =
      load(kernel_text(".param .u64 results",
                       "ld.param.b64 %d0, [results]; mov.b32 %r0, 0f3F800000;"
                       "add.f32 %r0, %r0, 0f33800000; st.global.b32 [%d0], %r0; ret;"));
  CUdeviceptr results = allocate(std::vector<uint32_t>(1));
  ASSERT_EQ(fesetround(FE_UPWARD), 0);
  const CUresult result = launch(function, 1, {&results});
  EXPECT_EQ(fegetround(), FE_UPWARD);
  fesetround(FE_TONEAREST);
  EXPECT_EQ(result, CUDA_SUCCESS);
  EXPECT_EQ(read<uint32_t>(results, 1)[0], 0x3f800000u);
}

TEST(Supported, InstructionsHaveATest) {
  using Instruction = const char *(*)(int);
  const auto instruction =
      reinterpret_cast<Instruction>(dlsym(RTLD_DEFAULT, "halnorm_ptx_instruction"));
  if (instruction == nullptr) GTEST_SKIP() << "a real libcuda.so.1 does not list its instructions";
  std::set<std::string> tested;
  for (const Case &of_file : read_cases()) tested.insert(of_file.name + " " + of_file.form);
  for (const KernelCase &kernel : kKernels) {
    tested.insert(kernel.tested.begin(), kernel.tested.end());
  }
  int count = 0;
  for (; instruction(count) != nullptr; ++count) {
    EXPECT_EQ(tested.count(instruction(count)), 1u) << instruction(count) << " has no test";
  }
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace halnorm_ptx_test
