// SPDX-License-Identifier: Apache-2.0
// Integers, bits, predicates and moves.
#include <algorithm>
#include <limits>

#include "instructions.h"
#include "lanewise.h"

namespace halnorm_ptx {
namespace {

// Arithmetic that wraps around is the same with and without signs.
template <class T>
T add(T a, T b) {
  return static_cast<T>(a + b);
}
template <class T>
T subtract(T a, T b) {
  return static_cast<T>(a - b);
}
template <class T>
T multiply_low(T a, T b) {
  return a * b;
}
template <class T>
T multiply_add_low(T a, T b, T c) {
  return a * b + c;
}
// Where PTX leaves the result open, it is 0; a processor would trap.
template <class T>
bool divides(T a, T b) {
  return b != 0 && !(std::is_signed_v<T> && a == std::numeric_limits<T>::min() && b == T(-1));
}
template <class T>
T divide(T a, T b) {
  return divides(a, b) ? a / b : T{0};
}
template <class T>
T remainder(T a, T b) {
  return divides(a, b) ? a % b : T{0};
}
template <class T>
T negate(T a) {
  return 0 - a;
}

template <class Wide, class T>
Wide multiply_wide(T a, T b) {
  return static_cast<Wide>(static_cast<Wide>(a) * static_cast<Wide>(b));
}
template <class Wide, class T>
T multiply_high(T a, T b) {
  return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b) >> (8 * sizeof(T)));
}

template <class T>
T bitwise_and(T a, T b) {
  return a & b;
}
template <class T>
T bitwise_or(T a, T b) {
  return a | b;
}
template <class T>
T bitwise_xor(T a, T b) {
  return a ^ b;
}
template <class T>
T bitwise_not(T a) {
  return static_cast<T>(~a);
}
bool logical_and(bool a, bool b) { return a && b; }
bool logical_or(bool a, bool b) { return a || b; }
bool logical_xor(bool a, bool b) { return a != b; }
bool logical_not(bool a) { return !a; }

// Amounts beyond the width of the register count as that width.
template <class T>
T shift_left(T a, uint32_t amount) {
  return amount >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << amount);
}
template <class T>
T shift_right(T a, uint32_t amount) {
  if (amount < 8 * sizeof(T)) return static_cast<T>(a >> amount);
  return static_cast<T>(a < 0 ? -1 : 0);
}

template <class T>
T smaller(T a, T b) {
  return std::min(a, b);
}
template <class T>
T larger(T a, T b) {
  return std::max(a, b);
}
template <class T>
bool equal(T a, T b) {
  return a == b;
}
template <class T>
bool not_equal(T a, T b) {
  return a != b;
}
template <class T>
bool less(T a, T b) {
  return a < b;
}
template <class T>
bool less_or_equal(T a, T b) {
  return a <= b;
}
template <class T>
bool greater(T a, T b) {
  return a > b;
}
template <class T>
bool greater_or_equal(T a, T b) {
  return a >= b;
}

// `count` bits from bit `first` on; bits beyond the highest are 0.
uint32_t extract_bits(uint32_t a, uint32_t first, uint32_t count) {
  const uint64_t mask = (uint64_t{1} << std::min(count & 0xff, 32u)) - 1;
  return static_cast<uint32_t>((uint64_t{a} >> std::min(first & 0xff, 32u)) & mask);
}

// The default mode of prmt: each nibble of the selector chooses one of the 8 bytes of {b, a}, or
// with its highest bit the sign of that byte in all 8 bits.
uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (uint32_t k = 0; k < 4; ++k) {
    const uint32_t choice = selector >> (4 * k) & 0xf;
    uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (choice & 7))) & 0xff;
    if ((choice & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << (8 * k);
  }
  return result;
}

template <class To, class From>
To convert(From a) {
  return static_cast<To>(a);
}
// From a register that is wider than the type.
int32_t extend_low_half(uint32_t a) { return static_cast<int16_t>(a); }
template <class T>
T copy(T a) {
  return a;
}
template <class T>
T choose(T a, T b, bool first) {
  return first ? a : b;
}

// mov.b32 and mov.b64 between a register and two of half the size, the lower first.
template <class Half, class Whole>
void pack(Warp &warp, const Instruction &instruction) {
  const Operand<Half> low(warp, instruction.operands[1]), high(warp, instruction.operands[2]);
  Whole values[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    values[lane] = static_cast<Whole>(Whole{high[lane]} << (8 * sizeof(Half)) | low[lane]);
  }
  write_lanes(warp, instruction.operands[0], values);
}

template <class Half, class Whole>
void unpack(Warp &warp, const Instruction &instruction) {
  const Operand<Whole> whole(warp, instruction.operands[2]);
  Half low[kLanes], high[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    low[lane] = static_cast<Half>(whole[lane]);
    high[lane] = static_cast<Half>(whole[lane] >> (8 * sizeof(Half)));
  }
  write_lanes(warp, instruction.operands[0], low);
  write_lanes(warp, instruction.operands[1], high);
}

using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;

template <class Signed, class Unsigned>
void add_comparisons(std::vector<Opcode> *list, const std::string &bits) {
  const auto add_ordered = [&](const std::string &type, auto zero) {
    using T = decltype(zero);
    list->insert(list->end(), {lanewise<less<T>>("setp.lt." + type + bits),
                               lanewise<less_or_equal<T>>("setp.le." + type + bits),
                               lanewise<greater<T>>("setp.gt." + type + bits),
                               lanewise<greater_or_equal<T>>("setp.ge." + type + bits)});
  };
  add_ordered("s", Signed{});
  add_ordered("u", Unsigned{});
  list->insert(list->end(), {lanewise<equal<Unsigned>>("setp.eq.b" + bits),
                             lanewise<not_equal<Unsigned>>("setp.ne.b" + bits)});
}

}  // namespace

