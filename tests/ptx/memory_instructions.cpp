// SPDX-License-Identifier: Apache-2.0
// Loads, stores, and sums in memory.
#include <string.h>

#include <cmath>
#include <type_traits>

#include "instructions.h"
#include "lanewise.h"

namespace halnorm_ptx {
namespace {

[[noreturn]] void fail(CUresult result, uint32_t lane, const std::string &what) {
  throw Fault{result, what, lane};
}

Allocation *find(Warp &warp, uint64_t address, uint32_t size, uint32_t lane) {
  const auto place = static_cast<unsigned long long>(address);
  if (address % size != 0) {
    fail(CUDA_ERROR_MISALIGNED_ADDRESS, lane,
         format("address 0x%llx is no multiple of %u", place, size));
  }
  Allocation *found = warp.memory->find(address, size);
  if (found == nullptr) {
    fail(CUDA_ERROR_ILLEGAL_ADDRESS, lane,
         format("%u bytes at address 0x%llx are not allocated: %s", size, place,
                warp.memory->describe(address).c_str()));
  }
  return found;
}

// A state in each byte of a word, and whether any or all bytes of the states have it.
template <uint32_t Size>
bool any_has(const uint8_t *states, uint8_t state) {
  uint8_t any = 0;
  for (uint32_t k = 0; k < Size; ++k) any |= states[k];
  return (any & state) != 0;
}
template <uint32_t Size>
bool all_have(const uint8_t *states, uint8_t state) {
  uint8_t all = 0xff;
  for (uint32_t k = 0; k < Size; ++k) all &= states[k];
  return (all & state) != 0;
}

// The spaces: load(warp, lane, address, to) and store(warp, lane, address, from) of Size bytes.
template <bool kIsConstant>
struct Global {
  template <uint32_t Size>
  static void load(Warp &warp, uint32_t lane, uint64_t address, uint8_t *to) {
    Allocation &found = *find(warp, address, Size, lane);
    const uint64_t offset = address - found.begin;
    uint8_t *states = found.states.data() + offset;
    if (!all_have<Size>(states, kInitialized)) {
      fail(CUDA_ERROR_LAUNCH_FAILED, lane,
           format("some of the %u bytes at address 0x%llx were never written: byte %llu of %zu on",
                  Size, static_cast<unsigned long long>(address),
                  static_cast<unsigned long long>(offset), found.size));
    }
    if constexpr (kIsConstant) {
      if (any_has<Size>(states, kWritten)) refuse_constant(address, lane);
      warp.memory->touch(&found, offset, Size);
      for (uint32_t k = 0; k < Size; ++k) states[k] |= kConstant;
    }
    memcpy(to, found.bytes.data() + offset, Size);
  }

  template <uint32_t Size>
  static void store(Warp &warp, uint32_t lane, uint64_t address, const uint8_t *from) {
    Allocation &found = *find(warp, address, Size, lane);
    const uint64_t offset = address - found.begin;
    uint8_t *states = found.states.data() + offset;
    if (any_has<Size>(states, kConstant)) refuse_constant(address, lane);
    warp.memory->touch(&found, offset, Size);
    for (uint32_t k = 0; k < Size; ++k) states[k] |= kInitialized | kWritten;
    memcpy(found.bytes.data() + offset, from, Size);
  }

