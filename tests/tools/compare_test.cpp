// SPDX-License-Identifier: Apache-2.0
// How `halnorm_bench --compare` tells a change from the noise, on files made up here.
#include "../bench/compare.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace {

using halnorm_bench::compare_runs;
using halnorm_bench::rank_test;

// A file as --json writes it, with the members that are read.
class Results {
 public:
  explicit Results(const std::string &name) : path_(testing::TempDir() + name) {}
  ~Results() { std::remove(path_.c_str()); }

  void add(const std::string &name, const std::string &kind, const std::vector<double> &times) {
    for (double time : times) {
      runs_ += (runs_.empty() ? "" : ",") + std::string("\n{\"name\": \"") + name +
               "\", \"run_type\": \"iteration\", \"label\": \"" + kind +
               ": \\\"some\\\" detail\", \"real_time\": " + std::to_string(time) + "}";
    }
  }
  void set_threads(const std::string &threads) { threads_ = threads; }
  void add_error(const std::string &name) {
    runs_ += ",\n{\"name\": \"" + name +
             "\", \"run_type\": \"iteration\", \"error_occurred\": true, \"real_time\": 0}";
  }
  const std::string &write() const {
    std::ofstream(path_)
        << "{\"context\": {\"load_avg\": [1.5, -2e-1], \"nothing\": null, \"threads\": \""
        << threads_ << "\"},\n"
        << "\"benchmarks\": [" << runs_ << "\n]\n}\n";
    return path_;
  }

 private:
  std::string path_, runs_, threads_ = "1";
};

// Rounds around `time` with a spread of `percent`.
std::vector<double> rounds(double time, double percent) {
  std::vector<double> times;
  for (int i = 0; i < 7; ++i) times.push_back(time * (1 + percent / 100 * ((i * 3) % 7) / 7));
  return times;
}

// Peers that move by up to 2 % between the runs, at random as it were.
void add_controls(Results *before, Results *after) {
  const double moves[] = {0.98, 1.01, 1.0, 1.02, 0.99, 1.01, 0.98, 1.0, 1.02, 0.99};
  int number = 0;
  for (double move : moves) {
    const std::string name = "problem" + std::to_string(number++) + "/peer";
    before->add(name, "peer", rounds(100, 1));
    after->add(name, "peer", rounds(100 * move, 1));
  }
}

std::string report_of(const Results &before, const Results &after) {
  std::string report;
  EXPECT_TRUE(compare_runs(before.write(), after.write(), &report)) << report;
  return report;
}

TEST(CompareTest, RankTestGivesKnownProbabilities) {
  // U = 0 of 7 and 7: z = (24.5 - 0.5) / sqrt(7 * 7 * 15 / 12) = 3.0667, two-sided 0.00216.
  EXPECT_NEAR(rank_test({1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14}), 0.00216, 1e-5);
  EXPECT_NEAR(rank_test({8, 9, 10, 11, 12, 13, 14}, {1, 2, 3, 4, 5, 6, 7}), 0.00216, 1e-5);
  EXPECT_GT(rank_test({1, 3, 5, 7, 9, 11}, {2, 4, 6, 8, 10, 12}), 0.5);
  EXPECT_EQ(rank_test({5, 5, 5}, {5, 5, 5}), 1);
}

TEST(CompareTest, NamesWhatChangedAndNothingElse) {
  Results before("compare_before.json"), after("compare_after.json");
  add_controls(&before, &after);
  before.add("slower/tuned rows", "tuned_rows", rounds(100, 2));
  after.add("slower/tuned rows", "tuned_rows", rounds(130, 2));
  before.add("quicker/tuned rows", "tuned_rows", rounds(100, 2));
  after.add("quicker/tuned rows", "tuned_rows", rounds(80, 2));
  before.add("drifted/tuned rows", "tuned_rows", rounds(100, 1));
  after.add("drifted/tuned rows", "tuned_rows", rounds(102, 1));
  before.add("spread/tuned rows", "tuned_rows", rounds(100, 90));
  after.add("spread/tuned rows", "tuned_rows", rounds(115, 90));
  before.add_error("broken/tuned rows");
  after.add("broken/tuned rows", "tuned_rows", rounds(1, 1));
  const std::string report = report_of(before, after);
  EXPECT_NE(report.find(" 1.300 /  1.300  slower/tuned rows\n"), std::string::npos) << report;
  EXPECT_NE(report.find(" 0.800 /  0.800  quicker/tuned rows\n"), std::string::npos) << report;
  EXPECT_NE(report.find("2 changed beyond the noise, 12 did not; 0 only in the first file, 1 only "
                        "in the second\n"),
            std::string::npos)
      << report;
}

