// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>

#include "tests/problem.h"

namespace halnorm_tune {
namespace {

using halnorm_test::Problem;
using nlohmann::json;

constexpr size_t kMostUses = 10;
constexpr double kFewestShare = 0.12, kLeastShare = 0.04;
constexpr int64_t kMostBytes = 160 << 20;  // of x and y: what does not fit a cache, fits none
constexpr double kWeightOf16Bits = 0.5;

int64_t bytes_of(const Problem &problem) {
  const int64_t element = problem.dtype == halnorm_test::Dtype::f32 ? 4 : 2;
  return (problem.is_backward() ? 3 : 2) * problem.row_count() * problem.row_length() * element;
}

void append_problem(const std::string &text, const std::vector<std::string> &dtypes,
                    std::vector<std::string> *problems) {
  std::string error;
  const auto problem = halnorm_test::parse(text, &error);
  if (!problem) throw std::runtime_error("problem '" + text + "': " + error);
  for (const halnorm_test::Dtype dtype : halnorm_test::kDtypes) {
    if (std::find(dtypes.begin(), dtypes.end(), name(dtype)) == dtypes.end()) continue;
    Problem changed = *problem;
    changed.dtype = dtype;
    changed.narrow_parameters &= dtype != halnorm_test::Dtype::f32;
    const std::string printed = print(changed);
    if (std::find(problems->begin(), problems->end(), printed) == problems->end()) {
      problems->push_back(printed);
    }
  }
}

// Far from each other on a scale of ratios, the one with the greatest share first.
std::vector<Use> spread(std::vector<std::pair<double, Use>> shares) {
  std::sort(shares.begin(), shares.end(),
            [](const auto &a, const auto &b) { return a.first > b.first; });
  const auto distance = [](const Size &a, const Size &b) {
    const auto ratio = [](int64_t one, int64_t other) {
      return std::fabs(std::log2(static_cast<double>(one) / static_cast<double>(other)));
    };
    return ratio(a.n, b.n) + ratio(a.bytes, b.bytes) / 2;
  };
  std::vector<Use> uses;
  while (uses.size() < std::min(kMostUses, shares.size())) {
    const auto apart = [&](const std::pair<double, Use> &candidate) {
      double least = 1e9;
      for (const Use &use : uses)
        least = std::min(least, distance(use.size, candidate.second.size));
      return least;
    };
    const auto next =
        std::max_element(shares.begin(), shares.end(),
                         [&](const auto &a, const auto &b) { return apart(a) < apart(b); });
    if (!uses.empty() && apart(*next) < 0.25) break;
    uses.push_back(next->second);
  }
  std::sort(uses.begin(), uses.end(),
            [](const Use &a, const Use &b) { return a.size.bytes < b.size.bytes; });
  return uses;
}

// Of rows that are short enough to have code of their own.
std::vector<int> lengths_of(const std::vector<Use> &uses) {
  constexpr int64_t kLongest = 1024;
  std::set<int> lengths;
  for (const Use &use : uses) {
    if (use.size.n <= kLongest) lengths.insert(static_cast<int>(use.size.n));
  }
  return {lengths.begin(), lengths.end()};
}

FamilyPlan plan_of(const Family &family, const std::vector<Row> &rows) {
  const auto is_default = [&](const Row &row) { return row.serves(family) && row.is_default(); };
  const auto found = std::find_if(rows.begin(), rows.end(), is_default);
  if (found == rows.end()) throw std::runtime_error("no default row serves " + family.name());
  return {family, *family.schedule, rows_of_family(rows, family), *found, {}, {}, {}};
}

// Of the kernels of a family in a problem.
double share_of(const std::map<std::string, double> &kernels, const Family &family) {
  const std::string prefix =
      "halnorm_" + family.operation + "_" + family.part + "_" + family.dtype + "_";
  double share = 0;
  for (const auto &[kernel, part] : kernels) {
    if (kernel.rfind(prefix, 0) == 0) share += part;
  }
  return share;
}

// The mean of those on each GPU.
std::map<std::string, double> shares_of(const ModelledCall &call) {
  std::map<std::string, double> shares;
  for (const std::vector<ModelledLaunch> &launches : call) {
    const double whole = seconds_of(launches) * static_cast<double>(call.size());
    for (const ModelledLaunch &launch : launches) {
      shares[launch.kernel] += launch.time.seconds / whole;
    }
  }
  return shares;
}

// With so few rows that an interpreter runs it in a fraction of a second; nothing where it has
// channels, which are as many in `checked.txt`.
std::optional<std::string> with_few_rows(const std::string &text) {
  constexpr int64_t kFewRows = 5;
  Problem problem = halnorm_test::must_parse(text);
  if (problem.has_channels() || problem.shape.size() != 2) return std::nullopt;
  problem.shape[0] = std::min(problem.shape[0], kFewRows);
  return print(problem);
}

}  // namespace

std::vector<std::string> read_problems(const std::vector<std::string> &files_or_problems,
                                       const std::vector<std::string> &dtypes) {
  std::vector<std::string> problems;
  for (const std::string &item : files_or_problems) {
    if (!std::filesystem::exists(item)) {
      append_problem(item, dtypes, &problems);
      continue;
    }
    std::ifstream file(item);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line.substr(0, line.find('#')));
      std::string problem;
      if (words >> problem) append_problem(problem, dtypes, &problems);
    }
  }
  return problems;
}

