// SPDX-License-Identifier: Apache-2.0
#ifndef HALNORM_BENCH_PEERS_H_
#define HALNORM_BENCH_PEERS_H_

#include <string>
#include <vector>

#include "contenders.h"

namespace halnorm_bench {

struct PeerVersion {
  std::string name;
  std::string version;  // empty when the peer is absent
};

// In the order of the table.
std::vector<PeerVersion> peer_versions();

// Appends the other libraries, or why one cannot take the problem.
void append_peers(Workload *workload, int threads, std::vector<Contender> *contenders);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_H_
