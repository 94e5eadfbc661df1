// SPDX-License-Identifier: Apache-2.0
// The static model of the tuner on loops written by hand, in the form that LLVM prints. AMD's Zen 3
// adds, and loads, two vectors a cycle.
#include "model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <regex>
#include <string>
#include <vector>

#include "assembly.h"

namespace halnorm_tune {
namespace {

constexpr char kMca[] = HALNORM_LLVM_MCA;

// A loop of a Func, alone in a kernel.
std::string loop(const std::string &func, const std::string &body, int number = 1) {
  const std::string label = "BB0_" + std::to_string(number);
  return ".L" + label + ":      # %\"" + label + "_for_" + func + ".s0.row\"\n" +
         "           # =>This Inner Loop Header: Depth=1\n" + body + "\taddq\t$32, %rsi\n" +
         "\tcmpq\t%rsi, %rax\n\tjne\t.L" + label + "\n" + "# %bb." + std::to_string(number) + ":\n";
}

std::string lines(std::initializer_list<const char *> instructions) {
  std::string text;
  for (const char *instruction : instructions) text += std::string("\t") + instruction + "\n";
  return text;
}

std::string kernel(const std::string &code) {
  return "\t.text\nk:\n# %bb.0:\n\tpushq\t%rbp\n" + code + "\tretq\n";
}

// Sums with 4 accumulators in each of two rows.
const char *const kRowSums[] = {
    "vaddps\t(%rbx,%rsi), %ymm0, %ymm0",   "vaddps\t32(%rbx,%rsi), %ymm1, %ymm1",
    "vaddps\t64(%rbx,%rsi), %ymm2, %ymm2", "vaddps\t96(%rbx,%rsi), %ymm3, %ymm3",
    "vaddps\t(%rcx,%rsi), %ymm4, %ymm4",   "vaddps\t32(%rcx,%rsi), %ymm5, %ymm5",
    "vaddps\t64(%rcx,%rsi), %ymm6, %ymm6", "vaddps\t96(%rcx,%rsi), %ymm7, %ymm7"};

std::string row_sums(int vectors) {
  std::string text;
  for (int i = 0; i < vectors; ++i) text += std::string("\t") + kRowSums[i] + "\n";
  return text;
}

// The same, an element at a time.
std::string scalar_sums() {
  return std::regex_replace(std::regex_replace(row_sums(8), std::regex("addps"), "addss"),
                            std::regex("ymm"), "xmm");
}

double cost(const std::string &text, const std::string &llvm_mca = kMca) {
  std::string error;
  const std::optional<double> found = static_cost(text, llvm_mca, {"-mcpu=znver3"}, &error);
  EXPECT_TRUE(found) << error << '\n' << text;
  return found.value_or(0);
}

class Model : public testing::Test {
 protected:
  void SetUp() override {
    if (access(kMca, X_OK) != 0) GTEST_SKIP() << "no llvm-mca on this machine (Debian: llvm-19)";
  }
};

TEST_F(Model, CyclesOverBytesOfLoopsWithKnownAnswers) {
  // Two additions a cycle: 128 bytes in 2, 256 in 4.
  EXPECT_NEAR(cost(kernel(loop("sum", row_sums(4)))), 2.0 / 128, 0.1 * 2.0 / 128);
  EXPECT_NEAR(cost(kernel(loop("sum", row_sums(8)))), 4.0 / 256, 0.1 * 4.0 / 256);
}

TEST_F(Model, PassesAddUpAndVersionsOfOneDoNot) {
  const std::string sum = loop("sum", row_sums(8), 1);
  const double one = cost(kernel(sum));
  EXPECT_NEAR(cost(kernel(sum + loop("other", row_sums(8), 2))), 2 * one, 0.1 * one);
  // The rests of rows, wherever they stand.
  EXPECT_NEAR(cost(kernel(sum + loop("sum", scalar_sums(), 2))), one, 0.1 * one);
  EXPECT_NEAR(cost(kernel(loop("sum", scalar_sums(), 2) + sum)), one, 0.1 * one);
}

TEST_F(Model, PutsScalarAndSpilledKernelsBehind) {
  const double vectors = cost(kernel(loop("sum", row_sums(8))));
  EXPECT_NEAR(cost(kernel(loop("sum", scalar_sums()))), 8 * vectors, 0.8 * vectors);
  std::string spilled;
  for (int i = 0; i < 8; ++i) {
    const std::string place = std::to_string(32 * i) + "(%rsp)";
    spilled += "\tvmovaps\t" + place + ", %ymm8\n";
    std::string addition = kRowSums[i];
    addition.resize(addition.find("%ymm"));
    spilled += "\t" + addition + "%ymm8, %ymm8\n\tvmovaps\t%ymm8, " + place + "\n";
  }
  EXPECT_GT(cost(kernel(loop("sum", spilled))), 1.5 * vectors);
}

TEST_F(Model, DoesNotPunishALongerLoop) {
  const double once = cost(kernel(loop("sum", row_sums(8))));
  EXPECT_NEAR(cost(kernel(loop("sum", row_sums(8) + row_sums(8)))), once, 0.1 * once);
  const std::string y = lines({"vmovups\t(%rbx,%rsi), %ymm0", "vmulps\t(%rcx,%rsi), %ymm0, %ymm0",
                               "vmovups\t%ymm0, (%rdx,%rsi)"});
  EXPECT_NEAR(cost(kernel(loop("y", y + y))), cost(kernel(loop("y", y))),
              0.1 * cost(kernel(loop("y", y))));
  EXPECT_EQ(cost(kernel(loop("y", y + "\tprefetcht0\t4096(%rbx,%rsi)\n"))),
            cost(kernel(loop("y", y))));
}

TEST_F(Model, RowsThatShareALoadAreNotTakenForFewerBytes) {
  const std::string shared = lines({"vmovups\t(%rdx,%rsi), %ymm8"});
  std::string one, two = shared;
  for (const char *row : {"%rbx", "%rcx"}) {
    const std::string product = "\tvmulps\t(" + std::string(row) +
                                ",%rsi), %ymm8, %ymm9\n\tvaddps\t%ymm9, %ymm" +
                                (row[2] == 'b' ? "0, %ymm0\n" : "1, %ymm1\n");
    if (one.empty()) one = shared + product;
    two += product;
  }
  const std::string rest = loop("sum", one, 2);
  // Three loads for what else takes four.
  EXPECT_LT(cost(kernel(loop("sum", two) + rest)), 0.85 * cost(kernel(loop("sum", one) + rest)));
}

TEST_F(Model, CodeOutsideOfPassesCountsLittle) {
  const double alone = cost(kernel(loop("sum", row_sums(8))));
  std::string setup;
  for (int i = 0; i < 20; ++i) setup += "\taddq\t%rax, %rdi\n";
  const double with_setup = cost(kernel(setup + loop("sum", row_sums(8))));
  EXPECT_GT(with_setup, 1.001 * alone);
  EXPECT_LT(with_setup, 1.2 * alone);
  // A loop over what is on the stack, here by a pointer to it, is no pass.
  const std::string statistics =
      loop("high",
           lines({"vmovups\t(%rdi,%rsi), %ymm0", "vdivps\t%ymm1, %ymm0, %ymm0",
                  "vmovups\t%ymm0, 64(%rsp,%rsi)"}),
           2);
  const std::string with_statistics =
      kernel(loop("sum", row_sums(8)) + "\tleaq\t64(%rsp), %rdi\n" + statistics);
  EXPECT_GT(cost(with_statistics), alone);
  EXPECT_LT(cost(with_statistics), 1.2 * alone);
}

TEST_F(Model, SaysWhatIsWrong) {
  std::string error;
  EXPECT_FALSE(static_cost(kernel(""), kMca, {}, &error));
  EXPECT_NE(error.find("no loop"), std::string::npos) << error;
  EXPECT_FALSE(static_cost(kernel(loop("sum", row_sums(8) + "\tbogus\t%rax\n")), kMca, {}, &error));
  EXPECT_NE(error.find("bogus"), std::string::npos) << error;
  EXPECT_FALSE(static_cost(kernel(loop("sum", row_sums(8))), kMca, {"-mcpu=vax"}, &error));
  EXPECT_NE(error.find("vax"), std::string::npos) << error;
}

TEST(ModelWithoutMca, NamesThePackage) {
  std::string error;
  EXPECT_FALSE(static_cost(kernel(loop("sum", row_sums(8))), "/no/llvm-mca", {}, &error));
  EXPECT_NE(error.find("llvm-19"), std::string::npos) << error;
  EXPECT_NE(error.find("/no/llvm-mca"), std::string::npos) << error;
}

// What is read of two architectures is the same: a loop in another, whose result is not on the
// stack, though a block above it that does not lead there puts such an address into its register;
// and one over the stack.
constexpr char kAarch64[] = R"(k:                                      // @k
// %bb.0:                               // %entry
	add	x9, sp, #1, lsl #12             // =4096
	orr	x10, x9, #0x4
	str	x10, [sp, #8]                   // 8-byte Folded Spill
	b	.LBB0_2
.LBB0_9:                                // %error
	add	x5, sp, #64
	ret
.LBB0_1:                                //   in Loop: Header=BB0_2 Depth=1
	add	x1, x1, x2
.LBB0_2:                                // %"1_for_y.s1.row"
                                        // =>This Loop Header: Depth=1
                                        //     Child Loop BB0_3 Depth 2
	mov	x4, x1
.LBB0_3:                                // %"2_for_y.s1.groups$y"
                                        //   Parent Loop BB0_2 Depth=1
                                        // =>  This Inner Loop Header: Depth=2
	prfm	pldl1keep, [x4, #4096]
	ldp	q0, q1, [x4], #32
	fmul	v0.4s, v0.4s, v2.4s
	fmul	v1.4s, v1.4s, v2.s[0]
	fcvtn	v0.4h, v0.4s
	str	d0, [x5], #8
	cmp	x4, x6
	b.ne	.LBB0_3
// %bb.4:                               //   in Loop: Header=BB0_2 Depth=1
	cbnz	x7, .LBB0_1
// %bb.5:
	ldr	x10, [sp, #8]                   // 8-byte Folded Reload
.LBB0_6:                                // %"3_for_high.s0.row"
                                        // =>This Inner Loop Header: Depth=1
	cmp	x10, x7
	ldr	s0, [x10], #4
	fdiv	s0, s0, s1
	str	s0, [x11], #4
	cbnz	x7, .LBB0_6
// %bb.7:
	ret
)";
constexpr char kX86[] = R"(k:                                      # @k
# %bb.0:                                # %entry
	movq	%rsp, %r9
	leaq	64(%r9), %r10
	movq	%r10, 8(%rsp)                   # 8-byte Spill
	jmp	.LBB0_2
.LBB0_9:                                # %error
	leaq	64(%rsp), %rdi
	retq
.LBB0_1:                                #   in Loop: Header=BB0_2 Depth=1
	addq	%rcx, %rdx
.LBB0_2:                                # %"1_for_y.s1.row"
                                        # =>This Loop Header: Depth=1
                                        #     Child Loop BB0_3 Depth 2
	movq	%rdx, %rax
.LBB0_3:                                # %"2_for_y.s1.groups$y"
                                        #   Parent Loop BB0_2 Depth=1
                                        # =>  This Inner Loop Header: Depth=2
	prefetcht0	4096(%rax)
	vmulps	(%rax), %xmm2, %xmm0
	vmulps	16(%rax), %xmm2, %xmm1          # not (%rsp)
	vcvtps2ph	$0, %xmm0, (%rdi)
	addq	$32, %rax
	addq	$8, %rdi
	cmpq	%rax, %rsi
	jne	.LBB0_3
# %bb.4:                                #   in Loop: Header=BB0_2 Depth=1
	jne	.LBB0_1
# %bb.5:
	movq	8(%rsp), %r10                   # 8-byte Reload
	vmulps	.LCPI0_0(%rip), %xmm1, %xmm1
.LBB0_6:                                # %"3_for_high.s0.row"
                                        # =>This Inner Loop Header: Depth=1
	cmpq	%rbx, %r10
	vmovss	(%r10,%rbx), %xmm0
	vdivss	%xmm1, %xmm0, %xmm0
	vmovss	%xmm0, (%r11,%rbx)
	jne	.LBB0_6
# %bb.7:
	retq
)";

TEST(AssemblyOf, TwoArchitecturesReadsTheSame) {
  for (const char *text : {kX86, kAarch64}) {
    const std::vector<CodeRegion> regions = read_assembly(text);
    ASSERT_EQ(regions.size(), 4u) << text;
    EXPECT_EQ(regions[0].bytes_loaded, 0) << text;
    EXPECT_EQ(regions[1].func, "y") << text;
    EXPECT_EQ(regions[1].depth, 1) << text;
    EXPECT_EQ(regions[1].instructions.size(), 3u) << text;
    EXPECT_EQ(regions[2].func, "y") << text;
    EXPECT_EQ(regions[2].depth, 2) << text;
    EXPECT_EQ(regions[2].parent, 1) << text;
    EXPECT_EQ(regions[2].instructions.size(), 7u) << text;
    EXPECT_EQ(regions[2].operations, 8) << text;
    EXPECT_EQ(regions[2].bytes_loaded, 32) << text;
    EXPECT_EQ(regions[2].bytes_stored, 8) << text;
    EXPECT_EQ(regions[3].func, "high") << text;
    EXPECT_EQ(regions[3].operations, 1) << text;
    EXPECT_EQ(regions[3].bytes_loaded, 0) << text;
    EXPECT_EQ(regions[3].bytes_stored, 4) << text;
  }
}

// x21 and x25 once pointed to the stack, and come back from where other pointers were kept.
constexpr char kPairs[] = R"(k:
// %bb.0:                               // %entry
	add	x21, sp, #512
	add	x25, sp, #256
	str	x25, [sp, #64]
	stp	x1, x2, [sp, #72]
	ldp	x9, x10, [sp, #64]
	ldp	x25, x21, [sp, #72]
.LBB0_1:                                // %"1_for_y.s0.i"
                                        // =>This Inner Loop Header: Depth=1
	ldr	q0, [x25], #16
	ldr	q1, [x21], #16
	ldr	q2, [x9], #16
	ldr	q3, [x10], #16
	b.ne	.LBB0_1
// %bb.2:
	ret
)";

TEST(AssemblyOf, PairsOfRegistersAreTwoPlacesOfTheStack) {
  const std::vector<CodeRegion> regions = read_assembly(kPairs);
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_EQ(regions[1].bytes_loaded, 48) << "of x25, x21 and x10, but not x9";
}

}  // namespace
}  // namespace halnorm_tune
