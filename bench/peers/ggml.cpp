// SPDX-License-Identifier: Apache-2.0
// ggml, as llama.cpp calls it: a graph of its norm and of the products and sums with gamma and
// beta, which is planned once.
#include <ggml-cpu.h>
#include <ggml.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "peer.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Dtype;
using halnorm_test::Layout;
using halnorm_test::Norm;
using halnorm_test::Problem;

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T *object) const noexcept {
    destroy(object);
  }
};

constexpr size_t kMostTensors = 16;
// An idle thread goes to sleep after 128 Ki looks for work, a few milliseconds: not between calls
// in a row, but before others are timed. By default it is 50 times as long.
constexpr uint32_t kPoll = 1;

// Empty when ggml solves the problem; else what it lacks.
std::string unsuitable(const Problem &problem) {
  if (problem.is_backward()) return "called forward only, as it has no gradient of gamma";
  if (problem.norm() == Norm::batch) return "has no such operation";
  if (problem.dtype != Dtype::f32) return "has norms of f32 only";
  if (problem.statistics) return "gives no statistics";
  if (problem.zero_centered) return "has no 1 + gamma";
  if (problem.layout != Layout::dense) return "compared on dense tensors only";
  if (problem.has_channels() && problem.shape.size() != 4) return "compared on NCHW only";
  return "";
}

// One for all, since the number of threads is that of the whole run.
ggml_threadpool *pool_of(int threads) {
  static const std::unique_ptr<ggml_threadpool, Destroy<ggml_threadpool_free>> pool([&] {
    ggml_threadpool_params parameters = ggml_threadpool_params_default(threads);
    parameters.poll = kPoll;
    return ggml_threadpool_new(&parameters);
  }());
  if (pool == nullptr) throw std::runtime_error("is out of memory");
  return pool.get();
}

class GgmlSolver : public Solver {
 public:
  GgmlSolver(const Problem &problem, const PeerTensors &tensors, int threads) {
    ggml_init_params memory = {kMostTensors * ggml_tensor_overhead() + ggml_graph_overhead(),
                               nullptr, true};
    context_.reset(ggml_init(memory));
    if (context_ == nullptr) throw std::runtime_error("is out of memory");

    ggml_tensor *y = norm(problem, tensors);
    // Its own planner of memory, too, lets the products and sums overwrite what they read.
    y->data = data_of(tensors.y);
    if (tensors.gamma.data != nullptr) {
      y = ggml_mul(context_.get(), y, parameter(problem, tensors.gamma));
      y->data = data_of(tensors.y);
    }
    if (tensors.beta.data != nullptr) {
      y = ggml_add(context_.get(), y, parameter(problem, tensors.beta));
      y->data = data_of(tensors.y);
    }
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, y);
    plan_ = ggml_graph_plan(graph_, threads, pool_of(threads));
    scratch_.resize(plan_.work_size);
    plan_.work_data = scratch_.data();
  }

  bool run() override { return ggml_graph_compute(graph_, &plan_) == GGML_STATUS_SUCCESS; }
  std::string failure() const override { return "ggml reports an error"; }

 private:
  ggml_tensor *norm(const Problem &problem, const PeerTensors &tensors) {
    const float eps = static_cast<float>(problem.eps);
    if (!problem.has_channels()) {
      ggml_tensor *x = bound(tensors.x, {problem.row_length(), problem.row_count(), 1, 1});
      return problem.norm() == Norm::rms ? ggml_rms_norm(context_.get(), x, eps)
                                         : ggml_norm(context_.get(), x, eps);
    }
    const std::vector<int64_t> &nchw = problem.shape;
    const int64_t groups = problem.norm() == Norm::group ? problem.groups : nchw[1];
    ggml_tensor *x = bound(tensors.x, {nchw[3], nchw[2], nchw[1], nchw[0]});
    return ggml_group_norm(context_.get(), x, static_cast<int>(groups), eps);
  }

  ggml_tensor *parameter(const Problem &problem, const halnorm_tensor &tensor) {
    if (problem.has_channels()) return bound(tensor, {1, 1, problem.shape[1], 1});
    return bound(tensor, {problem.row_length(), 1, 1, 1});
  }

  // The last dimension first.
  ggml_tensor *bound(const halnorm_tensor &tensor, const std::vector<int64_t> &extents) {
    ggml_tensor *result = ggml_new_tensor(context_.get(), GGML_TYPE_F32, 4, extents.data());
    result->data = data_of(tensor);
    return result;
  }

  std::unique_ptr<ggml_context, Destroy<ggml_free>> context_;
  ggml_cgraph *graph_ = nullptr;  // in the context
  ggml_cplan plan_ = {};
  std::vector<uint8_t> scratch_;
};

const char *instruction_set() {
  if (ggml_cpu_has_avx512() != 0) return "AVX-512";
  return ggml_cpu_has_avx2() != 0 ? "AVX2" : "SSE";
}

}  // namespace
}  // namespace halnorm_bench

const char *halnorm_bench_peer_version() { return ggml_version(); }

void halnorm_bench_append_peer(const halnorm_test::Problem &problem,
                               const halnorm_bench::PeerTensors &tensors, int threads,
                               std::vector<halnorm_bench::Contender> *contenders) {
  using namespace halnorm_bench;
  const auto create = [&](std::string *detail) {
    *detail = std::string("graph, built for ") + instruction_set();
    return std::make_unique<GgmlSolver>(problem, tensors, threads);
  };
  append_peer("ggml", unsuitable(problem), create, contenders);
}
