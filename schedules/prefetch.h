// SPDX-License-Identifier: Apache-2.0
// A pass of lowering for Func::prefetch(). Halide 21 has one kind of prefetch for CPUs, which asks
// for no place in the caches beyond the first (x86: prefetchnta), and of more than 64 bytes it
// fetches every 64th element, not every 64th byte.
#ifndef HALNORM_SCHEDULES_PREFETCH_H_
#define HALNORM_SCHEDULES_PREFETCH_H_

#include "Halide.h"

namespace halnorm {

// Prefetches fetch whole areas, to stay in all caches.
class PrefetchIntoCaches : public Halide::Internal::IRMutator {
 protected:
  using Halide::Internal::IRMutator::visit;
  Halide::Internal::Stmt visit(const Halide::Internal::For *loop) override;
  Halide::Expr visit(const Halide::Internal::Call *op) override;

 private:
  std::string line_;  // the variable of the loop over the lines of an area
};

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_PREFETCH_H_
