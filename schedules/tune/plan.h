// SPDX-License-Identifier: Apache-2.0
// What there is to tune: which kernels take how much of which problems, and so which are worth how
// much of the time.
#ifndef HALNORM_SCHEDULES_TUNE_PLAN_H_
#define HALNORM_SCHEDULES_TUNE_PLAN_H_

#include <map>
#include <string>
#include <vector>

#include "log.h"
#include "measure.h"
#include "program.h"
#include "search.h"

namespace halnorm_tune {

// Problems of files (a problem on each line, # begins a comment) or written out, each in every one
// of the dtypes. Throws std::runtime_error for one that does not parse.
std::vector<std::string> read_problems(const std::vector<std::string> &files_or_problems,
                                       const std::vector<std::string> &dtypes);

// Shares[problem][kernel]: of the time of a call.
using Shares = std::map<std::string, std::map<std::string, double>>;
Shares profile(const std::vector<std::string> &problems, ProgramBuilder *builder,
               Measurer *measurer, Log *log);
// Where the model is asked of calls, all that takes part has a share, and nothing more is said.
Shares profile_parts(const std::vector<std::string> &problems, ProgramBuilder *builder,
                     Measurer *measurer);

struct Weighed {
  FamilyPlan plan;
  double weight;  // its shares, summed over all problems
};

// The families that have a schedule to choose and a share in any problem, the weightiest first,
// 16-bit ones after those of f32, whose schedules they try first. Where problems are not run, their
// bits are checked with few rows.
std::vector<Weighed> make_plan(const std::vector<Family> &families, const std::vector<Row> &rows,
                               const Shares &problems, const Shares &checked, bool check_few_rows);

// The same where nothing can be run: a CPU that the model knows stands in the place of a problem,
// and every family weighs the same.
std::vector<Weighed> make_model_plan(const std::vector<Family> &families,
                                     const std::vector<Row> &rows,
                                     const std::vector<std::string> &cpus);

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PLAN_H_
