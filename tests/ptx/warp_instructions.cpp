// SPDX-License-Identifier: Apache-2.0
// Control flow, barriers and shuffles.
#include "instructions.h"
#include "lanewise.h"

namespace halnorm_ptx {
namespace {

void branch(Warp &warp, const Instruction &instruction) { warp.branch(instruction); }

void branch_uniformly(Warp &warp, const Instruction &instruction) {
  if (warp.active != warp.threads_here()) {
    throw Fault{CUDA_ERROR_LAUNCH_FAILED, "bra.uni divides the threads", lowest_lane(warp.active)};
  }
  warp.branch(instruction);
}

void end_threads(Warp &warp, const Instruction &) { warp.end_threads(); }

// All threads of a warp that have not ended arrive together, as .aligned demands.
void wait_for_block(Warp &warp, const Instruction &instruction) {
  const Operand<uint32_t> number(warp, instruction.operands[0]);
  if (warp.active != warp.live) {
    throw Fault{CUDA_ERROR_LAUNCH_FAILED,
                format("threads 0x%08x of the warp are at a barrier, 0x%08x elsewhere", warp.active,
                       warp.live & ~warp.active),
                lowest_lane(warp.active)};
  }
  warp.barrier = number[lowest_lane(warp.active)];
  if (warp.barrier > 15) {
    throw Fault{CUDA_ERROR_LAUNCH_FAILED,
                format("there is no barrier %u, only 0 to 15", warp.barrier),
                lowest_lane(warp.active)};
  }
  warp.waits = true;
}

// The members that have not ended must be those that are here. (On a GPU they would wait for one
// another; ours never need to.)
void check_members(const Warp &warp, const Operand<uint32_t> &members) {
  for_each_lane(warp.active, [&](uint32_t lane) {
    if ((members[lane] & warp.live) == warp.active) return;
    throw Fault{CUDA_ERROR_LAUNCH_FAILED,
                format("the mask of members 0x%08x is not the threads 0x%08x that are here",
                       members[lane], warp.active),
                lane};
  });
}

void wait_for_warp(Warp &warp, const Instruction &instruction) {
  check_members(warp, Operand<uint32_t>(warp, instruction.operands[0]));
  if (warp.active == warp.live) ++warp.synced;
}

enum class Shuffle { up, down, bfly, idx };

// From the pseudo code of the PTX ISA, shfl.sync: c holds the highest (for up: the lowest) lane,
// and in bits 8 to 12 a mask of lane bits that do not leave a segment.
template <Shuffle kMode>
uint32_t source_lane(uint32_t lane, uint32_t b, uint32_t c) {
  const uint32_t distance = b & 0x1f, bound = c & 0x1f, segment = c >> 8 & 0x1f;
  const uint32_t first = lane & segment, last = first | (bound & ~segment);
  const auto wanted =
      static_cast<int32_t>(kMode == Shuffle::up     ? lane - distance
                           : kMode == Shuffle::down ? lane + distance
                           : kMode == Shuffle::bfly ? lane ^ distance
                                                    : first | (distance & ~segment));
  const auto limit = static_cast<int32_t>(last);
  const bool exists = kMode == Shuffle::up ? wanted >= limit : wanted <= limit;
  return exists ? static_cast<uint32_t>(wanted) : lane;
}

// What comes from a thread that is not here is undefined.
template <Shuffle kMode>
void shuffle(Warp &warp, const Instruction &instruction) {
  const Operand<uint32_t> from(warp, instruction.operands[1]);
  const Operand<uint32_t> b(warp, instruction.operands[2]), c(warp, instruction.operands[3]);
  check_members(warp, Operand<uint32_t>(warp, instruction.operands[4]));
  uint32_t values[kLanes], undefined = 0;
  for_each_lane(warp.active, [&](uint32_t lane) {
    const uint32_t source = source_lane<kMode>(lane, b[lane], c[lane]);
    values[lane] = from[source];
    if ((warp.active >> source & 1) == 0) undefined |= 1u << lane;
  });
  write_lanes(warp, instruction.operands[0], values);
  warp.undefine(instruction.operands[0], undefined);
}

}  // namespace

void add_warp_opcodes(std::vector<Opcode> *list) {
  list->insert(list->end(), {{"bra", "L", branch},
                             {"bra.uni", "L", branch_uniformly},
                             {"ret", "", end_threads},
                             {"exit", "", end_threads},
                             {"bar.sync", "r", wait_for_block},
                             {"bar.warp.sync", "r", wait_for_warp},
                             {"shfl.sync.up.b32", "rrrrr", shuffle<Shuffle::up>},
                             {"shfl.sync.down.b32", "rrrrr", shuffle<Shuffle::down>},
                             {"shfl.sync.bfly.b32", "rrrrr", shuffle<Shuffle::bfly>},
                             {"shfl.sync.idx.b32", "rrrrr", shuffle<Shuffle::idx>}});
}

const std::vector<Opcode> &opcodes() {
  static const std::vector<Opcode> list = [] {
    std::vector<Opcode> all;
    add_integer_opcodes(&all);
    add_float_opcodes(&all);
    add_memory_opcodes(&all);
    add_warp_opcodes(&all);
    return all;
  }();
  return list;
}

}  // namespace halnorm_ptx
