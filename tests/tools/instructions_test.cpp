// SPDX-License-Identifier: Apache-2.0
// Speed without a clock: the instructions that a call takes within its kernels, counted by
// callgrind, are those on record in cases/instructions.txt. The runtime around the kernels is not
// counted, since its code depends on the C++ compiler.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <sstream>

#include "callgrind.h"
#include "process.h"
#include "scratch.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr char kFile[] = HALNORM_TEST_CASES_DIR "/instructions.txt";
constexpr char kUpdate[] = "HALNORM_UPDATE_INSTRUCTIONS";
constexpr char kTarget[] = "x86_avx2";
constexpr double kLimit = 110;  // seconds

struct Line {
  std::string comment;  // the whole line where it is one, or empty
  std::string problem;
  int64_t instructions = 0;
};

std::vector<Line> read_lines() {
  std::vector<Line> lines;
  std::ifstream file(kFile);
  for (std::string text; std::getline(file, text);) {
    Line line;
    std::istringstream fields(text);
    if (text.empty() || text[0] == '#') {
      line.comment = text;
    } else {
      fields >> line.problem >> line.instructions;
    }
    lines.push_back(line);
  }
  return lines;
}

using Counts = std::map<std::string, int64_t>;  // by kernel

// Of each problem in turn, in one run: callgrind writes a file when each has been called.
std::vector<Counts> count(const std::vector<std::string> &problems) {
  const Scratch scratch;
  const std::string output = scratch.path() + "/callgrind.out";
  halnorm_tune::Command command = {HALNORM_VALGRIND,
                                   "--tool=callgrind",
                                   "--callgrind-out-file=" + output,
                                   "--dump-after=halnorm_calls_problem",
                                   HALNORM_CALLS_PROGRAM,
                                   kTarget};
  command.insert(command.end(), problems.begin(), problems.end());
  const halnorm_tune::Finished finished = halnorm_tune::run(command, kLimit);
  std::vector<Counts> counts;
  if (!finished.good()) {
    ADD_FAILURE() << "callgrind " << finished.trouble();
    return counts;
  }
  for (size_t i = 0; i < problems.size(); ++i) {
    std::ostringstream text;
    text << std::ifstream(output + "." + std::to_string(i + 1)).rdbuf();
    const auto functions = halnorm_tune::instructions_of_functions(text.str());
    counts.emplace_back();
    for (const auto &[name, instructions] : functions.value_or(Counts())) {
      const size_t target = name.find(std::string("__") + kTarget);
      if (name.rfind("halnorm_", 0) == 0 && target != std::string::npos) {
        counts.back()[name] = instructions;
      }
    }
  }
  return counts;
}

void compare(const Line &line, int64_t instructions, const Counts &kernels) {
  if (instructions == line.instructions) return;
  std::ostringstream text;
  text << line.problem << " takes " << instructions << " instructions, " << line.instructions
       << " are on record: " << std::fixed << std::setprecision(4)
       << static_cast<double>(instructions) / static_cast<double>(line.instructions)
       << " times as many, in";
  for (const auto &[kernel, own] : kernels) text << "\n  " << kernel << ": " << own;
  text << (instructions > line.instructions ? "\nWhere the code was meant to change"
                                            : "\nFewer: record the gain")
       << ": " << kUpdate << "=1 halnorm_tools_tests --gtest_filter='Instructions.*'";
  ADD_FAILURE() << text.str();
}

TEST(Instructions, AreThoseOnRecord) {
  const std::vector<std::string> usable = usable_targets();
  if (std::find(usable.begin(), usable.end(), kTarget) == usable.end()) {
    GTEST_SKIP() << "this machine or this build cannot run " << kTarget;
  }
  if (access(HALNORM_VALGRIND, X_OK) != 0) {
    GTEST_SKIP() << "no valgrind on this machine (Debian: valgrind)";
  }
  std::vector<Line> lines = read_lines();
  std::vector<std::string> problems;
  for (const Line &line : lines) {
    if (!line.problem.empty()) problems.push_back(line.problem);
  }
  ASSERT_GE(problems.size(), 20u) << kFile;
  const std::vector<Counts> counts = count(problems);
  ASSERT_EQ(counts.size(), problems.size());
  const char *update = std::getenv(kUpdate);
  const bool records = update != nullptr && std::string(update) == "1";
  auto kernels = counts.begin();
  std::ostringstream text;
  for (const Line &line : lines) {
    if (line.problem.empty()) {
      text << line.comment << '\n';
      continue;
    }
    int64_t instructions = 0;
    for (const auto &[kernel, own] : *kernels) instructions += own;
    EXPECT_GT(instructions, 0) << line.problem << ": callgrind saw no kernel";
    text << line.problem << ' ' << instructions << '\n';
    if (!records) compare(line, instructions, *kernels);
    ++kernels;
  }
  if (!records || HasFailure()) return;
  ASSERT_TRUE(std::ofstream(kFile) << text.str()) << kFile;
  std::cout << "recorded the instructions of " << kFile << '\n';
}

constexpr char kOutput[] = R"(# callgrind format
version: 1
positions: line
events: Ir

ob=(1) /program
fl=(1) ???
fn=(1) halnorm_apply__x86_avx2
0 40
+3 2
cfn=(2) helper
calls=1 0
0 1000
* 8
fn=(2)
0 1000
fi=(2) inlined.h
5 7
fn=(3) halnorm_sums__x86_avx2
0 500
fn=(1)
0 50

totals: 1607
)";

TEST(InstructionsOfFunctions, AreThoseOfEachWithoutWhatItCalls) {
  EXPECT_EQ(
      halnorm_tune::instructions_of_functions(kOutput),
      (Counts{
          {"halnorm_apply__x86_avx2", 100}, {"helper", 1007}, {"halnorm_sums__x86_avx2", 500}}));
  EXPECT_EQ(halnorm_tune::instructions_in(kOutput, "halnorm_.*__x86_avx2.*"), 600);
  EXPECT_EQ(halnorm_tune::instructions_in(kOutput, "help"), std::nullopt);
  EXPECT_EQ(halnorm_tune::instructions_in("nothing", ".*"), std::nullopt);
}

}  // namespace
}  // namespace halnorm_test
