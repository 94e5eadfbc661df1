// SPDX-License-Identifier: Apache-2.0
#include "baselines.h"

#include <HalideRuntime.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "workload.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Dtype;
using halnorm_test::Layout;
using halnorm_test::Norm;
using halnorm_test::Operation;
using halnorm_test::Problem;
using halnorm_test::Tensor;
using halnorm_test::Tensors;

// The build writes HALNORM_BASELINE(scheduler, cores that it planned for).
struct Schedule {
  const char *scheduler;
  int cores;
};
#define HALNORM_BASELINE(scheduler, cores) {scheduler, cores},
constexpr Schedule kSchedules[] = {
#include "baseline_table.inc"
};
#undef HALNORM_BASELINE

using Kernel = int (*)(void **);

// From the handler, which has no argument of ours, to the kernel that is running.
std::string last_error;

void keep_error(void *, const char *message) { last_error = message; }

// A dimension of the canonical form that plain_norms.cpp has, by its letter there.
struct Dimension {
  int64_t extent, stride;
};
struct Form {
  bool columns;
  std::string all, parameter, statistic;  // letters, those of x in the order of its dimensions
  std::map<char, Dimension> of_x;
};

// Of a problem that is suitable.
Form form_of(Tensors *tensors) {
  const Problem &problem = tensors->problem;
  const halnorm_tensor x = tensors->x.view();
  const std::vector<int64_t> &shape = problem.shape;
  const std::vector<int64_t> dense = halnorm_test::dense_strides(shape);
  const int64_t *strides = x.strides == nullptr ? dense.data() : x.strides;
  const size_t last = shape.size() - 1;
  const int64_t rows = problem.row_count(), n = problem.row_length();
  if (!problem.has_channels()) {
    const size_t first = problem.first_reduced();
    if (problem.layout != Layout::channels_first) {
      return {false,
              "ir",
              "i",
              "r",
              {{'i', {n, 1}}, {'r', {rows, first == 0 ? n : strides[first - 1]}}}};
    }
    return {
        true,
        "rin",
        "i",
        "rn",
        {{'r', {rows / shape[0], 1}}, {'i', {n, strides[last]}}, {'n', {shape[0], strides[0]}}}};
  }
  // Without spatial dimensions a row is one element, and its neighbours are channels.
  const bool columns = problem.layout == Layout::channels_last || shape.size() == 2;
  const Dimension i = {n, shape.size() == 2 ? 1 : strides[last]};
  const Dimension samples = {shape[0], strides[0]};
  if (problem.norm() == Norm::group) {
    const int64_t k = shape[1] / problem.groups;
    return {columns,
            columns ? "kgin" : "ikgn",
            "kg",
            "gn",
            {{'i', i},
             {'k', {k, strides[1]}},
             {'g', {problem.groups, k * strides[1]}},
             {'n', samples}}};
  }
  return {columns,
          columns ? "cin" : "icn",
          "c",
          problem.norm() == Norm::batch ? "c" : "cn",
          {{'i', i}, {'c', {shape[1], strides[1]}}, {'n', samples}}};
}

halide_type_t type_of(Dtype dtype) {
  if (dtype == Dtype::f32) return halide_type_t(halide_type_float, 32);
  return halide_type_t(dtype == Dtype::f16 ? halide_type_float : halide_type_bfloat, 16);
}

// What a problem leaves out and a baseline insists on gets memory of its own.
class HalideSolver : public Solver {
 public:
  HalideSolver(Workload *workload, Kernel kernel)
      : kernel_(kernel),
        problem_(workload->problem()),
        form_(form_of(&workload->tensors())),
        eps_(static_cast<float>(problem_.eps)) {
    Tensors &tensors = workload->tensors();
    const bool backward = problem_.is_backward();
    const bool inference = problem_.operation == Operation::batch_norm_inference;
    const bool centered = problem_.norm() != Norm::rms;
    if (backward) add_elements(workload->dy());
    add_elements(workload->x());
    add(form_.parameter, &tensors.gamma, 1);
    if (backward) {
      if (centered) add(form_.statistic, &tensors.mean, 0);
      add(form_.statistic, &tensors.rstd, 0);
      add_elements(workload->dx());
      add(form_.parameter, &tensors.dgamma, 0);
      if (centered) add(form_.parameter, &tensors.dbeta, 0);
      return;
    }
    if (centered) add(form_.parameter, &tensors.beta, 0);
    if (inference) {
      add(form_.statistic, &tensors.running_mean, 0);
      add(form_.statistic, &tensors.running_var, 0);
    }
    arguments_.push_back(&eps_);
    add_elements(workload->y());
    if (inference) return;
    if (centered) mean_ = add(form_.statistic, &tensors.mean, 0);
    rstd_ = add(form_.statistic, &tensors.rstd, 0);
  }

  bool run() override { return kernel_(arguments_.data()) == 0; }
  std::string failure() const override { return last_error; }

  // Running statistics are not in the formulas: they are their users' business.
  void hand_over(Tensors *tensors) override {
    if (!problem_.running) return;
    const double n = static_cast<double>(problem_.statistic_length());
    const double correction = problem_.biased ? 1 : n / (n - 1);
    for (int64_t i = 0; i < problem_.statistic_count(); ++i) {
      const double rstd = static_cast<double>(rstd_[i]);
      update(&*tensors->running_mean, i, static_cast<double>(mean_[i]));
      update(&*tensors->running_var, i, correction * (1 / (rstd * rstd) - problem_.eps));
    }
  }

 private:
  struct alignas(64) CacheLine {
    float values[16];
  };
  struct Buffer {
    std::vector<halide_dimension_t> dimensions;
    halide_buffer_t buffer = {};
  };

