// SPDX-License-Identifier: Apache-2.0
// The log is described in QEMU's manual, "Debugging", under -d in_asm, exec and nochain: without
// chains, a block that jumps to another one returns to the emulator first, which writes a line.
#include "emulator.h"

#include <filesystem>
#include <sstream>
#include <unordered_map>

namespace halnorm_tune {

bool is_qemu(const Command &runner) {
  return !runner.empty() &&
         std::filesystem::path(runner[0]).filename().string().rfind("qemu-", 0) == 0;
}

Command qemu_log_flags(const std::vector<Function> &functions, const std::string &log_file) {
  std::ostringstream ranges;
  for (const Function &function : functions) {
    if (function.bytes == 0) continue;
    ranges << (ranges.tellp() == 0 ? "" : ",") << std::hex << "0x" << function.address << "+0x"
           << function.bytes;
  }
  return {"-d", "in_asm,exec,nochain", "-D", log_file, "-dfilter", ranges.str()};
}

std::optional<int64_t> instructions_of_log(std::istream &log) {
  std::unordered_map<uint64_t, int64_t> length_of_block;  // by its first address
  int64_t *length = nullptr;                              // of the block that is being listed
  bool begins = false;
  int64_t instructions = 0;
  for (std::string line; std::getline(log, line);) {
    if (line.rfind("IN:", 0) == 0) {
      begins = true;
    } else if (line.rfind("0x", 0) == 0) {
      if (begins) {
        length = &length_of_block[std::stoull(line, nullptr, 16)];
        *length = 0;
        begins = false;
      }
      if (length == nullptr) return std::nullopt;
      ++*length;
    } else if (line.rfind("Trace ", 0) == 0) {
      // Trace CPU: HOST [CS_BASE/PC/FLAGS/CFLAGS] SYMBOL
      const size_t slash = line.find('/');
      if (slash == std::string::npos) return std::nullopt;
      const auto block = length_of_block.find(std::stoull(line.substr(slash + 1), nullptr, 16));
      if (block == length_of_block.end()) return std::nullopt;
      instructions += block->second;
    }
  }
  if (instructions == 0) return std::nullopt;
  return instructions;
}

}  // namespace halnorm_tune
