// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <HalideRuntime.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <thread>

#include "halnorm.h"
#include "peers/onednn.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

double least(const Contender &contender) {
  if (contender.seconds.empty()) return kNever;
  return *std::min_element(contender.seconds.begin(), contender.seconds.end());
}

double median(const Contender &contender) {
  std::vector<double> sorted = contender.seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// Of the contenders of a kind the quickest; null when none was timed.
const Contender *quickest(const std::vector<Contender> &contenders, Kind kind) {
  const Contender *best = nullptr;
  for (const Contender &contender : contenders) {
    if (contender.kind != kind || least(contender) == kNever) continue;
    if (best == nullptr || least(contender) < least(*best)) best = &contender;
  }
  return best;
}

std::string format(const char *pattern, double value) {
  char text[32];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string time_text(double seconds) {
  if (seconds < 1e-6) return format("%.1f ns", seconds * 1e9);
  if (seconds < 1e-3) return format("%.2f us", seconds * 1e6);
  return format("%.3f ms", seconds * 1e3);
}

std::string cpu_name() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

std::string halide_version() {
  return std::to_string(HALIDE_VERSION_MAJOR) + "." + std::to_string(HALIDE_VERSION_MINOR) + "." +
         std::to_string(HALIDE_VERSION_PATCH);
}

std::string one_dnn_version() {
  const std::string version = OneDnnPrimitive::version();
  return version.empty() ? "absent" : version;
}

// Threads that have to wait for a core make all times worthless, those of OpenMP's above all.
void print_load(int threads) {
  double load = 0;
  if (getloadavg(&load, 1) != 1) return;
  const unsigned cpus = std::thread::hardware_concurrency();
  std::printf("%u CPUs, load before the run %.1f%s\n", cpus, load,
              load + threads > cpus + 0.5 ? ": TOO BUSY for times that can be relied on" : "");
}

bool is_halnorm(Kind kind) {
  return kind == Kind::default_row || kind == Kind::chosen_row || kind == Kind::other_row;
}

}  // namespace

void print_heading(const Options &options) {
  const std::string cpu = cpu_name(), halide = halide_version(), one_dnn = one_dnn_version();
  std::printf("%s, %s, %d thread%s\n", cpu.c_str(), options.target.c_str(), options.threads,
              options.threads == 1 ? "" : "s");
  std::printf("halnorm %s, Halide %s, oneDNN %s\n", halnorm_version(), halide.c_str(),
              one_dnn.c_str());
  print_load(options.threads);
  if (OneDnnPrimitive::version().empty()) {
    std::printf("No oneDNN in this build: nothing here compares with it; see bench/README.md.\n");
  }
  benchmark::AddCustomContext("cpu", cpu);
  benchmark::AddCustomContext("target", options.target);
  benchmark::AddCustomContext("threads", std::to_string(options.threads));
  benchmark::AddCustomContext("halnorm", halnorm_version());
  benchmark::AddCustomContext("halide", halide);
  benchmark::AddCustomContext("onednn", one_dnn);
}

void print_table(const Workload &workload, const std::vector<Contender> &contenders) {
  const Contender *limit = quickest(contenders, Kind::limit);
  const Contender *peer = quickest(contenders, Kind::peer);
  std::printf("\n%s", halnorm_test::print(workload.problem()).c_str());
  if (limit != nullptr) {
    // Bytes read and written; a plain store that reads its cache line first is not counted twice.
    std::printf("   limit (%s): %s, %.1f GB/s", limit->name.c_str(),
                time_text(least(*limit)).c_str(),
                static_cast<double>(workload.traffic()) / least(*limit) * 1e-9);
  }
  size_t longest = 0;
  for (const Contender &contender : contenders) {
    longest = std::max(longest, contender.name.size());
  }
  const int width = static_cast<int>(longest);
  std::printf("\n  %-*s %11s %11s %9s%s\n", width, "", "min", "median", "of limit",
              peer == nullptr ? "" : "  of oneDNN");
  for (const Contender &contender : contenders) {
    if (contender.seconds.empty()) {
      const char *what = contender.trouble.empty() ? "not timed" : contender.trouble.c_str();
      std::printf("  %-*s   %s\n", width, contender.name.c_str(), what);
      continue;
    }
    const double own = least(contender);
    const std::string of_limit =
        limit == nullptr ? "" : format("%.0f %%", 100 * least(*limit) / own);
    const std::string of_peer = peer == nullptr ? "" : format("%9.0f %%", 100 * least(*peer) / own);
    const std::string &note = contender.trouble.empty() ? contender.detail : contender.trouble;
    std::printf("  %-*s %11s %11s %9s%s%s%s\n", width, contender.name.c_str(),
                time_text(own).c_str(), time_text(median(contender)).c_str(), of_limit.c_str(),
                of_peer.c_str(), note.empty() ? "" : "  ", note.c_str());
  }
  std::fflush(stdout);
}

void Summary::add(const std::string &problem, const std::vector<Contender> &contenders) {
  ++problems_;
  for (const Contender &contender : contenders) {
    if (contender.trouble.empty() || contender.trouble.rfind("absent", 0) == 0) continue;
    ++troubled_;
    if (is_halnorm(contender.kind)) ++broken_rows_;
  }
  const Contender *chosen = quickest(contenders, Kind::chosen_row);
  if (chosen == nullptr) return;
  const auto compare = [&](Kind rival, std::vector<Ratio> *ratios) {
    const Contender *other = quickest(contenders, rival);
    if (other != nullptr) ratios->push_back({problem, least(*other) / least(*chosen)});
  };
  compare(Kind::peer, &to_peer_);
  compare(Kind::autoscheduler, &to_best_autoscheduler_);
  compare(Kind::halide_default, &to_halide_default_);
  compare(Kind::default_row, &to_default_row_);
  compare(Kind::limit, &of_limit_);
}

void Summary::print_line(const char *rival, const std::vector<Ratio> &ratios) {
  if (ratios.empty()) {
    std::printf("  %-20s no problem that both ran\n", rival);
    return;
  }
  const auto less = [](const Ratio &a, const Ratio &b) { return a.value < b.value; };
  const auto [worst, best] = std::minmax_element(ratios.begin(), ratios.end(), less);
  double logarithms = 0;
  for (const Ratio &ratio : ratios) logarithms += std::log(ratio.value);
  std::printf("  %-20s %6.2fx %6.2fx %6.2fx %4zu   %s\n", rival,
              std::exp(logarithms / static_cast<double>(ratios.size())), worst->value, best->value,
              ratios.size(), worst->problem.c_str());
}

void Summary::print() const {
  std::printf(
      "\nSpeed of the chosen row over that of a rival, from the minima of the problems both ran\n"
      "  %-20s %7s %7s %7s %4s   %s\n",
      "", "mean", "least", "most", "of", "the least is");
  print_line("oneDNN", to_peer_);
  print_line("best autoscheduler", to_best_autoscheduler_);
  print_line("Halide's default", to_halide_default_);
  print_line("default row", to_default_row_);
  print_line("limit", of_limit_);
  std::printf("The mean is the geometric one.\n");
  if (troubled_ > 0) {
    std::printf("%d contender%s failed or wrong in %d problems: the tables name them.\n", troubled_,
                troubled_ == 1 ? " was" : "s were", problems_);
  }
}

}  // namespace halnorm_bench
