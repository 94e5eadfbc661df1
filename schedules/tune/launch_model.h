// SPDX-License-Identifier: Apache-2.0
// The model of GPUs on what a trial says that calls launch (trial_launches.h).
#ifndef HALNORM_SCHEDULES_TUNE_LAUNCH_MODEL_H_
#define HALNORM_SCHEDULES_TUNE_LAUNCH_MODEL_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gpu_model.h"
#include "ptxas.h"

namespace halnorm_tune {

struct ModelledLaunch {
  std::string kernel;
  int registers;
  LaunchTime time;
};
// Of a call, on each of gpus().
using ModelledCall = std::vector<std::vector<ModelledLaunch>>;
double seconds_of(const std::vector<ModelledLaunch> &launches);

// The kernels of each call that the trial printed, by problem, which takes no model.
std::map<std::string, std::vector<std::string>> kernels_of(const std::string &output);

// A table of them.
void print_call(const std::string &problem, const ModelledCall &call);

class LaunchModel {
 public:
  LaunchModel(std::string ptxas, int jobs) : ptxas_(std::move(ptxas)), jobs_(jobs) {}

  // What the trial printed, by problem. Throws NoTime, or std::runtime_error where a call failed.
  std::map<std::string, ModelledCall> calls_of(const std::string &output);

 private:
  struct Code {
    PtxKernel kernel;
    std::map<std::string, MachineCode> machine;
  };
  const Code &code_of(const std::string &ptx);

  const std::string ptxas_;
  const int jobs_;
  std::map<std::string, Code> codes_;  // by PTX
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_LAUNCH_MODEL_H_
