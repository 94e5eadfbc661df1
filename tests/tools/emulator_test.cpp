// SPDX-License-Identifier: Apache-2.0
// Instructions as QEMU's log tells them, and the functions of programs, for which it is asked.
#include "emulator.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "object_file.h"
#include "scratch.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

using namespace halnorm_tune;

std::optional<int64_t> count(const std::string &log) {
  std::istringstream stream(log);
  return instructions_of_log(stream);
}

// Two blocks of 2 and 1 instructions, of which the first runs three times and the second once.
constexpr char kLog[] = R"(----------------
IN: halnorm_sums
0x00400580:  d503201f  nop
0x00400584:  54000041  b.ne     #0x400580

Trace 0: 0x7fe178000100 [0000000001009331/0000000000400580/00000001/00000200] halnorm_sums
Trace 0: 0x7fe178000100 [0000000001009331/0000000000400580/00000001/00000200] halnorm_sums
----------------
IN: halnorm_apply
0x00400600:  d65f03c0  ret

Trace 0: 0x7fe178000200 [0000000001009331/0000000000400600/00000001/00000200] halnorm_apply
Trace 0: 0x7fe178000100 [0000000001009331/0000000000400580/00000001/00000200] halnorm_sums
)";

TEST(EmulatorLog, CountsTheInstructionsOfBlocksAsOftenAsTheyRun) { EXPECT_EQ(count(kLog), 7); }

TEST(EmulatorLog, TakesABlockThatIsTranslatedAgainForOne) {
  const std::string log = kLog;
  EXPECT_EQ(count(log + log), 14);
}

TEST(EmulatorLog, IsNotTakenForOneWhenItIsNone) {
  EXPECT_EQ(count(""), std::nullopt);
  EXPECT_EQ(count("qemu-aarch64: no such file\n"), std::nullopt);
  EXPECT_EQ(count("Trace 0: 0x7f [0/0000000000400580/0/0]\n"), std::nullopt);
}

TEST(Emulator, IsToldByTheNameOfItsProgram) {
  EXPECT_TRUE(is_qemu({"/usr/bin/qemu-aarch64", "-cpu", "max"}));
  EXPECT_FALSE(is_qemu({"scripts/run_over_ssh.sh", "qemu-board"}));
  EXPECT_FALSE(is_qemu({}));
}

TEST(Emulator, IsAskedForFunctionsThatHaveASize) {
  EXPECT_EQ(qemu_log_flags({{"a", 0x400580, 0x20}, {"b", 0x10, 0}, {"c", 0x400600, 4}}, "log"),
            (Command{"-d", "in_asm,exec,nochain", "-D", "log", "-dfilter",
                     "0x400580+0x20,0x400600+0x4"}));
}

extern "C" __attribute__((noinline)) int halnorm_function_of_this_program(int x) {
  __asm__ volatile("");
  return x + 1;
}

TEST(ObjectFile, HasFunctionsWithTheirSizes) {
  ASSERT_EQ(halnorm_function_of_this_program(1), 2);
  const std::vector<Function> functions = functions_of("/proc/self/exe");
  const auto found = std::find_if(functions.begin(), functions.end(), [](const Function &one) {
    return one.name == "halnorm_function_of_this_program";
  });
  ASSERT_NE(found, functions.end());
  EXPECT_GT(found->bytes, 0u);
  EXPECT_LT(found->bytes, 100u);
  EXPECT_GT(weigh("/proc/self/exe").bytes, 10000);
}

TEST(ObjectFile, OfAnotherFormatIsRefused) {
  const Scratch scratch;
  scratch.write("text", std::string(100, 'x'));
  for (const std::string &file : {scratch.file("text"), scratch.file("missing")}) {
    EXPECT_THROW(functions_of(file), std::runtime_error);
    EXPECT_THROW(weigh(file), std::runtime_error);
  }
}

}  // namespace
}  // namespace halnorm_test
