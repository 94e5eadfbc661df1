// SPDX-License-Identifier: Apache-2.0
// What this libcuda.so.1 has beyond NVIDIA's. A test that is to run on a real GPU too looks these
// functions up with dlsym.
#ifndef HALNORM_TESTS_PTX_PTX_H_
#define HALNORM_TESTS_PTX_PTX_H_

#ifdef __cplusplus
extern "C" {
#endif

// What the last kernel that went wrong did, and where; "" if none did. The text lasts until this
// thread asks again.
const char *halnorm_ptx_last_fault(void);

// The nth next call (1: the next one) of the function of this name, which is that of the symbol
// (cuMemAlloc_v2), does nothing but return this result. 0 takes that back.
void halnorm_ptx_fail(const char *call, int nth, int result);

// Each call of this function takes so long at least. 0 takes that back.
void halnorm_ptx_delay(const char *call, int milliseconds);

// How many calls of this function there were.
long halnorm_ptx_calls(const char *call);

// A supported instruction and the form of its operands (module.h), or null from the last one on.
const char *halnorm_ptx_instruction(int index);

#ifdef __cplusplus
}
#endif

#endif  // HALNORM_TESTS_PTX_PTX_H_
