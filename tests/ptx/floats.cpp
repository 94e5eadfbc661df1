// SPDX-License-Identifier: Apache-2.0
// Floating point. The host computes with IEEE 754 too, rounding to nearest even; this file and its
// callers are compiled without contraction. Where PTX leaves the bits of a NaN open, they are those
// that the hardware gives.
#include <math.h>

#include "half.h"
#include "instructions.h"
#include "lanewise.h"

namespace halnorm_ptx {
namespace {

template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

float canonical(float a) { return a == a ? a : bit_cast<float>(0x7fffffffu); }
double canonical(double a) { return a; }  // the payload of a NaN is kept

template <class T>
T add(T a, T b) {
  return canonical(a + b);
}
template <class T>
T subtract(T a, T b) {
  return canonical(a - b);
}
template <class T>
T multiply(T a, T b) {
  return canonical(a * b);
}
template <class T>
T divide(T a, T b) {
  return canonical(a / b);
}
template <class T>
T reciprocal(T a) {
  return canonical(1 / a);
}
float square_root(float a) { return canonical(sqrtf(a)); }
double square_root(double a) { return canonical(sqrt(a)); }
float multiply_add(float a, float b, float c) { return canonical(fmaf(a, b, c)); }
double multiply_add(double a, double b, double c) { return canonical(fma(a, b, c)); }

// A NaN gives way to a number, and -0 is less than 0.
template <class T>
T smaller(T a, T b) {
  if (a != a) return canonical(b);
  if (b != b) return a;
  if (a == b) return signbit(a) ? a : b;
  return a < b ? a : b;
}
template <class T>
T larger(T a, T b) {
  if (a != a) return canonical(b);
  if (b != b) return a;
  if (a == b) return signbit(a) ? b : a;
  return a > b ? a : b;
}

template <class T>
T negate(T a) {
  return a ^ ~(static_cast<T>(~T{0}) >> 1);
}
template <class T>
T absolute(T a) {
  return a & (static_cast<T>(~T{0}) >> 1);
}

// Comparisons are false where an operand is a NaN; those of a name that ends in u are true.
template <class T>
bool equal(T a, T b) {
  return a == b;
}
template <class T>
bool not_equal(T a, T b) {
  return a < b || a > b;
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
template <class T>
bool unordered(T a, T b) {
  return a != a || b != b;
}
template <class T>
bool ordered(T a, T b) {
  return a == a && b == b;
}
template <bool (*Compare)(float, float)>
bool or_unordered(float a, float b) {
  return unordered(a, b) || Compare(a, b);
}

template <class To, class From>
To convert(From a) {
  return static_cast<To>(a);
}
float narrow(double a) { return canonical(static_cast<float>(a)); }
double widen(float a) { return a; }
float widen_half(uint16_t a) { return canonical(float_of_half(a)); }
template <class T>
uint16_t narrow_to_half(T a) {
  return half_of(a);
}
// The first operand is the upper half.
uint32_t narrow_to_halves(float a, float b) { return uint32_t{half_of(a)} << 16 | half_of(b); }

}  // namespace

void add_float_opcodes(std::vector<Opcode> *list) {
  list->insert(
      list->end(),
      {
          lanewise<add<float>>("add.f32"),
          lanewise<add<float>>("add.rn.f32"),
          lanewise<add<double>>("add.f64"),
          lanewise<add<double>>("add.rn.f64"),
          lanewise<subtract<float>>("sub.f32"),
          lanewise<subtract<float>>("sub.rn.f32"),
          lanewise<subtract<double>>("sub.f64"),
          lanewise<subtract<double>>("sub.rn.f64"),
          lanewise<multiply<float>>("mul.f32"),
          lanewise<multiply<float>>("mul.rn.f32"),
          lanewise<multiply<double>>("mul.f64"),
          lanewise<multiply<double>>("mul.rn.f64"),
          lanewise<static_cast<float (*)(float, float, float)>(multiply_add)>("fma.rn.f32"),
          lanewise<static_cast<double (*)(double, double, double)>(multiply_add)>("fma.rn.f64"),
          lanewise<divide<float>>("div.rn.f32"),
          lanewise<divide<double>>("div.rn.f64"),
          lanewise<reciprocal<float>>("rcp.rn.f32"),
          lanewise<reciprocal<double>>("rcp.rn.f64"),
          lanewise<static_cast<float (*)(float)>(square_root)>("sqrt.rn.f32"),
          lanewise<static_cast<double (*)(double)>(square_root)>("sqrt.rn.f64"),
          lanewise<smaller<float>>("min.f32"),
          lanewise<smaller<double>>("min.f64"),
          lanewise<larger<float>>("max.f32"),
          lanewise<larger<double>>("max.f64"),
          lanewise<negate<uint32_t>>("neg.f32"),
          lanewise<negate<uint64_t>>("neg.f64"),
          lanewise<absolute<uint32_t>>("abs.f32"),
          lanewise<absolute<uint64_t>>("abs.f64"),
          lanewise<equal<float>>("setp.eq.f32"),
          lanewise<not_equal<float>>("setp.ne.f32"),
          lanewise<less<float>>("setp.lt.f32"),
          lanewise<less_or_equal<float>>("setp.le.f32"),
          lanewise<greater<float>>("setp.gt.f32"),
          lanewise<greater_or_equal<float>>("setp.ge.f32"),
          lanewise<unordered<float>>("setp.nan.f32"),
          lanewise<ordered<float>>("setp.num.f32"),
          lanewise<or_unordered<equal<float>>>("setp.equ.f32"),
          lanewise<or_unordered<not_equal<float>>>("setp.neu.f32"),
          lanewise<or_unordered<less<float>>>("setp.ltu.f32"),
          lanewise<or_unordered<less_or_equal<float>>>("setp.leu.f32"),
          lanewise<or_unordered<greater<float>>>("setp.gtu.f32"),
          lanewise<or_unordered<greater_or_equal<float>>>("setp.geu.f32"),
          lanewise<less<double>>("setp.lt.f64"),
          lanewise<greater<double>>("setp.gt.f64"),
          lanewise<unordered<double>>("setp.nan.f64"),
          lanewise<narrow>("cvt.rn.f32.f64"),
          lanewise<widen>("cvt.f64.f32"),
          lanewise<convert<float, uint16_t>>("cvt.rn.f32.u16"),
          lanewise<convert<float, int32_t>>("cvt.rn.f32.s32"),
          lanewise<convert<float, uint32_t>>("cvt.rn.f32.u32"),
          lanewise<convert<double, int32_t>>("cvt.rn.f64.s32"),
          lanewise<convert<double, uint32_t>>("cvt.rn.f64.u32"),
          lanewise<widen_half>("cvt.f32.f16"),
          lanewise<narrow_to_half<float>>("cvt.rn.f16.f32"),
          lanewise<narrow_to_half<double>>("cvt.rn.f16.f64"),
          lanewise<narrow_to_halves>("cvt.rn.f16x2.f32"),
      });
}

}  // namespace halnorm_ptx
