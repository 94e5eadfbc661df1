// SPDX-License-Identifier: Apache-2.0
// The global memory of a context. Device addresses are none of the host's: no x86 or ARM process
// can have anything there. Addresses are never given out twice, so that freed memory stays invalid.
#ifndef HALNORM_TESTS_PTX_MEMORY_H_
#define HALNORM_TESTS_PTX_MEMORY_H_

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "runtime/cuda_driver.h"

namespace halnorm_ptx {

// Of each byte.
constexpr uint8_t kInitialized = 1;
constexpr uint8_t kWritten = 2;   // by this launch
constexpr uint8_t kConstant = 4;  // loaded as constant (ld.global.nc) by this launch

struct Allocation {
  CUdeviceptr begin = 0;
  size_t size = 0;
  bool freed = false;
  size_t touched_begin = SIZE_MAX, touched_end = 0;
  std::vector<uint8_t> bytes, states;
};

class Memory {
 public:
  ~Memory();

  CUdeviceptr allocate(size_t bytes);  // 0: no memory is left
  bool free(CUdeviceptr begin);

  // The allocation that all of these bytes lie in, or null.
  Allocation *find(CUdeviceptr address, size_t bytes) {
    if (last_ != nullptr && contains(*last_, address, bytes)) return last_;
    return search(address, bytes);
  }

  // The nearest allocation, in words.
  std::string describe(CUdeviceptr address) const;

  // These bytes may be kWritten or kConstant, until the launch is forgotten.
  void touch(Allocation *allocation, size_t offset, size_t count) {
    if (allocation->touched_end == 0) touched_.push_back(allocation);
    allocation->touched_begin = std::min(allocation->touched_begin, offset);
    allocation->touched_end = std::max(allocation->touched_end, offset + count);
  }
  void forget_launch();

 private:
  static bool contains(const Allocation &allocation, CUdeviceptr address, size_t bytes) {
    const uint64_t offset = address - allocation.begin;
    return offset < allocation.size && bytes <= allocation.size - offset;
  }

  Allocation *search(CUdeviceptr address, size_t bytes);

  std::map<CUdeviceptr, Allocation> allocations_;
  Allocation *last_ = nullptr;
  std::vector<Allocation *> touched_;
};

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_MEMORY_H_
