// SPDX-License-Identifier: Apache-2.0
#include "ptxas.h"

#include <regex>
#include <stdexcept>

#include "process.h"
#include "temporary_file.h"

namespace halnorm_tune {

MachineCode read_ptxas(const std::string &output) {
  static const std::regex used(R"(Used ([0-9]+) registers)");
  static const std::regex memory(
      R"(([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, ([0-9]+) bytes spill loads)");
  std::smatch match;
  if (!std::regex_search(output, match, used)) return {0, "ptxas names no registers"};
  MachineCode code = {std::stoi(match[1]), ""};
  if (!std::regex_search(output, match, memory)) return {0, "ptxas says nothing of spills"};
  if (match[1] != "0" || match[2] != "0" || match[3] != "0") code.trouble = match.str();
  return code;
}

std::map<std::string, MachineCode> assemble(const std::string &ptx, const std::string &ptxas,
                                            const std::vector<std::string> &architectures,
                                            int jobs) {
  constexpr double kLimit = 300;  // seconds
  const TemporaryFile source(ptx);
  std::vector<Command> commands;
  for (const std::string &architecture : architectures) {
    commands.push_back({ptxas, "-v", "-arch=" + architecture, source.name(), "-o", "/dev/null"});
  }
  std::vector<Finished> finished;
  try {
    finished = run_all(commands, jobs, kLimit);
  } catch (const std::runtime_error &trouble) {
    throw std::runtime_error(
        "the model needs ptxas, of the CUDA toolkit or of nvidia-cuda-nvcc from the package "
        "index: " +
        std::string(trouble.what()));
  }
  std::map<std::string, MachineCode> code;
  for (size_t i = 0; i < architectures.size(); ++i) {
    MachineCode &of_architecture = code[architectures[i]];
    if (finished[i].good()) {
      of_architecture = read_ptxas(finished[i].output + finished[i].errors);
    } else {
      of_architecture.trouble = "ptxas " + finished[i].trouble();
    }
    if (!of_architecture.trouble.empty()) {
      of_architecture.trouble = architectures[i] + ": " + of_architecture.trouble;
    }
  }
  return code;
}

}  // namespace halnorm_tune
