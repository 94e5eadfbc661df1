// SPDX-License-Identifier: Apache-2.0
// A pass of lowering for sums that an output's own update adds up. Halide keeps such sums in the
// output: each step loads and stores them. LLVM would hold them in registers, but not across a
// shuffle, which may not return as far as it knows.
#ifndef HALNORM_SCHEDULES_REGISTERS_H_
#define HALNORM_SCHEDULES_REGISTERS_H_

#include <string>
#include <vector>

#include "Halide.h"

namespace halnorm {

// What a serial loop of a kernel adds to elements of an output begins at zero, stays in registers,
// and is stored once, after the loop. The elements have to be the same in each step. All blocks
// have so many steps together: the loop of the last ends with them. Said to Halide 21, as a
// condition within the loop, that would go with the registers of what stands under it to before the
// loop, where its variable is not known.
class SumsInRegisters : public Halide::Internal::IRMutator {
 public:
  SumsInRegisters(const Halide::Func &output, const Halide::Expr &steps);

 protected:
  Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override;
  using Halide::Internal::IRMutator::visit;

 private:
  std::vector<std::string> buffers_;  // of the output's values
  const Halide::Expr steps_;
  std::string block_;  // the variable of the innermost loop over blocks
};

// Where two outputs share the loops of a kernel, each does its part under the condition that the
// block is one of its own. Halide 21 does not see that the bounds of the loop say so, and LLVM
// keeps nothing that was loaded under a condition.
class BlocksAreInBounds : public Halide::Internal::IRMutator {
 protected:
  using Halide::Internal::IRMutator::visit;
  Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override;
  Halide::Expr visit(const Halide::Internal::LE *op) override;

 private:
  std::vector<Halide::Expr> bounds_;  // block + 1 <= extent, of the loops around
};

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_REGISTERS_H_
