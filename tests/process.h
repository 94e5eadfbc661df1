// SPDX-License-Identifier: Apache-2.0
// What the system says of this process and of the machine; -1 where it does not tell.
#ifndef HALNORM_TESTS_PROCESS_H_
#define HALNORM_TESTS_PROCESS_H_

#include <cstdint>
#include <functional>

namespace halnorm_test {

int thread_count();
int64_t address_space_bytes();
int64_t resident_bytes();
int64_t allocated_bytes();    // by malloc and the like
int64_t free_memory_bytes();  // of the machine

// Whether `run` returned true in a child of fork(), within `seconds`.
bool true_in_child(const std::function<bool()> &run, unsigned seconds = 20);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_PROCESS_H_
