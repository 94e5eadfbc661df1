// SPDX-License-Identifier: Apache-2.0
#include "launch_model.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace halnorm_tune {
namespace {

using nlohmann::json;

// As the runtime hands it to the driver (runtime/cuda_launch.cpp).
std::string without_read_only_loads(std::string ptx) {
  const std::string read_only = "ld.global.nc.", plain = "ld.global.";
  for (size_t at = ptx.find(read_only); at != std::string::npos; at = ptx.find(read_only, at)) {
    ptx.replace(at, read_only.size(), plain);
  }
  return ptx;
}

GpuLaunch launch_of(const json &line) {
  GpuLaunch launch = {line.at("blocks"), line.at("threads"), line.at("shared_bytes"), {}, {}};
  for (const json &argument : line.at("arguments")) {
    const bool is_tensor = argument.is_object();
    launch.tensor_bytes.push_back(is_tensor ? argument.at("bytes").get<int64_t>() : 0);
    launch.values.emplace_back();
    if (!is_tensor) launch.values.back() = static_cast<int64_t>(argument.get<uint64_t>());
  }
  return launch;
}

}  // namespace

double seconds_of(const std::vector<ModelledLaunch> &launches) {
  double seconds = 0;
  for (const ModelledLaunch &launch : launches) seconds += launch.time.seconds;
  return seconds;
}

std::map<std::string, std::vector<std::string>> kernels_of(const std::string &output) {
  std::map<std::string, std::vector<std::string>> kernels;
  std::istringstream stream(output);
  for (std::string text; std::getline(stream, text);) {
    const json line = json::parse(text);
    for (const json &launched : line.value("launches", json::array())) {
      kernels[line.at("problem")].push_back(launched.at("kernel"));
    }
  }
  return kernels;
}

void print_call(const std::string &problem, const ModelledCall &call) {
  std::printf("%s\n", problem.c_str());
  for (size_t g = 0; g < call.size(); ++g) {
    std::printf("  %s: %.1f us\n", gpus()[g].name, 1e6 * seconds_of(call[g]));
    for (const ModelledLaunch &launch : call[g]) {
      const LaunchTime &time = launch.time;
      std::printf("    %.1f us: %s\n", 1e6 * time.seconds, launch.kernel.c_str());
      std::printf(
          "      moving %.1f, issuing %.1f, waiting %.1f; %d registers, %.0f warps with %.1f "
          "KiB in flight of the %.1f that saturate\n",
          1e6 * time.moving, 1e6 * time.issuing, 1e6 * time.waiting, launch.registers, time.warps,
          time.bytes_in_flight / 1024, time.bytes_to_saturate / 1024);
    }
  }
}

const LaunchModel::Code &LaunchModel::code_of(const std::string &ptx) {
  const auto known = codes_.find(ptx);
  if (known != codes_.end()) return known->second;
  return codes_.emplace(ptx, Code{read_ptx(ptx), assemble(ptx, ptxas_, architectures(), jobs_)})
      .first->second;
}

std::map<std::string, ModelledCall> LaunchModel::calls_of(const std::string &output) {
  std::map<std::string, const Code *> code_of_kernel;
  std::map<std::string, ModelledCall> calls;
  std::istringstream stream(output);
  for (std::string text; std::getline(stream, text);) {
    const json line = json::parse(text);
    if (line.contains("ptx")) {
      code_of_kernel[line.at("kernel")] = &code_of(without_read_only_loads(line.at("ptx")));
      continue;
    }
    const std::string problem = line.at("problem");
    if (line.contains("error")) {
      throw std::runtime_error(problem + ": " + line.at("error").get<std::string>());
    }
    for (const Gpu &gpu : gpus()) {
      std::vector<ModelledLaunch> launches;
      for (const json &launched : line.at("launches")) {
        const std::string kernel = launched.at("kernel");
        const Code &code = *code_of_kernel.at(kernel);
        for (const auto &[architecture, machine] : code.machine) {
          if (!machine.trouble.empty()) throw NoTime(kernel + ": " + machine.trouble);
        }
        const int registers = code.machine.at(gpu.architecture).registers;
        launches.push_back(
            {kernel, registers, time_of_launch(gpu, code.kernel, registers, launch_of(launched))});
      }
      calls[problem].push_back(launches);
    }
  }
  return calls;
}

}  // namespace halnorm_tune
