// SPDX-License-Identifier: Apache-2.0
// The tensors of the workload as PyTorch's, and what its two contenders have in common.
#ifndef HALNORM_BENCH_PEERS_PYTORCH_H_
#define HALNORM_BENCH_PEERS_PYTORCH_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <memory>
#include <string>

#include "peer.h"

namespace halnorm_bench {

// On the memory of the workload. Undefined where the problem has no such tensor.
struct PyTorchTensors {
  PyTorchTensors(const halnorm_test::Problem &problem, const PeerTensors &tensors);

  std::array<bool, 3> wanted() const { return {dx.defined(), dgamma.defined(), dbeta.defined()}; }

  at::Tensor x, y, dy, dx, gamma, beta, dgamma, dbeta, mean, rstd, running_mean, running_var;

 private:
  void become_one_sample(const halnorm_test::Problem &problem);
};

class PyTorchSolver : public Solver {
 public:
  PyTorchSolver(const halnorm_test::Problem &problem, const PeerTensors &tensors, int threads);

  bool run() override;
  std::string failure() const override { return failure_; }
  // Of the operator or kernel.
  virtual std::string name() const = 0;

 protected:
  virtual void compute() = 0;

  const halnorm_test::Problem p_;
  const PyTorchTensors t_;

 private:
  std::string failure_;
};

// As users call it. What an operator gives back it allocates, unless it takes the outputs: of all
// of them only batch norm forward does.
std::unique_ptr<PyTorchSolver> make_pytorch_operator(const halnorm_test::Problem &problem,
                                                     const PeerTensors &tensors, int threads);

// The kernel that the operator calls when it has allocated its results, which here lie where the
// workload has them. False where the operator has none of its own, writes to given memory itself,
// or copies its inputs first.
bool pytorch_has_kernel(const halnorm_test::Problem &problem);
std::unique_ptr<PyTorchSolver> make_pytorch_kernel(const halnorm_test::Problem &problem,
                                                   const PeerTensors &tensors, int threads);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_PYTORCH_H_
