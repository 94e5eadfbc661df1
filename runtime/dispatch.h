// SPDX-License-Identifier: Apache-2.0
// The kernels of this build and the choice among them.
#ifndef HALNORM_RUNTIME_DISPATCH_H_
#define HALNORM_RUNTIME_DISPATCH_H_

#include <stdint.h>

#include "halnorm.h"
#include "norm_call.h"

namespace halnorm {

// What a kernel does of its operation; the build writes the list from generators/operations.cmake.
enum class Part : uint8_t {
#define HALNORM_PART(name) name,
#include "part_table.inc"
#undef HALNORM_PART
  kCount
};
constexpr int kParts = static_cast<int>(Part::kCount);

// Lengths that the trees are made of; the generators have them from norm_math.h.
constexpr int64_t kLanes = 32;
constexpr int64_t kChunk = 1024;
constexpr int64_t kBlock = 64;
// On CUDA; from generators/cuda_roles.h.
constexpr int64_t kRowsOfAPart = 32;

// How the runtime runs a kernel, as its schedule row says.
struct Launch {
#define HALNORM_LAUNCH(name, initial, ...)       \
  int32_t name = initial;                        \
  constexpr Launch set_##name(int32_t v) const { \
    Launch changed = *this;                      \
    changed.name = v;                            \
    return changed;                              \
  }
#include "schedules/knobs.inc"
};

struct Kernel {
  const char *name;  // its symbol
  int (*run)(void **arguments);
  Operation operation;
  Part part;
  Storage storage;
  int32_t target;
  int64_t longest;       // row that it is meant for
  int64_t fewest_bytes;  // of x and y that it is meant for
  int32_t rows;          // the most rows of one call of it; on CUDA, the most elements of a row
  Launch launch;
};

// The first kernel of the table, which is best first, that is meant for a call of this size; the
// context's own choice before all others. Null where there is none.
const Kernel *find_kernel(const NormCall &call, int32_t target, Operation operation, Part part,
                          Storage storage);

// The context's own choice, for whatever it serves; null where it has none.
const Kernel *preferred_kernel(const NormCall &call);

// True if the context prefers a kernel of this part of the call's operation.
bool prefers(const NormCall &call, Part part);

// True if the context prefers a kernel that works in stages.
bool prefers_stages(const NormCall &call);

// What to fail with where there is none.
halnorm_status no_kernel(const NormCall &call, int32_t target);

// The kernels of this build: i in [0, halnorm_kernel_count()).
const Kernel &kernel_at(int32_t i);
const Kernel *kernel_named(const char *name);

// What halnorm_last_kernel() reports of the calling thread.
void set_last_kernel(const Kernel *kernel);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_DISPATCH_H_