  [[noreturn]] static void refuse_constant(uint64_t address, uint32_t lane) {
    fail(CUDA_ERROR_LAUNCH_FAILED, lane,
         format("the kernel both writes what lies at address 0x%llx and loads it with ld.global.nc",
                static_cast<unsigned long long>(address)));
  }
};

struct Shared {
  static Accessor accessor(const Warp &warp, uint32_t lane) {
    return {warp.index * kLanes + lane, warp.synced};
  }
  template <uint32_t Size>
  static void load(Warp &warp, uint32_t lane, uint64_t address, uint8_t *to) {
    warp.shared->load(address, Size, accessor(warp, lane), to);
  }
  template <uint32_t Size>
  static void store(Warp &warp, uint32_t lane, uint64_t address, const uint8_t *from) {
    warp.shared->store(address, Size, accessor(warp, lane), from);
  }
};

// Registers may be wider than what is loaded, which is then extended by zeros, or stored.
template <class Space, class T, class InRegister, uint32_t Count>
void load(Warp &warp, const Instruction &instruction) {
  const Operand<uint64_t> base(warp, instruction.operands[Count]);
  InRegister values[Count][kLanes];
  for_each_lane(warp.active, [&](uint32_t lane) {
    T loaded[Count];
    const uint64_t address = base[lane] + static_cast<uint64_t>(instruction.offset);
    Space::template load<sizeof loaded>(warp, lane, address, reinterpret_cast<uint8_t *>(loaded));
    for (uint32_t k = 0; k < Count; ++k) values[k][lane] = loaded[k];
  });
  for (uint32_t k = 0; k < Count; ++k) {
    InRegister *to = warp.lanes<InRegister>(instruction.operands[k]);
    for_each_lane(warp.active, [&](uint32_t lane) { to[lane] = values[k][lane]; });
    warp.define(instruction.operands[k]);
  }
}

template <class Space, class T, class InRegister, uint32_t Count>
void store(Warp &warp, const Instruction &instruction) {
  const Operand<uint64_t> base(warp, instruction.operands[0]);
  for (uint32_t k = 1; k <= Count; ++k) warp.use(instruction.operands[k]);
  for_each_lane(warp.active, [&](uint32_t lane) {
    T stored[Count];
    for (uint32_t k = 0; k < Count; ++k) {
      stored[k] = static_cast<T>(warp.lanes<InRegister>(instruction.operands[k + 1])[lane]);
    }
    const uint64_t address = base[lane] + static_cast<uint64_t>(instruction.offset);
    Space::template store<sizeof stored>(warp, lane, address,
                                         reinterpret_cast<const uint8_t *>(stored));
  });
}

// In global memory, where PTX flushes subnormals. It leaves the order of threads open.
void add_to_global(Warp &warp, const Instruction &instruction) {
  const Operand<uint64_t> base(warp, instruction.operands[1]);
  const Operand<float> added(warp, instruction.operands[2]);
  const auto flushed = [](float value) {
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
  };
  float before[kLanes];
  for_each_lane(warp.active, [&](uint32_t lane) {
    const uint64_t address = base[lane] + static_cast<uint64_t>(instruction.offset);
    uint8_t bytes[sizeof(float)];
    Global<false>::load<sizeof bytes>(warp, lane, address, bytes);
    memcpy(&before[lane], bytes, sizeof bytes);
    const float sum = flushed(flushed(before[lane]) + flushed(added[lane]));
    memcpy(bytes, &sum, sizeof bytes);
    Global<false>::store<sizeof bytes>(warp, lane, address, bytes);
  });
  write_lanes(warp, instruction.operands[0], before);
}

template <class T, class InRegister>
void load_parameter(Warp &warp, const Instruction &instruction) {
  T value;
  memcpy(&value, warp.launch->parameters.data() + instruction.offset, sizeof value);
  InRegister values[kLanes];
  for (InRegister &of_lane : values) of_lane = value;
  write_lanes(warp, instruction.operands[0], values);
}

template <class Space, class T, class InRegister, uint32_t Count>
void add_access(std::vector<Opcode> *list, const std::string &space, bool stores) {
  const std::string registers(Count, kLetter<InRegister>);
  const std::string operand = Count == 1 ? registers : "{" + registers + "}";
  const std::string type =
      (Count == 1 ? "" : ".v" + std::to_string(Count)) + ".b" + std::to_string(8 * sizeof(T));
  list->push_back({"ld." + space + type, operand + "[d]", load<Space, T, InRegister, Count>});
  if (!stores) return;
  list->push_back({"st." + space + type, "[d]" + operand, store<Space, T, InRegister, Count>});
}

template <class Space>
void add_space(std::vector<Opcode> *list, const std::string &name, bool stores) {
  add_access<Space, uint16_t, uint16_t, 1>(list, name, stores);
  add_access<Space, uint16_t, uint32_t, 1>(list, name, stores);
  add_access<Space, uint16_t, uint64_t, 1>(list, name, stores);
  add_access<Space, uint32_t, uint32_t, 1>(list, name, stores);
  add_access<Space, uint32_t, uint64_t, 1>(list, name, stores);
  add_access<Space, uint64_t, uint64_t, 1>(list, name, stores);
  add_access<Space, uint16_t, uint16_t, 2>(list, name, stores);
  add_access<Space, uint16_t, uint16_t, 4>(list, name, stores);
  add_access<Space, uint32_t, uint32_t, 2>(list, name, stores);
  add_access<Space, uint32_t, uint32_t, 4>(list, name, stores);
  add_access<Space, uint64_t, uint64_t, 2>(list, name, stores);
}

}  // namespace

void add_memory_opcodes(std::vector<Opcode> *list) {
  list->insert(list->end(), {{"ld.param.b8", "h[m]", load_parameter<uint8_t, uint16_t>},
                             {"ld.param.b16", "h[m]", load_parameter<uint16_t, uint16_t>},
                             {"ld.param.b32", "r[m]", load_parameter<uint32_t, uint32_t>},
                             {"ld.param.b64", "d[m]", load_parameter<uint64_t, uint64_t>},
                             {"atom.global.add.f32", "r[d]r", add_to_global}});
  add_space<Global<false>>(list, "global", true);
  add_space<Global<true>>(list, "global.nc", false);
  add_space<Shared>(list, "shared", true);
}

}  // namespace halnorm_ptx
