// SPDX-License-Identifier: Apache-2.0
#include "cuda.h"

#include "registers.h"

namespace halnorm {

using Halide::Func;
using Halide::LoopLevel;
using Halide::MemoryType;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

// A loop over warps, within that over blocks.
void over_warps(Halide::Stage stage, const Var &warp, Lanes lanes) {
  if (lanes == Lanes::shuffle) {
    stage.gpu_threads(warp);
  } else {
    stage.gpu_blocks(warp);
  }
}

// A loop over the lanes of a warp.
template <typename Dimension>
void over_lanes(Halide::Stage stage, const Dimension &lane, Lanes lanes) {
  if (lanes == Lanes::shuffle) {
    stage.gpu_lanes(lane);
  } else {
    stage.gpu_threads(lane);
  }
}

// What each lane adds up by itself.
void add_in_lanes(const WarpSum &sum, int vector, const Var &inner) {
  const CudaVars vars;
  Func places = sum.places;
  places.compute_at(sum.pairs, inner).store_in(MemoryType::Register);
  places.bound(vars.place, 0, vector).unroll(vars.place);
  places.update().reorder(sum.steps.x, sum.steps.y).unroll(sum.steps.x).unroll(sum.steps.y);
}

std::vector<Func> of_lanes(const WarpSum &sum) {
  std::vector<Func> all = sum.folds;
  all.push_back(sum.pairs);
  return all;
}

void of_one_row(Func func) {
  const CudaVars vars;
  func.bound(vars.lane, 0, kWarp).bound_extent(vars.row, 1).bound_extent(vars.outer, 1);
}

// Sums of chunks that a warp has.
void sum_in_warp(const WarpSum &sum, int vector, const LoopLevel &warp, int chunks, Lanes lanes) {
  const CudaVars vars;
  for (Func func : of_lanes(sum)) {
    over_lanes(func.compute_at(warp), vars.lane, lanes);
    if (chunks > 1)
      func.bound(vars.part, 0, chunks).reorder(vars.part, vars.lane).unroll(vars.part);
    of_one_row(func);
  }
  add_in_lanes(sum, vector, chunks > 1 ? vars.part : vars.lane);
}

// Sums of chunks, each of which has a warp of the block.
void sum_in_block(const WarpSum &sum, int vector, const LoopLevel &block, int chunks) {
  const CudaVars vars;
  for (Func func : of_lanes(sum)) {
    func.compute_at(block).gpu_threads(vars.lane, vars.part).bound(vars.part, 0, chunks);
    of_one_row(func);
  }
  add_in_lanes(sum, vector, vars.lane);
}

// A dimension of words that a thread loads or stores, so many at once.
template <typename Dimension>
void take_words(Halide::Stage stage, const Dimension &word, int words, int at_once) {
  if (at_once == 1) {
    stage.unroll(word);
  } else if (words == at_once) {
    stage.vectorize(word);
  } else {
    Dimension vector("vector"), within("within");
    stage.split(word, vector, within, at_once).vectorize(within).unroll(vector);
  }
}

// Groups in the registers of a thread.
void load_words(const WarpChunk &chunk, int groups) {
  Func loaded = chunk.loaded;
  const CudaVars vars;
  loaded.store_in(MemoryType::Register);
  loaded.bound(vars.word, 0, chunk.words).unroll(vars.word);
  if (groups == 1) {
    loaded.bound_extent(vars.group, 1);
  } else {
    loaded.bound(vars.group, 0, groups);
  }
  loaded.unroll(vars.group);
  loaded.update().reorder(chunk.load.x, vars.group).unroll(vars.group);
  take_words(loaded.update(), chunk.load.x, chunk.words, chunk.words_at_once);
}

// A row, in the registers of a warp.
void hold_in_warp(const WarpChunk &chunk, const LoopLevel &warp, int groups, int chunks,
                  Lanes lanes) {
  Func loaded = chunk.loaded;
  const CudaVars vars;
  loaded.compute_at(warp).bound(vars.part, 0, chunks);
  of_one_row(loaded);
  loaded.reorder(vars.word, vars.group, vars.part, vars.lane).unroll(vars.part);
  load_words(chunk, groups);
  loaded.update().reorder(vars.group, vars.part, vars.lane).unroll(vars.part);
  over_lanes(loaded, vars.lane, lanes);
  over_lanes(loaded.update(), vars.lane, lanes);
  // Halide has no place for what a thread keeps across a barrier.
  if (lanes == Lanes::share) loaded.store_in(MemoryType::GPUShared);
}

void compute_of_lanes(Func func, const LoopLevel &warp, Lanes lanes) {
  over_lanes(func.compute_at(warp), CudaVars().lane, lanes);
  of_one_row(func);
}

// The words of an output, in the registers of the lane that stores them, with what they are made
// of.
void compute_words(const CudaRoles &roles) {
  const CudaVars &vars = roles.vars;
  Func words = roles.words, affine = roles.affine.loaded;
  words.compute_at(roles.output, roles.elements.y).store_in(MemoryType::Register);
  words.unroll(vars.word).bound_extent(vars.group, 1);
  for (const Var &one : {vars.lane, vars.part, vars.row, vars.outer}) words.bound_extent(one, 1);
  if (!affine.defined()) return;
  affine.compute_at(words, vars.group);
  for (const Var &one : {vars.lane, vars.part, vars.row, vars.outer}) affine.bound_extent(one, 1);
  load_words(roles.affine, 1);
}

// What a pass over a row of several warps reads, and what it takes from passes before, of a lane.
void load_anew(const WarpPass &pass, const LoopLevel &of_lane, int groups) {
  const CudaVars vars;
  for (const WarpChunk &chunk : pass.chunks) {
    Func loaded = chunk.loaded;
    loaded.compute_at(of_lane).store_in(MemoryType::Register);
    for (const Var &one : {vars.lane, vars.part, vars.row, vars.outer}) {
      loaded.bound_extent(one, 1);
    }
    loaded.bound(vars.word, 0, chunk.words).bound(vars.group, 0, groups);
    loaded.unroll(vars.group);
    take_words(loaded, vars.word, chunk.words, chunk.words_at_once);
  }
  for (Func func : pass.of_lanes) {
    func.compute_at(of_lane).store_in(MemoryType::Register);
    for (const Var &one : {vars.lane, vars.row, vars.outer}) func.bound_extent(one, 1);
  }
}

// The sums of pass k over a row, of its warps.
void share_sums(const CudaRoles &roles, size_t k, const LoopLevel &block, int chunks, Lanes lanes) {
  const CudaVars &vars = roles.vars;
  const WarpSum &sum = roles.warp_sums[k];
  Func sums = roles.passes[k].sums;
  sums.compute_at(block).store_in(MemoryType::GPUShared);
  over_lanes(sums.gpu_threads(vars.part), vars.lane, lanes);
  sums.bound(vars.part, 0, chunks).bound(vars.lane, 0, kWarp);
  sums.bound_extent(vars.row, 1).bound_extent(vars.outer, 1);
  if (lanes == Lanes::shuffle) {
    sum_in_warp(sum, roles.vector, LoopLevel(sums, vars.part), 1, lanes);
  } else {
    sum_in_block(sum, roles.vector, block, chunks);
  }
  load_anew(roles.passes[k], LoopLevel(sum.pairs, vars.lane), roles.groups);
}

}  // namespace

