// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

namespace {

struct Error {
  CUresult value;
  const char *name, *description;
};

#define HALNORM_ERROR(name, description) \
  { name, #name, description }
const Error kErrors[] = {
    HALNORM_ERROR(CUDA_SUCCESS, "no error"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_VALUE, "an argument is out of range"),
    HALNORM_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "no memory is left"),
    HALNORM_ERROR(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called"),
    HALNORM_ERROR(CUDA_ERROR_NO_DEVICE, "there is no device"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_DEVICE, "there is no such device"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_IMAGE, "this is no image of a module"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_CONTEXT, "no context is current, or there is no such context"),
    HALNORM_ERROR(CUDA_ERROR_NO_BINARY_FOR_GPU, "the image has no code for this device"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_PTX, "the PTX could not be compiled"),
    HALNORM_ERROR(CUDA_ERROR_INVALID_HANDLE, "there is nothing with this handle"),
    HALNORM_ERROR(CUDA_ERROR_ILLEGAL_STATE, "this is not possible in the present state"),
    HALNORM_ERROR(CUDA_ERROR_NOT_FOUND, "nothing has this name"),
    HALNORM_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "a kernel accessed what is not allocated"),
    HALNORM_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "the launch needs more than there is"),
    HALNORM_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "a kernel took too long"),
    HALNORM_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context was destroyed"),
    HALNORM_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "a kernel accessed a misaligned address"),
    HALNORM_ERROR(CUDA_ERROR_LAUNCH_FAILED, "a kernel went wrong"),
    HALNORM_ERROR(CUDA_ERROR_NOT_SUPPORTED, "this is not supported"),
    HALNORM_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                  "not permitted while a stream is captured"),
    HALNORM_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "an error has invalidated the capture"),
    HALNORM_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                  "the legacy stream depends on a captured one"),
    HALNORM_ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "another thread began this capture"),
    HALNORM_ERROR(CUDA_ERROR_UNKNOWN, "an unknown error"),
};

const Error *find(CUresult value) {
  for (const Error &error : kErrors) {
    if (error.value == value) return &error;
  }
  return nullptr;
}

CUresult answer(const char *call, CUresult error, const char *Error::*text, const char **result) {
  const std::lock_guard<std::mutex> lock(halnorm_ptx::driver().mutex);
  const CUresult asked_for = halnorm_ptx::enter(call);
  if (asked_for != CUDA_SUCCESS) return asked_for;
  if (result == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Error *found = find(error);
  *result = found == nullptr ? nullptr : found->*text;
  return found == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

CUresult cuGetErrorName(CUresult error, const char **name) {
  return answer(__func__, error, &Error::name, name);
}

CUresult cuGetErrorString(CUresult error, const char **description) {
  return answer(__func__, error, &Error::description, description);
}
