// SPDX-License-Identifier: Apache-2.0
#include "halnorm_contenders.h"

#include <memory>
#include <regex>
#include <string>
#include <utility>

#include "halnorm_solver.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

// halnorm_<operation>_<part>_<dtype>[_n<N>][_bytes<N>]__<target>[__<schedule>], taken apart.
struct Symbol {
  std::string choice;  // up to the dtype: rows of the same choice can replace each other
  std::string bounds;  // of the row, "_n256" for example; empty where it serves any problem
  std::string target, schedule;
};

Symbol parse_symbol(const std::string &name) {
  static const std::regex form(
      "(.*_(?:f32|f16|bf16))((?:_n[0-9]+|_bytes[0-9]+)*)__(.*?)(?:__(.*))?");
  std::smatch match;
  if (!std::regex_match(name, match, form)) return {};
  return {match[1], match[2], match[3], match[4]};
}

std::string description(const Symbol &symbol) {
  const std::string schedule = symbol.schedule.empty() ? "no knobs" : symbol.schedule;
  return symbol.bounds.empty() ? schedule : schedule + " (" + symbol.bounds.substr(1) + ")";
}

// The rows that could take the place of `chosen`, in the library's order of preference.
std::vector<std::string> rows_beside(const std::string &chosen) {
  const Symbol wanted = parse_symbol(chosen);
  std::vector<std::string> rows;
  for (int32_t i = 0; i < halnorm_kernel_count(); ++i) {
    const Symbol symbol = parse_symbol(halnorm_kernel_name(i));
    if (symbol.choice == wanted.choice && symbol.target == wanted.target) {
      rows.push_back(halnorm_kernel_name(i));
    }
  }
  return rows;
}

// Each row of the last part of the problem beside the one that the library chooses.
void append_rows(Workload *workload, const Options &options, const std::string &chosen,
                 std::vector<Contender> *contenders) {
  for (const std::string &row : rows_beside(chosen)) {
    if (row == chosen) continue;
    auto solver = std::make_unique<HalnormSolver>(workload, linked_halnorm(), options, row);
    // Only what runs when it is told to can serve the problem.
    if (!solver->run() || row != halnorm_last_kernel()) continue;
    contenders->push_back(
        {Kind::other_row, "row " + description(parse_symbol(row)), row, "", std::move(solver), {}});
  }
}

// The whole symbol of the kernel that ran last, which names its part: a problem that a kernel made
// for its layout serves is told from one that another serves.
Contender make_library(Workload *workload, const Options &options, Kind kind,
                       const std::string &name, const HalnormApi &api) {
  Contender contender = {kind, name, "", "", nullptr, {}};
  if (!api.trouble.empty()) {
    contender.trouble = "failed: " + api.trouble;
    return contender;
  }
  auto solver = std::make_unique<HalnormSolver>(workload, api, options, "");
  if (solver->run()) {
    contender.detail = api.last_kernel();
    contender.solver = std::move(solver);
  } else {
    contender.trouble = "failed: " + solver->failure();
  }
  return contender;
}

}  // namespace

void append_halnorm(Workload *workload, const Options &options,
                    std::vector<Contender> *contenders) {
  const auto append = [&](Kind kind, const std::string &name, const HalnormApi &api) {
    contenders->push_back(make_library(workload, options, kind, name, api));
  };
  append(Kind::tuned_rows, "tuned rows", linked_halnorm());
  const std::string chosen = contenders->back().detail;
  append(Kind::default_rows, "default rows", open_halnorm(HALNORM_BENCH_DEFAULT_ROWS));
  for (const NamedLibrary &library : options.libraries) {
    append(library.same_bits ? Kind::other_library : Kind::other_version, library.name,
           open_halnorm(library.path));
  }
  if (options.rows) append_rows(workload, options, chosen, contenders);
}

}  // namespace halnorm_bench
