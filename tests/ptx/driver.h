// SPDX-License-Identifier: Apache-2.0
// The state of the driver. One lock serves all of it: calls are safe from any thread, and kernels
// run one after the other, before the call that launches them returns.
#ifndef HALNORM_TESTS_PTX_DRIVER_H_
#define HALNORM_TESTS_PTX_DRIVER_H_

#include <stdint.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "launch.h"
#include "memory.h"
#include "runtime/cuda_driver.h"

namespace halnorm_ptx {

// Of compute capability 8.0 ("Technical Specifications per Compute Capability", CUDA C++
// Programming Guide).
constexpr int kMostThreads = 1024;
constexpr int kLargestBlock[] = {1024, 1024, 64};
constexpr int kLargestGrid[] = {INT32_MAX, 65535, 65535};
constexpr int kMostSharedBytes = 48 * 1024;

// A handle is never given out twice, and is nothing that the caller could look into.
uintptr_t next_handle();

template <class Handle, class Object>
class Handles {
 public:
  Handle add(std::unique_ptr<Object> object) {
    const auto handle = reinterpret_cast<Handle>(next_handle());
    objects_[handle] = std::move(object);
    return handle;
  }
  Object *find(Handle handle) const {
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second.get();
  }
  bool remove(Handle handle) { return objects_.erase(handle) != 0; }

  template <class Condition>
  void remove_if(const Condition &condition) {
    for (auto it = objects_.begin(); it != objects_.end();) {
      it = condition(*it->second) ? objects_.erase(it) : std::next(it);
    }
  }

  auto begin() const { return objects_.begin(); }
  auto end() const { return objects_.end(); }

 private:
  std::map<Handle, std::unique_ptr<Object>> objects_;
};

struct Context {
  unsigned long long id;
  CUresult broken =
      CUDA_SUCCESS;  // by a kernel that went wrong: what all calls return from then on
  Memory memory;
};

struct LoadedModule {
  Context *context;
  Module module;
};

struct LoadedFunction {
  Context *context;
  const LoadedModule *module;
  const Function *function;
};

struct RecordedLaunch {
  CUfunction function;
  Launch launch;
};

struct Stream {
  Context *context;
  bool is_blocking;  // waits for the legacy stream
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  std::thread::id capturing_thread;
  std::vector<RecordedLaunch> recorded;
};

struct Event {
  Context *context;
  bool is_timed;
  std::optional<std::chrono::steady_clock::time_point> recorded;
};

struct Graph {
  Context *context;
  std::vector<RecordedLaunch> launches;
};

struct Driver {
  std::mutex mutex;
  bool is_initialized = false;
  unsigned long long contexts_made = 0;
  CUcontext primary_context = nullptr;  // null until it is first retained; it is never released
  std::string last_fault;
  Handles<CUcontext, Context> contexts;
  Handles<CUmodule, LoadedModule> modules;
  Handles<CUfunction, LoadedFunction> functions;
  Handles<CUstream, Stream> streams;
  Handles<CUevent, Event> events;
  Handles<CUgraph, Graph> graphs;
  Handles<CUgraphExec, Graph> executables;
};

Driver &driver();
std::vector<CUcontext> &context_stack();  // of the calling thread; the last one is current

// Counts the call, and says what it is to return at once: a failure that a test asked for.
CUresult enter(const char *name);

// Every call is one of these. A current context is null where there is none.
template <class Body>
CUresult call(const char *name, const Body &body) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  const CUresult asked_for = enter(name);
  if (asked_for != CUDA_SUCCESS) return asked_for;
  if (!driver().is_initialized) return CUDA_ERROR_NOT_INITIALIZED;
  return body();
}

template <class Body>
CUresult call_in_context(const char *name, const Body &body) {
  return call(name, [&] {
    if (context_stack().empty() || context_stack().back() == nullptr) {
      return CUDA_ERROR_INVALID_CONTEXT;
    }
    Context *current = driver().contexts.find(context_stack().back());
    if (current == nullptr) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (current->broken != CUDA_SUCCESS) return current->broken;
    return body(*current);
  });
}

// Of stream capture. The first is asked by calls that must not happen while a stream is captured,
// the second by what uses the legacy stream; either invalidates the captures that it disturbs.
CUresult refuse_while_capturing();
CUresult refuse_legacy_stream(const Context &context);
bool blocks_legacy_stream(const Stream &stream, const Context &context);
// What copies, fills and events ask of their stream: no capture records them.
CUresult refuse_captured_stream(CUstream handle, const Context &context);

// Runs a launch whose function is known to be loaded, and breaks the context if it goes wrong.
CUresult execute(const Launch &launch, Context *context);

// The null stream is the legacy stream, which has no object. False if there is no such stream.
bool find_stream(CUstream handle, const Context &context, Stream **stream);

}  // namespace halnorm_ptx

#endif  // HALNORM_TESTS_PTX_DRIVER_H_
