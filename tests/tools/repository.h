// SPDX-License-Identifier: Apache-2.0
// What halnorm-tune reads of the repository, with rows that a test may write.
#ifndef HALNORM_TESTS_TOOLS_REPOSITORY_H_
#define HALNORM_TESTS_TOOLS_REPOSITORY_H_

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scratch.h"

namespace halnorm_test {

class Repository {
 public:
  // Links and copies it to the scratch directory.
  explicit Repository(const Scratch &scratch) : scratch_(scratch) {
    const std::string schedules = HALNORM_TEST_SCHEDULES_DIR;
    for (const char *name : {"runtime", "bench"}) {
      std::filesystem::create_directory_symlink(schedules + "/../" + name, scratch.file(name));
    }
    std::filesystem::create_directory(scratch.file("generators"));
    std::filesystem::copy(schedules + "/../generators/operations.cmake",
                          scratch.file("generators/operations.cmake"));
    std::filesystem::copy(schedules, scratch.file("schedules"),
                          std::filesystem::copy_options::recursive);
    std::ifstream(HALNORM_TUNE_KIT) >> kit;
    kit["source"] = scratch.path();
  }

  std::string write_kit() const { return scratch_.write("kit.json", kit.dump()); }

  // Lines of a log of the tuner's.
  std::vector<nlohmann::json> log(const std::string &name) const {
    std::vector<nlohmann::json> lines;
    std::ifstream file(scratch_.file(name));
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  nlohmann::json kit;  // of the build, but for the source

 private:
  const Scratch &scratch_;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_TOOLS_REPOSITORY_H_
