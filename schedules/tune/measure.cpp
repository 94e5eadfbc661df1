// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "emulator.h"
#include "model.h"

namespace halnorm_tune {
namespace {

using nlohmann::json;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Command joined(Command first, const Command &second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

constexpr double kCountedIsSlower = 100;

std::vector<json> lines_of(const std::string &output) {
  std::vector<json> lines;
  std::istringstream stream(output);
  for (std::string line; std::getline(stream, line);) {
    json parsed = json::parse(line, nullptr, false);
    if (!parsed.is_discarded()) lines.push_back(std::move(parsed));
  }
  return lines;
}

}  // namespace

Metric parse_metric(const std::string &text) {
  if (text == "time") return Metric::time;
  if (text == "instructions") return Metric::instructions;
  if (text == "model") return Metric::model;
  throw std::runtime_error("metric '" + text + "' is not time, instructions or model");
}

Ratio ratio_of(const std::vector<double> &library, const std::vector<double> &kernel) {
  std::vector<double> logs;
  constexpr size_t kGroup = 3;
  for (size_t i = 0; i + kGroup <= std::min(library.size(), kernel.size()); i += kGroup) {
    const auto quickest = [i](const std::vector<double> &rounds) {
      const auto first = rounds.begin() + static_cast<std::ptrdiff_t>(i);
      return *std::min_element(first, first + kGroup);
    };
    logs.push_back(std::log(quickest(library) / quickest(kernel)));
  }
  if (logs.empty()) return {};
  Ratio ratio = {median(logs), 0};
  std::vector<double> deviations;
  for (double value : logs) deviations.push_back(std::fabs(value - ratio.log));
  ratio.noise =
      2 * 1.2533 * 1.4826 * median(deviations) / std::sqrt(static_cast<double>(logs.size()));
  return ratio;
}

Ratio ratio_of_calls(const ModelledCall &library, const ModelledCall &kernel) {
  constexpr double kNotTold = 0.1;
  std::vector<double> logs;
  Ratio ratio;
  for (size_t i = 0; i < library.size(); ++i) {
    logs.push_back(std::log(seconds_of(library[i]) / seconds_of(kernel.at(i))));
    ratio.log += logs.back() / static_cast<double>(library.size());
  }
  const auto [least, most] = std::minmax_element(logs.begin(), logs.end());
  ratio.noise = std::hypot(kNotTold, *most - *least);
  return ratio;
}

Ratio Outcome::score() const {
  Ratio score;
  if (ratios.empty()) return score;
  for (const auto &[problem, ratio] : ratios) {
    score.log += ratio.log;
    score.noise += ratio.noise * ratio.noise;
  }
  const auto count = static_cast<double>(ratios.size());
  return {score.log / count, std::sqrt(score.noise) / count};
}

// Without the runner.
Command Measurer::trial(const std::string &program, const std::string &symbol) const {
  Command command = {program, "--target=" + options_.target,
                     "--threads=" + std::to_string(options_.threads)};
  if (!symbol.empty()) command.push_back("--kernel=" + symbol);
  return command;
}

std::string Measurer::output_of(const std::string &program, const Command &arguments,
                                double limit) {
  Command command = joined(options_.runner, trial(program, ""));
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Finished finished = halnorm_tune::run(command, limit);
  if (!finished.good()) throw std::runtime_error("halnorm_trial " + finished.trouble());
  return finished.output;
}

Outcome Measurer::run(const std::string &program, const std::string &symbol,
                      const std::string &reference, const std::vector<std::string> &checked,
                      const std::vector<std::string> &problems, const Effort &effort) {
  Command command = joined(options_.runner, trial(program, symbol));
  command.insert(command.end(),
                 {"--reference=" + reference, "--rounds=" + std::to_string(effort.rounds),
                  "--round-ms=" + std::to_string(effort.round_ms)});
  const bool timed = options_.metric == Metric::time;
  for (const std::string &problem : checked) command.push_back("--check=" + problem);
  // What the model is asked of is too large for an interpreter.
  for (const std::string &problem : problems) {
    if (!models_launches()) command.push_back(timed ? problem : "--check=" + problem);
  }
  const Finished finished = halnorm_tune::run(command, options_.limit * effort.limits);
  Outcome outcome;
  for (const json &line : lines_of(finished.output)) {
    const std::string problem = line.value("problem", "");
    if (line.contains("error")) {
      outcome.status = "crashed";
      outcome.message = problem + ": " + line["error"].get<std::string>();
    } else if (!line.value("same_bits", false)) {
      outcome.status = "wrong";
      outcome.message = problem + ": other bits than the default row's";
    } else if (timed && !line["kernel"].empty()) {
      outcome.ratios[problem] = ratio_of(line["chosen"], line["kernel"]);
    }
    if (!outcome.good()) return outcome;
  }
  if (!finished.good()) {
    outcome.status = finished.timed_out ? "timeout" : "crashed";
    outcome.message = finished.trouble();
    return outcome;
  }
  if (options_.metric == Metric::instructions) {
    count(program, symbol, problems, options_.limit * effort.limits, &outcome);
  } else if (models_launches()) {
    compare_calls(program, symbol, problems, &outcome);
  }
  return outcome;
}

std::string Measurer::launches_of(const std::string &program, const std::string &symbol,
                                  const std::vector<std::string> &problems) {
  constexpr double kLimit = 600;
  Command arguments = {"--launches"};
  if (!symbol.empty()) arguments.push_back("--kernel=" + symbol);
  arguments.insert(arguments.end(), problems.begin(), problems.end());
  return output_of(program, arguments, kLimit);
}

std::map<std::string, std::vector<std::string>> Measurer::launched_kernels(
    const std::string &program, const std::vector<std::string> &problems) {
  return kernels_of(launches_of(program, "", problems));
}

std::map<std::string, ModelledCall> Measurer::model_calls(
    const std::string &program, const std::string &symbol,
    const std::vector<std::string> &problems) {
  return launches_.calls_of(launches_of(program, symbol, problems));
}

void Measurer::compare_calls(const std::string &program, const std::string &symbol,
                             const std::vector<std::string> &problems, Outcome *outcome) {
  std::vector<std::string> unknown;
  for (const std::string &problem : problems) {
    if (calls_of_library_.count(problem) == 0) unknown.push_back(problem);
  }
  if (!unknown.empty()) calls_of_library_.merge(model_calls(program, "", unknown));
  try {
    for (const auto &[problem, call] : model_calls(program, symbol, problems)) {
      outcome->ratios[problem] = ratio_of_calls(calls_of_library_.at(problem), call);
    }
  } catch (const NoTime &trouble) {
    outcome->status = "illegal";
    outcome->message = trouble.what();
  } catch (const std::runtime_error &trouble) {
    outcome->status = "crashed";
    outcome->message = trouble.what();
  }
}

void Measurer::count(const std::string &program, const std::string &symbol,
                     const std::vector<std::string> &problems, double limit, Outcome *outcome) {
  for (const std::string &problem : problems) {
    const auto known = instructions_of_library_.find(problem);
    const double of_library = known != instructions_of_library_.end()
                                  ? known->second
                                  : instructions(program, "", problem, limit, outcome);
    const double of_kernel = instructions(program, symbol, problem, limit, outcome);
    if (of_library <= 0 || of_kernel <= 0) {
      outcome->status = "crashed";
      return;
    }
    instructions_of_library_[problem] = of_library;
    outcome->ratios[problem] = {std::log(of_library / of_kernel), 0};
  }
}

Outcome Measurer::model(const std::string &assembly, const std::string &library_assembly) {
  if (library_assembly != library_assembly_) {
    library_assembly_ = library_assembly;
    costs_of_library_.clear();
  }
  Outcome outcome;
  for (const std::string &cpu : options_.model_cpus) {
    const auto cost_of = [&](const std::string &text) {
      return static_cost(text, options_.llvm_mca,
                         {"-mtriple=" + options_.model_triple, "-mcpu=" + cpu}, &outcome.message);
    };
    const auto known = costs_of_library_.try_emplace(cpu);
    std::optional<double> &of_library = known.first->second;
    if (known.second) of_library = cost_of(library_assembly);
    const std::optional<double> cost = cost_of(assembly);
    if (!cost || !of_library) {
      outcome.status = "illegal";
      return outcome;
    }
    outcome.ratios[cpu] = {std::log(*of_library / *cost), 0};
  }
  return outcome;
}

double Measurer::instructions(const std::string &program, const std::string &symbol,
                              const std::string &problem, double limit, Outcome *outcome) {
  if (is_qemu(options_.runner)) return emulated(program, symbol, problem, limit, outcome);
  static const std::regex counted("(?:Collected : |insns: )([0-9]+)");
  const Command callgrind = {"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"};
  // The difference between two calls and one: what comes before and after is the same.
  double counts[2] = {};
  for (int calls : {1, 2}) {
    Command command =
        joined(options_.runner.empty() ? callgrind : options_.runner, trial(program, symbol));
    command.insert(command.end(), {"--calls=" + std::to_string(calls), problem});
    const Finished finished = halnorm_tune::run(command, kCountedIsSlower * limit);
    std::smatch match;
    const std::string said = finished.errors + finished.output;
    if (!finished.good() || !std::regex_search(said, match, counted)) {
      outcome->message = problem + ": " +
                         (finished.good() ? "the runner prints no 'insns: N'" : finished.trouble());
      return -1;
    }
    counts[calls - 1] = std::stod(match[1]);
  }
  return counts[1] - counts[0];
}

// Of kernels and of the functions of halnorm.h, which have their names, and not of the rest.
double Measurer::emulated(const std::string &program, const std::string &symbol,
                          const std::string &problem, double limit, Outcome *outcome) const {
  std::vector<Function> functions = functions_of(program);
  functions.erase(
      std::remove_if(functions.begin(), functions.end(),
                     [](const Function &one) { return one.name.rfind("halnorm_", 0) != 0; }),
      functions.end());
  const std::string log_file = program + ".log";
  Command command = joined(options_.runner, qemu_log_flags(functions, log_file));
  command = joined(command, trial(program, symbol));
  command.insert(command.end(), {"--calls=1", problem});
  const Finished finished = halnorm_tune::run(command, kCountedIsSlower * limit);
  std::ifstream log(log_file);
  const std::optional<int64_t> count = instructions_of_log(log);
  if (finished.good() && count) return static_cast<double>(*count);
  outcome->message =
      problem + ": " + (finished.good() ? log_file + " has no instructions" : finished.trouble());
  return -1;
}

}  // namespace halnorm_tune
