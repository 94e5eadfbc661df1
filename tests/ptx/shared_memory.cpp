// SPDX-License-Identifier: Apache-2.0
#include "shared_memory.h"

#include <string.h>

#include "fault.h"

namespace halnorm_ptx {
namespace {

// Readers of a byte that are more than one thread.
constexpr uint32_t kSeveralThreads = 1u << 16;  // of one warp, whose first thread the rest is
constexpr uint32_t kSeveralWarps = 1u << 17;

uint32_t lane_of(const Accessor &accessor) { return accessor.thread % 32; }
uint32_t warp_of(uint32_t thread) { return (thread & (kSeveralThreads - 1)) / 32; }

[[noreturn]] void fail(CUresult result, const Accessor &accessor, const std::string &what) {
  throw Fault{result, what, lane_of(accessor)};
}

[[noreturn]] void fail_race(uint64_t address, const Accessor &accessor, const char *done,
                            uint32_t by) {
  const std::string who = by == kSeveralWarps     ? std::string("threads of several warps")
                          : by >= kSeveralThreads ? format("threads of warp %u", warp_of(by))
                                                  : format("thread %u of the block", by);
  fail(CUDA_ERROR_LAUNCH_FAILED, accessor,
       format("a race on shared memory: %s %s byte %llu since the last barrier", who.c_str(), done,
              static_cast<unsigned long long>(address)));
}

}  // namespace

void SharedMemory::check(uint64_t address, uint32_t size, const Accessor &accessor) const {
  const auto place = static_cast<unsigned long long>(address);
  if (address % size != 0) {
    fail(CUDA_ERROR_MISALIGNED_ADDRESS, accessor,
         format("address 0x%llx of shared memory is no multiple of %u", place, size));
  }
  if (address >= bytes_.size() || size > bytes_.size() - address) {
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, accessor,
         format("%u bytes at address 0x%llx of shared memory, of which the block has %zu bytes",
                size, place, bytes_.size()));
  }
}

bool SharedMemory::wrote_unordered(const Use &use, const Accessor &accessor) const {
  if (use.written != interval_ || use.writer == accessor.thread) return false;
  return warp_of(use.writer) != warp_of(accessor.thread) || use.writer_synced == accessor.synced;
}

bool SharedMemory::read_unordered(const Use &use, const Accessor &accessor) const {
  if (use.read != interval_ || use.reader == accessor.thread) return false;
  return use.reader == kSeveralWarps || warp_of(use.reader) != warp_of(accessor.thread) ||
         use.reader_synced == accessor.synced;
}

void SharedMemory::load(uint64_t address, uint32_t size, const Accessor &accessor, uint8_t *to) {
  check(address, size, accessor);
  for (uint64_t at = address; at < address + size; ++at) {
    Use &use = uses_[at];
    if (use.written < first_interval_) {
      fail(CUDA_ERROR_LAUNCH_FAILED, accessor,
           format("byte %llu of shared memory was never written",
                  static_cast<unsigned long long>(at)));
    }
    if (wrote_unordered(use, accessor)) fail_race(at, accessor, "wrote", use.writer);
    if (use.read != interval_ || use.reader == accessor.thread) {
      use.reader = accessor.thread;
    } else if (use.reader != kSeveralWarps) {
      const bool same_warp = warp_of(use.reader) == warp_of(accessor.thread);
      use.reader = same_warp ? kSeveralThreads | warp_of(accessor.thread) * 32 : kSeveralWarps;
    }
    use.read = interval_;
    use.reader_synced = accessor.synced;
  }
  memcpy(to, bytes_.data() + address, size);
}

void SharedMemory::store(uint64_t address, uint32_t size, const Accessor &accessor,
                         const uint8_t *from) {
  check(address, size, accessor);
  for (uint64_t at = address; at < address + size; ++at) {
    Use &use = uses_[at];
    if (wrote_unordered(use, accessor)) fail_race(at, accessor, "wrote", use.writer);
    if (read_unordered(use, accessor)) fail_race(at, accessor, "read", use.reader);
    use.written = interval_;
    use.writer = accessor.thread;
    use.writer_synced = accessor.synced;
  }
  memcpy(bytes_.data() + address, from, size);
}

}  // namespace halnorm_ptx
