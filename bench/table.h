// SPDX-License-Identifier: Apache-2.0
// What the user reads of each problem, and of the machine before.
#ifndef HALNORM_BENCH_TABLE_H_
#define HALNORM_BENCH_TABLE_H_

#include <string>
#include <vector>

#include "contenders.h"
#include "options.h"

namespace halnorm_bench {

void print_heading(const Options &options);

// `traffic` is the least number of bytes that each contender has to read and write, `untimed` what
// is said of those that are right and have no times.
void print_table(const std::string &problem, size_t traffic,
                 const std::vector<Contender> &contenders, const char *untimed);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_TABLE_H_
