// SPDX-License-Identifier: Apache-2.0
// Row reductions on CPUs: the elements of a row are dense.
#include <algorithm>
#include <string>

#include "cpu.h"
#include "pairs.h"
#include "prefetch.h"

namespace halnorm {

using Halide::Expr;
using Halide::Func;
using Halide::MemoryType;
using Halide::RVar;
using Halide::TailStrategy;
using Halide::Var;

namespace {

int f32_lanes(const Halide::Target &target) { return target.natural_vector_size<float>(); }

// Loads and stores of vectors that leave elements out are as good as others.
bool has_masks(const Halide::Target &target) {
  return target.has_feature(Halide::Target::AVX512_Skylake);
}

// Up to so many groups, a row of known length has no loop over them.
constexpr int kMostGroupsInARow = 8;

void unroll_known_groups(Halide::Stage loop, const RVar &groups, const Roles &roles,
                         const Knobs &knobs) {
  if (const auto n = Halide::Internal::as_const_int(roles.n)) {
    if (*n >= kLanes && *n / kLanes <= kMostGroupsInARow) loop.unroll(groups);
    return;
  }
  if (knobs.exact < kLanes) return;
  Halide::Stage of_known_rows = loop.specialize(roles.n == knobs.exact);
  if (knobs.exact / kLanes <= kMostGroupsInARow) of_known_rows.unroll(groups);
}

void take_pairs_in_words(Roles *roles) {
  if (roles->pairs) roles->pipeline.add_custom_lowering_pass(new PairsInWords);
}

// Fails with a message that names the knobs unless one value is a multiple of another.
void require_multiple(const std::string &name, int value, int divisor, const std::string &knob) {
  if (value % divisor == 0) return;
  throw Halide::CompileError(name + "=" + std::to_string(value) + " is not a multiple of " +
                             std::to_string(divisor) + " (" + knob + ")");
}

// Rows shorter than the window, unless they are known, are read by masks or element by element.
void load_window(const Roles &roles, const Knobs &knobs, const Halide::Target &target) {
  const int vector = f32_lanes(target);
  Func window = roles.window.values;
  const RVar lane = roles.window.lanes.x;
  window.store_in(MemoryType::Stack).bound(roles.vars.w, 0, kLanes);
  const bool has_blank = roles.window.blank.defined();
  if (has_blank) window.update(0).vectorize(roles.window.blank.x, vector);
  const int load = has_blank ? 1 : 0;
  for (const Expr &known : {roles.n == knobs.exact, roles.n >= kLanes}) {
    window.update(load).specialize(known).vectorize(lane, vector).unroll(lane);
  }
  if (has_masks(target)) {
    window.update(load).vectorize(lane, vector).unroll(lane);
  } else {
    // LLVM would make a loop over single elements a call of memcpy.
    window.update(load).unroll(lane, 4, TailStrategy::GuardWithIf);
  }
}

// Lane sums of a few rows (or of one chunk) at a time, in registers through a whole sweep.
template <typename Loop>
void lanes_in_registers(const Sum &sum, Func consumer, const Loop &loop, int vector,
                        const Roles &roles, const Knobs &knobs) {
  Func lanes = sum.partial;
  const Var lane = roles.vars.lane, row = roles.vars.row;
  lanes.store_in(MemoryType::Stack).vectorize(lane, vector).unroll(lane).unroll(row);
  Var sweep("sweep");
  require_multiple("vectors of the lanes", kLanes / vector, knobs.lane_sweeps, "lane_sweeps");
  lanes.update(0).split(lane, sweep, lane, kLanes / knobs.lane_sweeps);
  for (int pass : {0, 1}) lanes.update(pass).vectorize(lane, vector).unroll(lane).unroll(row);
  lanes.update(0).reorder(lane, row, sum.within.x, sweep).unroll(sweep);
  unroll_known_groups(lanes.update(0), sum.within.x, roles, knobs);
  lanes.compute_at(consumer, loop);
  if (!sum.lanes.defined()) return;
  Func by_lanes = sum.lanes;
  Var parity("parity");
  by_lanes.compute_at(consumer, loop).store_in(MemoryType::Stack).unroll(row);
  by_lanes.split(lane, lane, parity, 2).reorder(parity, lane).unroll(parity);
  by_lanes.vectorize(lane, vector).unroll(lane);
}

// Of y, whose elements may be half as wide as f32.
int vector_of(const Func &output, const Knobs &knobs, const Halide::Target &target) {
  return std::min(kLanes, target.natural_vector_size(output.types()[0]) * knobs.vectors);
}

void last_pass_over_rows(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  Func output = roles->output;
  LastPass &pass = roles->last_pass;
  const int vector = vector_of(output, knobs, target);
  const int rows = knobs.rows, last_rows = knobs.last_rows;
  const Var row = roles->vars.row;
  Var side_by_side("side_by_side");
  RVar step("step"), parity("parity");
  require_multiple("rows", rows, last_rows, "last_rows");
  output.compute_root();
  Halide::Stage groups = output.update(0);
  // Halide does not see that lane + kLanes * group is another element for each lane < kLanes.
  groups.allow_race_conditions();
  groups.split(pass.groups.x, step, pass.groups.x, vector)
      .split(row, row, side_by_side, last_rows, TailStrategy::GuardWithIf);
  if (roles->pairs) {
    groups.split(pass.groups.x, pass.groups.x, parity, 2)
        .reorder(parity, pass.groups.x, step, side_by_side, pass.groups.y, row)
        .unroll(parity);
  } else {
    groups.reorder(pass.groups.x, step, side_by_side, pass.groups.y, row);
  }
  groups.vectorize(pass.groups.x).unroll(step).unroll(side_by_side);
  // The last group is another, unless the row is known to have none such.
  const auto n = Halide::Internal::as_const_int(roles->n);
  if (!n || (*n > kLanes && *n % kLanes != 0)) {
    groups.partition(pass.groups.y, Halide::Partition::Always);
  }
  if (knobs.prefetch != 0) {
    for (const Halide::ImageParam &input : roles->inputs) {
      groups.prefetch(input, step, row, rows / last_rows,
                      Halide::PrefetchBoundStrategy::NonFaulting);
    }
    roles->pipeline.add_custom_lowering_pass(new PrefetchIntoCaches);
  }
  unroll_known_groups(groups, pass.groups.y, *roles, knobs);
  output.update(1).vectorize(
      pass.few, f32_lanes(target),
      has_masks(target) ? TailStrategy::Predicate : TailStrategy::GuardWithIf);
}

// Each sum folds across lanes while they fill a vector, then across rows, where a call has enough
// of them: the divisions and square roots of many rows become a few vector ones.
void schedule_short_rows(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const int native = f32_lanes(target), rows = knobs.rows;
  const Vars &vars = roles->vars;
  const Var lane = vars.lane, row = vars.row;
  const Expr count = roles->row_count;

  // The last rows are taken with some of those before, once more.
  auto across_rows = [&](Func func) {
    const int width = std::min(rows, native);
    if (width == 1) return;
    func.specialize(count >= width).vectorize(row, width, TailStrategy::ShiftInwards);
  };
  auto for_all_rows = [&](Func func) {
    func.compute_root().store_in(MemoryType::Stack).bound_storage(row, rows);
  };

  // Totals alone need the window of a row only once.
  Func window = roles->window.values;
  const bool totals_alone = !roles->output.defined();
  if (!totals_alone) for_all_rows(window);
  load_window(*roles, knobs, target);
  bool first = true;
  for (Sum &sum : roles->sums) {
    const int side_by_side = std::min<int>(rows, first ? knobs.first_rows : knobs.later_rows);
    require_multiple("rows", rows, side_by_side, "first_rows and later_rows");
    std::vector<Func> across_lanes;
    int width = kLanes;
    for (Func &fold : sum.folds) {
      width /= 2;
      if (width > knobs.fold_across) {
        fold.vectorize(lane, std::min(width, native)).unroll(lane);
        across_lanes.push_back(fold);
      } else {
        for_all_rows(fold);
        fold.reorder_storage(row, lane);
        across_rows(fold);
      }
    }
    Func folded = across_lanes.back(), widest = folded;
    across_lanes.pop_back();
    for_all_rows(folded);
    // LLVM hands a vector of 16 that it has just stored on to the loads of its halves as an integer
    // of 512 bits, and takes the upper half out of that by pieces of 32. Loaded once all rows are
    // stored, it is one instruction. Whole norms lose more by the way through memory.
    if (totals_alone && native >= kLanes / 2 && !across_lanes.empty()) {
      widest = across_lanes.front();
      across_lanes.erase(across_lanes.begin());
      for_all_rows(widest);
    }
    if (side_by_side > 1) {
      Var inner("inner");
      widest.specialize(count >= side_by_side)
          .split(row, row, inner, side_by_side, TailStrategy::ShiftInwards)
          .unroll(inner);
    }
    for (Func &fold : across_lanes) {
      fold.compute_at(folded, row).store_in(MemoryType::Stack).unroll(row);
    }
    lanes_in_registers(sum, widest, row, native, *roles, knobs);
    if (totals_alone) window.compute_at(widest, row);
    first = false;
  }
  for (Func &func : roles->between) {
    for_all_rows(func);
    across_rows(func);
  }
  roles->statistics.compute_root();
  across_rows(roles->statistics);
}

// The folds of a sum, all of one row.
void folds_of_a_row(Sum *sum, Func consumer, int native, const Vars &vars) {
  const Var lane = vars.lane;
  int width = kLanes;
  for (Func &fold : sum->folds) {
    width /= 2;
    fold.compute_at(consumer, vars.row).store_in(MemoryType::Stack).bound_extent(lane, width);
    fold.vectorize(lane, std::min(width, native)).unroll(lane);
  }
}

// The sums over chunks and their folds, all of one row.
void chunks_of_a_row(Sum *sum, Func consumer, int native, const Vars &vars) {
  const Var lane = vars.lane;
  sum->ordered.compute_at(consumer, vars.row).store_in(MemoryType::Stack);
  sum->ordered.bound_extent(lane, kLanes).vectorize(lane, native).unroll(lane);
  sum->ordered.update().reorder(lane, sum->parts.x).vectorize(lane, native).unroll(lane);
  folds_of_a_row(sum, consumer, native, vars);
}

void schedule_long_rows(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  const int native = f32_lanes(target);
  const Vars &vars = roles->vars;
  Func statistics = roles->statistics, output = roles->output;
  statistics.compute_root();
  roles->window.values.compute_root().bound_storage(vars.row, knobs.rows);
  load_window(*roles, knobs, target);
  for (Func &func : roles->between) {
    func.compute_at(statistics, vars.row).store_in(MemoryType::Stack);
  }
  for (Sum &sum : roles->sums) {
    chunks_of_a_row(&sum, statistics, native, vars);
    lanes_in_registers(sum, sum.ordered, sum.parts.x, native, *roles, knobs);
  }
  last_pass_over_rows(roles, knobs, target);
}

}  // namespace

void schedule_norm_cpu(Tree tree, Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  take_pairs_in_words(roles);
  if (tree == Tree::many_chunks) return schedule_long_rows(roles, knobs, target);
  schedule_short_rows(roles, knobs, target);
  last_pass_over_rows(roles, knobs, target);
}

void schedule_row_totals(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  take_pairs_in_words(roles);
  schedule_short_rows(roles, knobs, target);
}

void schedule_row_chunks(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  take_pairs_in_words(roles);
  const int native = f32_lanes(target);
  const Vars &vars = roles->vars;
  Func output = roles->output;
  roles->window.values.compute_at(output, vars.row);
  load_window(*roles, knobs, target);
  output.bound(vars.lane, 0, kLanes).vectorize(vars.lane, native).unroll(vars.lane);
  lanes_in_registers(roles->sums[0], output, vars.part, native, *roles, knobs);
}

void schedule_row_fold(Roles *roles, const Halide::Target &target) {
  chunks_of_a_row(&roles->sums[0], roles->statistics, f32_lanes(target), roles->vars);
}

void schedule_row_apply(Roles *roles, const Knobs &knobs, const Halide::Target &target) {
  take_pairs_in_words(roles);
  const Var row = roles->vars.row;
  roles->window.values.compute_at(roles->output, row);
  load_window(*roles, knobs, target);
  last_pass_over_rows(roles, knobs, target);
}

// A few rows at a time, for which the sums of an element stay in registers.
void schedule_row_backward_parameters(Roles *roles, const Knobs &knobs,
                                      const Halide::Target &target) {
  const Var i = roles->vars.i;
  Var group("group"), element("element");
  Func output = roles->output, gradients = roles->gradients;
  const int vector = vector_of(output, knobs, target);
  const auto by_vectors = [&](Halide::Stage stage) {
    return stage.split(i, group, element, vector, TailStrategy::RoundUp).vectorize(element);
  };
  output.compute_root();
  gradients.compute_root();
  const Steps &order = roles->steps;
  for (Func func : {output, gradients}) {
    by_vectors(func.update(0)).reorder(element, order.steps.x, group, order.steps.y);
    func.update(0).unroll(order.steps.x);
    by_vectors(func.update(1)).reorder(element, group, order.rest);
  }
  gradients.update(0).compute_with(output.update(0), order.steps.x);
  gradients.update(1).compute_with(output.update(1), group);

  // The means of the rows of a step, where the kernel takes them from the rows.
  const int native = f32_lanes(target);
  const RVar loops[] = {order.steps.y, order.rest};
  for (size_t stage = 0; stage < roles->between.size(); stage++) {
    Func means = roles->between[stage];
    Sum &sum = roles->sums[stage];
    means.compute_at(output, loops[stage]).store_in(MemoryType::Stack);
    folds_of_a_row(&sum, means, native, roles->vars);
    lanes_in_registers(sum, means, roles->vars.row, native, *roles, knobs);
  }
}

void schedule_vector(Roles *roles, const Halide::Target &target) {
  Func output = roles->output;
  output.vectorize(roles->vars.i, target.natural_vector_size(output.types()[0]),
                   TailStrategy::GuardWithIf);
}

}  // namespace halnorm
