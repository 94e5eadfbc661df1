// SPDX-License-Identifier: Apache-2.0
// What ELF objects and programs, of any 64-bit processor with its low byte first, hold.
#ifndef HALNORM_SCHEDULES_TUNE_OBJECT_FILE_H_
#define HALNORM_SCHEDULES_TUNE_OBJECT_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace halnorm_tune {

struct Weight {
  int64_t bytes = 0;    // of code and constants
  uint64_t digest = 0;  // of the code
};

struct Function {
  std::string name;
  uint64_t address, bytes;
};

// Both throw std::runtime_error where the file is no such file.
Weight weigh(const std::string &object);
std::vector<Function> functions_of(const std::string &program);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_OBJECT_FILE_H_
