// SPDX-License-Identifier: Apache-2.0
// The elements of a tensor of the C interface, counted out.
#ifndef HALNORM_TESTS_FUZZ_ELEMENTS_H_
#define HALNORM_TESTS_FUZZ_ELEMENTS_H_

#include <cstdint>
#include <vector>

#include "halnorm.h"

namespace halnorm_test {

int64_t element_bytes(const halnorm_tensor &tensor);
bool has_elements(const halnorm_tensor &tensor);

// What the strides are, where they are NULL, too.
std::vector<int64_t> strides_of(const halnorm_tensor &tensor);

uint8_t *first_element(const halnorm_tensor &tensor);

// In bytes from the first element, in row-major order.
std::vector<int64_t> element_offsets(const halnorm_tensor &tensor);

// From the lowest byte to one past the highest, in bytes from the first element, exactly.
struct ByteRange {
  __int128 low, high;
};
ByteRange range_of(const halnorm_tensor &tensor);

bool overlaps_itself(const halnorm_tensor &tensor);
bool overlap(const halnorm_tensor &a, const halnorm_tensor &b);

// Address, shape, dtype and those strides that matter.
bool same_elements(const halnorm_tensor &a, const halnorm_tensor &b);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FUZZ_ELEMENTS_H_
