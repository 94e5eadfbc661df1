// SPDX-License-Identifier: Apache-2.0
// A call of the C interface as the fuzzer's bytes have it. All bytes mean something, and each has
// its place whatever the others are, so that a mutation changes one thing.
#ifndef HALNORM_TESTS_FUZZ_ATTEMPT_H_
#define HALNORM_TESTS_FUZZ_ATTEMPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "problem.h"
#include "storage.h"
#include "tensors.h"

namespace halnorm_test {

// More bytes than these are not looked at.
constexpr size_t kAttemptBytes = 96;

// Of a tensor without a fixed form, which leaves out the statistics.
struct Form {
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> strides;
};

// What is done to one of the tensors of a valid call.
struct TensorBend {
  enum class Kind {
    none,
    null,
    data_null,
    shape_null,
    rank,
    extent,
    stride,
    dtype,
    device_type,
    device_id,
    byte_offset,
    moved_byte_offset,  // data as far back: nothing changes
    ones,               // extents of 1 behind the others
    alias,              // lies in another tensor's memory
    alias_alike,        // the same, with the strides of that one
  };
  Kind kind = Kind::none;
  uint8_t tensor = 0, other = 0;  // which, of those that the call has
  uint8_t dimension = 0;
  int64_t number = 0;
  halnorm_dtype dtype = HALNORM_F32;
};

// What is done to one of its numbers.
struct NumberBend {
  enum class Kind { none, axis, groups, eps, momentum, flags };
  Kind kind = Kind::none;
  int64_t whole = 0;
  double real = 0;
};

// What the context's workspace is.
struct Workspace {
  enum class Kind { own, small, large };
  Kind kind = Kind::own;
  size_t bytes = 0;  // small
};

struct Attempt {
  Problem problem;
  Form x, y, dy, dx, gamma, beta, dgamma, dbeta;
  Placement placement = Placement::end_flush;
  Data data;
  uint64_t seed = 0;
  int rounding = 0;     // the caller's, as <cfenv> has it
  uint16_t kernel = 0;  // 0: the library's choice; else one of those that it lists
  Workspace workspace;
  TensorBend tensor_bend;
  NumberBend number_bend;
};

Attempt decode(const uint8_t *bytes, size_t size);

// For people.
std::string print(const Attempt &attempt);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FUZZ_ATTEMPT_H_
