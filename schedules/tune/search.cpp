// SPDX-License-Identifier: Apache-2.0
#include "search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace halnorm_tune {
namespace {

using nlohmann::json;

struct Rung {
  size_t problems;
  Effort effort;
};
// The last one is the judge: a run of its own of those that may become rows.
constexpr size_t kRungs = 3, kJudge = 3;
constexpr Rung kLadder[] = {{3, {9, 1, 1}}, {6, {15, 1, 1}}, {10, {21, 1, 3}}, {10, {45, 1, 5}}};
constexpr size_t kBatch = 18, kThird = 3;
constexpr size_t kMostPromising = 6;
// A further row costs a kernel: it has to gain this much, summed over the problems that it is for.
constexpr double kWorthOfARow = 0.04;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

json to_json(const Outcome &outcome) {
  json problems = json::array();
  for (const auto &[problem, ratio] : outcome.ratios) {
    problems.push_back(
        {{"problem", problem}, {"ratio", std::exp(ratio.log)}, {"noise", ratio.noise}});
  }
  json line = {{"status", outcome.status}, {"cost", outcome.seconds}, {"problems", problems}};
  if (outcome.good()) {
    line["score"] = std::exp(outcome.score().log);
  } else {
    line["message"] = outcome.message;
  }
  return line;
}

Outcome from_json(const json &line) {
  Outcome outcome = {line.at("status"), line.value("message", ""), {}, line.at("cost")};
  for (const json &problem : line.at("problems")) {
    outcome.ratios[problem.at("problem")] = {std::log(problem.at("ratio").get<double>()),
                                             problem.at("noise")};
  }
  return outcome;
}

}  // namespace

std::string Search::key(const Point &point, size_t rung) const {
  return plan_->family.name() + " : " + point.knobs() + " : " + point.launch() + " : rung " +
         std::to_string(rung);
}

// Spread evenly over the list, which is in the order of size.
std::vector<std::string> Search::problems_of(size_t rung) const {
  const size_t all = plan_->uses.size(), count = std::min(all, kLadder[rung].problems);
  std::vector<std::string> problems;
  for (size_t i = 0; i < count; ++i) {
    problems.push_back(plan_->uses[(2 * i + 1) * all / (2 * count)].problem);
  }
  return problems;
}

Point Search::point_of(const Row &row) const { return Point(plan_->schedule, row.settings()); }

void Search::build(const std::vector<Point> &points) {
  const auto start = std::chrono::steady_clock::now();
  const Point reference = point_of(plan_->default_row);
  std::vector<Point> all = {reference};
  for (const Point &point : points) {
    if (std::find(all.begin(), all.end(), point) == all.end()) all.push_back(point);
  }
  const std::vector<Built> built = measurer_.models_assembly()
                                       ? builder_.generate(plan_->family, all)
                                       : builder_.build(plan_->family, all);
  built_.clear();
  for (size_t i = 0; i < all.size(); ++i) built_.emplace(all[i], built[i]);
  unlogged_ += seconds_since(start);
}

Outcome Search::measure(const Point &point, size_t rung) {
  const Built &built = built_.at(point);
  if (!built.trouble.empty()) {
    return {built.status, built.trouble, {}, 0};
  }
  if (rung == 0 && point.launch().empty() && !digests_.insert(built.weight.digest).second) {
    return {"duplicate", "the code of an earlier point", {}, 0};
  }
  // What a model says of all problems once, it says again.
  const bool models = measurer_.options().metric == Metric::model;
  if (models && rung > 0) return tried_.at(point).rungs.at(0);
  if (measurer_.models_assembly()) {
    if (library_assembly_.empty()) {
      library_assembly_ = builder_.assembly(plan_->family, point_of(plan_->rows.back()));
    }
    return measurer_.model(builder_.assembly(plan_->family, point), library_assembly_);
  }
  const size_t effort = models ? kJudge : rung;
  return measurer_.run(builder_.program(), built.symbol, "halnorm_point_0", plan_->checked,
                       problems_of(effort), kLadder[effort].effort);
}

void Search::evaluate(const std::vector<Point> &points, size_t rung, const std::string &origin) {
  for (const Point &point : points) {
    Tried &tried = tried_[point];
    const json *known = log_.recall(key(point, rung));
    if (known == nullptr && built_.count(point) == 0) build(points);
    Outcome outcome;
    if (known != nullptr) {
      outcome = from_json(*known);
      tried.bytes = known->at("bytes");
      digests_.insert(known->at("digest").get<uint64_t>());
    } else {
      const auto start = std::chrono::steady_clock::now();
      outcome = measure(point, rung);
      outcome.seconds = seconds_since(start) + std::exchange(unlogged_, 0);
      tried.bytes = built_.at(point).weight.bytes;
      json line = to_json(outcome);
      line.update({{"at", spent_ + outcome.seconds},
                   {"kernel", plan_->family.name()},
                   {"rung", rung},
                   {"origin", origin},
                   {"knobs", point.knobs()},
                   {"launch", point.launch()},
                   {"bytes", tried.bytes},
                   {"digest", built_.at(point).weight.digest}});
      log_.append(key(point, rung), line);
    }
    spent_ += outcome.seconds;
    if (!outcome.good()) ++refused_;
    tried.rungs[rung] = std::move(outcome);
    const std::vector<Point> best = best_first(kRungs - 1);
    (*progress_)(static_cast<int>(tried_.size()),
                 best.empty() ? 1 : std::exp(tried_.at(best[0]).rungs.at(kRungs - 1).score().log));
  }
}