  void add_buffer(void *data, halide_type_t type, const std::string &letters, bool dense) {
    Buffer &added = buffers_.emplace_back();
    int64_t stride = 1;
    for (char letter : letters) {
      const Dimension &dimension = form_.of_x.at(letter);
      added.dimensions.emplace_back(0, static_cast<int32_t>(dimension.extent),
                                    static_cast<int32_t>(dense ? stride : dimension.stride));
      stride *= dimension.extent;
    }
    added.buffer.host = static_cast<uint8_t *>(data);
    added.buffer.type = type;
    added.buffer.dimensions = static_cast<int32_t>(letters.size());
    added.buffer.dim = added.dimensions.data();
    arguments_.push_back(&added.buffer);
  }
  // x, dy, y or dx.
  void add_elements(void *data) { add_buffer(data, type_of(problem_.dtype), form_.all, false); }
  // A parameter or a statistic.
  const float *add(const std::string &letters, std::optional<Tensor> *tensor, float value) {
    int64_t count = 1;
    for (char letter : letters) count *= form_.of_x.at(letter).extent;
    float *data = *tensor ? static_cast<float *>((*tensor)->view().data) : scratch(count, value);
    add_buffer(data, type_of(Dtype::f32), letters, true);
    return data;
  }

  // Halide takes some outputs to be aligned to a vector (docs/design.md, "Traps of Halide").
  float *scratch(int64_t count, float value) {
    CacheLine line;
    std::fill(std::begin(line.values), std::end(line.values), value);
    const size_t lines = static_cast<size_t>(count) / std::size(line.values) + 1;
    return memory_.emplace_back(lines, line).data()->values;
  }

  void update(Tensor *running, int64_t i, double batch) const {
    const double old = static_cast<double>(running->value(i, 0));
    running->set(i, 0, static_cast<float>(old + problem_.momentum * (batch - old)));
  }

  const Kernel kernel_;
  const Problem problem_;
  const Form form_;
  float eps_;
  const float *mean_ = nullptr, *rstd_ = nullptr;
  std::list<Buffer> buffers_;
  std::list<std::vector<CacheLine>> memory_;
  std::vector<void *> arguments_;
};

// Empty when a baseline can take the problem.
std::string unsuitable(const Problem &problem) {
  switch (problem.layout) {
    case Layout::dense:
    case Layout::padded:
    case Layout::channels_last:
      break;
    case Layout::channels_first:
      if (problem.row_length() == problem.shape.back()) break;
      [[fallthrough]];
    default:
      return "built for dense and padded rows, channels first and channels last only";
  }
  if (problem.zero_centered || problem.parameter_dtype() != Dtype::f32) {
    return "take gamma and beta in f32 only, without 1 + gamma";
  }
  if (problem.no_dx) return "always write dx";
  if (problem.fixed) return "have no gradient through fixed statistics";
  // Halide's extents and offsets are int32; a gap may double a tensor.
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 2;
  if (problem.row_count() > kMost / problem.row_length()) return "more than 2^30 elements";
  return "";
}

// The shared object with the baselines of an operation and dtype. Opened once; null where it is not
// built.
void *open_baselines(const std::string &name) {
  static std::map<std::string, void *> opened;
  const auto found = opened.find(name);
  if (found != opened.end()) return found->second;
  const std::string path = std::string(HALNORM_BENCH_BASELINES_DIR) + "/" + name + ".so";
  return opened[name] = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

}  // namespace

void prepare_halide_runtime(int threads) {
  halide_set_num_threads(threads);
  halide_set_error_handler(keep_error);
}

void append_baselines(Workload *workload, const std::string &target,
                      std::vector<Contender> *contenders) {
  const Problem &problem = workload->problem();
  const std::string name =
      std::string(halnorm_test::name(problem.operation)) + "_" + halnorm_test::name(problem.dtype);
  std::string trouble = unsuitable(problem);
  void *library = trouble.empty() ? open_baselines(target + "/" + name) : nullptr;
  if (trouble.empty() && library == nullptr) {
    trouble = "not built, the target halnorm_baselines_" + target + " does it";
  }
  if (!trouble.empty()) {
    contenders->push_back(
        {Kind::halide_default, "Halide's schedules", "", "absent: " + trouble, nullptr, {}});
    return;
  }
  const bool columns = form_of(&workload->tensors()).columns;
  for (const Schedule &schedule : kSchedules) {
    const std::string symbol = name + (columns ? "_columns_true_" : "_columns_false_") +
                               schedule.scheduler + "_cores" + std::to_string(schedule.cores);
    const bool is_default = std::string(schedule.scheduler) == "Default";
    Contender contender = {is_default ? Kind::halide_default : Kind::autoscheduler,
                           "Halide's default",
                           "free order",
                           "",
                           nullptr,
                           {}};
    if (!is_default) {
      contender.name = std::string(schedule.scheduler) + ", " + std::to_string(schedule.cores) +
                       (schedule.cores == 1 ? " core" : " cores");
    }
    if (void *kernel = dlsym(library, (symbol + "_argv").c_str())) {
      contender.solver = std::make_unique<HalideSolver>(workload, reinterpret_cast<Kernel>(kernel));
    } else if (const void *why_not = dlsym(library, (symbol + "_why_not").c_str())) {
      contender.trouble = std::string("absent: ") + static_cast<const char *>(why_not);
    } else {
      continue;  // 16 bits
    }
    contenders->push_back(std::move(contender));
  }
  contenders->push_back(
      {Kind::autoscheduler, "Anderson2021", "", "absent: schedules GPUs only", nullptr, {}});
}

}  // namespace halnorm_bench
