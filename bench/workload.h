// SPDX-License-Identifier: Apache-2.0
// A problem, the one set of tensors that all contenders work on, and the check of what they wrote.
#ifndef HALNORM_BENCH_WORKLOAD_H_
#define HALNORM_BENCH_WORKLOAD_H_

#include <cstdint>
#include <list>
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
  size_t traffic() const;

  // Runs it once. Empty when all it wrote is right; else what is not, and none should be timed. Of
  // those that sum by the trees, all have to give the bits of the first.
  std::string check(Solver *solver, Rounding rounding);
  // The reference takes four times the memory of an f32 tensor.
  void drop_reference();

 private:
  uint8_t *lowest(halnorm_test::Tensor *tensor);
  void forget_outputs();
  std::string compare_bits(const std::vector<halnorm_test::Output> &outputs);

  halnorm_test::Tensors tensors_;
  std::vector<float> running_mean_, running_var_;  // before any training
  std::optional<halnorm_test::Expected> expected_;
  std::vector<uint32_t> bits_;  // of all outputs, by the trees
};

// The tensors of a problem: once for warm calls; for cold ones so often that all together are four
// times the last-level cache.
class Workloads {
 public:
  Workloads(const halnorm_test::Problem &problem, Cache cache);

  Workload &first() { return first_; }
  std::list<Workload> &others() { return others_; }
  // Of the problem with the caches, in the results.
  const std::string &name() const { return name_; }

  // Why a problem cannot be timed cold; empty when it can.
  static std::string unsuitable(const halnorm_test::Problem &problem, Cache cache);

 private:
  Workload first_;
  std::list<Workload> others_;
  std::string name_;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_WORKLOAD_H_
