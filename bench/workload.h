// SPDX-License-Identifier: Apache-2.0
// A problem, the one set of tensors that all contenders work on, and the check of what they wrote.
#ifndef HALNORM_BENCH_WORKLOAD_H_
#define HALNORM_BENCH_WORKLOAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "contenders.h"
#include "reference.h"
#include "tensors.h"

namespace halnorm_bench {

class Workload {
 public:
  explicit Workload(const halnorm_test::Problem &problem);

  const halnorm_test::Problem &problem() const { return tensors_.problem; }
  halnorm_test::Tensors &tensors() { return tensors_; }

  // The lowest byte of an operand that the problem has; tensors begin on a page.
  uint8_t *x() { return lowest(&tensors_.x); }
  uint8_t *y() { return lowest(&*tensors_.y); }
  // Of x without the gaps: what each contender has to read at least, and to write.
  size_t bytes() const;

  // Runs it once. Empty when all it wrote is right; else what is not, and none should be timed.
  std::string check(Solver *solver, Rounding rounding);
  // The reference takes four times the memory of an f32 tensor.
  void drop_reference() { expected_.reset(); }

 private:
  uint8_t *lowest(halnorm_test::Tensor *tensor);

  halnorm_test::Tensors tensors_;
  std::optional<halnorm_test::Expected> expected_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_WORKLOAD_H_
