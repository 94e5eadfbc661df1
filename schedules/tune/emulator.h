// SPDX-License-Identifier: Apache-2.0
// Instructions that a program executes under QEMU's user-mode emulation, from its own log: no
// plugin of QEMU's has to be built.
#ifndef HALNORM_SCHEDULES_TUNE_EMULATOR_H_
#define HALNORM_SCHEDULES_TUNE_EMULATOR_H_

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "object_file.h"
#include "process.h"

namespace halnorm_tune {

// Whether the command begins with an emulator of QEMU's, such as qemu-aarch64.
bool is_qemu(const Command &runner);

// What makes it write down each block of code of the functions that it translates, and each that it
// executes.
Command qemu_log_flags(const std::vector<Function> &functions, const std::string &log_file);

// Of the blocks that were executed. Nothing where the log is none of such flags, or has no block.
std::optional<int64_t> instructions_of_log(std::istream &log);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_EMULATOR_H_