// Those that were timed on a rung, by their score on it.
std::vector<Point> Search::best_first(size_t rung) const {
  std::vector<std::pair<double, const Point *>> scored;
  for (const auto &[point, tried] : tried_) {
    const auto found = tried.rungs.find(rung);
    if (found != tried.rungs.end() && found->second.good()) {
      scored.push_back({-found->second.score().log, &point});
    }
  }
  std::sort(scored.begin(), scored.end(),
            [](const auto &a, const auto &b) { return a.first < b.first; });
  std::vector<Point> points;
  for (const auto &[score, point] : scored) points.push_back(*point);
  return points;
}

void Search::halve(std::vector<Point> points, const std::string &origin) {
  for (size_t rung = 0; rung < kRungs && !points.empty(); ++rung) {
    evaluate(points, rung, origin);
    const std::vector<Point> ranked = best_first(rung);
    std::vector<Point> survivors;
    const size_t most = std::max<size_t>(1, points.size() / kThird);
    for (const Point &point : ranked) {
      const bool is_new = std::find(points.begin(), points.end(), point) != points.end();
      if (is_new && survivors.size() < most) survivors.push_back(point);
    }
    points = survivors;
  }
}

std::vector<Point> Search::next_batch() {
  std::vector<Point> batch;
  const auto add = [&](const Point &point) {
    const bool is_new =
        tried_.count(point) == 0 && std::find(batch.begin(), batch.end(), point) == batch.end();
    if (is_new && batch.size() < kBatch) batch.push_back(point);
  };
  const std::vector<Point> best = best_first(kRungs - 1);
  // The best over all, and those that are best on some problem, which may become rows of their own.
  std::vector<Point> promising = finalists();
  while (promising.size() > kMostPromising) promising.pop_back();
  for (const Point &point : promising) {
    std::vector<Point> around = point.neighbours();
    std::shuffle(around.begin(), around.end(), random_);
    for (size_t i = 0; i < std::min<size_t>(4, around.size()); ++i) add(around[i]);
  }
  for (size_t i = 0; best.size() > 1 && i < kBatch / 6; ++i) {
    add(Point::mix(best[0], best[1 + random_() % (best.size() - 1)], &random_));
  }
  for (size_t i = 0; i < 4 * kBatch && batch.size() < kBatch; ++i) {
    add(Point::random(plan_->schedule, &random_));
  }
  return batch;
}

// The best over all problems, then the best on each.
std::vector<Point> Search::finalists() const {
  std::vector<Point> chosen;
  const auto add = [&](const Point &point) {
    if (std::find(chosen.begin(), chosen.end(), point) == chosen.end()) chosen.push_back(point);
  };
  const std::vector<Point> ranked = best_first(kRungs - 1);
  for (size_t i = 0; i < std::min<size_t>(2, ranked.size()); ++i) add(ranked[i]);
  for (const std::string &problem : problems_of(kRungs - 1)) {
    const auto score = [&](const Point &point) {
      const auto &ratios = tried_.at(point).rungs.at(kRungs - 1).ratios;
      const auto found = ratios.find(problem);
      return found == ratios.end() ? -1e9 : found->second.log;
    };
    const auto best =
        std::max_element(ranked.begin(), ranked.end(),
                         [&](const Point &a, const Point &b) { return score(a) < score(b); });
    if (best != ranked.end()) add(*best);
  }
  return chosen;
}

