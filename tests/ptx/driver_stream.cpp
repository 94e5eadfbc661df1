// SPDX-License-Identifier: Apache-2.0
// Streams, their capture, and graphs.
#include "driver.h"

using namespace halnorm_ptx;

namespace {

// CU_STREAM_LEGACY and CU_STREAM_PER_THREAD, which is no other than the legacy stream here.
constexpr uintptr_t kSpecialStreams[] = {1, 2};

bool is_captured(const Stream &stream) { return stream.status != CU_STREAM_CAPTURE_STATUS_NONE; }

void invalidate(Stream *stream) { stream->status = CU_STREAM_CAPTURE_STATUS_INVALIDATED; }

// As cuThreadExchangeStreamCaptureMode documents the modes, for a thread of the global one.
bool forbids_unsafe_calls(const Stream &stream) {
  if (!is_captured(stream)) return false;
  return stream.mode == CU_STREAM_CAPTURE_MODE_GLOBAL ||
         (stream.mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL &&
          stream.capturing_thread == std::this_thread::get_id());
}

CUresult launch_all(const Graph &graph, Context *context) {
  for (const RecordedLaunch &recorded : graph.launches) {
    if (driver().functions.find(recorded.function) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    const CUresult result = execute(recorded.launch, context);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

}  // namespace

namespace halnorm_ptx {

CUresult refuse_while_capturing() {
  CUresult result = CUDA_SUCCESS;
  for (const auto &[handle, stream] : driver().streams) {
    if (!forbids_unsafe_calls(*stream)) continue;
    invalidate(stream.get());
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

bool blocks_legacy_stream(const Stream &stream, const Context &context) {
  return stream.context == &context && stream.is_blocking && is_captured(stream);
}

CUresult refuse_legacy_stream(const Context &context) {
  CUresult result = CUDA_SUCCESS;
  for (const auto &[handle, stream] : driver().streams) {
    if (!blocks_legacy_stream(*stream, context)) continue;
    invalidate(stream.get());
    result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  return result;
}

CUresult refuse_captured_stream(CUstream handle, const Context &context) {
  Stream *stream = nullptr;
  if (!find_stream(handle, context, &stream)) return CUDA_ERROR_INVALID_HANDLE;
  if (stream == nullptr) return refuse_legacy_stream(context);
  return is_captured(*stream) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_SUCCESS;
}

bool find_stream(CUstream handle, const Context &context, Stream **stream) {
  *stream = nullptr;
  if (handle == nullptr) return true;
  for (const uintptr_t special : kSpecialStreams) {
    if (reinterpret_cast<uintptr_t>(handle) == special) return true;
  }
  *stream = driver().streams.find(handle);
  return *stream != nullptr && (*stream)->context == &context;
}

}  // namespace halnorm_ptx

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
  return call_in_context(__func__, [&](Context &current) {
    if (stream == nullptr || (flags & ~1u) != 0) return CUDA_ERROR_INVALID_VALUE;
    auto made = std::make_unique<Stream>();
    made->context = &current;
    made->is_blocking = flags == CU_STREAM_DEFAULT;
    *stream = driver().streams.add(std::move(made));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamDestroy_v2(CUstream stream) {
  return call_in_context(__func__, [&](Context &) {
    return driver().streams.remove(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuStreamSynchronize(CUstream stream) {
  return call_in_context(__func__, [&](Context &current) {
    Stream *found = nullptr;
    if (!find_stream(stream, current, &found)) return CUDA_ERROR_INVALID_HANDLE;
    if (found == nullptr) return refuse_legacy_stream(current);
    if (!is_captured(*found)) return CUDA_SUCCESS;
    invalidate(found);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  });
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status) {
  return call_in_context(__func__, [&](Context &current) {
    Stream *found = nullptr;
    if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!find_stream(stream, current, &found)) return CUDA_ERROR_INVALID_HANDLE;
    if (found == nullptr) {
      for (const auto &[handle, other] : driver().streams) {
        if (blocks_legacy_stream(*other, current)) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
      }
    }
    *status = found == nullptr ? CU_STREAM_CAPTURE_STATUS_NONE : found->status;
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return call_in_context(__func__, [&](Context &current) {
    Stream *found = nullptr;
    if (!find_stream(stream, current, &found)) return CUDA_ERROR_INVALID_HANDLE;
    if (found == nullptr) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    if (is_captured(*found)) return CUDA_ERROR_ILLEGAL_STATE;
    found->status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    found->mode = mode;
    found->capturing_thread = std::this_thread::get_id();
    found->recorded.clear();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  return call_in_context(__func__, [&](Context &current) {
    Stream *found = nullptr;
    if (!find_stream(stream, current, &found)) return CUDA_ERROR_INVALID_HANDLE;
    if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *graph = nullptr;
    if (found == nullptr || !is_captured(*found)) return CUDA_ERROR_ILLEGAL_STATE;
    if (found->mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
        found->capturing_thread != std::this_thread::get_id()) {
      return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    }
    const bool is_valid = found->status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    found->status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (!is_valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    *graph =
        driver().graphs.add(std::make_unique<Graph>(Graph{&current, std::move(found->recorded)}));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph,
                                     unsigned long long flags) {
  return call_in_context(__func__, [&](Context &) {
    const Graph *found = driver().graphs.find(graph);
    if (executable == nullptr || found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (flags != 0) return CUDA_ERROR_NOT_SUPPORTED;
    *executable = driver().executables.add(std::make_unique<Graph>(*found));
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  return call_in_context(__func__, [&](Context &current) {
    const Graph *found = driver().executables.find(executable);
    Stream *of_launch = nullptr;
    if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!find_stream(stream, current, &of_launch)) return CUDA_ERROR_INVALID_HANDLE;
    if (of_launch != nullptr && is_captured(*of_launch)) return CUDA_ERROR_NOT_SUPPORTED;
    if (of_launch == nullptr) {
      const CUresult refused = refuse_legacy_stream(current);
      if (refused != CUDA_SUCCESS) return refused;
    }
    return launch_all(*found, found->context);
  });
}

CUresult cuGraphExecDestroy(CUgraphExec executable) {
  return call_in_context(__func__, [&](Context &) {
    return driver().executables.remove(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call_in_context(__func__, [&](Context &) {
    return driver().graphs.remove(graph) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}
