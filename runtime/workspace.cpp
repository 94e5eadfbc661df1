// SPDX-License-Identifier: Apache-2.0
#include "workspace.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <atomic>

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
constexpr int64_t kNoKey = -1;
std::atomic<int64_t> thread_end_key{kNoKey};

void free_at_thread_end(void *) { free_call_block(); }

// Without pthread_once, which would not try again after a failure.
bool have_thread_end_key() {
  if (thread_end_key.load(std::memory_order_acquire) != kNoKey) return true;
  pthread_key_t key;
  if (pthread_key_create(&key, free_at_thread_end) != 0) return false;
  int64_t none = kNoKey;
  if (!thread_end_key.compare_exchange_strong(none, key)) pthread_key_delete(key);
  return true;
}

// A shared object with halnorm in it may be unloaded while its threads live on. The lowest
// priority: after the pool's threads have ended.
[[gnu::destructor(101)]] void release() {
  free_call_block();
  const int64_t key = thread_end_key.exchange(kNoKey);
  if (key != kNoKey) pthread_key_delete(static_cast<pthread_key_t>(key));
}

// Calls that want none do not ask, and what they want fits an int64_t.
[[gnu::cold, gnu::noinline]] void *grow(size_t bytes) {
  free_call_block();
  const size_t rounded = (bytes + kAlignment - 1) & ~(kAlignment - 1);
  if (!have_thread_end_key() ||
      pthread_setspecific(static_cast<pthread_key_t>(thread_end_key.load()), &thread_end_key) !=
          0) {
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
