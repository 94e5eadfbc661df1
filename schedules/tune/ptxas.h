// SPDX-License-Identifier: Apache-2.0
// What NVIDIA's assembler says of PTX.
#ifndef HALNORM_SCHEDULES_TUNE_PTXAS_H_
#define HALNORM_SCHEDULES_TUNE_PTXAS_H_

#include <map>
#include <string>
#include <vector>

namespace halnorm_tune {

struct MachineCode {
  int registers = 0;    // of a thread
  std::string trouble;  // it does not assemble, or spills
};

// What `ptxas -v` prints of one kernel.
MachineCode read_ptxas(const std::string &output);

// By architecture. Throws std::runtime_error where there is no such program.
std::map<std::string, MachineCode> assemble(const std::string &ptx, const std::string &ptxas,
                                            const std::vector<std::string> &architectures,
                                            int jobs);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PTXAS_H_
