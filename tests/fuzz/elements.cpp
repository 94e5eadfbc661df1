// SPDX-License-Identifier: Apache-2.0
#include "elements.h"

#include <algorithm>
#include <iterator>

namespace halnorm_test {
namespace {

size_t rank_of(const halnorm_tensor &tensor) { return static_cast<size_t>(tensor.ndim); }

// Every byte of every element, sorted.
std::vector<uintptr_t> addresses(const halnorm_tensor &tensor) {
  std::vector<uintptr_t> all;
  const auto first = reinterpret_cast<uintptr_t>(first_element(tensor));
  for (int64_t offset : element_offsets(tensor)) {
    for (int64_t byte = 0; byte < element_bytes(tensor); ++byte) {
      all.push_back(first + static_cast<uintptr_t>(offset + byte));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

int64_t element_bytes(const halnorm_tensor &tensor) { return tensor.dtype.bits / 8; }

bool has_elements(const halnorm_tensor &tensor) {
  return std::find(tensor.shape, tensor.shape + tensor.ndim, 0) == tensor.shape + tensor.ndim;
}

std::vector<int64_t> strides_of(const halnorm_tensor &tensor) {
  if (tensor.strides != nullptr) return {tensor.strides, tensor.strides + tensor.ndim};
  std::vector<int64_t> strides(rank_of(tensor));
  int64_t stride = 1;
  for (size_t d = strides.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= tensor.shape[d];
  }
  return strides;
}

uint8_t *first_element(const halnorm_tensor &tensor) {
  return static_cast<uint8_t *>(tensor.data) + tensor.byte_offset;
}

std::vector<int64_t> element_offsets(const halnorm_tensor &tensor) {
  const std::vector<int64_t> strides = strides_of(tensor);
  std::vector<int64_t> offsets = {0};
  for (size_t d = 0; d < strides.size(); ++d) {
    std::vector<int64_t> longer;
    longer.reserve(offsets.size() * static_cast<size_t>(tensor.shape[d]));
    for (int64_t offset : offsets) {
      for (int64_t i = 0; i < tensor.shape[d]; ++i) {
        longer.push_back(offset + i * strides[d] * element_bytes(tensor));
      }
    }
    offsets = std::move(longer);
  }
  return offsets;
}

ByteRange range_of(const halnorm_tensor &tensor) {
  if (!has_elements(tensor)) return {0, 0};
  const std::vector<int64_t> strides = strides_of(tensor);
  ByteRange range = {0, element_bytes(tensor)};
  for (size_t d = 0; d < strides.size(); ++d) {
    const __int128 reach = static_cast<__int128>(strides[d]) * (tensor.shape[d] - 1);
    (reach < 0 ? range.low : range.high) += reach * element_bytes(tensor);
  }
  return range;
}

bool overlaps_itself(const halnorm_tensor &tensor) {
  if (tensor.strides == nullptr) return false;
  std::vector<int64_t> offsets = element_offsets(tensor);
  std::sort(offsets.begin(), offsets.end());
  return std::adjacent_find(offsets.begin(), offsets.end()) != offsets.end();
}

bool overlap(const halnorm_tensor &a, const halnorm_tensor &b) {
  if (!has_elements(a) || !has_elements(b)) return false;
  const auto a_first = reinterpret_cast<uintptr_t>(first_element(a));
  const auto b_first = reinterpret_cast<uintptr_t>(first_element(b));
  const ByteRange a_range = range_of(a), b_range = range_of(b);
  if (a_first + a_range.low >= b_first + b_range.high) return false;
  if (b_first + b_range.low >= a_first + a_range.high) return false;
  const std::vector<uintptr_t> of_a = addresses(a), of_b = addresses(b);
  std::vector<uintptr_t> common;
  std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                        std::back_inserter(common));
  return !common.empty();
}

bool same_elements(const halnorm_tensor &a, const halnorm_tensor &b) {
  if (first_element(a) != first_element(b) || a.ndim != b.ndim) return false;
  if (a.dtype.code != b.dtype.code || a.dtype.bits != b.dtype.bits) return false;
  const std::vector<int64_t> a_strides = strides_of(a), b_strides = strides_of(b);
  for (size_t d = 0; d < rank_of(a); ++d) {
    if (a.shape[d] != b.shape[d]) return false;
    if (a.shape[d] > 1 && a_strides[d] != b_strides[d]) return false;
  }
  return true;
}

}  // namespace halnorm_test
