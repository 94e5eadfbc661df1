// SPDX-License-Identifier: Apache-2.0
// What a kernel costs by its machine code alone, as llvm-mca simulates it: for comparing schedules
// of one kernel and target where nothing can be timed.
//
// A pass over a tensor is an innermost loop that does floating-point arithmetic and loads from
// memory other than the stack. Passes of one Func are versions of it, for whole blocks and for
// rests: the one that counts is the most deeply nested, and among those that with the most
// arithmetic in an iteration. Its cost is cycles over bytes. The bytes are those of the results
// that it stores, or, where it stores none, of what it loads. An iteration's arithmetic stands for
// them, which is the same in every schedule; bytes are not: rows that are taken together load gamma
// once. So each operation is worth as many bytes as in that loop of the Func that has the most of
// them.
//
//   cost = sum over passes of cycles / bytes
//        + sum over all other code of cycles / 32^levels / (bytes of all passes)
//
// The cycles of a pass are what the busiest unit of the processor needs for an iteration: the sums
// of a row wait for one another, and those of the next row fill the gaps. Those of other code,
// where divisions and folds wait for each other, are simulated with the waiting. Every loop is
// taken to run 32 times: `levels` is by how many loops less the code is nested than the most deeply
// nested pass, but at least 1. Prefetches are left out, since without caches they could only cost.
//
// What it does not see: caches and memory, branches and their prediction, how often a loop really
// runs and how many rows share a call, sums so few that their waiting fills no gap, what waits for
// a store to the stack. A kernel without a pass has no cost.
#ifndef HALNORM_SCHEDULES_TUNE_MODEL_H_
#define HALNORM_SCHEDULES_TUNE_MODEL_H_

#include <optional>
#include <string>
#include <vector>

namespace halnorm_tune {

// The arguments say which processor, as -mcpu=znver3, or -mtriple=aarch64 -mcpu=neoverse-n1.
// Nothing where there is no cost; *error then says why.
std::optional<double> static_cost(const std::string &assembly_text, const std::string &llvm_mca,
                                  const std::vector<std::string> &mca_arguments,
                                  std::string *error);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_MODEL_H_
