// SPDX-License-Identifier: Apache-2.0
// An instruction made of a function of a lane's operands: the types of the function say which
// registers they are. Lanes that are not active compute too, from whatever they hold.
#ifndef HALNORM_TESTS_PTX_LANEWISE_H_
#define HALNORM_TESTS_PTX_LANEWISE_H_

#include <string.h>

#include <string>
#include <type_traits>
#include <utility>

#include "module.h"
#include "warp.h"

namespace halnorm_ptx {

template <class T>
constexpr char kLetter = std::is_same_v<T, bool> ? 'p'
                         : sizeof(T) == 2        ? 'h'
                         : sizeof(T) == 4        ? 'r'
                                                 : 'd';

template <class T>
struct Operand {
  Operand(Warp &warp, uint32_t reg) : lanes(warp.lanes<T>(reg)) { warp.use(reg); }
  T operator[](uint32_t lane) const { return lanes[lane]; }
  const T *lanes;
};

template <>
struct Operand<bool> {
  Operand(Warp &warp, uint32_t reg) : bits(*warp.lanes<uint32_t>(reg)) { warp.use(reg); }
  bool operator[](uint32_t lane) const { return (bits >> lane & 1) != 0; }
  uint32_t bits;
};

template <class T>
void write_lanes(Warp &warp, uint32_t reg, const T *values) {
  T *to = warp.lanes<T>(reg);
  if (warp.active == kAllLanes) {
    memcpy(to, values, kLanes * sizeof(T));
  } else {
    for_each_lane(warp.active, [&](uint32_t lane) { to[lane] = values[lane]; });
  }
  warp.define(reg);
}

inline void write_predicate(Warp &warp, uint32_t reg, uint32_t bits) {
  uint32_t &to = *warp.lanes<uint32_t>(reg);
  to = (to & ~warp.active) | (bits & warp.active);
  warp.define(reg);
}

template <auto F>
struct Lanewise;

template <class R, class... A, R (*F)(A...)>
struct Lanewise<F> {
  static void run(Warp &warp, const Instruction &instruction) {
    run(warp, instruction, std::index_sequence_for<A...>());
  }

  template <size_t... K>
  static void run(Warp &warp, const Instruction &instruction, std::index_sequence<K...>) {
    apply(warp, instruction.operands[0], Operand<A>(warp, instruction.operands[K + 1])...);
  }

  static void apply(Warp &warp, uint32_t to, const Operand<A> &...operands) {
    if constexpr (std::is_same_v<R, bool>) {
      uint32_t bits = 0;
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        bits |= static_cast<uint32_t>(F(operands[lane]...)) << lane;
      }
      write_predicate(warp, to, bits);
    } else {
      R values[kLanes];
      for (uint32_t lane = 0; lane < kLanes; ++lane) values[lane] = F(operands[lane]...);
      write_lanes(warp, to, values);
    }
  }

  static std::string form() { return {kLetter<R>, kLetter<A>...}; }
};

template <auto F>
Opcode lanewise(const std::string &name) {
  return {name, Lanewise<F>::form(), &Lanewise<F>::run};
}

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_LANEWISE_H_
