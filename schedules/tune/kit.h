// SPDX-License-Identifier: Apache-2.0
// What the build hands to the tuner: where its parts are, in a file that CMake writes.
#ifndef HALNORM_SCHEDULES_TUNE_KIT_H_
#define HALNORM_SCHEDULES_TUNE_KIT_H_

#include <string>
#include <vector>

namespace halnorm_tune {

// A target of the build.
struct BuiltTarget {
  std::string name, halide_target;
  std::string llvm_arguments;  // of its kernels
};

struct Kit {
  std::string source;                 // of the repository
  std::string generators;             // the program that makes kernels
  std::string kernel_features;        // of every kernel, beside those of its target
  std::vector<BuiltTarget> targets;   // in the order of their numbers in the build's tables
  std::string tables;                 // of the library: what dispatch.cpp includes
  std::string kernels;                // the objects of the library's kernels
  std::string archive;                // of what a trial is linked with besides kernels
  std::vector<std::string> compiler;  // with its flags
  std::string ptxas;                  // the program
  std::string cuda_driver;            // where libcuda.so.1 is that needs no GPU; empty: nowhere
  std::string halide_version;

  // Throws std::runtime_error where the build has no such target.
  const BuiltTarget &target_named(const std::string &name) const;
  std::string schedules() const { return source + "/schedules"; }
};

// Throws std::runtime_error where the file is not what CMake writes.
Kit read_kit(const std::string &file);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_KIT_H_
