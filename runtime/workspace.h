// SPDX-License-Identifier: Apache-2.0
// Scratch memory of the calling thread. Blocks are aligned to 64 bytes, grow to their high-water
// mark and are freed when the thread ends.
#ifndef HALNORM_RUNTIME_WORKSPACE_H_
#define HALNORM_RUNTIME_WORKSPACE_H_

#include <stddef.h>

#include "halnorm.h"

namespace halnorm {

// Memory of a whole call, asked for by the thread that makes it, once, outside of tasks: the
// context's CPU workspace where one is set, else a block of the calling thread. Null when the
// workspace that was set is too small, or memory is out; the caller reports HALNORM_OUT_OF_MEMORY.
// Valid until this thread's next call of workspace().
void *workspace(const halnorm_context *context, size_t bytes);

// Memory of one task, on whichever thread runs it: always that thread's own, since a context has
// one workspace and a call many tasks, and apart from what workspace() gave the same thread. Null
// when memory is out. Valid to the end of the task, or until its next call of thread_scratch().
void *thread_scratch(size_t bytes);

// While alive, workspace() does not know the calling thread's block, which stays as it is. A thread
// that waits in a caller's parallel_for may meanwhile be given other work that calls halnorm.
class WorkspaceHold {
 public:
  WorkspaceHold();
  ~WorkspaceHold();
  WorkspaceHold(const WorkspaceHold &) = delete;
  WorkspaceHold &operator=(const WorkspaceHold &) = delete;

 private:
  void *data_;
  size_t bytes_;
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_WORKSPACE_H_
