// SPDX-License-Identifier: Apache-2.0
// Bits recorded once, met by every target ever after: what proves that a laptop, a server and a
// phone agree when no two of them are in one room. cases/hashes.txt says how to record them again.
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr char kFile[] = HALNORM_TEST_CASES_DIR "/hashes.txt";
constexpr char kUpdate[] = "HALNORM_UPDATE_HASHES";

struct Line {
  std::string comment;  // the whole line where it is one, or empty
  std::string problem, data, hash;
};

std::vector<Line> read_lines() {
  std::vector<Line> lines;
  std::ifstream file(kFile);
  std::string text;
  while (std::getline(file, text)) {
    Line line;
    if (text.empty() || text[0] == '#') {
      line.comment = text;
    } else {
      std::istringstream fields(text);
      fields >> line.problem >> line.data >> line.hash;
    }
    lines.push_back(line);
  }
  return lines;
}

// FNV-1a, 64 bits, over the bits of each output as four bytes, lowest first.
std::string hash(const std::vector<uint32_t> &bits) {
  uint64_t state = 0xcbf29ce484222325u;
  for (uint32_t word : bits) {
    for (int shift = 0; shift < 32; shift += 8) {
      state = (state ^ (word >> shift & 0xff)) * 0x100000001b3u;
    }
  }
  std::ostringstream text;
  text << std::hex << std::setw(16) << std::setfill('0') << state;
  return text.str();
}

Result run_line(const Line &line, RunOptions *options) {
  std::string error;
  const std::optional<Problem> problem = parse(line.problem, &error);
  const std::optional<Data> data = parse_data(line.data, &error);
  if (!problem || !data) return {HALNORM_INVALID_ARGUMENT, error, "", {}};
  options->data = *data;
  return run(*problem, *options);
}

class Hashes : public testing::TestWithParam<std::string> {};

TEST_P(Hashes, AreThoseOnRecord) {
  const std::string target = GetParam();
  int checked = 0;
  for (const Line &line : read_lines()) {
    if (line.problem.empty()) continue;
    RunOptions options;
    options.target = target;
    const Result result = run_line(line, &options);
    ASSERT_EQ(result.status, HALNORM_OK) << line.problem << ": " << result.error;
    EXPECT_EQ(hash(result.bits), line.hash)
        << "repeat: " << command(must_parse(line.problem), options)
        << "\n  Where the arithmetic was meant to change: " << kUpdate
        << "=1 halnorm_tests --gtest_filter='*Hashes*'";
    ++checked;
  }
  EXPECT_GE(checked, 30) << kFile;
}

INSTANTIATE_TEST_SUITE_P(All, Hashes, testing::ValuesIn(usable_targets()),
                         [](const auto &info) { return test_name(info.param); });

TEST(HashesOnOtherMachines, CoverTheTargetsThatThisOneCannotRun) {
  const std::vector<std::string> targets = unusable_targets();
  if (targets.empty()) return;
  std::string names;
  for (const std::string &target : targets) names += (names.empty() ? "" : ", ") + target;
  GTEST_SKIP() << "this machine cannot run " << names << ": their hashes were not checked";
}

// Records the hashes of the best usable target, before the tests above compare the others.
class Recorder : public testing::Environment {
 public:
  void SetUp() override {
    const char *update = std::getenv(kUpdate);
    if (update == nullptr || std::string(update) != "1") return;
    const std::vector<Line> lines = read_lines();
    std::ostringstream text;
    for (const Line &line : lines) {
      if (line.problem.empty()) {
        text << line.comment << '\n';
        continue;
      }
      RunOptions options;
      const Result result = run_line(line, &options);
      ASSERT_EQ(result.status, HALNORM_OK) << line.problem << ": " << result.error;
      text << line.problem << ' ' << line.data << ' ' << hash(result.bits) << '\n';
    }
    ASSERT_TRUE(std::ofstream(kFile) << text.str()) << kFile;
    std::cout << "recorded the hashes of " << kFile << '\n';
  }
};

[[maybe_unused]] testing::Environment *const kRecorder =
    testing::AddGlobalTestEnvironment(new Recorder);

}  // namespace
}  // namespace halnorm_test
