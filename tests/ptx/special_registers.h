// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_TESTS_PTX_SPECIAL_REGISTERS_H_
#define HALNORM_TESTS_PTX_SPECIAL_REGISTERS_H_

#include <stdint.h>

namespace halnorm_ptx {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

// Of a thread: its place in its block, the size of the block, the block's place in the grid, the
// size of the grid, its place in its warp.
struct Place {
  Dim3 thread, threads, block, blocks;
  uint32_t lane;
};

// All of 32 bits.
struct SpecialRegister {
  const char *name;
  bool is_of_block;  // another one in every block
  uint32_t (*value)(const Place &);
};

constexpr SpecialRegister kSpecialRegisters[] = {
    {"%tid.x", false, [](const Place &place) { return place.thread.x; }},
    {"%tid.y", false, [](const Place &place) { return place.thread.y; }},
    {"%tid.z", false, [](const Place &place) { return place.thread.z; }},
    {"%ntid.x", false, [](const Place &place) { return place.threads.x; }},
    {"%ntid.y", false, [](const Place &place) { return place.threads.y; }},
    {"%ntid.z", false, [](const Place &place) { return place.threads.z; }},
    {"%ctaid.x", true, [](const Place &place) { return place.block.x; }},
    {"%ctaid.y", true, [](const Place &place) { return place.block.y; }},
    {"%ctaid.z", true, [](const Place &place) { return place.block.z; }},
    {"%nctaid.x", false, [](const Place &place) { return place.blocks.x; }},
    {"%nctaid.y", false, [](const Place &place) { return place.blocks.y; }},
    {"%nctaid.z", false, [](const Place &place) { return place.blocks.z; }},
    {"%laneid", false, [](const Place &place) { return place.lane; }},
};

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_SPECIAL_REGISTERS_H_
