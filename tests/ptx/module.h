// SPDX-License-Identifier: Apache-2.0
// PTX text, decoded. Constants and special registers are registers whose value is set beforehand,
// so that every operand of an instruction is a register, a label or an offset.
#ifndef HALNORM_TESTS_PTX_MODULE_H_
#define HALNORM_TESTS_PTX_MODULE_H_

#include <stdint.h>

#include <deque>
#include <stdexcept>
#include <string>
#include <vector>

namespace halnorm_ptx {

class Warp;
struct Instruction;

// The form of the operands, one letter each: p, h, r and d are registers (or constants) of 1, 16,
// 32 and 64 bits, {..} a vector of them, [d] an address with an offset, [m] a parameter of the
// kernel with an offset, L a label.
struct Opcode {
  std::string name, form;
  void (*run)(Warp &, const Instruction &);
};

constexpr uint32_t kNone = UINT32_MAX;

struct Instruction {
  const Opcode *opcode = nullptr;
  uint32_t operands[5] = {};  // registers, in order
  uint32_t guard = kNone;     // the register of the predicate
  bool guard_negated = false;
  int64_t offset = 0;           // of an address; of a parameter in all parameters
  uint32_t target = kNone;      // of a branch
  uint32_t reconverge = kNone;  // where the threads that a branch divides meet again; kNone: never
  uint32_t line = 0;
};

struct Register {
  enum class Source { variable, constant, special };
  char kind;  // as in Opcode::form
  Source source = Source::variable;
  uint64_t value = 0;  // of a constant, or the place in kSpecialRegisters
  std::string name;
};

struct Parameter {
  std::string name;
  uint32_t offset, size;
};

struct Function {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  uint32_t max_threads = 0;  // .maxntid; 0: not given
  std::vector<Register> registers;
  std::vector<Instruction> code;
};

struct Module {
  std::deque<Function> functions;  // which stay where they are
  std::vector<std::string> lines;
};

// What a text is refused for, with its line.
struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Module parse(const std::string &text);

// Sets Instruction::reconverge of every branch that may divide a warp: its immediate
// post-dominator.
void find_reconvergence(Function *function);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_MODULE_H_
