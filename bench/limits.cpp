// SPDX-License-Identifier: Apache-2.0
#include "limits.h"

#include <HalideRuntime.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "workload.h"

namespace halnorm_bench {
namespace {

// Waking another thread for less would cost more than it saves.
constexpr size_t kFewestBytesOfThread = size_t{64} << 10;
constexpr size_t kCacheLine = 64;
// Short enough for any memcpy to stay with vector registers and plain stores.
constexpr size_t kPlainBlock = 2048;

// The same work on each byte of an operand, split over the threads of Halide's runtime.
class Limit : public Solver {
 public:
  Limit(size_t bytes, int threads) : bytes_(bytes) {
    const size_t most = std::max<size_t>(1, bytes_ / kFewestBytesOfThread);
    parts_ = static_cast<int>(std::min(static_cast<size_t>(threads), most));
    const size_t part = (bytes_ + static_cast<size_t>(parts_) - 1) / static_cast<size_t>(parts_);
    bytes_of_part_ = (part + kCacheLine - 1) / kCacheLine * kCacheLine;
  }

  bool run() override {
    if (parts_ == 1) {
      run_part(0);
    } else {
      const auto task = [](void *, int part, uint8_t *self) {
        reinterpret_cast<Limit *>(self)->run_part(static_cast<size_t>(part));
        return 0;
      };
      halide_do_par_for(nullptr, task, 0, parts_, reinterpret_cast<uint8_t *>(this));
    }
    return true;
  }
  std::string failure() const override { return ""; }

 private:
  // The bytes from begin to before end.
  virtual void move(size_t begin, size_t end) = 0;

  void run_part(size_t part) {
    const size_t begin = std::min(bytes_, part * bytes_of_part_);
    move(begin, std::min(bytes_, begin + bytes_of_part_));
  }

  size_t bytes_, bytes_of_part_;
  int parts_;
};

class Copy : public Limit {
 public:
  Copy(Workload *workload, int threads, size_t block)
      : Limit(workload->bytes(), threads),
        from_(workload->x()),
        to_(workload->y()),
        block_(block) {}

 private:
  void move(size_t begin, size_t end) override {
    for (size_t at = begin; at < end; at += block_) {
      std::memcpy(to_ + at, from_ + at, std::min(block_, end - at));
    }
  }

  const uint8_t *from_;
  uint8_t *to_;
  size_t block_;
};

// Integers, whose sums cost the same whatever the bytes are in their dtype. Compiled for the
// vectors of the machine, as memcpy is.
#if defined(__x86_64__)
__attribute__((target_clones("avx2", "default")))
#endif
void add(const uint16_t *__restrict a, const uint16_t *__restrict b, uint16_t *__restrict sum, size_t count) {
  for (size_t i = 0; i < count; ++i) sum[i] = static_cast<uint16_t>(a[i] + b[i]);
}

class Triad : public Limit {
 public:
  Triad(Workload *workload, int threads)
      : Limit(workload->bytes(), threads),
        dy_(workload->dy()),
        x_(workload->x()),
        dx_(workload->dx()) {}

 private:
  void move(size_t begin, size_t end) override {
    const auto at = [begin](auto *bytes) {
      return reinterpret_cast<const uint16_t *>(bytes + begin);
    };
    add(at(dy_), at(x_), reinterpret_cast<uint16_t *>(dx_ + begin),
        (end - begin) / sizeof(uint16_t));
  }

  const uint8_t *dy_, *x_;
  uint8_t *dx_;
};

}  // namespace

void append_limits(Workload *workload, int threads, std::vector<Contender> *contenders) {
  const auto append = [&](const char *name, std::unique_ptr<Solver> solver, const char *trouble) {
    contenders->push_back({Kind::limit, name, "", trouble, std::move(solver), {}});
  };
  if (!workload->problem().is_backward()) {
    append("copy", std::make_unique<Copy>(workload, threads, workload->bytes()), "");
    append("copy, plain stores", std::make_unique<Copy>(workload, threads, kPlainBlock), "");
  } else if (workload->problem().has_dx()) {
    append("triad", std::make_unique<Triad>(workload, threads), "");
  } else {
    append("triad", nullptr, "absent: no dx to write");
  }
}

}  // namespace halnorm_bench
