// SPDX-License-Identifier: Apache-2.0
// halnorm-tune on kernels for CUDA, without a GPU: bits on the interpreter, ranks by the model, and
// times as the interpreter tells them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "process.h"
#include "repository.h"
#include "rows.h"

namespace halnorm_test {
namespace {

using namespace halnorm_tune;
using nlohmann::json;

class CudaTuner : public testing::Test {
 protected:
  void SetUp() override {
    const std::string ptxas = repository_.kit.at("ptxas"),
                      driver = repository_.kit.at("cuda_driver");
    if (!std::filesystem::exists(ptxas)) {
      GTEST_SKIP() << "no ptxas on this machine (the CUDA toolkit, or nvidia-cuda-nvcc of PyPI)";
    }
    if (!std::filesystem::exists(driver)) GTEST_SKIP() << "this build has no interpreter of PTX";
  }

  Finished tune(const Command &more, const std::string &metric = "model") const {
    Command command = {HALNORM_TUNE_PROGRAM,
                       "--kit=" + repository_.write_kit(),
                       "--target=cuda_sm80",
                       "--metric=" + metric,
                       "--problems=layer_norm_forward:f16:64x256:gamma,beta",
                       "--dtypes=f16",
                       "--only=^layer_norm_forward cuda_norm f16",
                       "--budget=1s",
                       "--log=" + scratch_.file("log.jsonl"),
                       "--out=" + scratch_.file("out.sched")};
    command.insert(command.end(), more.begin(), more.end());
    return halnorm_tune::run(command, 300);
  }

  Scratch scratch_;
  Repository repository_{scratch_};
};

TEST_F(CudaTuner, RanksByTheModelWhatHasTheBitsOfTheDefault) {
  // LLVM contracts other sums of squares where a lane has one vector.
  const std::string sched =
      "layer_norm_forward cuda_norm f16 n<=1 : held=256 warps=2 :  # other bits\n"
      "layer_norm_forward cuda_norm f16 n<=2 : held=512 warps=2 :  # the same\n";
  std::string rows;
  std::ifstream file(scratch_.file("schedules/cuda_sm80.sched"));
  for (std::string line; std::getline(file, line);) rows += line + "\n";
  scratch_.write("schedules/cuda_sm80.sched", sched + rows);
  const Finished finished = tune({});
  ASSERT_TRUE(finished.good()) << finished.trouble();
  std::map<std::string, json> tried;
  const std::vector<json> log = repository_.log("log.jsonl");
  EXPECT_EQ(log.at(0).at("metric"), "model");
  for (const json &line : log) {
    if (line.value("rung", -1) == 0) tried[line.at("knobs")] = line;
  }
  ASSERT_EQ(tried.count("warps=2 held=256"), 1u);
  EXPECT_EQ(tried["warps=2 held=256"].at("status"), "wrong");
  ASSERT_EQ(tried.count("warps=2 held=512"), 1u);
  EXPECT_EQ(tried["warps=2 held=512"].at("status"), "timed") << tried["warps=2 held=512"];
  EXPECT_FALSE(read_rows(scratch_.file("out.sched")).empty());
}

TEST_F(CudaTuner, SaysWhatItWouldTuneAndWhatTheModelMakesOfCalls) {
  EXPECT_NE(tune({"--dry-run"}).output.find("1 kernels"), std::string::npos);
  const Finished finished = tune({"--explain"});
  ASSERT_TRUE(finished.good()) << finished.trouble();
  for (const char *word : {"A100", "H200", "registers", "in flight"}) {
    EXPECT_NE(finished.output.find(word), std::string::npos) << finished.output;
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("out.sched")));
}

TEST_F(CudaTuner, WithoutPtxasItEndsWithWhereThatIsFrom) {
  const Finished finished = tune({"--ptxas=/no/such/ptxas"});
  EXPECT_FALSE(finished.good());
  EXPECT_NE(finished.errors.find("the model needs ptxas"), std::string::npos) << finished.errors;
}

// As on a GPU, but for the clock: the interpreter's events have the time of the host.
TEST_F(CudaTuner, TakesTheTimeOfCallsOnTheDriverThatTheRunnerFinds) {
  const std::string driver = repository_.kit.at("cuda_driver");
  const Finished finished = tune({"--runner=env LD_LIBRARY_PATH=" + driver}, "time");
  ASSERT_TRUE(finished.good()) << finished.trouble();
  const std::vector<json> log = repository_.log("log.jsonl");
  EXPECT_EQ(log.at(0).at("metric"), "time");
  const auto timed = [](const json &line) { return line.value("status", "") == "timed"; };
  EXPECT_GT(std::count_if(log.begin(), log.end(), timed), 0);
}

TEST_F(CudaTuner, CountsNoInstructions) {
  const Finished finished = tune({}, "instructions");
  EXPECT_FALSE(finished.good());
  EXPECT_NE(finished.errors.find("--metric is model or time"), std::string::npos)
      << finished.errors;
}

}  // namespace
}  // namespace halnorm_test
