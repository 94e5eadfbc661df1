// SPDX-License-Identifier: Apache-2.0
// halnorm-tune: finds schedule rows for a target. docs/tuning.md explains it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>
#include <thread>

#include "plan.h"
#include "progress.h"

namespace halnorm_tune {
namespace {

struct Options {
  std::string kit, target, out, log, only = ".*", machine, metric = "time", runner;
  std::string problems, dtypes = "f32 f16 bf16";
  std::string llvm_mca = "llvm-mca-19", model_cpus, ptxas;
  double budget = 45 * 60, limit = 20;
  int threads = 1, jobs = static_cast<int>(std::thread::hardware_concurrency());
  uint64_t seed = 1;
  bool dry_run = false, explain = false;
};

// What the model is asked for, by what a Halide target has in it.
struct Architecture {
  const char *halide, *triple, *model_cpus;
};
constexpr Architecture kArchitectures[] = {
    {"-cuda-", "", ""},  // gpu_model.h
    {"x86-64-", "x86_64", "znver3 skylake-avx512"},
    {"arm-64-", "aarch64", "cortex-a76 neoverse-n1 neoverse-v2 apple-m1"},
};

const Architecture &architecture_of(const Target &target) {
  for (const Architecture &architecture : kArchitectures) {
    if (target.halide_target.find(architecture.halide) != std::string::npos) return architecture;
  }
  throw std::runtime_error("the model knows no CPU of the target '" + target.name + "'");
}

std::vector<std::string> words_of(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string names_of_gpus() {
  std::string names;
  for (const Gpu &gpu : gpus()) names += (names.empty() ? "" : " ") + std::string(gpu.name);
  return names;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "an unknown CPU";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::localtime(&now));
  return text;
}

std::vector<std::string> files_in(const std::string &directory) {
  std::vector<std::string> files;
  for (const auto &entry : std::filesystem::directory_iterator(directory)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void print_plan(const std::vector<Weighed> &plan, double budget) {
  double total = 0, points = 0;
  for (const Weighed &weighed : plan) total += weighed.weight;
  std::printf("%-44s %9s %8s  %s\n", "kernel", "schedules", "seconds", "problems");
  for (const Weighed &weighed : plan) {
    const Family &family = weighed.plan.family;
    std::printf("%-44s %9.0f %8.0f  %zu, as %s\n", family.name().c_str(),
                weighed.plan.schedule.points(), budget * weighed.weight / total,
                weighed.plan.uses.size(), weighed.plan.uses.front().problem.c_str());
    points += weighed.plan.schedule.points();
  }
  std::printf("%zu kernels, %.0f schedules\n", plan.size(), points);
}

// Rows of the file by family: those that were found, else those that it had.
std::vector<Row> new_rows(const std::vector<Family> &families, const std::vector<Row> &own,
                          const std::map<std::string, FamilyResult> &results) {
  std::vector<Row> tuned, defaults;
  for (const Row &row : own) (row.is_default() ? defaults : tuned).push_back(row);
  std::vector<RowsOfFamily> all;
  for (const Family &family : families) {
    const auto found = results.find(family.name());
    const bool is_better = found != results.end() && !found->second.rows.empty();
    all.push_back({family, is_better ? found->second.rows : rows_of_family(tuned, family)});
  }
  std::vector<Row> rows = merge_alike(all);
  rows.insert(rows.end(), defaults.begin(), defaults.end());
  return rows;
}

// Files or problems that were named, else all.
std::vector<std::string> problem_files(const Options &options, const Kit &kit) {
  const std::vector<std::string> named = words_of(options.problems);
  return named.empty() ? files_in(kit.source + "/bench/shapes") : named;
}

std::vector<Weighed> plan_by_profile(const Options &options, const Kit &kit,
                                     const std::vector<Family> &families,
                                     const std::vector<Row> &rows, ProgramBuilder *builder,
                                     Measurer *measurer, Log *log) {
  const std::vector<std::string> dtypes = words_of(options.dtypes);
  const auto shares = [&](const std::vector<std::string> &files) {
    return profile(read_problems(files, dtypes), builder, measurer, log);
  };
  const Shares problems = shares(problem_files(options, kit));
  const std::vector<std::string> checked_files = {kit.schedules() + "/tune/checked.txt"};
  const Shares checked =
      measurer->is_for_cuda()
          ? profile_parts(read_problems(checked_files, dtypes), builder, measurer)
          : shares(checked_files);
  return make_plan(families, rows, problems, checked, measurer->models_launches());
}

void tune(const Options &options) {
  const Kit kit = read_kit(options.kit);
  const std::string sched = kit.schedules() + "/" + options.target + ".sched";
  const std::vector<Target> targets = read_targets(kit.schedules() + "/targets.txt");
  const auto target = std::find_if(targets.begin(), targets.end(),
                                   [&](const Target &t) { return t.name == options.target; });
  if (target == targets.end())
    throw std::runtime_error("targets.txt has no '" + options.target + "'");
  const std::vector<Row> rows = rows_of_target(kit.schedules(), options.target);
  const std::vector<Family> families =
      read_families(kit.source + "/generators/operations.cmake", {"f32", "f16", "bf16"});

  const Metric metric = parse_metric(options.metric);
  const Architecture &architecture = architecture_of(*target);
  const bool for_cuda = *architecture.triple == '\0';
  if (for_cuda && metric == Metric::instructions) {
    throw std::runtime_error(
        "nothing counts instructions of kernels for CUDA: --metric is model or time");
  }
  const std::string model_cpus = for_cuda                     ? names_of_gpus()
                                 : options.model_cpus.empty() ? architecture.model_cpus
                                                              : options.model_cpus;
  const std::string machine = !options.machine.empty()  ? options.machine
                              : metric == Metric::model ? model_cpus
                              : for_cuda                ? std::string("a GPU")
                              : options.runner.empty()  ? cpu_name()
                                                        : options.runner;
  std::string starting_rows;
  for (const Row &row : rows) starting_rows += print_row(row) + "\n";
  const nlohmann::json header = {{"halnorm_tune", 1},
                                 {"target", options.target},
                                 {"cpu", machine},
                                 {"threads", options.threads},
                                 {"metric", options.metric},
                                 {"runner", options.runner},
                                 {"halide", kit.halide_version},
                                 {"seed", options.seed},
                                 {"date", today()},
                                 {"budget_s", options.budget},
                                 {"rows", std::hash<std::string>()(starting_rows)}};
  std::filesystem::create_directories(std::filesystem::absolute(options.log).parent_path());
  Log log(options.log, header);
  Progress progress(options.budget);
  if (log.recalled() > 0) {
    progress.say("going on with " + options.log + ": " + std::to_string(log.recalled()) +
                 " measurements are there");
  }

  // On the machine's own driver, if it is to run on no other.
  Command runner = words_of(options.runner);
  if (for_cuda && metric == Metric::model && runner.empty() && !kit.cuda_driver.empty()) {
    runner = {"env", "LD_LIBRARY_PATH=" + kit.cuda_driver};
  }
  ProgramBuilder builder(kit, target->name, options.log + ".work", options.jobs, options.limit);
  Measurer measurer({metric, runner, options.target, options.threads, options.llvm_mca,
                     words_of(model_cpus), architecture.triple,
                     options.ptxas.empty() ? kit.ptxas : options.ptxas, options.jobs,
                     options.limit});
  if (options.explain) {
    if (!for_cuda) throw std::runtime_error("only the model of CUDA explains itself");
    builder.build_profiler();
    const std::vector<std::string> problems =
        read_problems(problem_files(options, kit), words_of(options.dtypes));
    for (const auto &[problem, call] : measurer.model_calls(builder.program(), "", problems)) {
      print_call(problem, call);
    }
    return;
  }
  std::vector<Weighed> plan =
      measurer.models_assembly()
          ? make_model_plan(families, rows, measurer.options().model_cpus)
          : plan_by_profile(options, kit, families, rows, &builder, &measurer, &log);
  if (metric != Metric::time && !for_cuda) {
    for (Weighed &weighed : plan) {
      FamilyPlan &family = weighed.plan;
      family.schedule = family.schedule.of_code(family.default_row.settings());
    }
  }
  const std::regex only(options.only);
  // A kernel for CUDA that is asked for is taken, whatever the launch words of its row.
  plan.erase(std::remove_if(plan.begin(), plan.end(),
                            [&](const Weighed &weighed) {
                              return !std::regex_search(weighed.plan.family.name(), only) ||
                                     (for_cuda && weighed.plan.schedule.has_launch_words());
                            }),
             plan.end());
  if (plan.empty())
    throw std::runtime_error("no kernel of the problems is named '" + options.only + "'");
  if (options.dry_run) return print_plan(plan, options.budget);

  const std::string threads =
      ", " + std::to_string(options.threads) + " thread" + (options.threads == 1 ? "" : "s");
  const std::string provenance = machine + (for_cuda ? "" : threads) + ", " + options.metric +
                                 ", Halide " + kit.halide_version + ", " + today();
  Search search(&builder, &measurer, &log, options.seed, provenance);
  std::map<std::string, FamilyResult> results;
  std::map<const Template *, std::vector<Settings>> good_settings;
  double weight = 0;
  for (const Weighed &weighed : plan) weight += weighed.weight;
  for (Weighed &weighed : plan) {
    const std::string name = weighed.plan.family.name();
    if (search.spent() >= options.budget) {
      progress.say(name + ": no time left, its rows stay");
      continue;
    }
    weighed.plan.seeds = good_settings[weighed.plan.family.schedule];
    const double seconds = std::max(0.0, options.budget - search.spent()) * weighed.weight / weight;
    weight -= weighed.weight;
    const FamilyResult result = search.run(weighed.plan, seconds, [&](int tried, double best) {
      progress.show(search.spent(), name, tried, best);
    });
    for (const Settings &settings : result.settings) {
      good_settings[weighed.plan.family.schedule].push_back(settings);
    }
    char text[160];
    std::snprintf(text, sizeof text, "%-44s %4d tried, %3d refused: %s%.2fx", name.c_str(),
                  result.tried, result.refused, result.rows.empty() ? "no row is better, " : "",
                  result.gain);
    progress.say(text);
    results[name] = result;
  }
  const std::string out = options.out.empty() ? sched : options.out;
  const std::string text =
      print_rows(options.target, new_rows(families, read_rows(sched), results));
  std::ofstream file(out);  // empty from here on; it may be the one that was read
  file << text;
  if (!file.flush()) throw std::runtime_error(out + " cannot be written");
  log.finish();
  progress.say("wrote " + out);
}

}  // namespace
}  // namespace halnorm_tune

int main(int argc, char **argv) {
  halnorm_tune::Options options;
  CLI::App app("Finds schedule rows for a target by measuring.", "halnorm-tune");
  app.option_defaults()->always_capture_default();
  app.add_option("--kit", options.kit, "kit.json of the build, written by CMake")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--target", options.target, "one of schedules/targets.txt that was built")
      ->required();
  app.add_option("--problems", options.problems,
                 "files of problems or problems, separated by blanks; none: all of bench/shapes");
  app.add_option("--dtypes", options.dtypes, "each problem is taken in all of these");
  app.add_option("--only", options.only, "a regular expression: tunes kernels of such names");
  app.add_option("--budget", options.budget, "time to spend: 10m, 90s; without a unit: seconds")
      ->transform(
          CLI::AsNumberWithUnit(std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}},
                                CLI::AsNumberWithUnit::CASE_SENSITIVE));
  app.add_option("--metric", options.metric,
                 "time, instructions (of callgrind, or of a runner that is "
                 "QEMU's) or model (llvm-mca; of CUDA, a model of GPUs)")
      ->check(CLI::IsMember({"time", "instructions", "model"}));
  app.add_option("--model-cpus", options.model_cpus,
                 "that the model is asked for; none: some of the target's family");
  app.add_option("--llvm-mca", options.llvm_mca, "the program that the model asks");
  app.add_option("--ptxas", options.ptxas,
                 "what the model of CUDA asks for registers; none: what CMake found");
  app.add_option("--runner", options.runner,
                 "a command that runs the program of a trial, such as 'qemu-aarch64' or a script "
                 "that copies it to a board and runs it there");
  app.add_option("--machine", options.machine,
                 "what provenance says of it; none: the name of this CPU");
  app.add_option("--threads", options.threads, "of the calls that are timed")
      ->check(CLI::PositiveNumber);
  app.add_option("--limit", options.limit,
                 "seconds that a kernel's generator may take; a trial may take a few times as many")
      ->check(CLI::PositiveNumber);
  app.add_option("--jobs", options.jobs, "kernels that are generated at a time")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "of the random choices");
  app.add_option("--log", options.log,
                 "a line of JSON for each candidate; an interrupted run goes on with it")
      ->required();
  app.add_option("--out", options.out, "the file of rows to write; none: that of the target");
  app.add_flag("--explain", options.explain,
               "of CUDA: prints what the model makes of the library's own choices, and ends");
  app.add_flag("--dry-run", options.dry_run, "says what would be tuned, and ends");
  CLI11_PARSE(app, argc, argv);
  try {
    halnorm_tune::tune(options);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "halnorm-tune: %s\n", error.what());
    return 1;
  }
  return 0;
}
