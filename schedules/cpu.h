// SPDX-License-Identifier: Apache-2.0
// Schedule templates for CPUs, by shape of work. Knobs are Halide GeneratorParams: a schedule row
// gives them verbatim, and Halide rejects what it does not know.
#ifndef HALNORM_SCHEDULES_CPU_H_
#define HALNORM_SCHEDULES_CPU_H_

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
  // Elements of neighbouring rows that are taken while what belongs to the rows is in registers.
  Halide::GeneratorParam<int> elements{"elements", 1, 1, 64};
};

// Each fails with a message if a knob is not legal for it.

// A whole norm over dense rows, in any tree.
void schedule_norm_cpu(Tree tree, Roles *roles, const Knobs &knobs, const Halide::Target &target);

// Over dense rows: totals of rows of one chunk, chunks of longer ones, their totals; the last pass.
void schedule_row_totals(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_row_chunks(Roles *roles, const Halide::Target &target);
void schedule_row_fold(Roles *roles, const Halide::Target &target);
void schedule_row_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target);

// The same over rows that are neighbours.
void schedule_column_sums(Roles *roles, const Halide::Target &target);
void schedule_column_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target);

// One dense vector from another.
void schedule_vector(Roles *roles, const Halide::Target &target);

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_CPU_H_
