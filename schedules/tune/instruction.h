// SPDX-License-Identifier: Apache-2.0
// An instruction of an assembly text, x86 (AT&T) or AArch64.
#ifndef HALNORM_SCHEDULES_TUNE_INSTRUCTION_H_
#define HALNORM_SCHEDULES_TUNE_INSTRUCTION_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace halnorm_tune {

// The registers, and places on the stack that one was spilled to, that hold addresses of the stack.
using StackPointers = std::set<std::string>;

class Instruction {
 public:
  Instruction(const std::string &text, bool is_x86);

  // On how many vector elements it does floating-point arithmetic.
  int64_t operations() const;
  // Between vector registers and memory; 0 for the stack and for constants.
  int64_t tensor_bytes(const StackPointers &stack) const;
  bool stores() const;
  // What it makes of them.
  void follow(StackPointers *stack) const;
  // Empty where it does not jump to a label.
  std::string jump_target() const;
  bool ends_flow() const;

 private:
  bool is_stack(const std::string &operand, const StackPointers &stack) const;
  std::vector<std::string> registers(const std::string &operand) const;
  const std::string *memory() const;
  int64_t register_bytes() const;
  int64_t x86_bytes() const;
  int64_t aarch64_bytes() const;

  bool is_x86_;
  std::string mnemonic_;
  std::vector<std::string> operands_;  // the one that is written first, as AArch64 has it
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_INSTRUCTION_H_