void add_integer_opcodes(std::vector<Opcode> *list) {
  list->insert(list->end(), {
                                lanewise<add<u16>>("add.s16"),
                                lanewise<add<u32>>("add.s32"),
                                lanewise<add<u64>>("add.s64"),
                                lanewise<subtract<u16>>("sub.s16"),
                                lanewise<subtract<u32>>("sub.s32"),
                                lanewise<subtract<u64>>("sub.s64"),
                                lanewise<multiply_low<u32>>("mul.lo.s32"),
                                lanewise<multiply_low<u64>>("mul.lo.s64"),
                                lanewise<multiply_high<s64, s32>>("mul.hi.s32"),
                                lanewise<multiply_high<u64, u32>>("mul.hi.u32"),
                                lanewise<multiply_wide<s32, s16>>("mul.wide.s16"),
                                lanewise<multiply_wide<u32, u16>>("mul.wide.u16"),
                                lanewise<multiply_wide<s64, s32>>("mul.wide.s32"),
                                lanewise<multiply_wide<u64, u32>>("mul.wide.u32"),
                                lanewise<multiply_add_low<u32>>("mad.lo.s32"),
                                lanewise<divide<s32>>("div.s32"),
                                lanewise<divide<u32>>("div.u32"),
                                lanewise<remainder<s32>>("rem.s32"),
                                lanewise<remainder<u32>>("rem.u32"),
                                lanewise<negate<u32>>("neg.s32"),
                                lanewise<negate<u64>>("neg.s64"),
                                lanewise<smaller<s32>>("min.s32"),
                                lanewise<smaller<u32>>("min.u32"),
                                lanewise<smaller<s64>>("min.s64"),
                                lanewise<larger<s32>>("max.s32"),
                                lanewise<larger<u32>>("max.u32"),
                                lanewise<larger<s64>>("max.s64"),
                                lanewise<bitwise_and<u16>>("and.b16"),
                                lanewise<bitwise_and<u32>>("and.b32"),
                                lanewise<bitwise_and<u64>>("and.b64"),
                                lanewise<logical_and>("and.pred"),
                                lanewise<bitwise_or<u16>>("or.b16"),
                                lanewise<bitwise_or<u32>>("or.b32"),
                                lanewise<bitwise_or<u64>>("or.b64"),
                                lanewise<logical_or>("or.pred"),
                                lanewise<bitwise_xor<u16>>("xor.b16"),
                                lanewise<bitwise_xor<u32>>("xor.b32"),
                                lanewise<bitwise_xor<u64>>("xor.b64"),
                                lanewise<logical_xor>("xor.pred"),
                                lanewise<bitwise_not<u32>>("not.b32"),
                                lanewise<bitwise_not<u64>>("not.b64"),
                                lanewise<logical_not>("not.pred"),
                                lanewise<shift_left<u16>>("shl.b16"),
                                lanewise<shift_left<u32>>("shl.b32"),
                                lanewise<shift_left<u64>>("shl.b64"),
                                lanewise<shift_right<s16>>("shr.s16"),
                                lanewise<shift_right<u16>>("shr.u16"),
                                lanewise<shift_right<s32>>("shr.s32"),
                                lanewise<shift_right<u32>>("shr.u32"),
                                lanewise<shift_right<s64>>("shr.s64"),
                                lanewise<shift_right<u64>>("shr.u64"),
                                lanewise<extract_bits>("bfe.u32"),
                                lanewise<permute>("prmt.b32"),
                                lanewise<convert<u16, u32>>("cvt.u16.u32"),
                                lanewise<convert<u16, u64>>("cvt.u16.u64"),
                                lanewise<convert<u32, u16>>("cvt.u32.u16"),
                                lanewise<convert<s32, s16>>("cvt.s32.s16"),
                                lanewise<extend_low_half>("cvt.s32.s16"),
                                lanewise<convert<u32, u64>>("cvt.u32.u64"),
                                lanewise<convert<u64, u16>>("cvt.u64.u16"),
                                lanewise<convert<u64, u32>>("cvt.u64.u32"),
                                lanewise<convert<s64, s32>>("cvt.s64.s32"),
                                lanewise<copy<bool>>("mov.pred"),
                                lanewise<copy<u16>>("mov.b16"),
                                lanewise<copy<u16>>("mov.u16"),
                                lanewise<copy<u32>>("mov.b32"),
                                lanewise<copy<u32>>("mov.u32"),
                                lanewise<copy<u64>>("mov.b64"),
                                lanewise<copy<u64>>("mov.u64"),
                                lanewise<copy<u64>>("cvta.to.global.u64"),
                                lanewise<choose<u16>>("selp.b16"),
                                lanewise<choose<u32>>("selp.b32"),
                                lanewise<choose<u64>>("selp.b64"),
                                lanewise<choose<u32>>("selp.f32"),
                                lanewise<choose<u64>>("selp.f64"),
                                {"mov.b32", "r{hh}", pack<u16, u32>},
                                {"mov.b64", "d{rr}", pack<u32, u64>},
                                {"mov.b32", "{hh}r", unpack<u16, u32>},
                                {"mov.b64", "{rr}d", unpack<u32, u64>},
                            });
  add_comparisons<s16, u16>(list, "16");
  add_comparisons<s32, u32>(list, "32");
  add_comparisons<s64, u64>(list, "64");
}

}  // namespace halnorm_ptx
