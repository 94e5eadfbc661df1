// SPDX-License-Identifier: Apache-2.0
// Immediate post-dominators, by the iteration of Cooper, Harvey and Kennedy ("A Simple, Fast
// Dominance Algorithm", 2001) on the reversed graph. Its nodes are instructions, and the exit.
#include <vector>

#include "module.h"

namespace halnorm_ptx {
namespace {

class PostDominators {
 public:
  explicit PostDominators(const Function &function)
      : exit_(static_cast<uint32_t>(function.code.size())),
        successors_(exit_),
        predecessors_(exit_ + 1),
        order_(exit_ + 1, kNone),
        immediate_(exit_ + 1, kNone) {
    for (uint32_t node = 0; node < exit_; ++node) {
      const Instruction &instruction = function.code[node];
      const std::string &name = instruction.opcode->name;
      const bool ends = name == "ret" || name == "exit";
      if (ends) connect(node, exit_);
      if (instruction.target != kNone) connect(node, instruction.target);
      const bool goes_on = !ends && instruction.target == kNone;
      if (goes_on || instruction.guard != kNone) connect(node, node + 1);
    }
    number_nodes();
    iterate();
  }

  uint32_t of(uint32_t node) const { return immediate_[node] == exit_ ? kNone : immediate_[node]; }

 private:
  void connect(uint32_t from, uint32_t to) {
    successors_[from].push_back(to);
    predecessors_[to].push_back(from);
  }

  // In postorder of a walk against the edges, from the exit.
  void number_nodes() {
    std::vector<std::pair<uint32_t, size_t>> path = {{exit_, 0}};
    std::vector<bool> seen(exit_ + 1);
    seen[exit_] = true;
    while (!path.empty()) {
      const uint32_t node = path.back().first;
      if (path.back().second == predecessors_[node].size()) {
        order_[node] = static_cast<uint32_t>(by_order_.size());
        by_order_.push_back(node);
        path.pop_back();
        continue;
      }
      const uint32_t next = predecessors_[node][path.back().second++];
      if (seen[next]) continue;
      seen[next] = true;
      path.push_back({next, 0});
    }
  }

  void iterate() {
    immediate_[exit_] = exit_;
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t k = by_order_.size() - 1; k-- > 0;) {
        const uint32_t node = by_order_[k];
        uint32_t meeting = kNone;
        for (const uint32_t next : successors_[node]) {
          if (immediate_[next] == kNone) continue;
          meeting = meeting == kNone ? next : meet(meeting, next);
        }
        changed |= immediate_[node] != meeting;
        immediate_[node] = meeting;
      }
    }
  }

  uint32_t meet(uint32_t a, uint32_t b) const {
    while (a != b) {
      while (order_[a] < order_[b]) a = immediate_[a];
      while (order_[b] < order_[a]) b = immediate_[b];
    }
    return a;
  }

  uint32_t exit_;
  std::vector<std::vector<uint32_t>> successors_, predecessors_;
  std::vector<uint32_t> order_, by_order_, immediate_;
};

}  // namespace

void find_reconvergence(Function *function) {
  const PostDominators post_dominators(*function);
  for (uint32_t k = 0; k < function->code.size(); ++k) {
    Instruction &instruction = function->code[k];
    if (instruction.target == kNone || instruction.guard == kNone) continue;
    instruction.reconverge = post_dominators.of(k);
  }
}

}  // namespace halnorm_ptx
