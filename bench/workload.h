// SPDX-License-Identifier: Apache-2.0
// A problem, the one set of tensors that all contenders work on, and the check of what they wrote.
#ifndef HALNORM_BENCH_WORKLOAD_H_
#define HALNORM_BENCH_WORKLOAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
  uint8_t *dy() { return lowest(&*tensors_.dy); }
  uint8_t *dx() { return lowest(&*tensors_.dx); }
  // Of x without the gaps.
  size_t bytes() const;
  // What each contender has to read and to write at least: x and y, or dy, x and dx.
  size_t traffic() const { return (problem().is_backward() ? 3 : 2) * bytes(); }

  // Runs it once. Empty when all it wrote is right; else what is not, and none should be timed.
  std::string check(Solver *solver, Rounding rounding);
  // The reference takes four times the memory of an f32 tensor.
  void drop_reference() { expected_.reset(); }

 private:
  uint8_t *lowest(halnorm_test::Tensor *tensor);
  void forget_outputs();

  halnorm_test::Tensors tensors_;
  std::vector<float> running_mean_, running_var_;  // before any training
  std::optional<halnorm_test::Expected> expected_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_WORKLOAD_H_
