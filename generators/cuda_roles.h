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

// The tree of a warp. A chunk of kChunk elements (norm_math.h) adds up in groups of kWarp vectors
// of 16 bytes, V elements each: lane u of the warp takes elements V * u to V * u + V - 1 of each
// group, adds those at the same place of all groups in order, then its V sums by pairs; the lanes
// fold by halves, all in f32. Chunks are added by folds (cuda_fold.cpp), in f64.
constexpr int kWarp = 32;
constexpr int kVectorBytes = 16;
// Rows whose parts of dgamma and dbeta add up in order, in f32, where those lie along the rows.
constexpr int kRowsOfAPart = 32;
// Of 32 bits, in a vector: what Halide 21 loads at once.
constexpr int kVectorWords = 4;

struct CudaVars {
  Halide::Var i{"i"}, row{"row"}, outer{"outer"}, part{"part"}, rows{"rows"};
  Halide::Var word{"word"}, place{"place"}, group{"group"}, lane{"lane"};
};

// What a warp keeps of chunks in its registers. Words are elements, or pairs of 16-bit elements.
struct WarpChunk {
  Halide::Func loaded;  // (word, group, lane, part, row, outer)
  Halide::RDom load;    // (word)
  int words;
  int words_at_once;
};

// Sums over such chunks, the same in all lanes of the warp.
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

// Of a pass over a row that reads it anew, and computes anew what it takes from passes before.
struct WarpPass {
  std::vector<WarpChunk> chunks;
  std::vector<Halide::Func> of_lanes;
  Halide::Func sums;  // in shared memory, of all warps of a row; none in the last pass
};

struct CudaRoles {
  CudaVars vars;
  int vector = 0;                 // elements of 16 bytes of a tensor
  int groups = 0;                 // of a chunk
  int words_at_once = 1;          // of the output
  std::vector<WarpChunk> chunks;  // of tensors; of what belongs to elements
  std::vector<WarpSum> warp_sums;
  Halide::Func block;      // (part, row, outer), over rows that are neighbours
  Halide::Func neighbors;  // their words: (word, i, outer)
  Halide::Func words;      // of the output, before they are stored
  Halide::RDom elements;   // of the block; of the output: (word, group, part or none, lane, row)
  WarpChunk affine;        // gamma and beta of elements of rows
                           // their own: (place)
  Fold fold;
  std::vector<WarpPass> passes;        // each with its warp sum, but the last
  std::vector<Halide::Func> of_lanes;  // (lane, row, outer), what is made of warp sums
  Halide::Func output;
  Halide::Func sums;        // an output beside it: (element, rows, outer), over rows
  Halide::RDom added;       // of its update: (place, group, lane, row)
  Halide::Func terms;       // what it adds: (place, group, lane, row, outer)
  Halide::Func statistics;  // an output beside it: (row, outer)
  Halide::RDom first;       // of its update
  Halide::Var inner, next;  // its first two dimensions, where it has one value for each element
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_CUDA_ROLES_H_
