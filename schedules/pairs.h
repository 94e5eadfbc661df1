// SPDX-License-Identifier: Apache-2.0
// A pass of lowering for vectors of bf16, which are the upper halves of f32. Two neighbours are a
// word of 32 bits, of which one shift makes the first an f32 and one mask the second, and which one
// operation puts together again, where Halide and LLVM move each element to a word of its own.
#ifndef HALNORM_SCHEDULES_PAIRS_H_
#define HALNORM_SCHEDULES_PAIRS_H_

#include "Halide.h"

namespace halnorm {

// Where vectors of every other element are taken from one of 16-bit elements, as the upper halves
// of 32 bits, or make one of those, they are taken from words, or make them.
class PairsInWords : public Halide::Internal::IRMutator {
 protected:
  using Halide::Internal::IRMutator::visit;
  Halide::Expr visit(const Halide::Internal::Call *op) override;
  Halide::Expr visit(const Halide::Internal::Shuffle *op) override;
};

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_PAIRS_H_
