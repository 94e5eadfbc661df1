// SPDX-License-Identifier: Apache-2.0
// The checks that every operation makes of its tensors. An operation lists its arguments, reads
// them into views, derives the shapes it expects from x, and has the views checked against one
// another.
#ifndef HALNORM_RUNTIME_VIEW_H_
#define HALNORM_RUNTIME_VIEW_H_

#include <stddef.h>
#include <stdint.h>

#include "halnorm.h"
#include "norm_call.h"

namespace halnorm {

// What a tensor is to its operation; decides the dtype and shape that are expected of it.
enum class Role : uint8_t {
  data,       // dtype and shape of x
  parameter,  // f32 or the dtype of x
  statistic,  // f32, dense
};

enum class Access : uint8_t {
  read,
  write,  // or both, as with the running statistics of training
};

struct Argument {
  const char *name;  // in halnorm.h
  const halnorm_tensor *tensor;
  Role role;
  Access access;
  bool required;
  int8_t in_place_of = -1;  // index of the argument that may be the same tensor
};

// A tensor that is in order by itself. Where an optional argument was not given, only `name`,
// `given` and, to an empty range, `begin` and `end` are set.
struct View {
  const char *name;
  bool given;
  bool dense;  // row-major without gaps
  Storage storage;
  uint8_t element_bytes;
  int32_t rank;
  halnorm_device device;
  const int64_t *shape;
  int64_t element_count;
  char *data;                 // the first element
  uintptr_t begin, end;       // the addresses of all elements lie in [begin, end)
  int64_t strides[kMaxRank];  // in elements; 0 where the extent is 1
};

struct Shape {
  const int64_t *extents;
  int32_t rank;
};

// Shapes that an operation expects, by role.
struct ExpectedShapes {
  Shape data, parameter, statistic;
  int32_t statistic_ones;  // so many dimensions of extent 1 may follow those of a statistic
};

// Reads each argument and checks it by itself.
halnorm_status read_arguments(const Argument *arguments, int count, View *views);

// Checks shapes, dtypes (against those of views[0], which is x), devices and shared memory.
halnorm_status check_together(const Argument *arguments, int count, const View *views,
                              const ExpectedShapes &expected);

// Orders axes by |x stride|, largest first, drops those of extent 1, and merges neighbours that
// every tensor walks as one. Returns how many are left.
int32_t canonicalize(Axis *axes, int32_t rank);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_VIEW_H_
