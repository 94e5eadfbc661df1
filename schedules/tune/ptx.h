// SPDX-License-Identifier: Apache-2.0
// What one thread of a launch executes of a kernel's PTX, as Halide and LLVM write it. The thread's
// integers are computed, so that loops and branches go as they do on a GPU; what comes from memory
// is not known, and a branch on it is taken to go on to the next instruction.
#ifndef HALNORM_SCHEDULES_TUNE_PTX_H_
#define HALNORM_SCHEDULES_TUNE_PTX_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace halnorm_tune {

// What executes an instruction. `none`: what the assembler makes disappear.
enum class Unit { none, integer, f32, f64, conversion, shuffle, shared, load, store, barrier };
constexpr size_t kUnits = 10;

struct PtxOperand {
  enum class Kind { reg, number, parameter, special, other };
  Kind kind = Kind::other;
  int64_t value = 0;  // of a register or a parameter its number, of a special register its place
};

struct PtxInstruction {
  std::string opcode;
  std::string operation, type;     // its first part and its last
  int predicate = -1;              // register; -1: none
  bool unless = false;             // the predicate is negated
  std::vector<int> writes, reads;  // registers
  std::vector<PtxOperand> inputs;  // but addresses' offsets
  size_t target = 0;               // of a branch
  Unit unit = Unit::none;
  int count = 0;  // machine instructions that it stands for, each waiting for the one before
  int bytes = 0;  // of a load or a store
};

struct PtxKernel {
  std::vector<PtxInstruction> instructions;
  std::vector<bool> begins_block;  // instructions that are branched to, or follow a branch
  int registers = 0;               // virtual ones
};

// Throws std::runtime_error where the text is not a kernel.
PtxKernel read_ptx(const std::string &text);

// Of a launch, what decides which way a thread goes.
using Three = std::array<int64_t, 3>;
struct ThreadArguments {
  Three block, thread;
  std::vector<std::optional<int64_t>> values;  // of the kernel's parameters; none: a pointer
};

struct Step {
  const PtxInstruction *instruction;
  bool begins_block;
  int parameter;  // that the address of a load or a store comes from; -1: not known
};

// Throws std::runtime_error where it does not end.
std::vector<Step> steps_of(const PtxKernel &kernel, const ThreadArguments &arguments);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PTX_H_
