// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_SCRATCH_H_
#define HALNORM_TESTS_SCRATCH_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace halnorm_test {

// A directory that is gone with the object.
class Scratch {
 public:
  Scratch() {
    std::string name = testing::TempDir() + "/halnorm-test-XXXXXX";
    path_ = mkdtemp(name.data()) == nullptr ? "" : name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;

  const std::string &path() const { return path_; }
  std::string file(const std::string &name) const { return path_ + "/" + name; }
  std::string write(const std::string &name, const std::string &text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }

 private:
  std::string path_;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_SCRATCH_H_
