// SPDX-License-Identifier: Apache-2.0
#include "cuda_operands.h"

#include "kernel_call.h"

namespace halnorm {
namespace {

// What a thread loads at once, as words of 32 bits (generators/cuda_roles.h).
constexpr int64_t kVectorBytes = 16, kWordBytes = 4;

}  // namespace

bool is_aligned(const Elements &elements, Storage storage) {
  const int64_t vector = kVectorBytes / element_size(storage);
  return elements.address % kVectorBytes == 0 && elements.extents[0] % vector == 0 &&
         elements.strides[1] % vector == 0 && elements.strides[2] % vector == 0;
}

bool is_aligned(uint64_t parameter) { return parameter % kVectorBytes == 0; }

void add(CudaArguments *arguments, const Elements &e, Storage storage, bool aligned) {
  const int64_t word = aligned ? kWordBytes / element_size(storage) : 1;
  arguments->add(e.address, {e.extents[0] / word, e.strides[0]},
                 {e.extents[1], e.strides[1] / word}, {e.extents[2], e.strides[2] / word});
}

void add_in_parts(CudaArguments *arguments, const Elements &e, Storage storage, int64_t rows) {
  const int64_t word = kWordBytes / element_size(storage), row = e.strides[1] / word;
  arguments->add(e.address, {e.extents[0] / word, e.strides[0]}, {rows, row},
                 {ceil_div(e.extents[1], rows), row * rows}, {e.extents[2], e.strides[2] / word});
}

void add(CudaArguments *arguments, const OfRows &o) {
  arguments->add(o.address, {o.extents[0], o.strides[0]}, {o.extents[1], o.strides[1]});
}

}  // namespace halnorm
