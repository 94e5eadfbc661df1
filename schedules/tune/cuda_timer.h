// SPDX-License-Identifier: Apache-2.0
// The time of calls on a CUDA device, by its own clock.
#ifndef HALNORM_SCHEDULES_TUNE_CUDA_TIMER_H_
#define HALNORM_SCHEDULES_TUNE_CUDA_TIMER_H_

#include <functional>
#include <memory>
#include <vector>

#include "cuda_device.h"
#include "halnorm.h"

namespace halnorm_tune {

// Events of the default stream of the current context, and what drives the inputs of a call out of
// the L2 cache before it: the device is busy with that for longer than the host needs for the call.
class CudaTimer {
 public:
  CudaTimer();
  ~CudaTimer();
  CudaTimer(const CudaTimer &) = delete;
  CudaTimer &operator=(const CudaTimer &) = delete;

  // The status of the first call that fails; else *seconds is of all of them.
  halnorm_status time(int64_t calls, const std::function<halnorm_status()> &call, double *seconds);

 private:
  struct Pair {
    CUevent begin, end;
  };
  std::vector<Pair> events_;
  std::unique_ptr<halnorm_test::DeviceMemory> flushed_;
  size_t flushed_bytes_ = 0;
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_CUDA_TIMER_H_
