// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <HalideRuntime.h>
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "halnorm.h"
#include "machine.h"
#include "peers.h"
#include "rounds.h"

namespace halnorm_bench {
namespace {

// Of the contenders of a kind the quickest; null when none was timed.
const Contender *quickest(const std::vector<Contender> &contenders, Kind kind) {
  const Contender *best = nullptr;
  for (const Contender &contender : contenders) {
    if (contender.kind != kind || contender.seconds.empty()) continue;
    if (best == nullptr || least(contender.seconds) < least(best->seconds)) best = &contender;
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

std::string halide_version() {
  return std::to_string(HALIDE_VERSION_MAJOR) + "." + std::to_string(HALIDE_VERSION_MINOR) + "." +
         std::to_string(HALIDE_VERSION_PATCH);
}

// Threads that have to wait for a core make all times worthless, those of OpenMP's above all.
void print_load(int threads) {
  double load = 0;
  if (getloadavg(&load, 1) != 1) return;
  const unsigned cpus = std::thread::hardware_concurrency();
  std::printf("%u CPUs, load before the run %.1f%s\n", cpus, load,
              load + threads > cpus + 0.5 ? ": TOO BUSY for times that can be relied on" : "");
}

}  // namespace

void print_heading(const Options &options) {
  const std::string cpu = cpu_name(), halide = halide_version();
  std::printf("%s, %s, %d thread%s\n", cpu.c_str(), options.target.c_str(), options.threads,
              options.threads == 1 ? "" : "s");
  std::printf("halnorm %s, Halide %s", halnorm_version(), halide.c_str());
  for (const PeerVersion &peer : peer_versions()) {
    const std::string version = peer.version.empty() ? "absent" : peer.version;
    std::printf(", %s %s", peer.name.c_str(), version.c_str());
    benchmark::AddCustomContext(peer.name, version);
  }
  std::printf("\nlast-level cache %zu MiB: cold tensors take %zu MiB or more\n",
              last_level_cache_bytes() >> 20, 4 * last_level_cache_bytes() >> 20);
  print_load(options.threads);
  benchmark::AddCustomContext("cpu", cpu);
  benchmark::AddCustomContext("target", options.target);
  benchmark::AddCustomContext("threads", std::to_string(options.threads));
  benchmark::AddCustomContext("last_level_cache_bytes", std::to_string(last_level_cache_bytes()));
  benchmark::AddCustomContext("kernels", "linked, compiled ahead of time by Halide " + halide);
  benchmark::AddCustomContext("halnorm", halnorm_version());
  benchmark::AddCustomContext("halide", halide);
}

void print_table(const std::string &problem, size_t traffic,
                 const std::vector<Contender> &contenders, const char *untimed) {
  const Contender *limit = quickest(contenders, Kind::limit);
  const Contender *peer = quickest(contenders, Kind::peer);
  std::printf("\n%s", problem.c_str());
  if (limit != nullptr) {
    // Bytes read and written; a plain store that reads its cache line first is not counted twice.
    std::printf("   limit (%s): %s, %.1f GB/s", limit->name.c_str(),
                time_text(least(limit->seconds)).c_str(),
                static_cast<double>(traffic) / least(limit->seconds) * 1e-9);
  }
  size_t longest = 0;
  for (const Contender &contender : contenders) {
    longest = std::max(longest, contender.name.size());
  }
  const int width = static_cast<int>(longest);
  std::printf("\n  %-*s %11s %11s %9s%s\n", width, "", "min", "median", "of limit",
              peer == nullptr ? "" : "  of best peer");
  for (const Contender &contender : contenders) {
    if (contender.seconds.empty()) {
      const char *what = !contender.trouble.empty()      ? contender.trouble.c_str()
                         : contender.kind == Kind::limit ? "not timed"
                                                         : untimed;
      std::printf("  %-*s   %s\n", width, contender.name.c_str(), what);
      continue;
    }
    const double own = least(contender.seconds);
    const std::string of_limit =
        limit == nullptr ? "" : format("%.0f %%", 100 * least(limit->seconds) / own);
    const std::string of_peer =
        peer == nullptr ? "" : format("%12.0f %%", 100 * least(peer->seconds) / own);
    const std::string &note = contender.trouble.empty() ? contender.detail : contender.trouble;
    std::printf("  %-*s %11s %11s %9s%s%s%s\n", width, contender.name.c_str(),
                time_text(own).c_str(), time_text(median(contender.seconds)).c_str(),
                of_limit.c_str(), of_peer.c_str(), note.empty() ? "" : "  ", note.c_str());
  }
  std::fflush(stdout);
}

}  // namespace halnorm_bench
