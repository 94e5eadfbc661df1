// SPDX-License-Identifier: Apache-2.0
// Schedule templates for CPUs, by shape of work. Knobs are Halide GeneratorParams: a schedule row
// gives them verbatim, and Halide rejects what it does not know.
#ifndef HALNORM_SCHEDULES_CPU_H_
#define HALNORM_SCHEDULES_CPU_H_

#include <string>

#include "Halide.h"
#include "generators/roles.h"

namespace halnorm {

struct Knobs {
  // The most rows that one call of the kernel takes.
  Halide::GeneratorParam<int> rows{"rows", 8, 1, 64};
  // Rows whose partial sums run side by side in registers: first pass, later passes.
  Halide::GeneratorParam<int> first_rows{"first_rows", 2, 1, 8};
  Halide::GeneratorParam<int> later_rows{"later_rows", 1, 1, 8};
  // From this width down, folds run across rows instead of lanes.
  Halide::GeneratorParam<int> fold_across{"fold_across", 2, 1, 8};
  // Native vectors of y that the last pass takes through each operation together.
  Halide::GeneratorParam<int> vectors{"vectors", 1, 1, 8};
  // The last pass fetches the rows of the next call meanwhile.
  Halide::GeneratorParam<bool> prefetch{"prefetch", false};
};

// Fails with a message that names the knob unless rows is a multiple of the divisor.
void require_multiple(int rows, int divisor, const std::string &meaning);

// Any tree; fails with a message if a knob is not legal for it.
void schedule_cpu(Tree tree, Roles *roles, const Knobs &knobs, const Halide::Target &target);

void schedule_columns(Roles *roles, const Knobs &knobs, const Halide::Target &target);

// The parts of long rows: one row, or rows side by side.
void schedule_chunk_sums(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_fold(Roles *roles, const Halide::Target &target);
void schedule_column_part(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target);

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_CPU_H_
