// SPDX-License-Identifier: Apache-2.0
// The parts of the tuner, and halnorm-tune as a whole with a generator that makes every kind of bad
// kernel.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "buckets.h"
#include "log.h"
#include "measure.h"
#include "process.h"
#include "repository.h"
#include "rows.h"
#include "schedule.h"
#include "scratch.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

using namespace halnorm_tune;
using nlohmann::json;

std::string schedules() { return HALNORM_TEST_SCHEDULES_DIR; }

TEST(TunerSchedule, RandomPointsAndNeighboursStayWithinTheLists) {
  const Template schedule = template_named("row_norm").with_lengths({64, 96});
  EXPECT_GT(schedule.points(), 1000);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) {
    const Point point = Point::random(schedule, &random);
    Settings settings = parse_settings(point.knobs());
    settings.merge(parse_settings(point.launch()));
    EXPECT_EQ(Point(schedule, settings), point);
    for (const Word &word : schedule.words) {
      const auto said = settings.find(word.name);
      const int value = said == settings.end() ? word.initial : said->second;
      EXPECT_NE(std::find(word.values.begin(), word.values.end(), value), word.values.end())
          << word.name << "=" << value;
    }
    for (const Point &neighbour : point.neighbours()) {
      Settings other = parse_settings(neighbour.knobs());
      other.merge(parse_settings(neighbour.launch()));
      int differences = 0;
      for (const Word &word : words()) {
        const auto value_in = [&](const Settings &all) {
          const auto found = all.find(word.name);
          return found == all.end() ? word.initial : found->second;
        };
        differences += value_in(settings) != value_in(other);
      }
      EXPECT_EQ(differences, 1) << point.knobs() << " and " << neighbour.knobs();
    }
  }
}

TEST(TunerSchedule, EveryKernelHasADefaultRow) {
  const std::vector<Family> families =
      read_families(schedules() + "/../generators/operations.cmake", {"f32", "f16", "bf16"});
  EXPECT_GT(families.size(), 60u);
  for (const Target &target : read_targets(schedules() + "/targets.txt")) {
    const std::vector<Row> rows = rows_of_target(schedules(), target.name);
    for (const Family &family : families) {
      const std::vector<Row> serving = rows_of_family(rows, family);
      ASSERT_FALSE(serving.empty()) << family.name();
      EXPECT_EQ(serving.back().bounds, Bounds()) << family.name();
    }
  }
}

TEST(TunerSchedule, AKernelIsOfTheDtypesThatItNames) {
  int of_16_bits = 0;
  for (const Family &family :
       read_families(schedules() + "/../generators/operations.cmake", {"f32", "f16", "bf16"})) {
    if (family.part != "cuda_row_apply_halves") continue;
    EXPECT_NE(family.dtype, "f32");
    EXPECT_EQ(family.parameters.back(), "halves=true");
    ++of_16_bits;
  }
  EXPECT_EQ(of_16_bits, 2);
}

TEST(TunerRows, PrintedRowsReadBack) {
  const Scratch scratch;
  for (const Target &target : read_targets(schedules() + "/targets.txt")) {
    const std::vector<Row> rows = read_rows(schedules() + "/" + target.name + ".sched");
    const std::vector<Row> again =
        read_rows(scratch.write("again.sched", print_rows(target.name, rows)));
    ASSERT_EQ(again.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(print_row(again[i]), print_row(rows[i]));
      EXPECT_EQ(again[i].provenance, rows[i].provenance);
    }
  }
}

TEST(TunerRows, AMalformedRowIsNamedByItsLine) {
  const Scratch scratch;
  const std::string file = scratch.write("bad.sched", "# header\n* row f32 : rows=8 :\n");
  try {
    read_rows(file);
    ADD_FAILURE() << "was read";
  } catch (const std::runtime_error &error) {
    EXPECT_NE(std::string(error.what()).find(file + ":2: "), std::string::npos) << error.what();
  }
}

std::vector<RowsOfFamily> families_of_dtypes(const std::vector<std::string> &knobs) {
  std::vector<RowsOfFamily> families;
  const char *const dtypes[] = {"f32", "f16", "bf16"};
  for (size_t i = 0; i < 3; ++i) {
    const Family family = {"any_norm", "row_apply", dtypes[i], &template_named("row_apply"),
                           "",         {}};
    std::vector<Row> rows;
    if (!knobs[i].empty()) rows.push_back({"", "", "", {}, knobs[i], "", "here", {1.5}, 10});
    families.push_back({family, rows});
  }
  return families;
}

TEST(TunerRows, RowsOfAllDtypesThatSayTheSameBecomeOne) {
  const std::vector<Row> rows = merge_alike(families_of_dtypes({"rows=8", "rows=8", "rows=8"}));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].dtype, "*");
  EXPECT_EQ(rows[0].gains.size(), 3u);
}

TEST(TunerRows, AStarNeverReachesAKernelWithoutTheRow) {
  for (const std::vector<std::string> &knobs :
       {std::vector<std::string>{"rows=8", "", "rows=8"}, {"rows=8", "rows=4", "rows=8"}}) {
    for (const Row &row : merge_alike(families_of_dtypes(knobs))) EXPECT_NE(row.dtype, "*");
  }
}

