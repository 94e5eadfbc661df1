// SPDX-License-Identifier: Apache-2.0
#include "model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>
#include <stdexcept>

#include "assembly.h"
#include "process.h"
#include "temporary_file.h"

namespace halnorm_tune {
namespace {

constexpr double kTripCount = 32;
constexpr int kIterations = 20;
constexpr double kLimit = 60;  // seconds

std::string input_of_mca(const std::vector<CodeRegion> &regions) {
  std::string text;
  for (const CodeRegion &region : regions) {
    if (region.instructions.empty()) continue;
    text += "# LLVM-MCA-BEGIN " + region.label + "\n";
    for (const std::string &instruction : region.instructions) text += instruction + "\n";
    text += "# LLVM-MCA-END\n";
  }
  return text;
}

struct Cycles {
  double throughput = 0;  // what the busiest unit of the processor needs
  double simulated = 0;   // with the waiting of one instruction for the results of another
};

// Of an iteration of each region. Throws std::runtime_error where llvm-mca does not tell.
std::vector<Cycles> cycles_of(const std::vector<CodeRegion> &regions, const std::string &llvm_mca,
                              const std::vector<std::string> &mca_arguments) {
  const TemporaryFile input(input_of_mca(regions));
  Command command = {llvm_mca, "-iterations=" + std::to_string(kIterations), "-instruction-info=0",
                     "-resource-pressure=0"};
  command.insert(command.end(), mca_arguments.begin(), mca_arguments.end());
  command.push_back(input.name());
  Finished finished;
  try {
    finished = run(command, kLimit);
  } catch (const std::runtime_error &trouble) {
    throw std::runtime_error("the static model needs llvm-mca (Debian: llvm-19): " +
                             std::string(trouble.what()));
  }
  if (!finished.good()) throw std::runtime_error(llvm_mca + " " + finished.trouble());

  static const std::regex summary("Total Cycles: +(\\d+)[^]*?Block RThroughput: +([0-9.]+)");
  std::vector<Cycles> cycles;
  std::sregex_iterator next(finished.output.begin(), finished.output.end(), summary);
  for (const CodeRegion &region : regions) {
    cycles.emplace_back();
    if (region.instructions.empty()) continue;
    if (next == std::sregex_iterator()) {
      throw std::runtime_error(llvm_mca + ": no 'Total Cycles' for " + region.label);
    }
    cycles.back() = {std::stod(next->str(2)), std::stod(next->str(1)) / kIterations};
    ++next;
  }
  return cycles;
}

bool does_work(const CodeRegion &region) {
  return region.depth > 0 && region.operations > 0 && region.bytes_loaded > 0;
}

// The region of each Func's pass that counts, and its bytes.
std::map<size_t, double> passes_of(const std::vector<CodeRegion> &regions) {
  std::vector<bool> innermost(regions.size());
  for (size_t i = 0; i < regions.size(); ++i) innermost[i] = does_work(regions[i]);
  for (const CodeRegion &region : regions) {
    if (!does_work(region)) continue;
    for (int around = region.parent; around > 0;
         around = regions[static_cast<size_t>(around)].parent) {
      innermost[static_cast<size_t>(around)] = false;
    }
  }
  struct Pass {
    size_t region;
    double bytes_of_operation;
  };
  std::map<std::string, Pass> of_func;
  for (size_t i = 0; i < regions.size(); ++i) {
    if (!innermost[i]) continue;
    const CodeRegion &region = regions[i];
    const double bytes =
        static_cast<double>(region.bytes_stored > 0 ? region.bytes_stored : region.bytes_loaded) /
        static_cast<double>(region.operations);
    Pass &pass = of_func.insert({region.func, {i, bytes}}).first->second;
    const CodeRegion &best = regions[pass.region];
    if (std::pair(best.depth, best.operations) < std::pair(region.depth, region.operations)) {
      pass.region = i;
    }
    pass.bytes_of_operation = std::max(pass.bytes_of_operation, bytes);
  }
  std::map<size_t, double> bytes_of_pass;
  for (const auto &[func, pass] : of_func) {
    bytes_of_pass[pass.region] =
        static_cast<double>(regions[pass.region].operations) * pass.bytes_of_operation;
  }
  return bytes_of_pass;
}

}  // namespace

std::optional<double> static_cost(const std::string &assembly_text, const std::string &llvm_mca,
                                  const std::vector<std::string> &mca_arguments,
                                  std::string *error) {
  const std::vector<CodeRegion> regions = read_assembly(assembly_text);
  const std::map<size_t, double> passes = passes_of(regions);
  if (passes.empty()) {
    *error = "the static model found no loop with floating-point arithmetic on a tensor";
    return std::nullopt;
  }
  std::vector<Cycles> cycles;
  try {
    cycles = cycles_of(regions, llvm_mca, mca_arguments);
  } catch (const std::runtime_error &trouble) {
    *error = trouble.what();
    return std::nullopt;
  }
  int deepest = 0;
  double bytes_of_all = 0;
  for (const auto &[region, bytes] : passes) {
    deepest = std::max(deepest, regions[region].depth);
    bytes_of_all += bytes;
  }
  double cost = 0;
  for (size_t i = 0; i < cycles.size(); ++i) {
    const auto pass = passes.find(i);
    const int levels = std::max(1, deepest - regions[i].depth);
    cost += pass != passes.end()
                ? cycles[i].throughput / pass->second
                : cycles[i].simulated / std::pow(kTripCount, levels) / bytes_of_all;
  }
  return cost;
}

}  // namespace halnorm_tune
