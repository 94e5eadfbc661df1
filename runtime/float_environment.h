// SPDX-License-Identifier: Apache-2.0
// The floating-point environment that kernels run in.
#ifndef HALNORM_RUNTIME_FLOAT_ENVIRONMENT_H_
#define HALNORM_RUNTIME_FLOAT_ENVIRONMENT_H_

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace halnorm {

// Round to nearest even, subnormals kept, no traps, for the life of the object; then all is as it
// was, the flags of exceptions included. The same call must give the same bits on threads that
// flush subnormals or round otherwise, and on a pool whose threads never heard of the caller's
// modes.
class FloatEnvironment {
 public:
#if defined(__x86_64__) || defined(__i386__)
  FloatEnvironment() : saved_(_mm_getcsr()) {
    if ((saved_ & ~kFlags) != kDefault) _mm_setcsr(kDefault);
  }
  ~FloatEnvironment() {
    if (_mm_getcsr() != saved_) _mm_setcsr(saved_);
  }

 private:
  static constexpr uint32_t kFlags = 0x3f;      // sticky: not modes
  static constexpr uint32_t kDefault = 0x1f80;  // all exceptions masked, and no other mode
  const uint32_t saved_;
#elif defined(__aarch64__)
  FloatEnvironment() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(modes_));
    __asm__ volatile("mrs %0, fpsr" : "=r"(flags_));
    if (modes_ != 0) __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
  }
  ~FloatEnvironment() {
    uint64_t flags;
    __asm__ volatile("mrs %0, fpsr" : "=r"(flags));
    if (flags != flags_) __asm__ volatile("msr fpsr, %0" : : "r"(flags_));
    if (modes_ != 0) __asm__ volatile("msr fpcr, %0" : : "r"(modes_));
  }

 private:
  uint64_t modes_, flags_;
#endif

 public:
  FloatEnvironment(const FloatEnvironment &) = delete;
  FloatEnvironment &operator=(const FloatEnvironment &) = delete;
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_FLOAT_ENVIRONMENT_H_
