// SPDX-License-Identifier: Apache-2.0
// The shared memory of a block, which knows who used each byte since the last barrier.
#ifndef HALNORM_TESTS_PTX_SHARED_MEMORY_H_
#define HALNORM_TESTS_PTX_SHARED_MEMORY_H_

#include <stdint.h>

#include <vector>

namespace halnorm_ptx {

// Who accesses: a thread of the block, and how many bar.warp.sync its warp has had.
struct Accessor {
  uint32_t thread, synced;
};

class SharedMemory {
 public:
  explicit SharedMemory(uint32_t bytes) : bytes_(bytes), uses_(bytes) {}

  // Begins a block: nothing is written. Or a barrier: all before is ordered with all after it.
  void start_block() { first_interval_ = ++interval_; }
  void pass_barrier() { ++interval_; }

  // They throw a Fault if these bytes do not exist, are misaligned or not written, or if another
  // thread used one of them since the last barrier, and one of the two wrote.
  void load(uint64_t address, uint32_t size, const Accessor &accessor, uint8_t *to);
  void store(uint64_t address, uint32_t size, const Accessor &accessor, const uint8_t *from);

 private:
  struct Use {
    uint32_t written = 0, read = 0;  // the interval between barriers in which it last was; 0: never
    uint32_t writer = 0, reader = 0;
    uint32_t writer_synced = 0, reader_synced = 0;
  };

  void check(uint64_t address, uint32_t size, const Accessor &accessor) const;
  bool wrote_unordered(const Use &use, const Accessor &accessor) const;
  bool read_unordered(const Use &use, const Accessor &accessor) const;

  uint32_t interval_ = 0, first_interval_ = 0;
  std::vector<uint8_t> bytes_;
  std::vector<Use> uses_;
};

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_SHARED_MEMORY_H_
