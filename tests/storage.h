// SPDX-License-Identifier: Apache-2.0
// How a value is stored in each dtype, and the input data of the tests. Nothing here uses libm, so
// that the same seed gives the same inputs on every machine.
#ifndef HALNORM_TESTS_STORAGE_H_
#define HALNORM_TESTS_STORAGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "problem.h"

namespace halnorm_test {

size_t size_of(Dtype dtype);

// Bits of the stored element, in the low bits. Rounds to nearest, ties to even; a NaN stays one.
uint32_t narrow(Dtype dtype, float value);
float widen(Dtype dtype, uint32_t bits);

// Half a unit in the last place of `dtype` at `value`.
double half_ulp(Dtype dtype, double value);

// The bits of a NaN are free in halnorm; all NaNs become one where bits are compared.
uint32_t canonical_bits(Dtype dtype, uint32_t bits);

// What a tensor x is filled with. On a command line: "normal", "normal:MEAN:DEVIATION",
// "constant:VALUE", "subnormal", "extremes", "special".
struct Data {
  enum class Kind {
    normal,     // bell-shaped: the sum of twelve uniform integers
    constant,   // every element is `mean`
    subnormal,  // subnormals of the dtype of x, of both signs
    extremes,   // +-65504 in f16; elsewhere +-2^50, whose squares can still be summed in f32
    special,    // rows in turn: normal, NaN, +inf, -inf, both, zeros, negative zeros, NaN and inf
  };
  Kind kind = Kind::normal;
  double mean = 0;
  double deviation = 1;
};

std::optional<Data> parse_data(std::string_view text, std::string *error);
std::string print(const Data &data);

// A value that depends on the seed, the row and the element only, not on the shape of the batch.
float sample(const Data &data, Dtype dtype, uint64_t seed, int64_t row, int64_t element,
             int64_t row_length);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_STORAGE_H_
