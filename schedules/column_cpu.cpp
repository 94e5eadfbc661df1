// SPDX-License-Identifier: Apache-2.0
// Rows that are neighbours in memory, on CPUs: a vector holds one element of as many rows, and no
// lane is ever folded.
#include "cpu.h"

namespace halnorm {

using Halide::Func;
using Halide::TailStrategy;
using Halide::Var;

// A few elements at a time over all rows: memory is read in as many streams, and each sum is loaded
// and stored once for all of them.
void schedule_column_sums(Roles *roles, const Halide::Target &target) {
  const int native = target.natural_vector_size<float>();
  const Var row = roles->vars.row;
  const ColumnSteps &order = roles->column_steps;
  Func sums = roles->output;
  sums.compute_root();
  sums.update(0)
      .reorder(order.steps.x, row, order.steps.y)
      .vectorize(row, native, TailStrategy::GuardWithIf)
      .unroll(order.steps.x);
  sums.update(1).reorder(row, order.rest).vectorize(row, native, TailStrategy::GuardWithIf);
}

// A few elements of each row at a time, for which what belongs to the row stays in registers.
void schedule_column_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const Var i = roles->vars.i, row = roles->vars.row;
  Var element("element");
  Func output = roles->output;
  output.split(i, i, element, knobs.elements, TailStrategy::GuardWithIf)
      .reorder(element, row, i)
      .vectorize(row, target.natural_vector_size(output.types()[0]) * knobs.vectors,
                 TailStrategy::GuardWithIf)
      .unroll(element);
}

}  // namespace halnorm
