// SPDX-License-Identifier: Apache-2.0
#include "copy.h"

#include <HalideRuntime.h>

#include <algorithm>
#include <cstring>

#include "workload.h"

namespace halnorm_bench {
namespace {

// Waking another thread for less would cost more than it saves.
constexpr size_t kFewestBytesOfThread = size_t{64} << 10;
constexpr size_t kCacheLine = 64;
// Short enough for any memcpy to stay with vector registers and plain stores.
constexpr size_t kPlainBlock = 2048;

class Copy : public Solver {
 public:
  Copy(Workload *workload, int threads, size_t block)
      : from_(workload->x()), to_(workload->y()), bytes_(workload->bytes()), block_(block) {
    const size_t most = std::max<size_t>(1, bytes_ / kFewestBytesOfThread);
    parts_ = static_cast<int>(std::min(static_cast<size_t>(threads), most));
    const size_t part = (bytes_ + static_cast<size_t>(parts_) - 1) / static_cast<size_t>(parts_);
    bytes_of_part_ = (part + kCacheLine - 1) / kCacheLine * kCacheLine;
  }

  bool run() override {
    if (parts_ == 1) {
      copy_part(0);
    } else {
      const auto task = [](void *, int part, uint8_t *self) {
        reinterpret_cast<Copy *>(self)->copy_part(static_cast<size_t>(part));
        return 0;
      };
      halide_do_par_for(nullptr, task, 0, parts_, reinterpret_cast<uint8_t *>(this));
    }
    return true;
  }
  std::string failure() const override { return ""; }

 private:
  void copy_part(size_t part) {
    const size_t end = std::min(bytes_, (part + 1) * bytes_of_part_);
    for (size_t at = part * bytes_of_part_; at < end; at += block_) {
      std::memcpy(to_ + at, from_ + at, std::min(block_, end - at));
    }
  }

  const uint8_t *from_;
  uint8_t *to_;
  size_t bytes_, block_, bytes_of_part_;
  int parts_;
};

}  // namespace

void append_copies(Workload *workload, int threads, std::vector<Contender> *contenders) {
  const auto append = [&](const char *name, size_t block) {
    contenders->push_back(
        {Kind::copy, name, "", "", std::make_unique<Copy>(workload, threads, block), {}});
  };
  append("copy", workload->bytes());
  append("copy, plain stores", kPlainBlock);
}

}  // namespace halnorm_bench
