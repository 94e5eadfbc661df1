// SPDX-License-Identifier: Apache-2.0
// The search for the schedules of one kernel: successive halving (Jamieson, Talwalkar:
// Non-stochastic best arm identification and hyperparameter optimization, 2016) over batches of
// points, each a third of the one before with more problems and rounds; then batches of neighbours
// of the best and mixtures of two good ones among random points, until the time is spent or nothing
// is left to try.
#ifndef HALNORM_SCHEDULES_TUNE_SEARCH_H_
#define HALNORM_SCHEDULES_TUNE_SEARCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "buckets.h"
#include "log.h"
#include "measure.h"
#include "program.h"
#include "rows.h"
#include "schedule.h"

namespace halnorm_tune {

// A problem that the kernel has a good share in.
struct Use {
  std::string problem;
  Size size;
};

struct FamilyPlan {
  Family family;
  Template schedule;                 // the family's, for the rows of its uses
  std::vector<Row> rows;             // that serve it now
  Row default_row;                   // the one whose bits are right by definition
  std::vector<std::string> checked;  // small problems of odd sizes that it takes part in
  std::vector<Use> uses;
  std::vector<Settings> seeds;  // what did well for kernels like it
};

struct FamilyResult {
  std::vector<Row> rows;           // better ones; empty: those there are stay
  std::vector<Settings> settings;  // of those rows
  double gain = 1;                 // over the library's
  int tried = 0, refused = 0;
};

class Search {
 public:
  // Told after every candidate: how many, and the best score so far.
  using Progress = std::function<void(int tried, double best)>;

  Search(ProgramBuilder *builder, Measurer *measurer, Log *log, uint64_t seed,
         std::string provenance)
      : builder_(*builder),
        measurer_(*measurer),
        log_(*log),
        seed_(seed),
        provenance_(std::move(provenance)) {}

  // Spends about so many seconds; measurements that the log has count as if they were taken now.
  FamilyResult run(const FamilyPlan &plan, double seconds, const Progress &progress);

  // Of all families, those of the log included.
  double spent() const { return spent_; }

 private:
  struct Tried {
    std::map<size_t, Outcome> rungs;  // as far as it came
    int64_t bytes = 0;
  };

  Point point_of(const Row &row) const;
  void halve(std::vector<Point> points, const std::string &origin);
  void evaluate(const std::vector<Point> &points, size_t rung, const std::string &origin);
  Outcome measure(const Point &point, size_t rung);
  void build(const std::vector<Point> &points);
  std::vector<Point> next_batch();
  std::vector<Point> best_first(size_t rung) const;
  std::vector<std::string> problems_of(size_t rung) const;
  std::vector<Point> finalists() const;
  FamilyResult choose();
  std::string key(const Point &point, size_t rung) const;

  ProgramBuilder &builder_;
  Measurer &measurer_;
  Log &log_;
  const uint64_t seed_;
  const std::string provenance_;
  double spent_ = 0;
  double unlogged_ = 0;  // of it, what the next line of the log has to count

  // Of the family at hand.
  const FamilyPlan *plan_ = nullptr;
  const Progress *progress_ = nullptr;
  std::mt19937_64 random_;
  std::map<Point, Tried> tried_;
  std::set<uint64_t> digests_;
  std::map<Point, Built> built_;  // in the present program
  int refused_ = 0;
  std::string library_assembly_;  // of its last row's kernel, for the model
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_SEARCH_H_
