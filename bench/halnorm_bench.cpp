// SPDX-License-Identifier: Apache-2.0
// What this program compares, and how it stays fair: README.md.
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "baselines.h"
#include "compare.h"
#include "contenders.h"
#include "options.h"
#include "summary.h"
#include "table.h"
#include "timing.h"
#include "workload.h"

int main(int argc, char **argv) {
  using namespace halnorm_bench;
  if (argc == 4 && std::string(argv[1]) == "--compare") {
    std::string report;
    const bool read = compare_runs(argv[2], argv[3], &report);
    std::fputs(report.c_str(), read ? stdout : stderr);
    return read ? 0 : 2;
  }
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
    for (Cache cache : options->caches) {
      const std::string unsuitable = Workloads::unsuitable(problem, cache);
      if (!unsuitable.empty()) {
        std::printf("\n%s: %s\n", halnorm_test::print(problem).c_str(), unsuitable.c_str());
        continue;
      }
      // One problem's memory at a time.
      Workloads workloads(problem, cache);
      std::vector<Contender> contenders = make_contenders(&workloads, *options);
      if (!options->check) timing.run(workloads.name(), &contenders);
      print_table(workloads.name(), workloads.first().traffic(), contenders,
                  options->check ? "right" : "not timed");
      summary.add(workloads.name(), cache, contenders);
    }
  }
  summary.print();
  if (!timing.finish()) {
    std::perror(options->json.c_str());
    return 1;
  }
  const bool good = options->check ? summary.none_is_wrong() : true;
  return good && summary.halnorm_is_right() ? 0 : 1;
}
