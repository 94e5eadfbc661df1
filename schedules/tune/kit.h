// SPDX-License-Identifier: Apache-2.0
// What the build hands to the tuner: where its parts are, in a file that CMake writes.
#ifndef HALNORM_SCHEDULES_TUNE_KIT_H_
#define HALNORM_SCHEDULES_TUNE_KIT_H_

#include <string>
#include <vector>

namespace halnorm_tune {

struct Kit {
  std::string source;                 // of the repository
  std::string generators;             // the program that makes kernels
  std::string kernel_features;        // of every kernel, beside those of its target
  std::vector<std::string> targets;   // of the build, in the order of their numbers in its tables
  std::string tables;                 // of the library: what dispatch.cpp includes
  std::string kernels;                // the objects of the library's kernels
  std::string archive;                // of what a trial is linked with besides kernels
  std::vector<std::string> compiler;  // with its flags
  std::string halide_version;

  std::string schedules() const { return source + "/schedules"; }
};

// Throws std::runtime_error where the file is not what CMake writes.
Kit read_kit(const std::string &file);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_KIT_H_
