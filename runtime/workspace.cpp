// SPDX-License-Identifier: Apache-2.0
#include "workspace.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "context.h"

namespace halnorm {
namespace {

constexpr size_t kAlignment = 64;

struct Block {
  void *data;
  size_t bytes;
};

__thread Block call_block;

void free_call_block() {
  free(call_block.data);
  call_block = {nullptr, 0};
}

// The value under the key only makes the C library call free_at_thread_end when a thread ends.
pthread_key_t thread_end_key;
bool thread_end_key_valid = false;
pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;

void free_at_thread_end(void *) { free_call_block(); }

void create_thread_end_key() {
  thread_end_key_valid = pthread_key_create(&thread_end_key, free_at_thread_end) == 0;
}

// A shared object with halnorm in it may be unloaded while its threads live on. The lowest
// priority: after the pool's threads have ended.
[[gnu::destructor(101)]] void delete_thread_end_key() {
  if (thread_end_key_valid) pthread_key_delete(thread_end_key);
  thread_end_key_valid = false;
}

[[gnu::cold, gnu::noinline]] void *grow(size_t bytes) {
  free_call_block();
  if (bytes > SIZE_MAX - kAlignment) return nullptr;
  const size_t rounded = bytes == 0 ? kAlignment : (bytes + kAlignment - 1) & ~(kAlignment - 1);
  pthread_once(&thread_end_once, create_thread_end_key);
  if (!thread_end_key_valid || pthread_setspecific(thread_end_key, &thread_end_key) != 0) {
    return nullptr;  // better none than one that leaks with each thread
  }
  call_block.data = aligned_alloc(kAlignment, rounded);
  call_block.bytes = call_block.data == nullptr ? 0 : rounded;
  return call_block.data;
}

}  // namespace

void *workspace(const halnorm_context *context, size_t bytes) {
  if (context == nullptr || context->cpu_workspace == nullptr) {
    return call_block.data != nullptr && bytes <= call_block.bytes ? call_block.data : grow(bytes);
  }
  const size_t misaligned = reinterpret_cast<uintptr_t>(context->cpu_workspace) % kAlignment;
  const size_t skip = misaligned == 0 ? 0 : kAlignment - misaligned;
  const size_t have = context->cpu_workspace_bytes;
  if (skip > have || bytes > have - skip) return nullptr;
  return static_cast<char *>(context->cpu_workspace) + skip;
}

WorkspaceHold::WorkspaceHold() : data_(call_block.data), bytes_(call_block.bytes) {
  call_block = {nullptr, 0};
}

WorkspaceHold::~WorkspaceHold() {
  free_call_block();
  call_block = {data_, bytes_};
}

}  // namespace halnorm
