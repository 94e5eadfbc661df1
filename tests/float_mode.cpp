// SPDX-License-Identifier: Apache-2.0
#include "float_mode.h"

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

namespace halnorm_test {
namespace {

// What a mode changes of the standard one: bits of MXCSR or of FPCR.
struct Bits {
  const char *name;
  uint64_t set, cleared;
};

#ifdef __SSE2__

constexpr uint64_t kFlags = 0x3f;
constexpr Bits kModes[] = {{"standard", 0, 0},      {"upward", 0x4000, 0},
                           {"downward", 0x2000, 0}, {"toward_zero", 0x6000, 0},
                           {"flush", 0x8040, 0},    {"traps", 0, 0x1e80}};

uint64_t modes() { return _mm_getcsr() & ~static_cast<unsigned>(kFlags); }
uint64_t flags() { return _mm_getcsr() & kFlags; }

uint64_t x87() {
  uint16_t control, status;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  __asm__ volatile("fnstsw %0" : "=m"(status));
  return uint64_t{control} << 16 | status;
}

void set(uint64_t modes, uint64_t flags) { _mm_setcsr(static_cast<unsigned>(modes | flags)); }

#elif defined(__aarch64__)

constexpr Bits kModes[] = {{"standard", 0, 0},       {"upward", 1 << 22, 0},
                           {"downward", 2 << 22, 0}, {"toward_zero", 3 << 22, 0},
                           {"flush", 1 << 24, 0},    {"traps", 0x1f00, 0}};

uint64_t modes() {
  uint64_t modes;
  __asm__ volatile("mrs %0, fpcr" : "=r"(modes));
  return modes;
}

uint64_t flags() {
  uint64_t flags;
  __asm__ volatile("mrs %0, fpsr" : "=r"(flags));
  return flags;
}

uint64_t x87() { return 0; }

void set(uint64_t modes, uint64_t flags) {
  __asm__ volatile("msr fpcr, %0" : : "r"(modes));
  __asm__ volatile("msr fpsr, %0" : : "r"(flags));
}

#endif

uint64_t changed(uint64_t modes, FloatMode mode) {
  const Bits &bits = kModes[static_cast<int>(mode)];
  return (modes | bits.set) & ~bits.cleared;
}

}  // namespace

const char *name(FloatMode mode) { return kModes[static_cast<int>(mode)].name; }

FloatState float_state() { return {modes(), flags(), x87()}; }

FloatModeScope::FloatModeScope(FloatMode mode) : before_(float_state()) {
  set(changed(before_.modes, mode), 0);
}

FloatModeScope::~FloatModeScope() { set(before_.modes, before_.flags); }

bool available(FloatMode mode) {
  const uint64_t wanted = changed(modes(), mode);
  const FloatModeScope scope(mode);
  return modes() == wanted;
}

}  // namespace halnorm_test
