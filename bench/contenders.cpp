// SPDX-License-Identifier: Apache-2.0
#include "contenders.h"

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <utility>

#include "baselines.h"
#include "halnorm_contenders.h"
#include "limits.h"
#include "peers.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

// The same solver on each of several workloads in turn.
class Rotation : public Solver {
 public:
  void add(std::unique_ptr<Solver> solver) { solvers_.push_back(std::move(solver)); }

  bool run() override {
    at_ = at_ + 1 < solvers_.size() ? at_ + 1 : 0;
    return solvers_[at_]->run();
  }
  std::string failure() const override { return solvers_[at_]->failure(); }

 private:
  std::vector<std::unique_ptr<Solver>> solvers_;
  size_t at_ = 0;
};

std::vector<Contender> contenders_of(Workload *workload, const Options &options) {
  std::vector<Contender> contenders;
  append_baselines(workload, options.target, &contenders);
  append_halnorm(workload, options, &contenders);
  append_peers(workload, options.threads, &contenders);
  append_limits(workload, options.threads, &contenders);

  const std::regex wanted(options.contenders);
  contenders.erase(std::remove_if(contenders.begin(), contenders.end(),
                                  [&](const Contender &contender) {
                                    return !std::regex_search(contender.name, wanted);
                                  }),
                   contenders.end());
  return contenders;
}

// Lets each contender go on with the solver that it has on another workload.
void rotate(std::vector<Contender> *contenders, std::vector<Contender> others) {
  for (size_t i = 0; i < contenders->size(); ++i) {
    Contender &contender = (*contenders)[i];
    if (contender.solver == nullptr) continue;
    if (others[i].solver == nullptr) {
      contender.trouble = others[i].trouble;
      contender.solver.reset();
      continue;
    }
    static_cast<Rotation &>(*contender.solver).add(std::move(others[i].solver));
  }
}

}  // namespace

const char *name(Kind kind) {
  switch (kind) {
    case Kind::halide_default:
      return "halide_default";
    case Kind::autoscheduler:
      return "autoscheduler";
    case Kind::tuned_rows:
      return "tuned_rows";
    case Kind::default_rows:
      return "default_rows";
    case Kind::other_library:
      return "other_library";
    case Kind::other_version:
      return "other_version";
    case Kind::other_row:
      return "other_row";
    case Kind::peer:
      return "peer";
    case Kind::limit:
      return "limit";
  }
  std::abort();
}

bool is_halnorm(Kind kind) {
  return kind == Kind::tuned_rows || kind == Kind::default_rows || kind == Kind::other_library ||
         kind == Kind::other_version || kind == Kind::other_row;
}

std::vector<Contender> make_contenders(Workloads *workloads, const Options &options) {
  Workload &first = workloads->first();
  std::vector<Contender> contenders = contenders_of(&first, options);
  for (Contender &contender : contenders) {
    if (contender.solver == nullptr || contender.kind == Kind::limit) continue;
    const bool has_same_bits = is_halnorm(contender.kind) && contender.kind != Kind::other_version;
    contender.trouble =
        first.check(contender.solver.get(), has_same_bits ? Rounding::trees : Rounding::any_order);
    if (!contender.trouble.empty()) contender.solver.reset();
  }
  first.drop_reference();
  if (workloads->others().empty()) return contenders;
  for (Contender &contender : contenders) {
    if (contender.solver == nullptr) continue;
    auto rotation = std::make_unique<Rotation>();
    rotation->add(std::move(contender.solver));
    contender.solver = std::move(rotation);
  }
  for (Workload &other : workloads->others()) {
    rotate(&contenders, contenders_of(&other, options));
  }
  return contenders;
}

}  // namespace halnorm_bench
