// SPDX-License-Identifier: Apache-2.0
#include "baselines.h"

#include <HalideRuntime.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "workload.h"

// The build writes HALNORM_BASELINE(operation, target, scheduler, cores, symbol).
#define HALNORM_BASELINE(operation, target, scheduler, cores, symbol) \
  extern "C" int symbol##_argv(void **);
#include "baseline_table.inc"
#undef HALNORM_BASELINE

namespace halnorm_bench {
namespace {

using halnorm_test::Operation;
using halnorm_test::Problem;
using halnorm_test::Tensor;

struct Baseline {
  Operation operation;
  const char *target;
  const char *scheduler;
  int cores;  // that the schedule was made for; 0: Halide's default, which is serial
  int (*run)(void **);
};

#define HALNORM_BASELINE(operation, target, scheduler, cores, symbol) \
  {Operation::operation, target, scheduler, cores, symbol##_argv},
// The last one ends the table, which may have no other.
constexpr Baseline kBaselines[] = {
#include "baseline_table.inc"
    {Operation::layer_norm_forward, "", "", 0, nullptr}};
#undef HALNORM_BASELINE

// From the handler, which has no argument of ours, to the kernel that is running.
std::string last_error;

void keep_error(void *, const char *message) { last_error = message; }

struct Buffer {
  Buffer(void *data, int extent) : Buffer(data, extent, 1, 0) { buffer.dimensions = 1; }
  Buffer(void *data, int n, int rows, int row_stride) {
    dimensions[0] = {0, n, 1};
    dimensions[1] = {0, rows, row_stride};
    buffer.host = static_cast<uint8_t *>(data);
    buffer.type = halide_type_of<float>();
    buffer.dimensions = 2;
    buffer.dim = dimensions;
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  halide_dimension_t dimensions[2];
  halide_buffer_t buffer = {};
};

// What a problem leaves out and a baseline insists on gets memory of its own.
class HalideSolver : public Solver {
 public:
  HalideSolver(Workload *workload, const Baseline &baseline)
      : baseline_(baseline), eps_(static_cast<float>(workload->problem().eps)) {
    const Problem &problem = workload->problem();
    halnorm_test::Tensors &tensors = workload->tensors();
    const int n = static_cast<int>(problem.row_length());
    const int rows = static_cast<int>(problem.row_count());
    const size_t first_reduced = problem.first_reduced();
    const halnorm_tensor x = tensors.x.view();
    const int stride = first_reduced == 0 || x.strides == nullptr
                           ? n
                           : static_cast<int>(x.strides[first_reduced - 1]);
    const bool centered = problem.operation == Operation::layer_norm_forward;

    add(std::make_unique<Buffer>(workload->x(), n, rows, stride));
    add(std::make_unique<Buffer>(data_or(tensors.gamma, problem.row_length(), 1), n));
    if (centered) {
      add(std::make_unique<Buffer>(data_or(tensors.beta, problem.row_length(), 0), n));
    }
    arguments_.push_back(&eps_);
    add(std::make_unique<Buffer>(workload->y(), n, rows, stride));
    if (centered) {
      // The high and the low part of the mean.
      add(std::make_unique<Buffer>(scratch(problem.row_count(), 0), rows));
      add(std::make_unique<Buffer>(scratch(problem.row_count(), 0), rows));
      add(std::make_unique<Buffer>(data_or(tensors.mean, problem.row_count(), 0), rows));
    }
    add(std::make_unique<Buffer>(data_or(tensors.rstd, problem.row_count(), 0), rows));
  }

  bool run() override { return baseline_.run(arguments_.data()) == 0; }
  std::string failure() const override { return last_error; }

 private:
  void add(std::unique_ptr<Buffer> buffer) {
    arguments_.push_back(&buffer->buffer);
    buffers_.push_back(std::move(buffer));
  }
  void *scratch(int64_t count, float value) {
    memory_.emplace_back(static_cast<size_t>(count), value);
    return memory_.back().data();
  }
  void *data_or(std::optional<Tensor> &tensor, int64_t count, float value) {
    return tensor ? tensor->view().data : scratch(count, value);
  }

  const Baseline &baseline_;
  float eps_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<std::vector<float>> memory_;
  std::vector<void *> arguments_;
};

// Empty when a baseline can take the problem.
std::string unsuitable(const Problem &problem) {
  using halnorm_test::Dtype;
  using halnorm_test::Layout;
  if (problem.operation != Operation::layer_norm_forward &&
      problem.operation != Operation::rms_norm_forward) {
    return "absent: built for layer and RMS norm, forward";
  }
  if (problem.dtype != Dtype::f32) return "absent: built for f32 only";
  if (problem.layout != Layout::dense && problem.layout != Layout::padded) {
    return "absent: built for rows of neighbours only";
  }
  if (problem.zero_centered) return "absent: has no scale by 1 + gamma";
  // Halide's extents and offsets are int32; a gap may double a tensor.
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 2;
  if (problem.row_count() > kMost / problem.row_length()) return "absent: more than 2^30 elements";
  return "";
}

}  // namespace

void prepare_halide_runtime(int threads) {
  halide_set_num_threads(threads);
  halide_set_error_handler(keep_error);
}

void append_baselines(Workload *workload, const std::string &target,
                      std::vector<Contender> *contenders) {
  std::string trouble = unsuitable(workload->problem());
  if (trouble.empty()) {
    trouble = "absent: not built for " + target;
    for (const Baseline &baseline : kBaselines) {
      if (target != baseline.target || workload->problem().operation != baseline.operation) {
        continue;
      }
      const bool is_default = baseline.cores == 0;
      const std::string cores = is_default ? ""
                                : baseline.cores == 1
                                    ? ", 1 core"
                                    : ", " + std::to_string(baseline.cores) + " cores";
      contenders->push_back({is_default ? Kind::halide_default : Kind::autoscheduler,
                             is_default ? "Halide's default" : baseline.scheduler + cores,
                             "free order",
                             "",
                             std::make_unique<HalideSolver>(workload, baseline),
                             {}});
      trouble.clear();
    }
  }
  if (!trouble.empty()) {
    contenders->push_back({Kind::halide_default, "Halide's schedules", "", trouble, nullptr, {}});
  }
}

}  // namespace halnorm_bench
