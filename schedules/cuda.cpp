// SPDX-License-Identifier: Apache-2.0
#include "cuda.h"

namespace halnorm {

using Halide::Func;
using Halide::MemoryType;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// A chunk in the registers of each lane, and its sums: neither leaves the warp.
void sum_in_warp(const WarpSum &sum, Func consumer, const Var &warp) {
  for (Func fold : sum.folds) fold.compute_at(consumer, warp).gpu_lanes(CudaVars().lane);
  Func pairs = sum.pairs, places = sum.places;
  const Var lane = CudaVars().lane, place = CudaVars().place;
  pairs.compute_at(consumer, warp).gpu_lanes(lane);
  places.compute_at(pairs, lane).store_in(MemoryType::Register);
  places.bound(place, 0, kVector).unroll(place);
  places.update().reorder(sum.steps.x, sum.steps.y).unroll(sum.steps.x).unroll(sum.steps.y);
}

void load_in_lanes(const WarpChunk &chunk, Func consumer, const Var &lane, bool aligned) {
  Func loaded = chunk.loaded;
  const CudaVars vars;
  loaded.compute_at(consumer, lane).store_in(MemoryType::Register);
  loaded.bound(vars.place, 0, kVector).bound(vars.group, 0, kGroups);
  for (const Var &one : {vars.lane, vars.part, vars.row, vars.outer}) loaded.bound_extent(one, 1);
  loaded.unroll(vars.place).unroll(vars.group);
  Halide::Stage load = loaded.update();
  load.reorder(chunk.load.x, chunk.load.y).unroll(chunk.load.y);
  if (aligned) {
    load.vectorize(chunk.load.x);
  } else {
    load.unroll(chunk.load.x);
  }
}

}  // namespace

void schedule_cuda_row_sums(const CudaRoles &roles, bool aligned, const CudaKnobs &knobs) {
  const CudaVars &vars = roles.vars;
  const WarpSum &sum = roles.warp_sums[0];
  Func output = roles.output;
  Var number("number"), block("block"), warp("warp");
  output.fuse(vars.part, vars.row, number)
      .split(number, block, warp, knobs.warps, TailStrategy::GuardWithIf)
      .gpu_blocks(block, vars.outer)
      .gpu_threads(warp);
  sum_in_warp(sum, output, warp);
  load_in_lanes(roles.chunk, sum.pairs, vars.lane, aligned);
}

void schedule_cuda_column_sums(const CudaRoles &roles, bool aligned, const CudaKnobs &knobs) {
  const CudaVars &vars = roles.vars;
  Func output = roles.output, sums = roles.block;
  Var block("block"), thread("thread"), place("place");
  const int vector = aligned ? kVector : 1;
  output.reorder(vars.row, vars.part, vars.outer)
      .split(vars.row, thread, place, vector, TailStrategy::RoundUp)
      .split(thread, block, thread, kWarp * knobs.warps, TailStrategy::GuardWithIf)
      .gpu_blocks(block, vars.part, vars.outer)
      .gpu_threads(thread);
  sums.compute_at(output, thread).store_in(MemoryType::Register).bound_extent(vars.row, vector);
  if (aligned) {
    output.vectorize(place);
    sums.vectorize(vars.row);
    sums.update().reorder(vars.row, roles.elements).vectorize(vars.row);
  }
}

void schedule_cuda_fold(const CudaRoles &roles, const CudaKnobs &knobs) {
  const CudaVars &vars = roles.vars;
  const Fold &fold = roles.fold;
  Func output = roles.output, lanes = fold.lanes;
  Var block("block"), statistic("statistic");
  output.split(vars.row, block, statistic, knobs.warps, TailStrategy::GuardWithIf)
      .gpu_blocks(block, vars.outer)
      .gpu_threads(statistic);
  lanes.compute_at(output, block).store_in(MemoryType::GPUShared);
  lanes.gpu_threads(vars.lane, vars.row);
  lanes.update().reorder(fold.steps, vars.lane, vars.row).gpu_threads(vars.lane, vars.row);
  for (Func narrower : fold.folds) {
    narrower.compute_at(output, block).store_in(MemoryType::GPUShared);
    narrower.gpu_threads(vars.lane, vars.row);
  }
}

void schedule_cuda_vector(Halide::Stage vector, const Var &i, const CudaKnobs &knobs) {
  Var block("block"), thread("thread");
  vector.gpu_tile(i, block, thread, kWarp * knobs.warps, TailStrategy::GuardWithIf);
}

void schedule_cuda_elements(const CudaRoles &roles, bool aligned, const CudaKnobs &knobs) {
  const Var inner = roles.inner, next = roles.next;
  Func output = roles.output;
  Var column("column"), thread("thread"), place("place"), block("block"), line("line");
  const int vector = aligned ? kVector : 1;
  output.reorder(inner, next, roles.vars.outer)
      .split(inner, thread, place, vector, TailStrategy::RoundUp)
      .split(thread, column, thread, kWarp, TailStrategy::GuardWithIf)
      .split(next, block, line, knobs.warps, TailStrategy::GuardWithIf)
      .reorder(place, thread, line, block, column, roles.vars.outer)
      .gpu_blocks(block, column, roles.vars.outer)
      .gpu_threads(thread, line);
  if (aligned) output.vectorize(place);
}

}  // namespace halnorm
