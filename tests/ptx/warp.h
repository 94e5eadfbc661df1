// SPDX-License-Identifier: Apache-2.0
// 32 threads in lockstep. Where a branch divides them, one part runs to the place where all meet
// again, then the other.
#ifndef HALNORM_TESTS_PTX_WARP_H_
#define HALNORM_TESTS_PTX_WARP_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "fault.h"
#include "memory.h"
#include "module.h"
#include "shared_memory.h"
#include "special_registers.h"

namespace halnorm_ptx {

constexpr uint32_t kLanes = 32;
constexpr uint32_t kAllLanes = UINT32_MAX;

struct Launch {
  const Module *module = nullptr;
  const Function *function = nullptr;
  Dim3 grid, block;
  uint32_t shared_bytes = 0;
  std::vector<uint8_t> parameters;
};

// A register of every lane; predicates are a bit of the first word for each.
struct alignas(64) Lanes {
  uint8_t bytes[kLanes * 8];
};

inline uint32_t lowest_lane(uint32_t lanes) { return static_cast<uint32_t>(__builtin_ctz(lanes)); }

template <class Use>
void for_each_lane(uint32_t lanes, const Use &use) {
  for (; lanes != 0; lanes &= lanes - 1) use(lowest_lane(lanes));
}

class Warp {
 public:
  Warp(const Launch &launch, uint32_t index, Memory *memory, SharedMemory *shared);

  void start(const Dim3 &block);
  void run();  // until it waits at a barrier or all of its threads have ended

  bool ended() const { return live == 0; }
  std::string place(uint32_t lane) const;  // the thread and the instruction, in words

  template <class T>
  T *lanes(uint32_t reg) {
    return reinterpret_cast<T *>(registers_[reg].bytes);
  }

  // Refuses a register that an active thread has not written, and what writing one makes defined.
  void use(uint32_t reg) {
    if ((defined_[reg] & active) != active) refuse_undefined(reg);
  }
  void define(uint32_t reg) { defined_[reg] |= active; }
  void undefine(uint32_t reg, uint32_t which) { defined_[reg] &= ~which; }

  void branch(const Instruction &instruction);
  void end_threads();
  uint32_t threads_here() const { return paths_.back().lanes; }

  uint32_t index;
  uint32_t active = 0;   // of the instruction that runs
  uint32_t live = 0;     // threads that have not ended
  uint32_t synced = 0;   // how many bar.warp.sync there were
  bool waits = false;    // at a barrier of the block
  uint32_t barrier = 0;  // which
  const Launch *launch;
  Memory *memory;
  SharedMemory *shared;

 private:
  struct Path {
    uint32_t next, reconverge, lanes;
  };

  void set_special(uint32_t reg, const SpecialRegister &special);
  [[noreturn]] void refuse_undefined(uint32_t reg) const;

  uint32_t threads_;  // that it was made with
  Dim3 block_;
  uint32_t current_ = 0;  // the instruction that runs
  uint64_t steps_ = 0;
  std::vector<Lanes> registers_;
  std::vector<uint32_t> defined_;  // a bit a lane
  std::vector<uint32_t> preset_;   // the constants and the special registers
  std::vector<Path> paths_;
};

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_WARP_H_
