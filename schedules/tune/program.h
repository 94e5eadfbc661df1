// SPDX-License-Identifier: Apache-2.0
// Builds the programs that are run on trial: the library with further kernels at the end of its
// table, where only a call that asks for them finds them.
#ifndef HALNORM_SCHEDULES_TUNE_PROGRAM_H_
#define HALNORM_SCHEDULES_TUNE_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kit.h"
#include "object_file.h"
#include "process.h"
#include "schedule.h"

namespace halnorm_tune {

// A kernel that was generated from a point, or was not.
struct Built {
  std::string symbol;
  std::string trouble;  // empty: it is in the program
  std::string status;  // where there is trouble: illegal, as the generator said, crashed or timeout
  Weight weight;       // points between which there is no difference have the same digest
};

class ProgramBuilder {
 public:
  // Everything that it writes is in `directory`.
  ProgramBuilder(const Kit &kit, const std::string &target, std::string directory, int jobs,
                 double generate_limit);

  // Makes the program anew with a kernel for each of the points; `program()` then runs it. The
  // first point is the one that the others are compared with.
  std::vector<Built> build(const Family &family, const std::vector<Point> &points);
  // The kernels of such a program without the program.
  std::vector<Built> generate(const Family &family, const std::vector<Point> &points);
  // The same with wrappers that measure every kernel of the library; of CUDA, that record launches.
  void build_profiler();

  const std::string &program() const { return program_; }
  // Of a point's kernel, for those who read it.
  std::string assembly(const Family &family, const Point &point);

 private:
  Command command(const Family &family, const Point &point, const std::string &symbol,
                  const std::string &kind) const;
  // The table with a wrapper for each kernel of the library, which `wrapped` makes the body of.
  std::string wrap_library(
      const std::string &prefix, std::string *source,
      const std::function<std::string(size_t number, const std::string &kernel)> &wrapped) const;
  // One of kernels for CUDA, which records what the kernel launches where a trial is asked for it.
  std::string recorder(const std::string &name, const std::string &kernel) const;
  std::string recording_table(std::string *source) const;
  void link(const std::string &table, const std::vector<std::string> &sources,
            const std::vector<std::string> &objects);

  const Kit &kit_;
  const BuiltTarget &target_;
  const bool for_cuda_;
  const std::string directory_, program_;
  const int jobs_;
  const double generate_limit_;
  std::string target_number_;  // in the tables of the build
  std::string library_table_;  // what it has for the target
  std::vector<std::string> library_symbols_;
  // Of the points that were generated last.
  std::string points_table_, points_source_;
  std::vector<std::string> points_objects_;
};

}  // namespace halnorm_tune

#endif  // HALNORM_SCHEDULES_TUNE_PROGRAM_H_
