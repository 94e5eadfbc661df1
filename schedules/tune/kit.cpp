// SPDX-License-Identifier: Apache-2.0
#include "kit.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace halnorm_tune {

Kit read_kit(const std::string &file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(file + " cannot be read");
  try {
    const nlohmann::json json = nlohmann::json::parse(stream);
    std::vector<BuiltTarget> targets;
    for (const nlohmann::json &target : json.at("targets")) {
      targets.push_back(
          {target.at("name"), target.at("halide_target"), target.at("llvm_arguments")});
    }
    return {
        json.at("source"), json.at("generators"),  json.at("kernel_features"), targets,
        json.at("tables"), json.at("kernels"),     json.at("archive"),         json.at("compiler"),
        json.at("ptxas"),  json.at("cuda_driver"), json.at("halide_version")};
  } catch (const nlohmann::json::exception &error) {
    throw std::runtime_error(file + ": " + error.what());
  }
}

const BuiltTarget &Kit::target_named(const std::string &name) const {
  for (const BuiltTarget &target : targets) {
    if (target.name == name) return target;
  }
  throw std::runtime_error("the build has no target '" + name + "'");
}

}  // namespace halnorm_tune
