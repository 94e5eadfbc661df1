// SPDX-License-Identifier: Apache-2.0
#include "cpu_features.h"

#include <string.h>

#include <atomic>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_FPHP
#include <asm/hwcap.h>
#endif
#endif

namespace halnorm {
namespace {

// A feature's position in `kFeatures` is its bit in the mask; kKnown marks a mask that was
// computed.
constexpr uint32_t kKnown = 1u << 31;

#if defined(__x86_64__) || defined(__i386__)

enum Register { kEbx, kEcx };

// Register files that the operating system must save, as bits of XCR0.
constexpr uint32_t kYmm = 0x06;         // xmm and the upper halves of ymm
constexpr uint32_t kZmm = kYmm | 0xe0;  // opmasks, upper halves of zmm0-15, zmm16-31

struct Feature {
  const char *token;
  uint32_t leaf;
  Register reg;
  uint32_t bits;   // all of them
  uint32_t state;  // of XCR0
};

constexpr Feature kFeatures[] = {
    {"sse41", 1, kEcx, 1u << 19, 0},
    {"avx", 1, kEcx, 1u << 28, kYmm},
    {"f16c", 1, kEcx, 1u << 29, kYmm},
    {"fma", 1, kEcx, 1u << 12, kYmm},
    {"avx2", 7, kEbx, 1u << 5, kYmm},
    {"avx512", 7, kEbx, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31, kZmm},
};

// The register files that the operating system saves. A processor may have AVX under a system that
// would not keep its registers over a switch of threads.
uint32_t saved_state() {
  uint32_t eax, ebx, ecx, edx;
  constexpr uint32_t kOsxsave = 1u << 27;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & kOsxsave)) return 0;
  __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  return eax;
}

bool present(const Feature &feature) {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid_count(feature.leaf, 0, &eax, &ebx, &ecx, &edx)) return false;
  const uint32_t value = feature.reg == kEbx ? ebx : ecx;
  if ((value & feature.bits) != feature.bits) return false;
  return feature.state == 0 || (saved_state() & feature.state) == feature.state;
}

#elif defined(__aarch64__)

struct Feature {
  const char *token;
  unsigned long bits;  // of AT_HWCAP, all of them
};

constexpr Feature kFeatures[] = {
    {"neon", 0},  // part of the architecture
    {"fp16", HWCAP_FPHP | HWCAP_ASIMDHP},
};

bool present(const Feature &feature) {
  return (getauxval(AT_HWCAP) & feature.bits) == feature.bits;
}

#else
#error "halnorm knows the processors x86 and aarch64"
#endif

std::atomic<uint32_t> detected{0};

}  // namespace

uint32_t cpu_features() {
  uint32_t features = detected.load(std::memory_order_relaxed);
  if (features & kKnown) return features;
  features = kKnown;
  uint32_t bit = 1;
  for (const Feature &feature : kFeatures) {
    if (present(feature)) features |= bit;
    bit <<= 1;
  }
  detected.store(features, std::memory_order_relaxed);
  return features;
}

bool cpu_feature_mask(const char *token, uint32_t *mask) {
  uint32_t bit = 1;
  for (const Feature &feature : kFeatures) {
    if (strcmp(token, feature.token) == 0) {
      *mask = bit;
      return true;
    }
    bit <<= 1;
  }
  return false;
}

}  // namespace halnorm
