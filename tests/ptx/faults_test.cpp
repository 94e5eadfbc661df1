// SPDX-License-Identifier: Apache-2.0
// What a kernel may do wrong is seen, told, and breaks its context.
#include "gpu.h"
#include "ptx.h"

namespace halnorm_ptx_test {
namespace {

// A kernel of one warp or two with 64 bytes of `memory`, of which the first 32 are initialized,
// and 64 bytes of shared memory. %r1 is the number of the thread, %d0 the memory.
struct FaultCase {
  const char *body;
  CUresult result;
  const char *told;
  unsigned int threads = 32;
};

constexpr CUresult kAddress = CUDA_ERROR_ILLEGAL_ADDRESS;
constexpr CUresult kAlignment = CUDA_ERROR_MISALIGNED_ADDRESS;
constexpr CUresult kFailed = CUDA_ERROR_LAUNCH_FAILED;
constexpr CUresult kNone = CUDA_SUCCESS;

const FaultCase kCases[] = {
    // Global memory.
    {"ld.global.b32 %r2, [%d0+28];", kNone, ""},
    {"ld.global.b32 %r2, [%d0+64];", kAddress, "nearest allocation is 64 bytes"},
    {"st.global.b32 [%d0+-4], 0;", kAddress, "4 bytes after it"},
    {"mov.b64 %d1, 0; ld.global.b32 %r2, [%d1];", kAddress, "4 bytes at address 0x0 are not"},
    {"st.global.v2.b32 [%d0+60], {%r1, %r1};", kAlignment, "is no multiple of 8"},
    {"ld.global.b32 %r2, [%d0+2];", kAlignment, "is no multiple of 4"},
    {"ld.global.b32 %r2, [%d0+32];", kFailed, "never written: byte 32 of 64"},
    {"st.global.b32 [%d0+32], 5; ld.global.b32 %r2, [%d0+32];", kNone, ""},
    {"st.global.b16 [%d0+32], 5; ld.global.b32 %r2, [%d0+32];", kFailed, "never written: byte 32"},
    {"ld.global.nc.b32 %r2, [%d0]; st.global.b32 [%d0+4], 5;", kNone, ""},
    {"ld.global.nc.b32 %r2, [%d0]; st.global.b32 [%d0], 5;", kFailed, "with ld.global.nc"},
    {"st.global.b32 [%d0], 5; ld.global.nc.b32 %r2, [%d0];", kFailed, "with ld.global.nc"},
    // Registers.
    {"add.s32 %r2, %r1, %r9;", kFailed, "%r9 was never written"},
    {"setp.eq.b32 %p0, %r1, 3; @%p0 mov.b32 %r2, 1; add.s32 %r2, %r2, 1;", kFailed,
     "%r2 was never written"},
    {"setp.eq.b32 %p0, %r1, 3; @%p0 mov.b32 %r2, 1; @%p0 add.s32 %r2, %r2, 1;", kNone, ""},
    {"@%p5 bra END;", kFailed, "%p5 was never written"},
    // Shared memory.
    {"mov.b64 %d1, 64; st.shared.b32 [%d1], 0;", kAddress, "of which the block has 64 bytes"},
    {"mov.b64 %d1, 2; st.shared.b32 [%d1], 0;", kAlignment, "is no multiple of 4"},
    {"mov.b64 %d1, 4; ld.shared.b32 %r2, [%d1];", kFailed, "byte 4 of shared memory was never"},
    {"mov.b64 %d1, 4; st.shared.b32 [%d1], 0;", kFailed, "race on shared memory: thread 0"},
    // Thread 0 writes, thread 1 reads: in the same warp, after it, and after a barrier.
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0;"
     "@!%p0 ld.shared.b32 %r2, [%d1];",
     kFailed, "race on shared memory: thread 0 of the block wrote byte 4", 2},
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.warp.sync -1;"
     "@!%p0 ld.shared.b32 %r2, [%d1];",
     kNone, "", 2},
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.sync 0;"
     "ld.shared.b32 %r2, [%d1];",
     kNone, "", 64},
    // bar.warp.sync is none for the other warp.
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.warp.sync -1;"
     "ld.shared.b32 %r2, [%d1];",
     kFailed, "race on shared memory", 64},
    // All read, then one writes.
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.sync 0;"
     "ld.shared.b32 %r2, [%d1]; @%p0 st.shared.b32 [%d1], 1;",
     kFailed, "threads of warp 0 read byte 4"},
    {"setp.eq.b32 %p0, %r1, 0; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.sync 0;"
     "ld.shared.b32 %r2, [%d1]; bar.sync 0; @%p0 st.shared.b32 [%d1], 1;",
     kNone, "", 64},
    {"setp.eq.b32 %p0, %r1, 40; mov.b64 %d1, 4; @%p0 st.shared.b32 [%d1], 0; bar.sync 0;"
     "ld.shared.b32 %r2, [%d1]; bar.warp.sync -1; @%p0 st.shared.b32 [%d1], 1;",
     kFailed, "threads of several warps read byte 4", 64},
    // Threads that should be together.
    {"setp.lt.u32 %p0, %r1, 5; @%p0 ret; bar.sync 0;", kNone, ""},
    {"setp.lt.u32 %p0, %r1, 5; @%p0 bra OTHER; bar.sync 0; OTHER: mov.b32 %r2, 0;", kFailed,
     "threads 0xffffffe0 of the warp are at a barrier, 0x0000001f elsewhere"},
    {"setp.lt.u32 %p0, %r1, 5; @%p0 bra.uni END;", kFailed, "bra.uni divides"},
    {"setp.lt.u32 %p0, %r1, 5; @%p0 bra OTHER; shfl.sync.idx.b32 %r2, %r1, 7, 31, -1;"
     "OTHER: mov.b32 %r2, 0;",
     kFailed, "mask of members 0xffffffff is not the threads 0xffffffe0"},
    {"setp.lt.u32 %p0, %r1, 5; @%p0 bra OTHER; bar.warp.sync -1; OTHER: mov.b32 %r2, 0;", kFailed,
     "mask of members 0xffffffff is not the threads 0xffffffe0"},
    {"shfl.sync.idx.b32 %r2, %r1, 7, 31, 0xff;", kFailed, "mask of members 0x000000ff"},
    {"shfl.sync.down.b32 %r2, %r1, 1, 31, -1; setp.eq.b32 %p0, %r1, 0; @%p0 mov.b32 %r3, %r2;",
     kNone, "", 2},
    {"shfl.sync.down.b32 %r2, %r1, 1, 31, -1; mov.b32 %r3, %r2;", kFailed, "%r2 was never written",
     2},
    {"setp.lt.u32 %p0, %r1, 32; selp.b32 %r2, 1, 2, %p0; bar.sync %r2;", kFailed,
     "waits at barrier 2 for ever", 64},
    {"bar.sync 16;", kFailed, "there is no barrier 16"},
    {"LOOP: bra LOOP;", CUDA_ERROR_LAUNCH_TIMEOUT, "does not come to an end", 1},
};

