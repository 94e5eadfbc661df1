// SPDX-License-Identifier: Apache-2.0
// The loops of a generated kernel, read from its assembly, x86 (AT&T) or AArch64. LLVM notes there
// which block belongs to which loop, and Halide names the first block of a loop after its Func.
#ifndef HALNORM_SCHEDULES_TUNE_ASSEMBLY_H_
#define HALNORM_SCHEDULES_TUNE_ASSEMBLY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace halnorm_tune {

// The instructions of a loop that are not in a loop within it; or those outside of all loops.
struct CodeRegion {
  std::string label;  // of the loop's first block
  std::string func;   // of Halide, whose loop it is; the label where the assembly does not tell
  int depth = 0;      // 1: in no other loop; 0: outside of all
  int parent = -1;    // the region around it
  std::vector<std::string> instructions;  // but prefetches
  int64_t operations = 0;  // floating-point additions, multiplications, ... on elements
  // Between vector registers and memory that is not the stack.
  int64_t bytes_loaded = 0, bytes_stored = 0;
};

// The first is what is outside of all loops.
std::vector<CodeRegion> read_assembly(const std::string &text);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_ASSEMBLY_H_
