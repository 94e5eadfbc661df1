// SPDX-License-Identifier: Apache-2.0
// Schedule templates for CPUs, by shape of work. Knobs are Halide GeneratorParams: a schedule row
// gives them verbatim, and Halide rejects what it does not know.
#ifndef HALNORM_SCHEDULES_CPU_H_
#define HALNORM_SCHEDULES_CPU_H_

#include "Halide.h"
#include "generators/roles.h"

namespace halnorm {

struct Knobs {
#define HALNORM_KNOB(name, initial, ...) Halide::GeneratorParam<int> name{#name, initial};
#include "knobs.inc"
};

// Each fails with a message if a knob is not legal for it.

// A whole norm over dense rows, in any tree.
void schedule_norm_cpu(Tree tree, Roles *roles, const Knobs &knobs, const Halide::Target &target);

// Over dense rows: totals of rows of one chunk, chunks of longer ones, their totals; the last pass.
void schedule_row_totals(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_row_chunks(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_row_fold(Roles *roles, const Halide::Target &target);
void schedule_row_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_row_backward_parameters(Roles *roles, const Knobs &knobs,
                                      const Halide::Target &target);

// The same over rows that are neighbours.
void schedule_column_sums(Roles *roles, const Knobs &knobs, const Halide::Target &target);
void schedule_column_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target);

// One dense vector from another.
void schedule_vector(Roles *roles, const Halide::Target &target);

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_CPU_H_
