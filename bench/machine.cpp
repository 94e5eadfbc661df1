// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <algorithm>
#include <fstream>

namespace halnorm_bench {
namespace {

// As the kernel has it. sysconf() gives the sum of the caches of a socket on some processors, of
// which a core reaches only one.
size_t read_last_level_cache() {
  size_t largest = 0;
  for (int index = 0;; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) +
                       "/size");
    size_t kibibytes = 0;
    if (!(file >> kibibytes)) break;
    largest = std::max(largest, kibibytes << 10);
  }
  constexpr size_t kUnknown = size_t{32} << 20;
  return largest == 0 ? kUnknown : largest;
}

}  // namespace

std::string cpu_name() {
  std::ifstream lines("/proc/cpuinfo");
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown CPU";
}

size_t last_level_cache_bytes() {
  static const size_t bytes = read_last_level_cache();
  return bytes;
}

}  // namespace halnorm_bench
