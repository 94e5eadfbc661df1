// SPDX-License-Identifier: Apache-2.0
// What kernels for CUDA read and write, as their arguments.
#ifndef HALNORM_RUNTIME_CUDA_OPERANDS_H_
#define HALNORM_RUNTIME_CUDA_OPERANDS_H_

#include <stdint.h>

#include "cuda_launch.h"
#include "norm_call.h"

namespace halnorm {

// Elements (element, row, outer), or (row, element, outer) where rows are neighbours: extents, and
// strides of which the first is 1.
struct Elements {
  uint64_t address;
  int64_t extents[3], strides[3];
};

// What belongs to rows: (statistic, outer).
struct OfRows {
  uint64_t address;
  int64_t extents[2], strides[2];
};

// Parts of one or two sums: (part, row, outer).
struct Parts {
  uint64_t addresses[2];
  int64_t extents[3], strides[3];
};

// What a thread loads at once where rows allow it (generators/cuda_roles.h).
constexpr int64_t kVectorBytes = 16;

// Bytes that all rows of a tensor begin at a multiple of and are a multiple of, as far as kernels
// tell: those of a vector, of half a vector of 16-bit elements, or 0. Of gamma or beta: those of a
// vector, or 0.
int64_t alignment_of(const Elements &elements, Storage storage);
int64_t alignment_of(uint64_t parameter);

// Kernels of rows with an alignment take elements as words.
void add(CudaArguments *arguments, const Elements &elements, Storage storage, int64_t alignment);
void add(CudaArguments *arguments, const OfRows &of_rows);
// Whole vectors of a tensor, (element, row of a part, part, outer), of parts of so many rows.
void add_in_parts(CudaArguments *arguments, const Elements &elements, Storage storage,
                  int64_t rows);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CUDA_OPERANDS_H_