class Faults : public Gpu {};

TEST_F(Faults, AreSeenAndTold) {
  for (const FaultCase &fault : kCases) {
    SCOPED_TRACE(fault.body);
    CUcontext context = nullptr;
    ASSERT_EQ(cuCtxCreate_v2(&context, 0, 0), CUDA_SUCCESS);
    const CUfunction function = load(kernel_text(
        ".param .u64 memory", std::string("mov.u32 %r1, %tid.x; ld.param.b64 %d0, [memory];\n") +
                                  fault.body + "\nEND: ret;"));
    CUdeviceptr memory = 0;
    ASSERT_EQ(cuMemAlloc_v2(&memory, 64), CUDA_SUCCESS);
    ASSERT_EQ(cuMemsetD8_v2(memory, 1, 32), CUDA_SUCCESS);
    EXPECT_EQ(launch(function, fault.threads, {&memory}, 64), fault.result);
    if (fault.result != CUDA_SUCCESS) {
      EXPECT_NE(std::string(halnorm_ptx_last_fault()).find(fault.told), std::string::npos)
          << halnorm_ptx_last_fault();
    }
    EXPECT_EQ(cuCtxSynchronize(), fault.result);
    EXPECT_EQ(cuMemFree_v2(memory), fault.result);
    EXPECT_EQ(cuCtxDestroy_v2(context), CUDA_SUCCESS);
  }
}

TEST_F(Faults, SharedMemoryIsThatOfABlock) {
  const CUfunction function =
      load(kernel_text("",
                       "mov.b64 %d0, 0; mov.u32 %r1, %ctaid.x; setp.eq.b32 %p0, %r1, 0;"
                       "@%p0 st.shared.b32 [%d0], 0; ld.shared.b32 %r0, [%d0]; ret;"));
  EXPECT_EQ(cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 4, nullptr, nullptr, nullptr), CUDA_SUCCESS);
  EXPECT_EQ(cuLaunchKernel(function, 2, 1, 1, 1, 1, 1, 4, nullptr, nullptr, nullptr), kFailed);
}

// What one launch writes the next one may load as constant, and the other way round.
TEST_F(Faults, ConstantsAreThoseOfALaunch) {
  const std::string prolog = "ld.param.b64 %d0, [memory]; ";
  const CUfunction store =
      load(kernel_text(".param .u64 memory", prolog + "st.global.b32 [%d0], 5; ret;"));
  const CUfunction load_constant =
      load(kernel_text(".param .u64 memory", prolog + "ld.global.nc.b32 %r0, [%d0]; ret;"));
  CUdeviceptr memory = allocate(std::vector<int>(4));
  for (const CUfunction function : {store, load_constant, store}) {
    EXPECT_EQ(launch(function, 1, {&memory}), CUDA_SUCCESS);
  }
}

