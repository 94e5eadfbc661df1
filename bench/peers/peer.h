// SPDX-License-Identifier: Apache-2.0
// What halnorm_bench and the shared object of a peer have in common. Each peer is one, opened while
// the program runs, because their libraries cannot be linked into one program: PyTorch brings a
// oneDNN of its own, for one.
#ifndef HALNORM_BENCH_PEERS_PEER_H_
#define HALNORM_BENCH_PEERS_PEER_H_

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "../contenders.h"
#include "halnorm.h"
#include "problem.h"

namespace halnorm_bench {

// The tensors of the workload, which stay where they are. Without data: the problem has none.
struct PeerTensors {
  halnorm_tensor x, y, dy, dx, gamma, beta, dgamma, dbeta, mean, rstd, running_mean, running_var;
};

template <typename T = void>
T *data_of(const halnorm_tensor &tensor) {
  if (tensor.data == nullptr) return nullptr;
  return reinterpret_cast<T *>(static_cast<char *>(tensor.data) + tensor.byte_offset);
}

// Appends the solver that `create` makes, or as the reason for its absence why it is unsuitable for
// the problem, if it is, or what `create` throws.
template <typename Create>
void append_peer(const char *name, const std::string &unsuitable, Create create,
                 std::vector<Contender> *contenders) {
  Contender contender = {Kind::peer, name, "", "", nullptr, {}};
  try {
    if (!unsuitable.empty()) throw std::runtime_error(unsuitable);
    contender.solver = create(&contender.detail);
  } catch (const std::exception &error) {
    contender.trouble = std::string("absent: ") + error.what();
  }
  contenders->push_back(std::move(contender));
}

}  // namespace halnorm_bench

// What the shared object defines.
extern "C" {
// Of the library that was loaded.
const char *halnorm_bench_peer_version();
// Appends a contender for each way in which the peer solves the problem, absent ones included.
void halnorm_bench_append_peer(const halnorm_test::Problem &problem,
                               const halnorm_bench::PeerTensors &tensors, int threads,
                               std::vector<halnorm_bench::Contender> *contenders);
}

#endif  // HALNORM_BENCH_PEERS_PEER_H_