TEST(CompareTest, AMachineThatIsSlowerAsAWholeIsNoChange) {
  Results before("compare_before.json"), after("compare_after.json");
  for (int i = 0; i < 10; ++i) {
    const std::string name = "problem" + std::to_string(i);
    before.add(name + "/peer", "peer", rounds(100, 1));
    after.add(name + "/peer", "peer", rounds(150 + i, 1));
    before.add(name + "/tuned rows", "tuned_rows", rounds(50, 1));
    after.add(name + "/tuned rows", "tuned_rows", rounds(77, 1));
  }
  before.add("slower/tuned rows", "tuned_rows", rounds(50, 1));
  after.add("slower/tuned rows", "tuned_rows", rounds(100, 1));
  const std::string report = report_of(before, after);
  EXPECT_NE(report.find("slower/tuned rows\n1 changed beyond the noise, 20 did not"),
            std::string::npos)
      << report;
}

TEST(CompareTest, AMomentThatIsSlowerIsNoChange) {
  Results before("compare_before.json"), after("compare_after.json");
  add_controls(&before, &after);
  for (const char *name : {"slow/a", "slow/b", "slow/c", "slow/d"}) {
    before.add(name, "peer", rounds(100, 1));
    after.add(name, "peer", rounds(200, 1));
  }
  before.add("slow/tuned rows", "tuned_rows", rounds(100, 1));
  after.add("slow/tuned rows", "tuned_rows", rounds(201, 1));
  before.add("slow/default rows", "default_rows", rounds(100, 1));
  after.add("slow/default rows", "default_rows", rounds(100, 1));
  const std::string report = report_of(before, after);
  EXPECT_NE(report.find("  0.500 /  0.500  slow/default rows\n1 changed beyond the noise, 15 did"),
            std::string::npos)
      << report;
}

TEST(CompareTest, WithoutOthersTenPercentAreNoise) {
  Results before("compare_before.json"), after("compare_after.json");
  before.add("a/tuned rows", "tuned_rows", rounds(100, 1));
  after.add("a/tuned rows", "tuned_rows", rounds(109, 1));
  before.add("b/tuned rows", "tuned_rows", rounds(100, 1));
  after.add("b/tuned rows", "tuned_rows", rounds(112, 1));
  const std::string report = report_of(before, after);
  EXPECT_NE(report.find("  b/tuned rows\n1 changed beyond the noise, 1 did not"), std::string::npos)
      << report;
}

TEST(CompareTest, RunsOnOtherTermsSaySo) {
  Results before("compare_before.json"), after("compare_after.json");
  EXPECT_EQ(report_of(before, after).find("differ"), std::string::npos);
  after.set_threads("2");
  EXPECT_NE(report_of(before, after).find("The runs differ in threads: 1 and 2\n"),
            std::string::npos);
}

TEST(CompareTest, TooFewRoundsAreCounted) {
  Results before("compare_before.json"), after("compare_after.json");
  before.add("a/tuned rows", "tuned_rows", {100, 101, 102});
  after.add("a/tuned rows", "tuned_rows", {200, 201, 202});
  const std::string report = report_of(before, after);
  EXPECT_NE(report.find("0 changed beyond the noise, 1 did not; 1 have fewer than 6 rounds"),
            std::string::npos)
      << report;
}

TEST(CompareTest, FilesThatAreNoResultsAreNamed) {
  Results good("compare_good.json");
  good.add("a/tuned rows", "tuned_rows", {1});
  const std::string bad = testing::TempDir() + "compare_bad.json";
  const struct {
    const char *text, *error;
  } cases[] = {
      {"", "expected a value at byte 0"},
      {"{\"benchmarks\": [1, 2}", "expected ',' or ']' at byte 20"},
      {"{\"benchmarks\": [\"a", "expected the end of a string"},
      {"{\"benchmarks\" 1}", "expected ':'"},
      {"{} x", "expected the end at byte 3"},
      {"{}", "expected the member 'benchmarks'"},
  };
  for (const auto &one : cases) {
    std::ofstream(bad) << one.text;
    std::string report;
    EXPECT_FALSE(compare_runs(good.write(), bad, &report)) << one.text;
    EXPECT_EQ(report.find(bad), 0u) << report;
    EXPECT_NE(report.find(one.error), std::string::npos) << one.text << ": " << report;
  }
  std::remove(bad.c_str());
  std::string report;
  EXPECT_FALSE(compare_runs(good.write(), bad, &report));
  EXPECT_NE(report.find("cannot be read"), std::string::npos) << report;
}

}  // namespace
