// SPDX-License-Identifier: Apache-2.0
// Rows that are neighbours in memory, on CPUs: a vector holds one element of as many rows, and no
// lane is ever folded.
#include "cpu.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using Halide::TailStrategy;
using Halide::Var;

// A few elements at a time over all rows: memory is read in as many streams, and each sum is loaded
// and stored once for all of them.
void schedule_column_sums(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const int native = target.natural_vector_size<float>(), vector = native * knobs.vectors;
  const Var row = roles->vars.row;
  const Steps &order = roles->steps;
  Func sums = roles->output;
  sums.compute_root();
  Halide::Stage steps = sums.update(0), rest = sums.update(1);
  steps.reorder(order.steps.x, row, order.steps.y).unroll(order.steps.x);
  rest.reorder(row, order.rest);
  const Expr whole_vectors = roles->row_count % vector == 0;
  steps.specialize(whole_vectors).vectorize(row, vector, TailStrategy::RoundUp);
  rest.specialize(whole_vectors).vectorize(row, vector, TailStrategy::RoundUp);
  for (Halide::Stage stage : {steps, rest}) {
    stage.vectorize(row, native, TailStrategy::GuardWithIf);
  }
}

// A few elements of each row at a time, for which what belongs to the row stays in registers.
void schedule_column_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const Var i = roles->vars.i, row = roles->vars.row;
  Var element("element");
  Func output = roles->output;
  const int native = target.natural_vector_size(output.types()[0]);
  const int vector = native * knobs.vectors;
  // Whole vectors need no guard.
  output.specialize(output.output_buffer().dim(0).extent() % vector == 0)
      .split(i, i, element, knobs.elements, TailStrategy::GuardWithIf)
      .reorder(element, row, i)
      .vectorize(row, vector, TailStrategy::RoundUp)
      .unroll(element);
  output.vectorize(row, native, TailStrategy::GuardWithIf);
}

}  // namespace halnorm
