// SPDX-License-Identifier: Apache-2.0
// Events, which take the time of the host: a launch has run when its call returns.
#include "driver.h"

using namespace halnorm_ptx;

namespace {

constexpr unsigned int kEventFlags = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;

bool has_time(const Event *event) {
  return event != nullptr && event->is_timed && event->recorded.has_value();
}

}  // namespace

CUresult cuEventCreate(CUevent *event, unsigned int flags) {
  return call_in_context(__func__, [&](Context &current) {
    if (event == nullptr || (flags & ~kEventFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    const bool is_timed = (flags & CU_EVENT_DISABLE_TIMING) == 0;
    *event = driver().events.add(std::make_unique<Event>(Event{&current, is_timed, {}}));
    return CUDA_SUCCESS;
  });
}

CUresult cuEventDestroy_v2(CUevent event) {
  return call_in_context(__func__, [&](Context &) {
    return driver().events.remove(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
  return call_in_context(__func__, [&](Context &current) {
    Event *found = driver().events.find(event);
    if (found == nullptr || found->context != &current) return CUDA_ERROR_INVALID_HANDLE;
    const CUresult refused = refuse_captured_stream(stream, current);
    if (refused == CUDA_SUCCESS) found->recorded = std::chrono::steady_clock::now();
    return refused;
  });
}

CUresult cuEventSynchronize(CUevent event) {
  return call_in_context(__func__, [&](Context &) {
    return driver().events.find(event) == nullptr ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
  });
}

CUresult cuEventElapsedTime(float *milliseconds, CUevent begin, CUevent end) {
  return call_in_context(__func__, [&](Context &) {
    const Event *first = driver().events.find(begin), *second = driver().events.find(end);
    if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!has_time(first) || !has_time(second)) return CUDA_ERROR_INVALID_HANDLE;
    *milliseconds =
        std::chrono::duration<float, std::milli>(*second->recorded - *first->recorded).count();
    return CUDA_SUCCESS;
  });
}