TEST_F(Faults, NameTheirPlace) {
  const CUfunction function = load(kernel_text(
      "", "mov.u32 %r1, %tid.y;\nsetp.eq.b32 %p0, %r1, 1;\n@%p0 add.s32 %r2, %r9, 1;\nret;"));
  EXPECT_EQ(cuLaunchKernel(function, 2, 1, 1, 3, 2, 1, 0, nullptr, nullptr, nullptr), kFailed);
  EXPECT_STREQ(halnorm_ptx_last_fault(),
               "kernel test, block (0, 0, 0), thread (0, 1, 0), line 12: @%p0 add.s32 %r2, %r9, 1"
               ": %r9 was never written");
}

TEST_F(Faults, FreedMemoryAndThatOfAnotherContextAreNotAllocated) {
  const std::string load_word = kernel_text(
      ".param .u64 memory", "ld.param.b64 %d0, [memory]; ld.global.b32 %r0, [%d0]; ret;");
  CUdeviceptr freed = allocate(std::vector<int>(4));
  EXPECT_EQ(cuMemFree_v2(freed), CUDA_SUCCESS);
  EXPECT_EQ(cuMemFree_v2(freed), CUDA_ERROR_INVALID_VALUE);
  CUdeviceptr of_first = allocate(std::vector<int>(4));
  CUcontext second = nullptr;
  ASSERT_EQ(cuCtxCreate_v2(&second, 0, 0), CUDA_SUCCESS);
  EXPECT_EQ(launch(load(load_word), 1, {&of_first}), kAddress);
  EXPECT_EQ(cuCtxDestroy_v2(second), CUDA_SUCCESS);
  EXPECT_EQ(launch(load(load_word), 1, {&freed}), kAddress);
  EXPECT_NE(std::string(halnorm_ptx_last_fault()).find("freed"), std::string::npos);
}

// A text and what its refusal says.
TEST_F(Faults, TextsThatAreNotUnderstoodAreRefused) {
  const std::pair<std::string, const char *> cases[] = {
      {"", "line 1: .version was expected"},
      {".version 8.0\n.target sm_80", "line 1: .version 8.0, where 7.0 is supported"},
      {".version 7.0\n.target sm_90", "line 2: .target sm_90, where sm_80 is supported"},
      {module_text(".global .b32 x;"), "line 4: '.global' outside of a function"},
      {kernel_text("", "madd.s32 %r0, %r1, %r2, %r3;\nret;"),
       "line 10: the instruction madd.s32 is not supported"},
      {kernel_text("", "add.s32 %r0, %r1, %d2;\nret;"),
       "line 10: operands of add.s32 that are not supported"},
      {kernel_text("", "add.s32 %r0, %r1, %r16;\nret;"),
       "line 10: operands of add.s32 that are not supported"},
      {kernel_text("", "add.s32 %r0, %r1;\nret;"),
       "line 10: operands of add.s32 that are not supported"},
      {kernel_text("", "add.s16 %h0, %h1, 65536;\nret;"),
       "line 10: operands of add.s16 that are not supported"},
      {kernel_text("", "ld.param.b32 %r0, [missing];\nret;"),
       "line 10: operands of ld.param.b32 that are not supported"},
      {kernel_text("", ".local .b8 x[4];\nret;"), "line 10: the directive .local is not supported"},
      {kernel_text("", "// one line\n/* two\nlines */\nmadd.s32;\nret;"),
       "line 13: the instruction madd.s32 is not supported"},
      {kernel_text("", "bra MISSING;\nret;"), "line 10: there is no label MISSING"},
      {kernel_text("", "A:\nA:\nret;"), "line 11: the label A is there twice"},
      {kernel_text("", "@%q0 bra A;\nA: ret;"), "line 10: no predicate %q0"},
      {module_text(".visible .entry test() {"), "line 4: the text ends within a function"},
      {kernel_text("", ".reg .b32 %x<9999999>;\nret;"), "line 10: 9999999 registers"},
      {kernel_text("", "mov.b32 %r0, 0;"), "the function test ends without ret"},
      {kernel_text(".param .b128 x", "ret;"), "line 4: a parameter of the type .b128"},
  };
  for (const auto &[text, told] : cases) {
    char log[256] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, reinterpret_cast<void *>(sizeof log)};
    CUmodule module = nullptr;
    EXPECT_EQ(cuModuleLoadDataEx(&module, text.c_str(), 2, options, values),
              CUDA_ERROR_INVALID_PTX);
    EXPECT_NE(std::string(log).find(told), std::string::npos) << log << "\n" << text;
    EXPECT_EQ(reinterpret_cast<size_t>(values[1]), strlen(log) + 1);
  }
}

}  // namespace
}  // namespace halnorm_ptx_test
