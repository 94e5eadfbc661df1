// SPDX-License-Identifier: Apache-2.0
#include "storage.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

namespace halnorm_test {
namespace {

// The shape of a binary floating-point format.
struct Format {
  int precision;         // significand bits, the hidden one included
  int minimum_exponent;  // of the smallest normal
  uint32_t exponent_mask;
  uint32_t quiet_nan;
};

const Format &format_of(Dtype dtype) {
  static constexpr Format kF32 = {24, -126, 0x7f800000, 0x7fc00000};
  static constexpr Format kF16 = {11, -14, 0x7c00, 0x7e00};
  static constexpr Format kBf16 = {8, -126, 0x7f80, 0x7fc0};
  switch (dtype) {
    case Dtype::f32:
      return kF32;
    case Dtype::f16:
      return kF16;
    case Dtype::bf16:
      return kBf16;
  }
  std::abort();
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// value / 2^shift, to nearest, ties to even.
uint32_t round_shift(uint32_t value, int shift) {
  if (shift > 31) return 0;
  const uint32_t quotient = value >> shift;
  const uint32_t remainder = value & ((1u << shift) - 1);
  const uint32_t half = 1u << (shift - 1);
  return quotient + (remainder > half || (remainder == half && (quotient & 1)) ? 1 : 0);
}

uint32_t f16_from_f32(uint32_t bits) {
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | (magnitude >> 13 & 0x3ff);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;  // 65520 and up
  if (magnitude >= 0x38800000) return sign | round_shift(magnitude - (112u << 23), 13);
  // Below 2^-14: a subnormal, in units of 2^-24.
  const int exponent = static_cast<int>(magnitude >> 23);
  if (exponent == 0) return sign;
  const uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
  return sign | round_shift(significand, 126 - exponent);
}

float f32_from_f16(uint32_t bits) {
  const uint32_t sign = (bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1f;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0x1f) return float_of(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

uint32_t bf16_from_f32(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return bits >> 16 | 0x40;
  return (bits >> 16 & 0x8000) | round_shift(magnitude, 16);
}

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t state) {
  state += 0x9e3779b97f4a7c15u;
  state = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;
  state = (state ^ state >> 27) * 0x94d049bb133111ebu;
  return state ^ state >> 31;
}

// Mean 0 and deviation 1, a multiple of 2^-16 within +-6: exact in every step.
double bell(uint64_t key) {
  int64_t sum = 0;
  for (int word = 0; word < 3; ++word) {
    key = mix(key);
    for (int shift = 0; shift < 64; shift += 16) sum += static_cast<int64_t>(key >> shift & 0xffff);
  }
  return static_cast<double>(sum - 6 * 65536) / 65536;
}

float special(uint64_t key, int64_t row, int64_t element, int64_t row_length) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Each row with special values has them at one place of its own and the one after it.
  const uint64_t place = mix(static_cast<uint64_t>(row)) % static_cast<uint64_t>(row_length);
  const bool first = element == static_cast<int64_t>(place);
  const bool second = element == static_cast<int64_t>(place) + 1;
  const float ordinary = static_cast<float>(bell(key));
  switch (row % 8) {
    case 1:
      return first ? nan : ordinary;
    case 2:
      return first ? infinity : ordinary;
    case 3:
      return first ? -infinity : ordinary;
    case 4:
      return first ? infinity : second ? -infinity : ordinary;
    case 5:
      return 0.0f;
    case 6:
      return -0.0f;
    case 7:
      return first ? nan : second ? infinity : ordinary;
    default:
      return ordinary;
  }
}

}  // namespace

size_t size_of(Dtype dtype) { return dtype == Dtype::f32 ? 4 : 2; }

uint32_t narrow(Dtype dtype, float value) {
  const uint32_t bits = bits_of(value);
  if (dtype == Dtype::f16) return f16_from_f32(bits);
  if (dtype == Dtype::bf16) return bf16_from_f32(bits);
  return bits;
}

float widen(Dtype dtype, uint32_t bits) {
  if (dtype == Dtype::f16) return f32_from_f16(bits);
  if (dtype == Dtype::bf16) return float_of(bits << 16);
  return float_of(bits);
}

double half_ulp(Dtype dtype, double value) {
  const Format &format = format_of(dtype);
  int exponent = format.minimum_exponent + 1;
  if (value != 0 && std::isfinite(value)) {
    std::frexp(value, &exponent);
    exponent = std::max(exponent, format.minimum_exponent + 1);
  }
  return std::ldexp(0.5, exponent - format.precision);
}

uint32_t canonical_bits(Dtype dtype, uint32_t bits) {
  return std::isnan(widen(dtype, bits)) ? format_of(dtype).quiet_nan : bits;
}

std::optional<Data> parse_data(std::string_view text, std::string *error) {
  const std::vector<std::string_view> parts = split(text, ':');
  Data data;
  bool right = false;
  if (parts[0] == "normal") {
    right = parts.size() == 1 || (parts.size() == 3 && parse_number(parts[1], &data.mean) &&
                                  parse_number(parts[2], &data.deviation));
  } else if (parts[0] == "constant") {
    data.kind = Data::Kind::constant;
    right = parts.size() == 2 && parse_number(parts[1], &data.mean);
  } else {
    right = parts.size() == 1;
    if (parts[0] == "subnormal") {
      data.kind = Data::Kind::subnormal;
    } else if (parts[0] == "extremes") {
      data.kind = Data::Kind::extremes;
    } else if (parts[0] == "special") {
      data.kind = Data::Kind::special;
    } else {
      right = false;
    }
  }
  if (right) return data;
  *error = "data '" + std::string(text) +
           "': expected normal, normal:MEAN:DEVIATION, constant:VALUE, subnormal, extremes or "
           "special.";
  return std::nullopt;
}

std::string print(const Data &data) {
  switch (data.kind) {
    case Data::Kind::normal:
      if (data.mean == 0 && data.deviation == 1) return "normal";
      return "normal:" + print_number(data.mean) + ":" + print_number(data.deviation);
    case Data::Kind::constant:
      return "constant:" + print_number(data.mean);
    case Data::Kind::subnormal:
      return "subnormal";
    case Data::Kind::extremes:
      return "extremes";
    case Data::Kind::special:
      return "special";
  }
  std::abort();
}

float sample(const Data &data, Dtype dtype, uint64_t seed, int64_t row, int64_t element,
             int64_t row_length) {
  const uint64_t key = mix(mix(seed + static_cast<uint64_t>(row)) + static_cast<uint64_t>(element));
  switch (data.kind) {
    case Data::Kind::normal:
      return static_cast<float>(data.mean + data.deviation * bell(key));
    case Data::Kind::constant:
      return static_cast<float>(data.mean);
    case Data::Kind::subnormal: {
      const Format &format = format_of(dtype);
      const uint32_t fraction = static_cast<uint32_t>(key) & ((1u << (format.precision - 1)) - 1);
      const float magnitude = widen(dtype, fraction);
      return key >> 63 ? -magnitude : magnitude;
    }
    case Data::Kind::extremes: {
      const float magnitude = dtype == Dtype::f16 ? 65504.0f : 0x1p50f;
      return key >> 63 ? -magnitude : magnitude;
    }
    case Data::Kind::special:
      return special(key, row, element, row_length);
  }
  std::abort();
}

}  // namespace halnorm_test
