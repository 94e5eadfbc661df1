// SPDX-License-Identifier: Apache-2.0
#include "summary.h"

#include <algorithm>
#include <cstdio>

#include "rounds.h"

namespace halnorm_bench {
namespace {

constexpr char kBestPeer[] = "best peer";
constexpr double kBehind = 0.95;

void remember(const std::string &text, std::vector<std::string> *texts) {
  if (std::find(texts->begin(), texts->end(), text) == texts->end()) texts->push_back(text);
}

}  // namespace

void Summary::add(const std::string &problem, Cache cache,
                  const std::vector<Contender> &contenders) {
  ++problems_;
  const Contender *own = nullptr;
  std::vector<const Contender *> timed;
  for (const Contender &contender : contenders) {
    if (!contender.trouble.empty() && contender.trouble.rfind("absent", 0) != 0) {
      ++troubled_;
      if (contender.trouble.rfind("wrong", 0) == 0) ++wrong_;
      if (is_halnorm(contender.kind)) ++broken_;
    }
    if (contender.seconds.empty()) continue;
    timed.push_back(&contender);
    if (contender.kind == Kind::tuned_rows) own = &contender;
  }
  if (own == nullptr) return;
  const auto all_of = [&](Kind kind) {
    std::vector<const Contender *> found;
    for (const Contender *contender : timed) {
      if (contender->kind == kind) found.push_back(contender);
    }
    return found;
  };
  for (Kind kind :
       {Kind::default_rows, Kind::other_library, Kind::other_version, Kind::halide_default}) {
    for (const Contender *other : all_of(kind)) compare(problem, cache, *own, other->name, {other});
  }
  compare(problem, cache, *own, "best autoscheduler", all_of(Kind::autoscheduler));
  for (const Contender *peer : all_of(Kind::peer)) {
    compare(problem, cache, *own, peer->name, {peer});
  }
  compare(problem, cache, *own, kBestPeer, all_of(Kind::peer));
  compare(problem, cache, *own, "limit", all_of(Kind::limit));
}

void Summary::compare(const std::string &problem, Cache cache, const Contender &own,
                      const std::string &rival, const std::vector<const Contender *> &others) {
  if (others.empty()) return;
  const std::string operation = problem.substr(0, problem.find(':'));
  std::vector<double> minima, medians;
  for (const Contender *other : others) {
    minima.push_back(least(other->seconds));
    medians.push_back(median(other->seconds));
  }
  comparisons_.push_back({rival, problem, operation, cache, least(minima) / least(own.seconds),
                          least(medians) / median(own.seconds)});
  remember(rival, &rivals_);
  remember(operation, &operations_);
}

// Of all operations where none is named.
void Summary::print_group(Cache cache, const std::string &operation) const {
  bool printed_heading = false;
  for (const std::string &rival : rivals_) {
    std::vector<double> minima, medians;
    const Comparison *worst = nullptr;
    for (const Comparison &one : comparisons_) {
      if (one.rival != rival || one.cache != cache) continue;
      if (!operation.empty() && one.operation != operation) continue;
      minima.push_back(one.of_minima);
      medians.push_back(one.of_medians);
      if (worst == nullptr || one.of_minima < worst->of_minima) worst = &one;
    }
    if (worst == nullptr) continue;
    if (!printed_heading) {
      std::printf("  %s%s\n", operation.empty() ? "all operations" : operation.c_str(),
                  cache == Cache::cold ? ", cold" : "");
      printed_heading = true;
    }
    std::printf("    %-22s %6.2f / %6.2f %7.2f %4zu   %s\n", rival.c_str(), geometric_mean(minima),
                geometric_mean(medians), worst->of_minima, minima.size(), worst->problem.c_str());
  }
}

void Summary::print_behind() const {
  std::vector<const Comparison *> behind;
  for (const Comparison &one : comparisons_) {
    if (one.rival == kBestPeer && one.of_minima < kBehind) behind.push_back(&one);
  }
  if (behind.empty()) return;
  std::printf("More than 5 %% behind the best peer, by minima / by medians:\n");
  for (const Comparison *one : behind) {
    std::printf("  %.2f / %.2f  %s\n", one->of_minima, one->of_medians, one->problem.c_str());
  }
}

void Summary::print() const {
  if (!comparisons_.empty()) print_comparisons();
  if (troubled_ > 0) {
    std::printf("\n%d contender%s failed or wrong in %d problems: the tables name them.\n",
                troubled_, troubled_ == 1 ? " was" : "s were", problems_);
  }
}

void Summary::print_comparisons() const {
  std::printf(
      "\nTime of a rival over that of tuned rows, geometric means by minima / by medians: above 1 "
      "halnorm is quicker\n    %-22s %15s %7s %4s   %s\n",
      "", "mean", "least", "of", "the least, by minima, is");
  for (Cache cache : {Cache::warm, Cache::cold}) {
    print_group(cache, "");
    if (operations_.size() < 2) continue;
    for (const std::string &operation : operations_) print_group(cache, operation);
  }
  print_behind();
}

}  // namespace halnorm_bench
