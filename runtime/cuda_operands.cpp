// SPDX-License-Identifier: Apache-2.0
#include "cuda_operands.h"

namespace halnorm {
namespace {

constexpr int64_t kVector = 4;  // elements that a thread loads at once, where they are aligned

}  // namespace

bool is_aligned(const Elements &elements, Storage storage) {
  const auto bytes = static_cast<uint64_t>(kVector * element_size(storage));
  return elements.address % bytes == 0 && elements.extents[0] % kVector == 0 &&
         elements.strides[1] % kVector == 0 && elements.strides[2] % kVector == 0;
}

bool is_aligned(uint64_t parameter) { return parameter % (kVector * sizeof(float)) == 0; }

void add(CudaArguments *arguments, const Elements &e) {
  arguments->add(e.address, {e.extents[0], e.strides[0]}, {e.extents[1], e.strides[1]},
                 {e.extents[2], e.strides[2]});
}

void add(CudaArguments *arguments, const OfRows &o) {
  arguments->add(o.address, {o.extents[0], o.strides[0]}, {o.extents[1], o.strides[1]});
}

}  // namespace halnorm
