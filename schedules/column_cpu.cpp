// SPDX-License-Identifier: Apache-2.0
// Column reductions on CPUs: rows lie side by side, a vector holds one element of as many rows, and
// no lane is ever folded. A kernel takes exactly `rows` rows.
#include "cpu.h"

namespace halnorm {

using Halide::Func;
using Halide::MemoryType;
using Halide::Var;

namespace {

// All rows of a call as vectors, kept in registers from step to step.
void vectors_of_rows(Func func, const Var &row, int rows, int native) {
  func.compute_root().bound(row, 0, rows).vectorize(row, native).unroll(row);
}

void add_blocks(Sum *sum, const Vars &vars, int rows, int native) {
  const Var row = vars.row;
  vectors_of_rows(sum->ordered, row, rows, native);
  sum->ordered.store_in(MemoryType::Stack);
  sum->ordered.update().vectorize(row, native).unroll(row).reorder(row, sum->parts.x);
  Func block = sum->partial;
  block.compute_at(sum->ordered, sum->parts.x).store_in(MemoryType::Stack);
  block.vectorize(row, native).unroll(row);
  block.update().vectorize(row, native).unroll(row).reorder(row, sum->within.x, vars.part);
}

}  // namespace

void schedule_columns(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  schedule_column_part(roles, knobs, target);
  const int native = target.natural_vector_size<float>();
  for (Func &func : roles->between) {
    vectors_of_rows(func, roles->vars.row, knobs.rows, native);
    func.store_in(MemoryType::Stack);
  }
  vectors_of_rows(roles->statistics, roles->vars.row, knobs.rows, native);
}

void schedule_column_part(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const int native = target.natural_vector_size<float>(), rows = knobs.rows;
  require_multiple(rows, native, "the f32 lanes of a native vector");
  for (Sum &sum : roles->sums) add_blocks(&sum, roles->vars, rows, native);
  vectors_of_rows(roles->output, roles->vars.row, rows, native);
}

}  // namespace halnorm