void schedule_cuda_row_sums(const CudaRoles &roles, const CudaKnobs &knobs, Lanes lanes) {
  const CudaVars &vars = roles.vars;
  const WarpSum &sum = roles.warp_sums[0];
  Func output = roles.output;
  Var number("number"), block("block"), warp("warp");
  output.fuse(vars.part, vars.row, number)
      .split(number, block, warp, knobs.warps, TailStrategy::GuardWithIf)
      .gpu_blocks(block, vars.outer);
  over_warps(output, warp, lanes);
  sum_in_warp(sum, roles.vector, LoopLevel(output, warp), 1, lanes);
  for (const WarpChunk &chunk : roles.chunks) {
    Func loaded = chunk.loaded;
    loaded.compute_at(sum.pairs, vars.lane);
    for (const Var &one : {vars.lane, vars.part, vars.row, vars.outer}) loaded.bound_extent(one, 1);
    load_words(chunk, roles.groups);
  }
}

// The last block may have rows that are not there (generators/cuda_norm.cpp).
void schedule_cuda_norm(const CudaRoles &roles, int chunks, const CudaKnobs &knobs, Lanes lanes) {
  const CudaVars &vars = roles.vars;
  const Halide::RDom &elements = roles.elements;
  Func output = roles.output, statistics = roles.statistics;
  Var block("block"), warp("warp");
  output.compute_root();
  Halide::Stage rows = output.update();
  // Halide does not see that each lane has elements of its own.
  rows.allow_race_conditions();
  rows.split(vars.row, block, warp, knobs.warps, TailStrategy::RoundUp)
      .reorder(elements.x, elements.y, elements.z, elements.w, warp, block, vars.outer)
      .gpu_blocks(block, vars.outer)
      .vectorize(elements.x)
      .unroll(elements.y)
      .unroll(elements.z);
  over_warps(rows, warp, lanes);
  over_lanes(rows, elements.w, lanes);
  if (statistics.defined()) {
    statistics.compute_root();
    statistics.update()
        .split(vars.row, block, warp, knobs.warps, TailStrategy::RoundUp)
        .reorder(roles.first.x, warp, block, vars.outer)
        .gpu_blocks(block, vars.outer);
    over_warps(statistics.update(), warp, lanes);
    statistics.update().compute_with(rows, warp);
  }

  const LoopLevel level(output, warp);
  for (const WarpChunk &chunk : roles.chunks) {
    hold_in_warp(chunk, level, roles.groups, chunks, lanes);
  }
  compute_words(roles);
  for (const WarpSum &sum : roles.warp_sums) {
    sum_in_warp(sum, roles.vector, level, chunks, lanes);
  }
  for (const Func &func : roles.of_lanes) compute_of_lanes(func, level, lanes);
}

