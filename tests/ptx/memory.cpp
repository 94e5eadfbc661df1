// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <stdarg.h>
#include <stdio.h>

#include "fault.h"

namespace halnorm_ptx {
namespace {

constexpr CUdeviceptr kFirstAddress = 0x00d0000000000000;
constexpr size_t kAlignment = 256;  // what cuMemAlloc gives
constexpr size_t kGuard = 1 << 20;  // between allocations
constexpr size_t kCapacity = size_t{4} << 30;

CUdeviceptr next_address = kFirstAddress;
size_t bytes_in_use = 0;

}  // namespace

std::string format(const char *text, ...) {
  char result[1024];
  va_list arguments;
  va_start(arguments, text);
  vsnprintf(result, sizeof result, text, arguments);
  va_end(arguments);
  return result;
}

Memory::~Memory() {
  for (const auto &[begin, allocation] : allocations_) {
    if (!allocation.freed) bytes_in_use -= allocation.size;
  }
}

CUdeviceptr Memory::allocate(size_t bytes) {
  if (bytes > kCapacity - bytes_in_use) return 0;
  bytes_in_use += bytes;
  Allocation allocation;
  allocation.begin = next_address;
  allocation.size = bytes;
  allocation.bytes.resize(bytes);
  allocation.states.resize(bytes);
  next_address += (bytes + kAlignment - 1) / kAlignment * kAlignment + kGuard;
  last_ = nullptr;
  return allocations_.emplace(allocation.begin, std::move(allocation)).first->first;
}

bool Memory::free(CUdeviceptr begin) {
  const auto found = allocations_.find(begin);
  if (found == allocations_.end() || found->second.freed) return false;
  bytes_in_use -= found->second.size;
  found->second.freed = true;
  found->second.bytes = {};
  found->second.states = {};
  last_ = nullptr;
  return true;
}

Allocation *Memory::search(CUdeviceptr address, size_t bytes) {
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return nullptr;
  Allocation &allocation = std::prev(after)->second;
  if (allocation.freed || !contains(allocation, address, bytes)) return nullptr;
  last_ = &allocation;
  return last_;
}

std::string Memory::describe(CUdeviceptr address) const {
  const Allocation *nearest = nullptr;
  const auto after = allocations_.upper_bound(address);
  if (after != allocations_.end()) nearest = &after->second;
  if (after != allocations_.begin()) {
    const Allocation &before = std::prev(after)->second;
    const CUdeviceptr end = before.begin + before.size;
    if (nearest == nullptr || address < end || address - end < nearest->begin - address) {
      nearest = &before;
    }
  }
  if (nearest == nullptr) return "nothing is allocated";
  const CUdeviceptr begin = nearest->begin, end = begin + nearest->size;
  const std::string what = format("the nearest allocation is %zu bytes at 0x%llx%s", nearest->size,
                                  begin, nearest->freed ? ", freed" : "");
  if (address < begin) return format("%s, %llu bytes after it", what.c_str(), begin - address);
  if (nearest->freed) return what;
  return format("%s, which ends at 0x%llx", what.c_str(), end);
}

void Memory::forget_launch() {
  for (Allocation *allocation : touched_) {
    for (size_t k = allocation->touched_begin; k < allocation->touched_end; ++k) {
      allocation->states[k] &= kInitialized;
    }
    allocation->touched_begin = SIZE_MAX;
    allocation->touched_end = 0;
  }
  touched_.clear();
}

}  // namespace halnorm_ptx
