// SPDX-License-Identifier: Apache-2.0
#include "prefetch.h"

namespace halnorm {

using Halide::Expr;
using Halide::reinterpret;
using Halide::Internal::Call;
using Halide::Internal::For;
using Halide::Internal::Stmt;

namespace {

// How Halide names the loop that it makes over the lines of an area, and what it steps by.
constexpr char kLineLoop[] = "prefetch_split_";
constexpr int kStep = 64;

// llvm.prefetch: https://llvm.org/docs/LangRef.html#llvm-prefetch-intrinsic
constexpr int kRead = 0, kInAllCaches = 3, kData = 1;

}  // namespace

Stmt PrefetchIntoCaches::visit(const For *loop) {
  const std::string around = line_;
  if (loop->name.find(kLineLoop) != std::string::npos) line_ = loop->name;
  const Stmt result = IRMutator::visit(loop);
  line_ = around;
  return result;
}

Expr PrefetchIntoCaches::visit(const Call *op) {
  if (!op->is_intrinsic(Call::prefetch)) return IRMutator::visit(op);
  Expr element = op->args[1];
  if (!line_.empty()) {
    const Expr line = Halide::Internal::Variable::make(Halide::Int(32), line_);
    element = substitute(line_, 0, element) + line * (kStep / op->type.bytes());
  }
  const Expr address =
      reinterpret<uint64_t>(op->args[0]) + Halide::cast<uint64_t>(element) * op->type.bytes();
  // Halide's own prefetch has declared the intrinsic, which calls by name find.
  return Call::make(Halide::Int(32), "llvm.prefetch.p0",
                    {reinterpret(Halide::Handle(), address), kRead, kInAllCaches, kData},
                    Call::Extern);
}

}  // namespace halnorm
