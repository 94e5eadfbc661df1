// SPDX-License-Identifier: Apache-2.0
// Runs one candidate of a trial program: its bits first, then what it costs.
#ifndef HALNORM_SCHEDULES_TUNE_MEASURE_H_
#define HALNORM_SCHEDULES_TUNE_MEASURE_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launch_model.h"
#include "process.h"

namespace halnorm_tune {

// What is compared. `time` is measured in turns with the library's own choice; `instructions` are
// counted by callgrind, by QEMU if that is the runner, or by another runner, which prints `insns:
// N`; `model` reads the assembly, or, of kernels for CUDA, what is launched (gpu_model.h).
enum class Metric { time, instructions, model };
Metric parse_metric(const std::string &text);

// How many times better than the library's choice a kernel did, as a natural logarithm, and two
// standard errors of it.
struct Ratio {
  double log = 0, noise = 0;
};

struct Outcome {
  std::string status = "timed";         // or wrong, crashed, timeout, illegal, duplicate
  std::string message;                  // where it was not timed
  std::map<std::string, Ratio> ratios;  // by problem
  double seconds = 0;                   // that it took to find out

  bool good() const { return status == "timed"; }
  // The mean of the logarithms, and two standard errors of it.
  Ratio score() const;
};

struct Effort {
  int rounds;
  double round_ms;
  double limits;  // how many times the time limit of a process it may take
};

struct MeasureOptions {
  Metric metric = Metric::time;
  Command runner;  // what runs programs; empty: this machine
  std::string target;
  int threads = 1;
  std::string llvm_mca;                 // of the model
  std::vector<std::string> model_cpus;  // that it is asked for
  std::string model_triple;             // of the code that it reads; empty: of CUDA
  std::string ptxas;                    // of the model of CUDA
  int jobs = 1;
  double limit = 20;  // seconds, of which an effort has some multiple
};

class Measurer {
 public:
  explicit Measurer(MeasureOptions options)
      : options_(std::move(options)), launches_(options_.ptxas, options_.jobs) {}

  const MeasureOptions &options() const { return options_; }
  // Which of the two the model is.
  bool models_assembly() const { return models() && !options_.model_triple.empty(); }
  bool models_launches() const { return models() && options_.model_triple.empty(); }
  // Then what kernels are for is seen from the launches that the model asks of, timed or not.
  bool is_for_cuda() const { return options_.model_triple.empty(); }

  // Runs the kernel `symbol` of the program: compares it with `reference` on the checked problems
  // and on the others, and measures it on the others.
  Outcome run(const std::string &program, const std::string &symbol, const std::string &reference,
              const std::vector<std::string> &checked, const std::vector<std::string> &problems,
              const Effort &effort);

  // What kernels the library's calls launch on CUDA, by problem.
  std::map<std::string, std::vector<std::string>> launched_kernels(
      const std::string &program, const std::vector<std::string> &problems);
  // What the model says of the calls that the program makes, by problem, with the library's choice
  // or with the kernel. Throws std::runtime_error where it says nothing.
  std::map<std::string, ModelledCall> model_calls(const std::string &program,
                                                  const std::string &symbol,
                                                  const std::vector<std::string> &problems);

  // What the model says of the assembly of a kernel against that of the library's, for each CPU in
  // the place of a problem.
  Outcome model(const std::string &assembly, const std::string &library_assembly);

  // The output of the program, run as every trial is. Throws std::runtime_error where it fails.
  std::string output_of(const std::string &program, const Command &arguments, double limit);

 private:
  // Of one call on a problem; less than 0 where the counter failed, which *outcome then says.
  double instructions(const std::string &program, const std::string &symbol,
                      const std::string &problem, double limit, Outcome *outcome);
  double emulated(const std::string &program, const std::string &symbol, const std::string &problem,
                  double limit, Outcome *outcome) const;
  void count(const std::string &program, const std::string &symbol,
             const std::vector<std::string> &problems, double limit, Outcome *outcome);
  std::string launches_of(const std::string &program, const std::string &symbol,
                          const std::vector<std::string> &problems);
  void compare_calls(const std::string &program, const std::string &symbol,
                     const std::vector<std::string> &problems, Outcome *outcome);
  Command trial(const std::string &program, const std::string &symbol) const;
  bool models() const { return options_.metric == Metric::model; }

  const MeasureOptions options_;
  LaunchModel launches_;
  std::map<std::string, ModelledCall> calls_of_library_;           // by problem
  std::map<std::string, double> instructions_of_library_;          // by problem
  std::string library_assembly_;                                   // of the costs below
  std::map<std::string, std::optional<double>> costs_of_library_;  // by CPU
};

// Of the times of a call on each GPU: the mean of the logarithms; as noise, by how much they
// differ, and what the model cannot tell apart.
Ratio ratio_of_calls(const ModelledCall &library, const ModelledCall &kernel);

// Of the ratios of paired groups of three rounds, of which the quickest counts: the rest was
// disturbed. Their median, and two standard errors of it from their median absolute deviation (for
// normal noise: sigma = 1.4826 MAD, and 1.2533 sigma / sqrt(n) for a median).
Ratio ratio_of(const std::vector<double> &library, const std::vector<double> &kernel);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_MEASURE_H_
