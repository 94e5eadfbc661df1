// SPDX-License-Identifier: Apache-2.0
#include "timing.h"

#include <chrono>
#include <map>
#include <thread>
#include <utility>

namespace halnorm_bench {
namespace {

// GNU OpenMP's idle threads spin for about ten milliseconds.
constexpr std::chrono::milliseconds kPause(20);

void time_contender(benchmark::State &state, Contender *contender, bool pause) {
  state.SetLabel(std::string(name(contender->kind)) + ": " + contender->detail);
  if (contender->solver == nullptr) {
    state.SkipWithError(contender->trouble.c_str());
    return;
  }
  if (pause) std::this_thread::sleep_for(kPause);
  Solver &solver = *contender->solver;
  bool good = solver.run();  // wakes its threads and fetches its code and data
  for (auto _ : state) good = good && solver.run();
  if (!good) state.SkipWithError(solver.failure().c_str());
}

// Sorts the rounds by contender, and passes all on to the file.
class Collector : public benchmark::BenchmarkReporter {
 public:
  Collector(std::map<std::string, Contender *> contenders, benchmark::BenchmarkReporter *file,
            bool *wrote_context)
      : contenders_(std::move(contenders)), file_(file), wrote_context_(wrote_context) {}

  bool ReportContext(const Context &context) override {
    if (file_ != nullptr && !*wrote_context_) {
      *wrote_context_ = true;
      file_->ReportContext(context);
    }
    return true;
  }

  void ReportRuns(const std::vector<Run> &given) override {
    std::vector<Run> runs = given;
    for (Run &run : runs) {
      run.run_name.time_type.clear();  // would be appended to the name
      Contender &contender = *contenders_.at(run.run_name.function_name);
      if (contender.solver == nullptr) continue;
      if (run.error_occurred) {
        contender.trouble = "failed: " + run.error_message;
      } else if (run.run_type == Run::RT_Iteration) {
        contender.seconds.push_back(run.real_accumulated_time /
                                    static_cast<double>(run.iterations));
      }
    }
    if (file_ != nullptr) file_->ReportRuns(runs);
  }

 private:
  std::map<std::string, Contender *> contenders_;
  benchmark::BenchmarkReporter *file_;
  bool *wrote_context_;
};

}  // namespace

Timing::Timing(const std::string &json, int threads) : json_(json), pauses_(threads > 1) {
  if (json_.empty()) return;
  file_.open(json_);
  reporter_.SetOutputStream(&file_);
}

void Timing::run(const std::string &problem, std::vector<Contender> *contenders) {
  std::map<std::string, Contender *> by_name;
  for (Contender &contender : *contenders) {
    const std::string name = problem + "/" + contender.name;
    by_name[name] = &contender;
    benchmark::RegisterBenchmark(name.c_str(), [&contender,
                                                pause = pauses_](benchmark::State &state) {
      time_contender(state, &contender, pause);
    })->UseRealTime();
  }
  if (by_name.empty()) return;
  Collector collector(std::move(by_name), json_.empty() ? nullptr : &reporter_, &wrote_context_);
  benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
}

bool Timing::finish() {
  if (json_.empty()) return true;
  if (wrote_context_) reporter_.Finalize();
  file_.close();
  return !file_.fail();
}

}  // namespace halnorm_bench