FamilyResult Search::run(const FamilyPlan &plan, double seconds, const Progress &progress) {
  plan_ = &plan;
  progress_ = &progress;
  random_.seed(seed_ + std::hash<std::string>()(plan.family.name()));
  tried_.clear();
  digests_.clear();
  built_.clear();
  refused_ = 0;
  library_assembly_.clear();
  const double begin = spent_, end = begin + seconds;

  // What there is comes first, and to the last rung: all else is measured against it.
  std::vector<Point> known = {point_of(plan.default_row)};
  const auto add = [&](const Point &point) {
    if (std::find(known.begin(), known.end(), point) == known.end()) known.push_back(point);
  };
  for (const Row &row : plan.rows) add(point_of(row));
  for (size_t rung = 0; rung < kRungs; ++rung) evaluate(known, rung, "incumbent");
  std::vector<Point> seeds;
  for (const Settings &settings : plan.seeds) {
    const Point seed(plan.schedule, settings);
    if (tried_.count(seed) == 0 && std::find(seeds.begin(), seeds.end(), seed) == seeds.end()) {
      seeds.push_back(seed);
    }
  }
  // No more points at a time than can be expected to fit, so that kernels to come have theirs.
  const auto halve_what_fits = [&](std::vector<Point> points, const std::string &origin) {
    const double each = (spent_ - begin) / static_cast<double>(tried_.size());
    const double fitting = std::max(double{kThird}, (end - spent_) / each);
    if (static_cast<double>(points.size()) > fitting) {
      points.erase(points.begin() + static_cast<std::ptrdiff_t>(fitting), points.end());
    }
    halve(points, origin);
  };
  halve_what_fits(seeds, "seed");
  while (spent_ < end) {
    const std::vector<Point> batch = next_batch();
    if (batch.empty()) break;
    halve_what_fits(batch, "move");
  }
  return choose();
}

// Cuts the sizes up by what was measured, then lets the judge measure the rows anew: that a point
// was the best of many is partly luck.
FamilyResult Search::choose() {
  FamilyResult result;
  result.tried = static_cast<int>(tried_.size());
  result.refused = refused_;
  const std::vector<Point> points = finalists();
  if (points.empty()) return result;
  const Point standard = point_of(plan_->default_row);

  std::vector<Size> sizes;
  const std::vector<std::string> problems = problems_of(kRungs - 1);
  for (const Use &use : plan_->uses) {
    if (std::find(problems.begin(), problems.end(), use.problem) != problems.end()) {
      sizes.push_back(use.size);
    }
  }
  const auto scores_on = [&](size_t rung, const Point &point) {
    std::vector<double> scores;
    for (const std::string &problem : problems) {
      const auto &ratios = tried_.at(point).rungs.at(rung).ratios;
      const auto found = ratios.find(problem);
      scores.push_back(found == ratios.end() ? 0 : found->second.log);
    }
    return scores;
  };
  std::vector<std::vector<double>> scores;
  for (const Point &point : points) scores.push_back(scores_on(kRungs - 1, point));
  const std::vector<Bucket> first_choice = choose_buckets(sizes, scores, kWorthOfARow);

  std::vector<Point> judged = {standard};
  for (const Bucket &bucket : first_choice) {
    const Point &point = points[bucket.choice];
    if (std::find(judged.begin(), judged.end(), point) == judged.end()) judged.push_back(point);
  }
  built_.clear();
  evaluate(judged, kJudge, "judge");
  for (const Point &point : judged) {
    if (!tried_.at(point).rungs.at(kJudge).good()) return result;
  }
  scores.clear();
  for (const Point &point : judged) scores.push_back(scores_on(kJudge, point));
  const std::vector<Bucket> buckets = choose_buckets(sizes, scores, kWorthOfARow);

  Ratio gain, over_default;
  std::vector<double> of_bucket(buckets.size(), 0), count(buckets.size(), 0);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto bucket = std::find_if(buckets.begin(), buckets.end(), [&](const Bucket &b) {
      return b.bounds.hold(sizes[i].n, sizes[i].bytes);
    });
    const auto at = static_cast<size_t>(bucket - buckets.begin());
    const Ratio &ratio = tried_.at(judged[bucket->choice]).rungs.at(kJudge).ratios.at(problems[i]);
    gain.log += ratio.log;
    gain.noise += ratio.noise * ratio.noise;
    of_bucket[at] += ratio.log - scores[0][i];
    count[at] += 1;
  }
  const auto total = static_cast<double>(sizes.size());
  if (gain.log <= std::sqrt(gain.noise)) return result;  // no more than the noise
  result.gain = std::exp(gain.log / total);
  for (size_t b = 0; b < buckets.size(); ++b) {
    const Point &point = judged[buckets[b].choice];
    Bounds bounds = buckets[b].bounds;
    // Longer rows would be left to other kernels: what comes after is better for them.
    if (bounds.longest != kAnyLength && point.held()) {
      bounds.longest = std::min(bounds.longest, int64_t{*point.held()});
    }
    const Family &family = plan_->family;
    result.settings.push_back(point.settings());
    result.rows.push_back({family.operation,
                           family.part,
                           family.dtype,
                           bounds,
                           point.knobs(),
                           point.launch(),
                           provenance_,
                           {std::exp(of_bucket[b] / std::max(1.0, count[b]))},
                           tried_.at(point).bytes});
    const Row &row = result.rows.back();
    log_.append(key(point, 100 + b), {{"at", spent_},
                                      {"kernel", family.name()},
                                      {"row", print_row(row)},
                                      {"gain", row.gains[0]},
                                      {"bytes", row.bytes}});
  }
  return result;
}

}  // namespace halnorm_tune
