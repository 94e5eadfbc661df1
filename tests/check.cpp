// SPDX-License-Identifier: Apache-2.0
// halnorm_check: runs one problem of the grammar and compares it with the reference. Exit status 0:
// within the bound; 1: not, or refused; 2: the command line is wrong.
#include <cstdio>
#include <string>
#include <string_view>

#include "halnorm.h"
#include "problem.h"
#include "process.h"
#include "run.h"

namespace halnorm_test {
namespace {

constexpr char kUsage[] =
    "usage: halnorm_check PROBLEM [--target=T] [--kernel=K] [--threads=N] [--data=D] [--seed=S]\n"
    "                     [--part=P] [--placement=P]\n"
    "       halnorm_check --targets\n"
    "       halnorm_check --operations\n"
    "  PROBLEM is operation:dtype:shape:options, as in layer_norm_forward:f32:64x768:gamma,beta\n"
    "  N is 0 for all threads; 1, the caller only, is the default\n"
    "  --part: one row (instance, group norm: one sample) alone, where it lies in the batch\n"
    "  --operations lists a small problem of each operation\n";

bool parse_flag(std::string_view argument, RunOptions *options, std::string *error) {
  const size_t equals = argument.find('=');
  const std::string_view key = argument.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : argument.substr(equals + 1);
  int64_t number = 0;
  if (key == "--target") {
    options->target = value;
    return true;
  }
  if (key == "--kernel") {
    options->kernel = value;
    return true;
  }
  if (key == "--threads" && parse_number(value, &number) && number == int32_t(number)) {
    options->threads = static_cast<int32_t>(number);
    return true;
  }
  if (key == "--seed" && parse_number(value, &number)) {
    options->seed = static_cast<uint64_t>(number);
    return true;
  }
  if (key == "--part" && parse_number(value, &number) && number >= 0) {
    options->part = number;
    return true;
  }
  if (key == "--data") {
    const std::optional<Data> data = parse_data(value, error);
    if (data) options->data = *data;
    return data.has_value();
  }
  if (key == "--placement") {
    const std::optional<Placement> placement = parse_placement(value, error);
    if (placement) options->placement = *placement;
    return placement.has_value();
  }
  *error = "argument '" + std::string(argument) + "' is not one of those below.";
  return false;
}

// What the tests of this machine cover, and what they do not.
int print_targets() {
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    std::printf("target %s: %s\n", halnorm_target_name(i),
                halnorm_target_usable(i) ? "runs on this machine"
                                         : "NOT TESTED, this machine cannot run it");
  }
  return 0;
}

int print_operations() {
  for (Operation operation : kOperations) {
    std::printf("%s\n", print(full_problem(operation, Dtype::f32, {3, 4, 70})).c_str());
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--operations") return print_operations();
  if (argc == 2 && std::string_view(argv[1]) == "--targets") return print_targets();
  std::string error = "no problem was given.";
  std::optional<Problem> problem;
  if (argc > 1) problem = parse(argv[1], &error);
  RunOptions options;
  bool understood = problem.has_value();
  for (int i = 2; understood && i < argc; ++i) understood = parse_flag(argv[i], &options, &error);
  if (understood && options.part >= problem->part_count()) {
    understood = false;
    error = "part " + std::to_string(options.part) + " is not one of this problem's.";
  }
  if (!understood) {
    std::fprintf(stderr, "halnorm_check: %s\n%s", error.c_str(), kUsage);
    return 2;
  }

  const int threads_before = thread_count();
  const Report report = check(*problem, options);
  std::printf("problem:         %s\n", print(*problem).c_str());
  std::printf("kernel:          %s\n", report.kernel.c_str());
  std::printf("threads started: %d\n", thread_count() - threads_before);
  if (!report.failure.empty()) {
    std::printf("FAILED: %s\n", report.failure.c_str());
    return 1;
  }
  std::printf("largest error:   %.3g within a bound of %.3g\n", report.worst_error,
              report.worst_bound);
  return 0;
}

}  // namespace
}  // namespace halnorm_test

int main(int argc, char **argv) { return halnorm_test::main(argc, argv); }
