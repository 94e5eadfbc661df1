// SPDX-License-Identifier: Apache-2.0
// The kernels of this build and the choice among them.
#ifndef HALNORM_RUNTIME_DISPATCH_H_
#define HALNORM_RUNTIME_DISPATCH_H_

#include <stdint.h>

#include "halnorm.h"
#include "norm_call.h"

namespace halnorm {

// What a kernel does of its operation; the arguments of each are at its launcher in execute.cpp.
enum class Part : uint8_t {
  row,        // dense rows of at most kChunk elements
  long_row,   // longer dense rows
  columns,    // rows side by side
  moments,    // some chunks of one long row
  fold,       // the statistics of a long row from the moments of its chunks
  apply,      // the last pass over some of a long row
  parameter,  // gamma or beta as f32
};

// Lengths that the row tree is made of; the generators have them from norm_math.h.
constexpr int64_t kLanes = 32;
constexpr int64_t kChunk = 1024;

struct Kernel {
  const char *name;  // its symbol
  int (*run)(void **arguments);
  Operation operation;
  Part part;
  Storage storage;
  int32_t target;
  int64_t max_n;        // the longest row it is meant for
  int32_t rows;         // the most rows of a call
  int64_t stream_from;  // bytes of x and y from which y bypasses the cache; 0: never
};

// The first kernel of the table, which is best first, that serves a row length; the context's own
// choice before all others. Null where this build has none.
const Kernel *find_kernel(const halnorm_context *context, int32_t target, Operation operation,
                          Part part, Storage storage, int64_t n);

const Kernel *kernel_named(const char *name);

// What halnorm_last_kernel() reports of the calling thread.
void set_last_kernel(const Kernel *kernel);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_DISPATCH_H_
