// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include "json.h"
#include "rounds.h"

namespace halnorm_bench {
namespace {

constexpr double kSignificance = 0.01;
// Fewer of each contender cannot differ by rank with that significance.
constexpr size_t kFewestRounds = 6;
// Below this number of contenders that no change of halnorm can change, their spread says little,
// and this factor is taken to be within the noise.
constexpr size_t kFewestControls = 8;
constexpr double kUnknownNoise = 1.1;
// Of a problem, to tell the moment in which it was timed.
constexpr size_t kFewestOfProblem = 4;

struct Rounds {
  bool is_control = false;  // not halnorm's
  std::vector<double> times;
};
using Runs = std::map<std::string, Rounds>;  // by problem/contender

bool is_control(const std::string &label) {
  for (const char *kind : {"halide_default:", "autoscheduler:", "peer:", "limit:"}) {
    if (label.rfind(kind, 0) == 0) return true;
  }
  return false;
}

bool read_runs(const std::string &path, Json *context, Runs *runs, std::string *error) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  Json json;
  std::string wrong;
  if (!file) {
    wrong = "cannot be read";
  } else if (Json::parse(text.str(), &json, &wrong) && !json["benchmarks"].is_array()) {
    wrong = "expected the member 'benchmarks', as --json writes it";
  }
  if (!wrong.empty()) {
    *error = path + ": " + wrong + "\n";
    return false;
  }
  *context = json["context"];
  for (const Json &run : json["benchmarks"].items()) {
    if (run["run_type"].text() != "iteration" || run["error_occurred"].is_true()) continue;
    Rounds &rounds = (*runs)[run["name"].text()];
    rounds.is_control = is_control(run["label"].text());
    rounds.times.push_back(run["real_time"].number());  // all in the same unit
  }
  return true;
}

struct Pair {
  const std::string *name;
  std::string problem;
  bool is_control;
  const std::vector<double> *before, *after;
  double of_minima, of_medians;  // logarithms of second over first, later relative to the drift
};

std::vector<double> controls_of(const std::vector<Pair> &pairs, double Pair::*ratio,
                                const std::string &problem) {
  std::vector<double> ratios;
  for (const Pair &pair : pairs) {
    if (pair.is_control && (problem.empty() || pair.problem == problem)) {
      ratios.push_back(pair.*ratio);
    }
  }
  return ratios;
}

// The contenders of a problem are timed in the same moment of the machine, which those that have
// not changed tell: takes it out of all ratios. Where the problem has too few of them, those of all
// have to do.
void remove_drift(std::vector<Pair> *pairs, double Pair::*ratio) {
  const std::vector<Pair> given = *pairs;
  const std::vector<double> all = controls_of(given, ratio, "");
  for (Pair &pair : *pairs) {
    std::vector<double> controls = controls_of(given, ratio, pair.problem);
    if (controls.size() < kFewestOfProblem) controls = all;
    if (controls.size() >= kFewestOfProblem) pair.*ratio -= median(controls);
  }
}

// The largest logarithm that is no change. The rounds of a run have its addresses in common too, so
// that their spread is less than that between two runs: the controls show the latter. Three
// standard deviations, as the median absolute deviation estimates them for normal errors
// (Rousseeuw, Croux, "Alternatives to the Median Absolute Deviation", 1993).
double noise_of(const std::vector<Pair> &pairs, double Pair::*ratio) {
  std::vector<double> ratios = controls_of(pairs, ratio, "");
  if (ratios.size() < kFewestControls) return std::log(kUnknownNoise);
  for (double &one : ratios) one = std::abs(one);
  return 3 * 1.4826 * median(ratios);
}

void append(std::string *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

void append(std::string *report, const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  *report += line;
}

// The second rounds count as if there had been no drift.
bool differs_by_rank(const Pair &pair) {
  const double scale = std::exp(pair.of_medians) * median(*pair.before) / median(*pair.after);
  std::vector<double> after = *pair.after;
  for (double &time : after) time *= scale;
  return rank_test(*pair.before, after) < kSignificance;
}

size_t missing(const Runs &runs, const Runs &from) {
  size_t count = 0;
  for (const auto &[name, rounds] : runs) count += from.count(name) == 0 ? 1 : 0;
  return count;
}

}  // namespace

double rank_test(const std::vector<double> &a, const std::vector<double> &b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  const double n = static_cast<double>(all.size()), na = static_cast<double>(a.size()),
               nb = static_cast<double>(b.size());
  // Equal times share the middle of their ranks, which leaves less variance.
  double ranks = 0, ties = 0;
  for (double time : a) {
    const auto [first, last] = std::equal_range(all.begin(), all.end(), time);
    ranks += static_cast<double>((first - all.begin()) + (last - all.begin()) + 1) / 2;
  }
  for (auto at = all.begin(); at != all.end();) {
    const auto last = std::upper_bound(at, all.end(), *at);
    const double t = static_cast<double>(last - at);
    ties += t * t * t - t;
    at = last;
  }
  const double variance = na * nb / 12 * (n + 1 - ties / (n * (n - 1)));
  const double off = std::abs(ranks - na * (n + 1) / 2) - 0.5;
  if (!(variance > 0) || off <= 0) return 1;
  return std::erfc(off / std::sqrt(2 * variance));
}

bool compare_runs(const std::string &first, const std::string &second, std::string *report) {
  Runs before, after;
  Json context, other_context;
  if (!read_runs(first, &context, &before, report) ||
      !read_runs(second, &other_context, &after, report)) {
    return false;
  }
  for (const char *key : {"cpu", "target", "threads", "halnorm"}) {
    const std::string &a = context[key].text(), &b = other_context[key].text();
    if (a != b) append(report, "The runs differ in %s: %s and %s\n", key, a.c_str(), b.c_str());
  }
  std::vector<Pair> pairs;
  size_t few = 0;
  for (const auto &[name, a] : before) {
    const auto found = after.find(name);
    if (found == after.end()) continue;
    const std::vector<double> &b = found->second.times;
    if (std::min(a.times.size(), b.size()) < kFewestRounds) ++few;
    pairs.push_back({&name, name.substr(0, name.find('/')), a.is_control, &a.times, &b,
                     std::log(least(b) / least(a.times)), std::log(median(b) / median(a.times))});
  }
  remove_drift(&pairs, &Pair::of_minima);
  remove_drift(&pairs, &Pair::of_medians);
  const double of_minima = noise_of(pairs, &Pair::of_minima);
  const double of_medians = noise_of(pairs, &Pair::of_medians);
  append(
      report,
      "Time in %s over that in %s, by minima / by medians,\n"
      "relative to what is not halnorm's of the same problem, whose noise is %.1f %% / %.1f %%\n",
      second.c_str(), first.c_str(), 100 * std::expm1(of_minima), 100 * std::expm1(of_medians));
  size_t changed = 0;
  for (const Pair &pair : pairs) {
    if (!differs_by_rank(pair) || std::abs(pair.of_minima) <= of_minima ||
        std::abs(pair.of_medians) <= of_medians) {
      continue;
    }
    ++changed;
    append(report, "  %6.3f / %6.3f  %s\n", std::exp(pair.of_minima), std::exp(pair.of_medians),
           pair.name->c_str());
  }
  append(report, "%zu changed beyond the noise, %zu did not", changed, pairs.size() - changed);
  if (few > 0) {
    append(report, "; %zu have fewer than %zu rounds, too few to tell", few, kFewestRounds);
  }
  append(report, "; %zu only in the first file, %zu only in the second\n", missing(before, after),
         missing(after, before));
  return true;
}

}  // namespace halnorm_bench
