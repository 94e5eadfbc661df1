// SPDX-License-Identifier: Apache-2.0
#include "registers.h"

#include <algorithm>

namespace halnorm {

using Halide::Expr;
using Halide::MemoryType;
using Halide::Internal::Allocate;
using Halide::Internal::Block;
using Halide::Internal::For;
using Halide::Internal::ForType;
using Halide::Internal::Free;
using Halide::Internal::IRMutator;
using Halide::Internal::LetStmt;
using Halide::Internal::Load;
using Halide::Internal::ModulusRemainder;
using Halide::Internal::Ramp;
using Halide::Internal::Stmt;
using Halide::Internal::Store;

namespace {

// The elements at one index of a buffer, a vector of them or one.
struct RegisterSum {
  std::string name, buffer;
  Expr index;
  Stmt stored;  // a store there
};

// In the place of a buffer.
Expr all_of(Halide::Type type) {
  return type.is_scalar() ? Expr(0) : Ramp::make(0, 1, type.lanes());
}

Expr load(const RegisterSum &sum, Halide::Type type) {
  return Load::make(type, sum.name, all_of(type), Halide::Buffer<>(), Halide::Parameter(),
                    Halide::Internal::const_true(type.lanes()), ModulusRemainder());
}

Stmt store(const RegisterSum &sum, const Expr &value) {
  return Store::make(sum.name, value, all_of(value.type()), Halide::Parameter(),
                     Halide::Internal::const_true(value.type().lanes()), ModulusRemainder());
}

// Replaces loads and stores of buffers by those of registers, and lists these.
class ReplaceBuffers : public IRMutator {
 public:
  explicit ReplaceBuffers(const std::vector<std::string> &buffers) : buffers_(buffers) {}
  std::vector<RegisterSum> sums;

 protected:
  using IRMutator::visit;

  Expr visit(const Load *op) override {
    if (!is_of_buffers(op->name)) return IRMutator::visit(op);
    return load(*find(op->name, op->index), op->type);
  }
  Stmt visit(const Store *op) override {
    if (!is_of_buffers(op->name)) return IRMutator::visit(op);
    const Expr value = mutate(op->value);
    RegisterSum *sum = find(op->name, op->index);
    sum->stored = op;
    return store(*sum, value);
  }
  Stmt visit(const LetStmt *op) override {
    inner_.push_back(op->name);
    return IRMutator::visit(op);
  }
  Stmt visit(const For *op) override {
    inner_.push_back(op->name);
    return IRMutator::visit(op);
  }

 private:
  bool is_of_buffers(const std::string &name) const {
    return std::find(buffers_.begin(), buffers_.end(), name) != buffers_.end();
  }
  RegisterSum *find(const std::string &buffer, const Expr &index) {
    for (const std::string &name : inner_) {
      if (!Halide::Internal::expr_uses_var(index, name)) continue;
      throw Halide::CompileError(buffer + ": what a loop adds to is not the same in each step");
    }
    for (RegisterSum &sum : sums) {
      if (sum.buffer == buffer && equal(sum.index, index)) return &sum;
    }
    sums.push_back({Halide::Internal::unique_name(buffer + ".sum"), buffer, index, Stmt()});
    return &sums.back();
  }

  const std::vector<std::string> &buffers_;
  std::vector<std::string> inner_;
};

}  // namespace

SumsInRegisters::SumsInRegisters(const Halide::Func &output, const Expr &steps) : steps_(steps) {
  for (int k = 0; k < output.outputs(); k++) {
    buffers_.push_back(output.name() + (output.outputs() == 1 ? "" : "." + std::to_string(k)));
  }
}

Stmt SumsInRegisters::visit(const For *loop) {
  if (loop->for_type == ForType::GPUBlock) block_ = loop->name;
  if (loop->for_type != ForType::Serial) return IRMutator::visit(loop);
  const Expr block = Halide::Internal::Variable::make(Halide::Int(32), block_);
  ReplaceBuffers replace(buffers_);
  Stmt result = For::make(loop->name, loop->min, min(loop->extent, steps_ - block * loop->extent),
                          loop->for_type, loop->partition_policy, loop->device_api,
                          replace.mutate(loop->body));
  for (const RegisterSum &sum : replace.sums) {
    const Store *op = sum.stored.as<Store>();
    if (op == nullptr) throw Halide::CompileError(sum.buffer + ": is read and not added to");
    const Halide::Type type = op->value.type();
    const Stmt zero = store(sum, Halide::Internal::make_zero(type));
    const Stmt last =
        Store::make(op->name, load(sum, type), op->index, op->param, op->predicate, op->alignment);
    result = Allocate::make(sum.name, type.element_of(), MemoryType::Register, {type.lanes()},
                            Halide::Internal::const_true(),
                            Block::make({zero, result, last, Free::make(sum.name)}));
  }
  return result;
}

Stmt BlocksAreInBounds::visit(const For *loop) {
  if (loop->for_type != ForType::GPUBlock) return IRMutator::visit(loop);
  bounds_.push_back(Halide::Internal::Variable::make(Halide::Int(32), loop->name) + 1 <=
                    loop->extent);
  const Stmt result = IRMutator::visit(loop);
  bounds_.pop_back();
  // Not even a condition that is known to hold is to be left for LLVM.
  return bounds_.empty() ? Halide::Internal::simplify(result) : result;
}

Expr BlocksAreInBounds::visit(const Halide::Internal::LE *op) {
  const bool known = std::any_of(bounds_.begin(), bounds_.end(),
                                 [&](const Expr &bound) { return equal(bound, Expr(op)); });
  return known ? Halide::Internal::const_true() : Expr(op);
}

}  // namespace halnorm