void schedule_cuda_wide_norm(const CudaRoles &roles, int chunks, Halide::Pipeline pipeline,
                             Lanes lanes) {
  const CudaVars &vars = roles.vars;
  const Halide::RDom &elements = roles.elements;
  Func output = roles.output, statistics = roles.statistics;
  output.compute_root();
  Halide::Stage rows = output.update();
  // Halide does not see that each lane has elements of its own.
  rows.allow_race_conditions();
  rows.reorder(elements.x, elements.y, elements.z, elements.w, vars.row, vars.outer)
      .gpu_blocks(vars.row, vars.outer)
      .gpu_threads(elements.w)
      .vectorize(elements.x)
      .unroll(elements.y);
  over_lanes(rows, elements.z, lanes);
  if (statistics.defined()) {
    statistics.compute_root();
    statistics.update()
        .reorder(roles.first.x, vars.row, vars.outer)
        .gpu_blocks(vars.row, vars.outer)
        .gpu_threads(roles.first.x);
    statistics.update().compute_with(rows, vars.row);
    pipeline.add_custom_lowering_pass(new BlocksAreInBounds);
  }
  for (size_t k = 0; k < roles.warp_sums.size(); k++) {
    share_sums(roles, k, LoopLevel(output, vars.row), chunks, lanes);
  }
  load_anew(roles.passes.back(), LoopLevel(output, elements.z), roles.groups);
  compute_words(roles);
}

