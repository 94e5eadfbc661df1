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
    return {json.at("source"),  json.at("generators"), json.at("kernel_features"),
            json.at("targets"), json.at("tables"),     json.at("kernels"),
            json.at("archive"), json.at("compiler"),   json.at("halide_version")};
  } catch (const nlohmann::json::exception &error) {
    throw std::runtime_error(file + ": " + error.what());
  }
}

}  // namespace halnorm_tune
