// SPDX-License-Identifier: Apache-2.0
#include "cuda_operands.h"

#include "kernel_call.h"

namespace halnorm {
namespace {

constexpr int64_t kWordBytes = 4;

}  // namespace

int64_t alignment_of(const Elements &elements, Storage storage) {
  const int64_t least = storage == Storage::f32 ? kVectorBytes : kVectorBytes / 2;
  for (int64_t bytes = kVectorBytes; bytes >= least; bytes /= 2) {
    const int64_t count = bytes / element_size(storage);
    if (elements.address % static_cast<uint64_t>(bytes) == 0 && elements.extents[0] % count == 0 &&
        elements.strides[1] % count == 0 && elements.strides[2] % count == 0) {
      return bytes;
    }
  }
  return 0;
}

int64_t alignment_of(uint64_t parameter) {
  return parameter % kVectorBytes == 0 ? kVectorBytes : 0;
}

void add(CudaArguments *arguments, const Elements &e, Storage storage, int64_t alignment) {
  const int64_t word = alignment == 0 ? 1 : kWordBytes / element_size(storage);
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
