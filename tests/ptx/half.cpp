// SPDX-License-Identifier: Apache-2.0
#include "half.h"

#include <math.h>

namespace halnorm_ptx {

float float_of_half(uint16_t half) {
  const int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  float value = ldexpf(static_cast<float>(fraction + 0x400), exponent - 25);
  if (exponent == 0) value = ldexpf(static_cast<float>(fraction), -24);
  if (exponent == 0x1f) value = fraction == 0 ? INFINITY : NAN;
  return (half & 0x8000) != 0 ? -value : value;
}

uint16_t half_of(double value) {
  if (isnan(value)) return 0x7fff;
  const uint32_t sign = signbit(value) ? 0x8000 : 0;
  const double magnitude = fabs(value);
  if (magnitude >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  // The spacing of halves is 2^-24 below 2^-14, and 2^-10 of the power of two below a number.
  int exponent = -13;
  if (magnitude != 0) frexp(magnitude, &exponent);
  if (exponent < -13) exponent = -13;
  const auto units = static_cast<uint32_t>(nearbyint(ldexp(magnitude, 11 - exponent)));
  // Units that fill up the fraction carry into the exponent.
  const auto biased = static_cast<uint32_t>(exponent + 13);
  return static_cast<uint16_t>(sign | ((biased << 10) + units));
}

}  // namespace halnorm_ptx
