// SPDX-License-Identifier: Apache-2.0
// The capture of streams.
#include <thread>

#include "gpu.h"

namespace halnorm_ptx_test {
namespace {

class Capture : public Gpu {
 protected:
  CUstream stream(unsigned int flags) {
    CUstream made = nullptr;
    EXPECT_EQ(cuStreamCreate(&made, flags), CUDA_SUCCESS);
    return made;
  }
  void begin(CUstream stream, CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) {
    EXPECT_EQ(cuStreamBeginCapture_v2(stream, mode), CUDA_SUCCESS);
  }
  // What a capture ends in, its graph thrown away.
  CUresult end(CUstream stream) {
    CUgraph graph = nullptr;
    const CUresult result = cuStreamEndCapture(stream, &graph);
    if (graph != nullptr) {
      EXPECT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
    }
    return result;
  }
};

TEST_F(Capture, IsReplayed) {
  const CUfunction function = load(kAddOne);
  CUdeviceptr memory = allocate(std::vector<int>{5, 6});
  for (const unsigned int flags : {CU_STREAM_DEFAULT, CU_STREAM_NON_BLOCKING}) {
    CUstream captured = stream(flags);
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    begin(captured);
    EXPECT_EQ(cuStreamIsCapturing(captured, &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
    EXPECT_EQ(launch(function, 2, {&memory}, 0, captured), CUDA_SUCCESS);
    EXPECT_EQ(launch(function, 2, {&memory}, 0, captured), CUDA_SUCCESS);
    CUgraph graph = nullptr;
    ASSERT_EQ(cuStreamEndCapture(captured, &graph), CUDA_SUCCESS);
    CUgraphExec executable = nullptr;
    ASSERT_EQ(cuGraphInstantiateWithFlags(&executable, graph, 0), CUDA_SUCCESS);
    EXPECT_EQ(cuGraphDestroy(graph), CUDA_SUCCESS);
    const int before = read<int>(memory, 2)[1];
    for (int k = 0; k < 3; ++k) EXPECT_EQ(cuGraphLaunch(executable, captured), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamSynchronize(captured), CUDA_SUCCESS);
    EXPECT_EQ(read<int>(memory, 2)[1], before + 6);
    EXPECT_EQ(cuGraphExecDestroy(executable), CUDA_SUCCESS);
    EXPECT_EQ(cuGraphLaunch(executable, captured), CUDA_ERROR_INVALID_VALUE);
    EXPECT_EQ(cuStreamDestroy_v2(captured), CUDA_SUCCESS);
  }
  EXPECT_EQ(read<int>(memory, 2), (std::vector<int>{17, 18}));
}

TEST_F(Capture, RefusesWhatItForbids) {
  const CUfunction function = load(kAddOne);
  CUdeviceptr memory = allocate(std::vector<int>{5}), more = 0;
  CUstream blocking = stream(CU_STREAM_DEFAULT), other = stream(CU_STREAM_NON_BLOCKING);
  CUgraph graph = nullptr;
  EXPECT_EQ(cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_ILLEGAL_STATE);

  begin(blocking);
  EXPECT_EQ(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_GLOBAL),
            CUDA_ERROR_ILLEGAL_STATE);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  EXPECT_EQ(cuStreamIsCapturing(nullptr, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  EXPECT_EQ(end(blocking), CUDA_SUCCESS);

  const auto expect_refusal = [&](CUstream captured, CUresult expected, auto call) {
    begin(captured);
    EXPECT_EQ(call(), expected);
    EXPECT_EQ(cuStreamIsCapturing(captured, &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
    EXPECT_EQ(launch(function, 1, {&memory}, 0, captured), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    EXPECT_EQ(end(captured), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    EXPECT_EQ(cuStreamIsCapturing(captured, &status), CUDA_SUCCESS);
    EXPECT_EQ(status, CU_STREAM_CAPTURE_STATUS_NONE);
  };
  constexpr CUresult kUnsupported = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  constexpr CUresult kImplicit = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  CUmodule module = nullptr;
  expect_refusal(other, kUnsupported, [&] { return cuMemAlloc_v2(&more, 4); });
  expect_refusal(other, kUnsupported, [&] { return cuMemFree_v2(memory); });
  expect_refusal(other, kUnsupported, [&] { return cuCtxSynchronize(); });
  expect_refusal(other, kUnsupported, [&] { return cuStreamSynchronize(other); });
  expect_refusal(other, kUnsupported,
                 [&] { return cuModuleLoadDataEx(&module, kAddOne.c_str(), 0, nullptr, nullptr); });
  int value = 0;
  expect_refusal(other, kUnsupported, [&] { return cuMemcpyDtoH_v2(&value, memory, 4); });
  expect_refusal(blocking, kImplicit, [&] { return cuMemcpyHtoD_v2(memory, &value, 4); });
  expect_refusal(blocking, kImplicit, [&] { return launch(function, 1, {&memory}); });
  EXPECT_EQ(read<int>(memory, 1)[0], 5);

  CUevent event = nullptr;
  ASSERT_EQ(cuEventCreate(&event, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  begin(other);
  EXPECT_EQ(cuMemsetD8Async(memory, 0, 4, other), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(cuMemcpyDtoDAsync_v2(memory, memory, 4, other), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(cuEventRecord(event, other), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(end(other), CUDA_SUCCESS);
  expect_refusal(blocking, kImplicit, [&] { return cuEventRecord(event, nullptr); });

  begin(other, CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(cuMemAlloc_v2(&more, 4), CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 1, {&memory}), CUDA_SUCCESS);
  EXPECT_EQ(end(other), CUDA_SUCCESS);
  begin(other, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  std::thread([&] {
    EXPECT_EQ(cuCtxSetCurrent(context_), CUDA_SUCCESS);
    EXPECT_EQ(cuMemAlloc_v2(&more, 4), CUDA_SUCCESS);
    EXPECT_EQ(cuStreamEndCapture(other, &graph), CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
  }).join();
  EXPECT_EQ(end(other), CUDA_SUCCESS);
}

}  // namespace
}  // namespace halnorm_ptx_test
