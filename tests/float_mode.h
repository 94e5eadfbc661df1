// SPDX-License-Identifier: Apache-2.0
// Floating-point modes that a caller may have set.
#ifndef HALNORM_TESTS_FLOAT_MODE_H_
#define HALNORM_TESTS_FLOAT_MODE_H_

#include <cstdint>

namespace halnorm_test {

enum class FloatMode {
  standard,  // what a program starts with
  upward,
  downward,
  toward_zero,
  flush,  // subnormals are zeros, both where they are read and where they are written
  traps,  // every exception of IEEE 754 raises SIGFPE
};
constexpr FloatMode kFloatModes[] = {FloatMode::standard,    FloatMode::upward, FloatMode::downward,
                                     FloatMode::toward_zero, FloatMode::flush,  FloatMode::traps};

const char *name(FloatMode mode);

// What the thread's arithmetic depends on, and what it leaves: modes and flags of exceptions, those
// of the x87 included where there is one.
struct FloatState {
  uint64_t modes, flags, x87;
  bool operator==(const FloatState &other) const {
    return modes == other.modes && flags == other.flags && x87 == other.x87;
  }
};
FloatState float_state();

// The mode for the life of the object, in this thread and in those that it starts; then the state
// as it was before.
class FloatModeScope {
 public:
  explicit FloatModeScope(FloatMode mode);
  ~FloatModeScope();
  FloatModeScope(const FloatModeScope &) = delete;
  FloatModeScope &operator=(const FloatModeScope &) = delete;

 private:
  const FloatState before_;
};

// Whether this machine has the mode: many ARM processors have no traps.
bool available(FloatMode mode);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FLOAT_MODE_H_
