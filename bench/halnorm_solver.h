// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_HALNORM_SOLVER_H_
#define HALNORM_BENCH_HALNORM_SOLVER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "contenders.h"
#include "halnorm_api.h"

namespace halnorm_bench {

// The public API, as a program calls it that keeps its context and its descriptions of tensors.
// Tensors::call() describes them anew each time, for 0.1 us, which is much of a small call.
class HalnormSolver : public Solver {
 public:
  // An empty kernel leaves the choice to the library.
  HalnormSolver(Workload *workload, const HalnormApi &api, const Options &options,
                const std::string &kernel);
  ~HalnormSolver() override { api_.context_destroy(context_); }
  HalnormSolver(const HalnormSolver &) = delete;
  HalnormSolver &operator=(const HalnormSolver &) = delete;

  bool run() override { return ready_ && call() == HALNORM_OK; }
  std::string failure() const override { return api_.last_error(); }

 private:
  // A description of a tensor for the C API; it converts to null where there is no tensor.
  class View {
   public:
    explicit View(std::optional<halnorm_test::Tensor> *tensor) : given_(tensor->has_value()) {
      if (given_) view_ = (*tensor)->view();
    }
    explicit View(halnorm_test::Tensor *tensor) : given_(true), view_(tensor->view()) {}
    operator halnorm_tensor *() { return given_ ? &view_ : nullptr; }

   private:
    bool given_;
    halnorm_tensor view_ = {};
  };

  HalnormSolver(halnorm_test::Tensors *tensors, const HalnormApi &api);
  halnorm_status call();

  const HalnormApi &api_;
  const halnorm_test::Problem problem_;
  View x_, y_, dy_, dx_, gamma_, beta_, dgamma_, dbeta_, mean_, rstd_, running_mean_, running_var_;
  uint32_t flags_ = 0;
  halnorm_context *context_ = nullptr;
  bool ready_ = false;
};

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_HALNORM_SOLVER_H_
