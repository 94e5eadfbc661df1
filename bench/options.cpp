// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <string_view>

#include "halnorm.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Layout;
using halnorm_test::Problem;

constexpr char kUsage[] =
    "halnorm_bench --compare A.json B.json: what changed between two runs of --json beyond the "
    "noise\n"
    "halnorm_bench --print-target: the best target of this build and machine\n"
    "halnorm_bench [flags]: times halnorm, its default schedules, those of Halide, peers and a "
    "limit\n"
    "  --problems=LIST       problems with commas between, a file with one on each line, or the "
    "name\n"
    "                        of such a file in " HALNORM_BENCH_SHAPES_DIR
    " (default: default)\n"
    "  --threads=N           for each contender (default: 1)\n"
    "  --target=NAME         instruction set of halnorm and of Halide's schedules (default: the\n"
    "                        best of this machine)\n"
    "  --cache=MODE          warm (default): each call works on the same tensors; cold: on "
    "others,\n"
    "                        which are not in the cache; both: one after the other\n"
    "  --library=NAME=FILE   another build of halnorm too, as a shared object; may be repeated\n"
    "  --version=NAME=FILE   another version of halnorm, whose sums may have another order\n"
    "  --rows                other schedule rows of the last part too\n"
    "  --contenders=REGEX    only the contenders whose name has a match\n"
    "  --check               check all results and time nothing\n"
    "  --rounds=N            how often each contender is timed (default: 7)\n"
    "  --quick               few problems (quick.txt), three short rounds\n"
    "  --json=FILE           every round, as Google Benchmark writes it\n"
    "  --benchmark_...       Google Benchmark's own flags, --benchmark_min_time=SECONDS of a "
    "round\n"
    "                        above all\n";

// The text after "name=", if `argument` is that flag.
std::optional<std::string> value_of(std::string_view argument, std::string_view name) {
  if (argument.size() <= name.size() || argument.substr(0, name.size()) != name ||
      argument[name.size()] != '=') {
    return std::nullopt;
  }
  return std::string(argument.substr(name.size() + 1));
}

bool parse_count(const std::string &text, int64_t most, int64_t *count) {
  return halnorm_test::parse_number(text, count) && *count >= 1 && *count <= most;
}

// Why a problem cannot be timed; empty when it can.
std::string unsuitable(const Problem &problem) {
  if (problem.row_count() == 0 || problem.row_length() == 0) return "it has no elements";
  if (problem.inplace) return "in place each call would work on the result of the last one";
  return "";
}

bool append_problem(std::string_view text, std::vector<Problem> *problems) {
  std::string error;
  const std::optional<Problem> problem = halnorm_test::parse(text, &error);
  if (problem && !unsuitable(*problem).empty()) {
    error = "problem '" + std::string(text) + "': " + unsuitable(*problem);
  }
  if (!error.empty()) {
    std::fprintf(stderr, "halnorm_bench: %s\n", error.c_str());
    return false;
  }
  problems->push_back(*problem);
  return true;
}

bool read_problems(std::istream *lines, std::vector<Problem> *problems) {
  for (std::string line; std::getline(*lines, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty() || line[0] == '#') continue;
    if (!append_problem(line, problems)) return false;
  }
  return true;
}

// Options of a problem have commas between them too, but only a problem has a colon.
bool split_problems(const std::string &list, std::vector<Problem> *problems) {
  std::vector<std::string> texts;
  for (std::string_view part : halnorm_test::split(list, ',')) {
    if (part.find(':') != std::string_view::npos || texts.empty()) {
      texts.emplace_back(part);
    } else {
      texts.back() += "," + std::string(part);
    }
  }
  for (const std::string &text : texts) {
    if (!append_problem(text, problems)) return false;
  }
  return true;
}

// The lists that come with the benchmark.
std::string shapes_file(const std::string &name) {
  return std::string(HALNORM_BENCH_SHAPES_DIR) + "/" + name + ".txt";
}

bool find_problems(const std::string &list, std::vector<Problem> *problems) {
  if (list.find(':') != std::string::npos) return split_problems(list, problems);
  for (const std::string &path : {shapes_file(list), list}) {
    std::ifstream file(path);
    if (file) return read_problems(&file, problems);
  }
  std::fprintf(stderr, "halnorm_bench: '%s' is neither a problem nor a file, and nor is '%s'\n",
               list.c_str(), shapes_file(list).c_str());
  return false;
}

std::string default_target() {
  const char *named = std::getenv("HALNORM_TARGET");
  if (named != nullptr && *named != '\0') return named;
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    if (halnorm_target_usable(i) != 0) return halnorm_target_name(i);
  }
  return "";
}

bool usable(const std::string &target) {
  std::string names;
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    if (halnorm_target_usable(i) == 0) continue;
    if (target == halnorm_target_name(i)) return true;
    names += std::string(" ") + halnorm_target_name(i);
  }
  std::fprintf(stderr, "halnorm_bench: target '%s': this machine can run%s\n", target.c_str(),
               names.empty() ? " none of this build" : names.c_str());
  return false;
}

