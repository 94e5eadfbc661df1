// SPDX-License-Identifier: Apache-2.0
// What the operating system says of the machine.
#ifndef HALNORM_BENCH_MACHINE_H_
#define HALNORM_BENCH_MACHINE_H_

#include <cstddef>
#include <string>

namespace halnorm_bench {

std::string cpu_name();

// Of the largest cache that the first CPU has; 32 MiB where nobody says.
size_t last_level_cache_bytes();

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_MACHINE_H_
