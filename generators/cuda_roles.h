// SPDX-License-Identifier: Apache-2.0
// What an algorithm for CUDA hands to a schedule, as roles.h does for CPUs.
#ifndef HALNORM_GENERATORS_CUDA_ROLES_H_
#define HALNORM_GENERATORS_CUDA_ROLES_H_

#include <functional>
#include <string>
#include <vector>

#include "Halide.h"
#include "norm_math.h"

namespace halnorm {

// The tree of a warp. A chunk of kChunk elements (norm_math.h) adds up in groups of kWarp *
// kVector elements: lane u of the warp takes elements kVector * u to kVector * u + kVector - 1 of
// each group, adds those at the same place of all groups in order, then its kVector sums by pairs;
// the lanes fold by halves, all in f32. Chunks are added by folds (cuda_fold.cpp), in f64.
constexpr int kWarp = 32, kVector = 4;
constexpr int kGroups = kChunk / (kWarp * kVector);

struct CudaVars {
  Halide::Var i{"i"}, row{"row"}, outer{"outer"}, part{"part"};
  Halide::Var place{"place"}, group{"group"}, lane{"lane"};
};

// Chunks in the registers of a warp.
struct WarpChunk {
  Halide::Func loaded;  // (place, group, lane, part, row, outer)
  Halide::RDom load;    // (place, group)
};

// Sums over such a chunk, the same in all lanes of the warp.
struct WarpSum {
  Halide::Func places;              // (place, lane, part, row, outer)
  Halide::RDom steps;               // (place, group)
  Halide::Func pairs;               // (lane, part, row, outer)
  std::vector<Halide::Func> folds;  // likewise
  Halide::Func total() const { return folds.back(); }
};

// Parts added up in f64, as many at a time as a warp has lanes.
struct Fold {
  Halide::Func lanes;  // (lane, row, outer)
  Halide::RDom steps;
  std::vector<Halide::Func> folds;  // (lane, row, outer), of width 16, 8, 4, 2, 1
};

struct CudaRoles {
  CudaVars vars;
  WarpChunk chunk;
  std::vector<WarpSum> warp_sums;
  Halide::Func block;     // (part, row, outer), over rows that are neighbours
  Halide::RDom elements;  // of the block; of the output: (place, group, part, lane)
  Fold fold;
  std::vector<Halide::Func> of_lanes;  // (lane, row, outer), what is made of warp sums
  Halide::Func output;
  Halide::Func statistics;  // an output beside it: (row, outer)
  Halide::Var inner, next;  // its first two dimensions, where it has one value for each element
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_CUDA_ROLES_H_
