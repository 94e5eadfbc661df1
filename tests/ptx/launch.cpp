// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include <fenv.h>

#include <algorithm>

namespace halnorm_ptx {
namespace {

// A GPU does not know how the calling thread rounds.
class DefaultFloatEnvironment {
 public:
  DefaultFloatEnvironment() {
    fegetenv(&saved_);
    fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloatEnvironment() { fesetenv(&saved_); }

 private:
  fenv_t saved_;
};

// The warps take turns: each runs to a barrier or to its end.
class Block {
 public:
  Block(const Launch &launch, Memory *memory) : shared_(launch.shared_bytes) {
    const auto count = static_cast<uint32_t>((launch.block.count() + kLanes - 1) / kLanes);
    warps_.reserve(count);
    for (uint32_t k = 0; k < count; ++k) warps_.emplace_back(launch, k, memory, &shared_);
    running_ = warps_.data();
  }

  void run(const Dim3 &block) {
    shared_.start_block();
    for (Warp &warp : warps_) warp.start(block);
    for (bool ended = false; !ended; shared_.pass_barrier()) {
      for (Warp &warp : warps_) {
        running_ = &warp;
        warp.run();
      }
      check_barriers();
      ended = std::all_of(warps_.begin(), warps_.end(), [](const Warp &w) { return w.ended(); });
    }
  }

  const Warp &running() const { return *running_; }

 private:
  // Threads that have ended hold up no barrier.
  void check_barriers() {
    const Warp *first = nullptr;
    for (Warp &warp : warps_) {
      if (warp.ended()) continue;
      if (first == nullptr) first = &warp;
      if (warp.barrier == first->barrier) continue;
      running_ = &warp;
      throw Fault{CUDA_ERROR_LAUNCH_FAILED,
                  format("this warp waits at barrier %u for ever, another one at barrier %u",
                         warp.barrier, first->barrier),
                  lowest_lane(warp.live)};
    }
  }

  SharedMemory shared_;
  std::vector<Warp> warps_;
  Warp *running_;
};

}  // namespace

CUresult run(const Launch &launch, Memory *memory, std::string *fault) {
  const DefaultFloatEnvironment environment;
  CUresult result = CUDA_SUCCESS;
  Block block(launch, memory);
  try {
    for (uint32_t z = 0; z < launch.grid.z; ++z) {
      for (uint32_t y = 0; y < launch.grid.y; ++y) {
        for (uint32_t x = 0; x < launch.grid.x; ++x) block.run({x, y, z});
      }
    }
  } catch (const Fault &caught) {
    result = caught.result;
    *fault = block.running().place(caught.lane) + ": " + caught.what;
  }
  memory->forget_launch();
  return result;
}

}  // namespace halnorm_ptx
