// SPDX-License-Identifier: Apache-2.0
// binary16 of IEEE 754.
#ifndef HALNORM_TESTS_PTX_HALF_H_
#define HALNORM_TESTS_PTX_HALF_H_

#include <stdint.h>

namespace halnorm_ptx {

float float_of_half(uint16_t half);

// Rounds to nearest even; every NaN becomes 0x7fff.
uint16_t half_of(double value);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_HALF_H_
