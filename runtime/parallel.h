// SPDX-License-Identifier: Apache-2.0
// Runs the tasks of a call on several threads: the library's own, or those of the caller's pool.
#ifndef HALNORM_RUNTIME_PARALLEL_H_
#define HALNORM_RUNTIME_PARALLEL_H_

#include <stdint.h>

#include "halnorm.h"

namespace halnorm {

// How many threads a call with this context may have on it, the caller included: what an executor
// should cut its work for. At least 1.
int32_t thread_limit(const halnorm_context *context);

// The same for a call of so many bytes, of which a thread should have some KiB at least.
int64_t threads_for(const halnorm_context *context, int64_t bytes, int32_t grain_kib);

// Calls run(task, i) once for each i in [0, count), in any order, and returns when all have
// returned. Several threads may be here at once, but not from within a task. A call that may have
// one thread is one task.
void parallel_for(const halnorm_context *context, int64_t count, halnorm_task run, void *task);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_PARALLEL_H_