TEST(TunerRows, RowsOfOneOperationForAllDtypesLeaveThoseOfAnother) {
  std::vector<RowsOfFamily> families = families_of_dtypes({"rows=8", "rows=8", "rows=8"});
  for (RowsOfFamily family : families_of_dtypes({"rows=1", "rows=2", "rows=4"})) {
    family.first.operation = "another";
    families.push_back(family);
  }
  std::set<std::string> operations;
  for (const Row &row : merge_alike(families)) operations.insert(row.operation);
  EXPECT_EQ(operations.count("*"), 0u);
  EXPECT_EQ(operations.size(), 2u);
}

TEST(TunerBuckets, ABoundStandsWhereTheBetterScheduleChanges) {
  const std::vector<Size> sizes = {{64, 1 << 20}, {256, 1 << 20}, {1024, 1 << 20}, {4096, 1 << 20}};
  const std::vector<Bucket> buckets =
      choose_buckets(sizes, {{0.3, 0.3, 0, 0}, {0, 0, 0.3, 0.3}}, 0.05);
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0].bounds.longest, 512);
  EXPECT_EQ(buckets[0].choice, 0u);
  EXPECT_EQ(buckets[1].bounds, Bounds());
  EXPECT_EQ(buckets[1].choice, 1u);
}

TEST(TunerBuckets, SizesThatDifferInBytesArePartedByBytes) {
  const std::vector<Size> sizes = {{64, 1 << 10}, {1024, 1 << 10}, {64, 1 << 26}, {1024, 1 << 26}};
  const std::vector<Bucket> buckets =
      choose_buckets(sizes, {{0.3, 0.3, 0, 0}, {0, 0, 0.3, 0.3}}, 0.05);
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0].bounds.fewest_bytes, (1 << 18) + 1);
  EXPECT_EQ(buckets[0].choice, 1u);
  EXPECT_EQ(buckets[1].choice, 0u);
}

TEST(TunerBuckets, ARangeThatGainsLessThanItsWorthIsNone) {
  const std::vector<Size> sizes = {{64, 1 << 20}, {1024, 1 << 20}};
  EXPECT_EQ(choose_buckets(sizes, {{0.02, 0}, {0, 0.02}}, 0.05).size(), 1u);
  EXPECT_EQ(choose_buckets(sizes, {{0.02, 0}, {0, 0.02}}, 0.01).size(), 2u);
}

TEST(TunerMeasure, DisturbedRoundsDoNotCount) {
  const std::vector<double> library = {2, 2, 9, 2, 7, 2, 2, 2, 2},
                            kernel = {1, 8, 1, 1, 1, 5, 1, 1, 1};
  const Ratio ratio = ratio_of(library, kernel);
  EXPECT_DOUBLE_EQ(std::exp(ratio.log), 2);
  EXPECT_DOUBLE_EQ(ratio.noise, 0);
}