void schedule_cuda_norm_gradients(const CudaRoles &roles, int chunks, const Halide::Expr &rows,
                                  Halide::Pipeline pipeline, Lanes lanes) {
  const CudaVars &vars = roles.vars;
  const Halide::RDom &elements = roles.elements, &added = roles.added;
  const bool wide = chunks > 1;
  Func output = roles.output, sums = roles.sums;
  output.compute_root();
  sums.compute_root();
  const auto loop = [&](Halide::Stage stage, const Halide::RDom &domain) {
    const RVar lane = domain.z, warp = domain.w, row = domain[4];
    // Halide does not see that each lane has elements of its own.
    stage.allow_race_conditions();
    stage
        .reorder(domain.x, domain.y, lane, wide ? warp : row, wide ? row : warp, vars.rows,
                 vars.outer)
        .gpu_blocks(vars.rows, vars.outer)
        .unroll(domain.y);
    // A single warp of threads like any other is no loop.
    if (wide || lanes == Lanes::shuffle) {
      stage.gpu_threads(warp);
    } else {
      stage.unroll(warp);
    }
    over_lanes(stage, lane, lanes);
  };
  loop(sums.update(), added);
  take_words(sums.update(), added.x, roles.vector, kVectorWords);
  Func terms = roles.terms;
  terms.compute_at(sums, added.y).store_in(MemoryType::Register).unroll(vars.place);
  for (const Var &one : {vars.group, vars.lane, vars.part, vars.row, vars.outer}) {
    terms.bound_extent(one, 1);
  }
  loop(output.update(), elements);
  output.update().vectorize(elements.x);
  output.update().compute_with(sums.update(), wide ? added.z : added[4]);
  pipeline.add_custom_lowering_pass(new SumsInRegisters(sums, rows));

  compute_words(roles);
  if (wide) {
    share_sums(roles, 0, LoopLevel(sums, added[4]), chunks, lanes);
    load_anew(roles.passes[1], LoopLevel(sums, added.z), roles.groups);
    pipeline.add_custom_lowering_pass(new BlocksAreInBounds);
    return;
  }
  const LoopLevel level(output, elements[4]);
  hold_in_warp(roles.chunks[0], LoopLevel(sums, added[4]), roles.groups, 1, lanes);
  hold_in_warp(roles.chunks[1], level, roles.groups, 1, lanes);
  for (const WarpSum &sum : roles.warp_sums) sum_in_warp(sum, roles.vector, level, 1, lanes);
  for (const Func &func : roles.of_lanes) compute_of_lanes(func, level, lanes);
}

void schedule_cuda_column_sums(const CudaRoles &roles, bool aligned, const CudaKnobs &knobs) {
  const CudaVars &vars = roles.vars;
  Func output = roles.output, sums = roles.block;
  Var block("block"), thread("thread"), place("place");
  const int vector = aligned ? roles.vector : 1;
  output.reorder(vars.row, vars.part, vars.outer)
      .split(vars.row, thread, place, vector, TailStrategy::RoundUp)
      .split(thread, block, thread, kWarp * knobs.warps, TailStrategy::GuardWithIf)
      .gpu_blocks(block, vars.part, vars.outer)
      .gpu_threads(thread);
  take_words(output, place, vector, aligned ? kVectorWords : 1);
  sums.compute_at(output, thread).store_in(MemoryType::Register).bound_extent(vars.row, vector);
  sums.unroll(vars.row);
  sums.update().reorder(vars.row, roles.elements).unroll(vars.row);
  if (aligned) {
    Func words = roles.neighbors;
    words.compute_at(sums, roles.elements.x).store_in(MemoryType::Register);
    words.bound_extent(vars.i, 1).bound_extent(vars.outer, 1);
    words.bound_extent(vars.word, kVectorWords).vectorize(vars.word);
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

void schedule_cuda_elements(const CudaRoles &roles, const CudaKnobs &knobs) {
  const Var inner = roles.inner, next = roles.next;
  Func output = roles.output;
  Var column("column"), thread("thread"), word("word"), block("block"), line("line");
  output.reorder(inner, next, roles.vars.outer)
      .split(inner, thread, word, roles.words_at_once, TailStrategy::RoundUp)
      .split(thread, column, thread, kWarp, TailStrategy::GuardWithIf)
      .split(next, block, line, knobs.warps, TailStrategy::GuardWithIf)
      .reorder(word, thread, line, block, column, roles.vars.outer)
      .gpu_blocks(block, column, roles.vars.outer)
      .gpu_threads(thread, line);
  if (roles.words_at_once > 1) output.vectorize(word);
}

}  // namespace halnorm
