// SPDX-License-Identifier: Apache-2.0
// What this program compares, and how it stays fair: README.md.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "baselines.h"
#include "contenders.h"
#include "options.h"
#include "table.h"
#include "timing.h"
#include "workload.h"

int main(int argc, char **argv) {
  using namespace halnorm_bench;
  int exit_status = 0;
  const std::optional<Options> options = parse_options(argc, argv, &exit_status);
  if (!options) return exit_status;

  Timing timing(options->json, options->threads);
  if (!timing.ready()) {
    std::perror(options->json.c_str());
    return 1;
  }
  prepare_halide_runtime(options->threads);
  print_heading(*options);
  Summary summary;
  for (const halnorm_test::Problem &problem : options->problems) {
    // One problem's memory at a time.
    Workload workload(problem);
    std::vector<Contender> contenders = make_contenders(&workload, *options);
    const std::string name = halnorm_test::print(problem);
    timing.run(name, &contenders);
    print_table(workload, contenders);
    summary.add(name, contenders);
  }
  summary.print();
  if (!timing.finish()) {
    std::perror(options->json.c_str());
    return 1;
  }
  return summary.halnorm_is_right() ? 0 : 1;
}