TEST(TunerProcess, SaysHowItEnded) {
  EXPECT_EQ(halnorm_tune::run({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, 10).status, 3);
  const Finished finished = halnorm_tune::run({"/bin/sh", "-c", "echo out; kill -SEGV $$"}, 10);
  EXPECT_EQ(finished.signal, SIGSEGV);
  EXPECT_EQ(finished.output, "out\n");
  EXPECT_THROW(halnorm_tune::run({"/no/such/program"}, 10), std::runtime_error);
}

TEST(TunerProcess, ATimeLimitEndsWhatItStartedToo) {
  const Finished finished = halnorm_tune::run({"/bin/sh", "-c", "sleep 100 & wait"}, 0.3);
  EXPECT_TRUE(finished.timed_out);
  EXPECT_LT(finished.seconds, 50);  // the pipe that the child holds would keep it for 100
}

TEST(TunerLog, GoesOnAfterAnInterruptInTheMiddleOfALine) {
  const Scratch scratch;
  const std::string file = scratch.file("log.jsonl");
  const json header = {{"target", "a"}, {"date", "2026-01-01"}, {"budget_s", 1}};
  Log(file, header).append("first", {{"score", 2}});
  std::ofstream(file, std::ios::app) << "{\"key\": \"sec";
  json later = header;
  later["date"] = "2026-01-02";
  {
    Log log(file, later);
    ASSERT_NE(log.recall("first"), nullptr);
    EXPECT_EQ(log.recall("first")->at("score"), 2);
    EXPECT_EQ(log.recall("second"), nullptr);
    log.append("second", {{"score", 3}});
  }
  EXPECT_EQ(Log(file, header).recalled(), 2u);
  EXPECT_THROW(Log(file, {{"target", "b"}}), std::runtime_error);
  Log(file, header).finish();
  EXPECT_EQ(Log(file, header).recalled(), 0u);
  EXPECT_TRUE(std::filesystem::exists(file + ".finished"));
}

// The repository with rows of its own for one kernel, and a generator that is the real one but for
// the rows that name how it fails.
class TunerProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (halnorm_tune::run({HALNORM_CHECK_PROGRAM, "--targets"}, 60).output.find("x86_avx2: runs") ==
        std::string::npos) {
      GTEST_SKIP() << "this machine cannot run x86_avx2";
    }
    scratch_.write("schedules/x86_avx2.sched",
                   "* row_apply f32 : rows=4  :  # of another kernel\n"
                   "* column_apply_channel f32 n<=1 : elements=2  :  # other bits\n"
                   "* column_apply_channel f32 n<=2 : elements=4  :  # hangs\n"
                   "* column_apply_channel f32 n<=3 : elements=8  :  # crashes the generator\n"
                   "* column_apply_channel f32 n<=4 : elements=16 :  # crashes\n"
                   "* column_apply_channel f32 n<=5 : vectors=2   :  # is refused\n");
    const std::string generators = repository_.kit.at("generators");
    scratch_.write("generate",
                   "#!/bin/sh\n"
                   "for argument; do\n"
                   "  case $argument in\n"
                   "  elements=4) sleep 100 ;;\n"
                   "  elements=8) kill -SEGV $$ ;;\n"
                   "  elements=16) trap=1 ;;\n"
                   "  vectors=2) echo 'vectors=2 is refused' >&2; exit 1 ;;\n"
                   "  elements=2) fused=1 ;;\n"
                   "  esac\n"
                   "done\n"
                   "if [ -n \"$trap\" ]; then\n"
                   "  echo \"int $4_argv(void **a) { (void)a; __builtin_trap(); }\" |\n"
                   "    cc -c -x c - -o \"$8/$4.o\"\n"
                   "elif [ -n \"$fused\" ]; then\n"
                   "  for argument; do\n"
                   "    shift\n"
                   "    set -- \"$@\" \"$(printf %s \"$argument\" | sed s/-strict_float//)\"\n"
                   "  done\n"
                   "  exec " +
                       generators +
                       " \"$@\"\n"
                       "else\n"
                       "  exec " +
                       generators +
                       " \"$@\"\n"
                       "fi\n");
    std::filesystem::permissions(scratch_.file("generate"), std::filesystem::perms::all);
    repository_.kit["generators"] = scratch_.file("generate");
    repository_.write_kit();
  }

  Finished tune(const std::string &metric, const std::string &out) const {
    return halnorm_tune::run(
        {HALNORM_TUNE_PROGRAM, "--kit=" + scratch_.file("kit.json"), "--target=x86_avx2",
         "--problems=batch_norm_inference:f32:64x512:gamma,beta", "--dtypes=f32",
         "--only=column_apply_channel f32", "--budget=1s", "--limit=3", "--metric=" + metric,
         "--log=" + scratch_.file("log.jsonl"), "--out=" + out},
        200);
  }
  std::vector<json> log() const { return repository_.log("log.jsonl"); }

  Scratch scratch_;
  Repository repository_{scratch_};
};

TEST_F(TunerProgram, EveryKindOfBadCandidateIsRecordedAndCostsOnlyItself) {
  const std::string sched = scratch_.file("schedules/x86_avx2.sched");
  const Finished finished = tune("time", sched);
  ASSERT_TRUE(finished.good()) << finished.trouble();
  std::map<std::string, std::string> status;
  for (const json &line : log()) {
    if (line.value("rung", -1) == 0) status[line.at("knobs")] = line.at("status");
  }
  EXPECT_EQ(status["elements=2"], "wrong");
  EXPECT_EQ(status["elements=4"], "timeout");
  EXPECT_EQ(status["elements=8"], "crashed");
  EXPECT_EQ(status["elements=16"], "crashed");
  EXPECT_EQ(status["vectors=2"], "illegal");
  EXPECT_EQ(status[""], "timed");  // the default row
  // The file that was read is written anew, with what it had for other kernels.
  bool kept = false;
  for (const Row &row : read_rows(sched)) {
    kept = kept || print_row(row) == "* row_apply f32 : rows=4 : ";
    if (row.gains.empty()) continue;
    EXPECT_TRUE(status.count(row.knobs) == 0 || status[row.knobs] == "timed") << row.knobs;
  }
  EXPECT_TRUE(kept);
}

TEST_F(TunerProgram, AnInterruptedRunMeasuresNothingTwice) {
  ASSERT_TRUE(tune("time", scratch_.file("out.sched")).good());
  std::vector<json> lines = log();
  const size_t kept = lines.size() / 2;
  std::string text;
  for (size_t i = 0; i < kept; ++i) text += lines[i].dump() + "\n";
  scratch_.write("log.jsonl", text + "{\"key\":");
  const Finished again = tune("time", scratch_.file("out.sched"));
  ASSERT_TRUE(again.good()) << again.trouble();
  std::map<std::string, int> times;
  lines = log();
  for (const json &line : lines) {
    if (!line.contains("key")) continue;
    EXPECT_EQ(++times[line.at("key")], 1) << line;
  }
  EXPECT_GE(lines.size(), kept);
  // And the log of another run is no reason to forget it.
  const Finished other = tune("instructions", scratch_.file("out.sched"));
  EXPECT_FALSE(other.good());
}

}  // namespace
}  // namespace halnorm_test
