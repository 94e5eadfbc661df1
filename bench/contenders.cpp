// SPDX-License-Identifier: Apache-2.0
#include "contenders.h"

#include <algorithm>
#include <regex>

#include "baselines.h"
#include "halnorm_rows.h"
#include "limits.h"
#include "onednn_contender.h"
#include "workload.h"

namespace halnorm_bench {
namespace {

Rounding rounding_of(Kind kind) {
  switch (kind) {
    case Kind::default_row:
    case Kind::chosen_row:
    case Kind::other_row:
      return Rounding::trees;
    default:
      return Rounding::any_order;
  }
}

}  // namespace

std::vector<Contender> make_contenders(Workload *workload, const Options &options) {
  std::vector<Contender> contenders;
  append_baselines(workload, options.target, &contenders);
  append_halnorm(workload, options, &contenders);
  append_one_dnn(workload, options.threads, &contenders);
  append_limits(workload, options.threads, &contenders);

  const std::regex wanted(options.contenders);
  contenders.erase(std::remove_if(contenders.begin(), contenders.end(),
                                  [&](const Contender &contender) {
                                    return !std::regex_search(contender.name, wanted);
                                  }),
                   contenders.end());
  for (Contender &contender : contenders) {
    if (contender.solver == nullptr || contender.kind == Kind::limit) continue;
    contender.trouble = workload->check(contender.solver.get(), rounding_of(contender.kind));
    if (!contender.trouble.empty()) contender.solver.reset();
  }
  workload->drop_reference();
  return contenders;
}

}  // namespace halnorm_bench
