// SPDX-License-Identifier: Apache-2.0
// Scratch memory of the calling thread: aligned to 64 bytes, grown to its high-water mark, freed
// when the thread ends.
#ifndef HALNORM_RUNTIME_WORKSPACE_H_
#define HALNORM_RUNTIME_WORKSPACE_H_

#include <stddef.h>

#include "halnorm.h"

namespace halnorm {

// Memory of a whole call, asked for by the thread that makes it, once, before anything is written:
// the context's CPU workspace where one is set, else a block of the calling thread. Null when the
// workspace that was set is too small, or memory is out; the caller reports HALNORM_OUT_OF_MEMORY.
// Valid until this thread's next call of workspace().
void *workspace(const halnorm_context *context, size_t bytes);

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