Shares profile(const std::vector<std::string> &problems, ProgramBuilder *builder,
               Measurer *measurer, Log *log) {
  const auto key = [](const std::string &problem) { return "profile : " + problem; };
  std::vector<std::string> missing;
  for (const std::string &problem : problems) {
    if (log->recall(key(problem)) == nullptr) missing.push_back(problem);
  }
  constexpr double kLimit = 900;
  if (!missing.empty()) builder->build_profiler();
  if (!missing.empty() && measurer->is_for_cuda()) {
    for (const auto &[problem, call] : measurer->model_calls(builder->program(), "", missing)) {
      log->append(key(problem), {{"profile", {{"problem", problem}, {"shares", shares_of(call)}}}});
    }
  } else if (!missing.empty()) {
    Command arguments = {"--round-ms=2"};
    arguments.insert(arguments.end(), missing.begin(), missing.end());
    std::istringstream output(measurer->output_of(builder->program(), arguments, kLimit));
    for (std::string line; std::getline(output, line);) {
      const json parsed = json::parse(line);
      if (parsed.contains("error")) {
        throw std::runtime_error(parsed.at("problem").get<std::string>() + ": " +
                                 parsed.at("error").get<std::string>());
      }
      log->append(key(parsed.at("problem")), {{"profile", parsed}});
    }
  }
  Shares shares;
  for (const std::string &problem : problems) {
    const json *line = log->recall(key(problem));
    if (line == nullptr) throw std::runtime_error(problem + ": the trial says nothing of it");
    shares[problem] = line->at("profile").at("shares").get<std::map<std::string, double>>();
  }
  return shares;
}

Shares profile_parts(const std::vector<std::string> &problems, ProgramBuilder *builder,
                     Measurer *measurer) {
  builder->build_profiler();
  Shares shares;
  for (const auto &[problem, kernels] : measurer->launched_kernels(builder->program(), problems)) {
    for (const std::string &kernel : kernels) shares[problem][kernel] = 1;
  }
  return shares;
}

std::vector<Weighed> make_plan(const std::vector<Family> &families, const std::vector<Row> &rows,
                               const Shares &problems, const Shares &checked, bool check_few_rows) {
  std::vector<Weighed> weighed;
  for (const Family &family : families) {
    if (family.schedule->words.empty()) continue;
    FamilyPlan plan = plan_of(family, rows);
    double weight = 0;
    std::vector<std::pair<double, Use>> shares;
    for (const auto &[text, kernels] : problems) {
      const Problem problem = halnorm_test::must_parse(text);
      const double share = share_of(kernels, family);
      weight += share;
      const Size size = {problem.row_length(), bytes_of(problem)};
      if (share >= kLeastShare && size.bytes <= kMostBytes) shares.push_back({share, {text, size}});
    }
    const bool has_large = std::any_of(shares.begin(), shares.end(), [](const auto &share) {
      return share.first >= kFewestShare;
    });
    const auto is_small = [&](const auto &share) {
      return has_large && share.first < kFewestShare;
    };
    shares.erase(std::remove_if(shares.begin(), shares.end(), is_small), shares.end());
    if (shares.empty()) continue;
    plan.uses = spread(std::move(shares));
    plan.schedule = plan.schedule.with_lengths(lengths_of(plan.uses));
    for (const auto &[text, kernels] : checked) {
      if (share_of(kernels, family) > 0) plan.checked.push_back(text);
    }
    for (const Use &use : plan.uses) {
      const std::optional<std::string> few_rows = with_few_rows(use.problem);
      if (check_few_rows && few_rows) plan.checked.push_back(*few_rows);
    }
    weighed.push_back({std::move(plan), weight * (family.dtype == "f32" ? 1 : kWeightOf16Bits)});
  }
  std::stable_sort(weighed.begin(), weighed.end(), [](const Weighed &a, const Weighed &b) {
    const bool first = a.plan.family.dtype == "f32", second = b.plan.family.dtype == "f32";
    return first != second ? first : a.weight > b.weight;
  });
  return weighed;
}

std::vector<Weighed> make_model_plan(const std::vector<Family> &families,
                                     const std::vector<Row> &rows,
                                     const std::vector<std::string> &cpus) {
  std::vector<Weighed> weighed;
  for (const Family &family : families) {
    if (family.schedule->words.empty()) continue;
    weighed.push_back({plan_of(family, rows), 1});
    for (const std::string &cpu : cpus) weighed.back().plan.uses.push_back({cpu, {1, 1}});
  }
  return weighed;
}

}  // namespace halnorm_tune