bool is_regex(const std::string &text) {
  try {
    std::regex compiled(text);
    return true;
  } catch (const std::regex_error &error) {
    std::fprintf(stderr, "halnorm_bench: --contenders='%s': %s\n", text.c_str(), error.what());
    return false;
  }
}

bool parse_cache(const std::string &text, std::vector<Cache> *caches) {
  if (text == "warm" || text == "both") caches->push_back(Cache::warm);
  if (text == "cold" || text == "both") caches->push_back(Cache::cold);
  if (!caches->empty()) return true;
  std::fprintf(stderr, "halnorm_bench: --cache='%s': expected warm, cold or both\n", text.c_str());
  return false;
}

bool parse_library(const char *flag, bool same_bits, const std::string &text,
                   std::vector<NamedLibrary> *libraries) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == text.size()) {
    std::fprintf(stderr, "halnorm_bench: %s='%s': expected NAME=FILE\n", flag, text.c_str());
    return false;
  }
  libraries->push_back({text.substr(0, equals), text.substr(equals + 1), same_bits});
  return true;
}

// Rounds of all contenders are mixed at random, so that a slow moment of the machine hits all
// alike. What the user says comes last and wins.
bool hand_to_benchmark(const std::string &program, int64_t rounds, bool quick,
                       const std::vector<std::string> &given) {
  static std::vector<std::string> flags;  // Google Benchmark keeps a pointer to the program's name
  flags = {program, "--benchmark_enable_random_interleaving=true",
           "--benchmark_repetitions=" + std::to_string(rounds),
           std::string("--benchmark_min_time=") + (quick ? "0.02" : "0.05")};
  flags.insert(flags.end(), given.begin(), given.end());
  std::vector<char *> argv;
  for (std::string &flag : flags) argv.push_back(flag.data());
  int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);
  benchmark::Initialize(&argc, argv.data());
  return !benchmark::ReportUnrecognizedArguments(argc, argv.data());
}

}  // namespace

std::optional<Options> parse_options(int argc, char **argv, int *exit_status) {
  Options options;
  std::string problems;
  std::vector<std::string> others;
  int64_t rounds = 0, threads = 1;
  bool quick = false;
  options.caches = {Cache::warm};
  *exit_status = 2;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      *exit_status = 0;
      return std::nullopt;
    }
    if (const auto value = value_of(argument, "--problems")) {
      problems = *value;
    } else if (const auto value = value_of(argument, "--target")) {
      options.target = *value;
    } else if (const auto value = value_of(argument, "--contenders")) {
      options.contenders = *value;
    } else if (const auto value = value_of(argument, "--json")) {
      options.json = *value;
    } else if (const auto value = value_of(argument, "--library")) {
      if (!parse_library("--library", true, *value, &options.libraries)) {
        return std::nullopt;
      }
    } else if (const auto value = value_of(argument, "--version")) {
      if (!parse_library("--version", false, *value, &options.libraries)) {
        return std::nullopt;
      }
    } else if (const auto value = value_of(argument, "--cache")) {
      options.caches.clear();
      if (!parse_cache(*value, &options.caches)) return std::nullopt;
    } else if (argument == "--rows") {
      options.rows = true;
    } else if (argument == "--check") {
      options.check = true;
    } else if (argument == "--print-target") {
      std::puts(default_target().c_str());
      *exit_status = 0;
      return std::nullopt;
    } else if (const auto value = value_of(argument, "--threads")) {
      if (!parse_count(*value, 256, &threads)) {
        std::fprintf(stderr, "halnorm_bench: --threads='%s': expected 1 to 256\n", value->c_str());
        return std::nullopt;
      }
    } else if (const auto value = value_of(argument, "--rounds")) {
      if (!parse_count(*value, 1000, &rounds)) {
        std::fprintf(stderr, "halnorm_bench: --rounds='%s': expected 1 to 1000\n", value->c_str());
        return std::nullopt;
      }
    } else if (argument == "--quick") {
      quick = true;
    } else if (value_of(argument, "--benchmark_out")) {
      std::fputs("halnorm_bench: --benchmark_out: each problem would overwrite it; use --json\n",
                 stderr);
      return std::nullopt;
    } else {
      others.push_back(argument);
    }
  }
  if (rounds == 0) rounds = quick ? 3 : 7;
  if (problems.empty()) {
    problems = shapes_file(quick ? "quick" : "default");
  }
  if (options.target.empty()) options.target = default_target();
  options.threads = static_cast<int>(threads);
  if (!find_problems(problems, &options.problems) || !usable(options.target) ||
      !is_regex(options.contenders) || !hand_to_benchmark(argv[0], rounds, quick, others)) {
    return std::nullopt;
  }
  return options;
}

}  // namespace halnorm_bench
