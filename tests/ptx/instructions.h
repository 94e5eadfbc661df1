// SPDX-License-Identifier: Apache-2.0
// The instructions that are supported.
#ifndef HALNORM_TESTS_PTX_INSTRUCTIONS_H_
#define HALNORM_TESTS_PTX_INSTRUCTIONS_H_

#include <vector>

#include "module.h"

namespace halnorm_ptx {

const std::vector<Opcode> &opcodes();

// The parts of that list.
void add_integer_opcodes(std::vector<Opcode> *list);
void add_float_opcodes(std::vector<Opcode> *list);
void add_memory_opcodes(std::vector<Opcode> *list);
void add_warp_opcodes(std::vector<Opcode> *list);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_INSTRUCTIONS_H_
