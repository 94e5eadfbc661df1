// SPDX-License-Identifier: Apache-2.0
#include "peers.h"

#include <dlfcn.h>

#include <optional>

#include "peers/peer.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Tensor;
using halnorm_test::Tensors;

// The build writes them all: name, path of the shared object, and if that is empty the reason.
struct Listed {
  const char *name, *path, *why_not;
};
constexpr Listed kListed[] = {
#include "peer_table.inc"
};

struct Peer {
  std::string name;
  std::string why_not;  // empty when it is there
  decltype(&halnorm_bench_peer_version) version;
  decltype(&halnorm_bench_append_peer) append;
};

Peer open(const Listed &listed) {
  Peer peer = {listed.name, listed.why_not, nullptr, nullptr};
  if (*listed.path == '\0') return peer;
  // Local: the symbols of one peer are not to stand in for those of another. Never closed, since
  // threads of its library may live on.
  void *object = dlopen(listed.path, RTLD_NOW | RTLD_LOCAL);
  if (object != nullptr) {
    peer.version =
        reinterpret_cast<decltype(peer.version)>(dlsym(object, "halnorm_bench_peer_version"));
    peer.append =
        reinterpret_cast<decltype(peer.append)>(dlsym(object, "halnorm_bench_append_peer"));
  }
  if (peer.version == nullptr || peer.append == nullptr) peer.why_not = dlerror();
  return peer;
}

const std::vector<Peer> &peers() {
  static const std::vector<Peer> all = [] {
    std::vector<Peer> opened;
    for (const Listed &listed : kListed) opened.push_back(open(listed));
    return opened;
  }();
  return all;
}

halnorm_tensor view(std::optional<Tensor> *tensor) {
  return *tensor ? (*tensor)->view() : halnorm_tensor{};
}

}  // namespace

std::vector<PeerVersion> peer_versions() {
  std::vector<PeerVersion> versions;
  for (const Peer &peer : peers()) {
    versions.push_back({peer.name, peer.why_not.empty() ? peer.version() : ""});
  }
  return versions;
}

void append_peers(Workload *workload, int threads, std::vector<Contender> *contenders) {
  Tensors &all = workload->tensors();
  const PeerTensors tensors = {
      all.x.view(),     view(&all.y),    view(&all.dy),           view(&all.dx),
      view(&all.gamma), view(&all.beta), view(&all.dgamma),       view(&all.dbeta),
      view(&all.mean),  view(&all.rstd), view(&all.running_mean), view(&all.running_var)};
  for (const Peer &peer : peers()) {
    if (peer.why_not.empty()) {
      peer.append(workload->problem(), tensors, threads, contenders);
    } else {
      contenders->push_back({Kind::peer, peer.name, "", "absent: " + peer.why_not, nullptr, {}});
    }
  }
}

}  // namespace halnorm_bench
