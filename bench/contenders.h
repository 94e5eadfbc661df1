// SPDX-License-Identifier: Apache-2.0
// Whoever solves a problem, behind one interface.
#ifndef HALNORM_BENCH_CONTENDERS_H_
#define HALNORM_BENCH_CONTENDERS_H_

#include <memory>
#include <string>
#include <vector>

#include "options.h"
#include "tensors.h"

namespace halnorm_bench {

class Workload;
class Workloads;

// One way to solve a problem, on the tensors of the workload it was made for. Whatever a user
// prepares once is done when it is made: run() alone is timed.
class Solver {
 public:
  virtual ~Solver() = default;

  virtual bool run() = 0;
  // Why the last run() returned false.
  virtual std::string failure() const = 0;
  // Brings what run() wrote elsewhere into the tensors, to be checked. Never timed.
  virtual void hand_over(halnorm_test::Tensors *) {}
};

enum class Kind {
  halide_default,  // Halide's default schedule
  autoscheduler,
  tuned_rows,     // halnorm as a user gets it
  default_rows,   // halnorm with the rows that a target without tuned rows gets
  other_library,  // another build of halnorm
  other_version,  // another version of halnorm, which may have other bits
  other_row,      // halnorm with another row for the last part
  peer,
  limit,
};
const char *name(Kind kind);
bool is_halnorm(Kind kind);

// How far results may be from the reference: as halnorm's trees promise, all of whose schedules
// give the same bits, or as any order of the sums allows.
enum class Rounding { trees, any_order };

struct Contender {
  Kind kind;
  std::string name;
  std::string detail;              // which schedule, kernel or implementation
  std::string trouble;             // why it is not timed: absent, failed or wrong; else empty
  std::unique_ptr<Solver> solver;  // null when absent
  std::vector<double> seconds;     // of a call, one for each round
};

// All there are for the problem, absent ones included, in the order of the table. Those that run
// have been checked against the reference, the limits excepted. Each call of a solver is on the
// next of the workloads.
std::vector<Contender> make_contenders(Workloads *workloads, const Options &options);

}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_CONTENDERS_H_
