// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's CPU provider: a model of one node, whose inputs and outputs are bound to the
// tensors of the workload.
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "onnx_model.h"
#include "onnxruntime_api.h"
#include "peer.h"

namespace halnorm_bench {
namespace {

using halnorm_test::Dtype;
using halnorm_test::Layout;
using halnorm_test::Norm;
using halnorm_test::Operation;
using halnorm_test::Problem;

using Env = ort::Owned<ort::Env, ort::kReleaseEnv>;
using SessionOptions = ort::Owned<ort::SessionOptions, ort::kReleaseSessionOptions>;
using Session = ort::Owned<ort::Session, ort::kReleaseSession>;
using MemoryInfo = ort::Owned<ort::MemoryInfo, ort::kReleaseMemoryInfo>;
using Value = ort::Owned<ort::Value, ort::kReleaseValue>;
using RunOptions = ort::Owned<ort::RunOptions, ort::kReleaseRunOptions>;
using IoBinding = ort::Owned<ort::IoBinding, ort::kReleaseIoBinding>;

constexpr int kErrors = 3;           // OrtLoggingLevel
constexpr int kDeviceAllocator = 0;  // OrtAllocatorType
constexpr int kDefaultMemory = 0;    // OrtMemType
// Long enough for calls in a row; asleep before others are timed.
constexpr char kSpinMicroseconds[] = "2000";

// Empty when the runtime may solve the problem; else what it lacks.
std::string unsuitable(const Problem &problem) {
  if (problem.is_backward() || problem.operation == Operation::batch_norm_training) {
    return "its package is for inference only";
  }
  if (problem.layout != Layout::dense) return "compared on dense tensors only";
  if (problem.zero_centered) return "has no 1 + gamma";
  if (problem.parameter_dtype() != problem.dtype) return "has gamma in the type of x only";
  if (!problem.gamma) return "always has gamma";
  if (problem.has_channels() && !problem.beta) return "always has beta";
  if (problem.has_channels() && problem.statistics) return "gives no statistics";
  return "";
}

onnx::Type type_of(const halnorm_tensor &tensor) {
  if (tensor.dtype.bits == 32) return onnx::kFloat;
  const halnorm_dtype bf16 = HALNORM_BF16;
  return tensor.dtype.code == bf16.code ? onnx::kBfloat16 : onnx::kFloat16;
}

const char *operation_of(Norm norm) {
  switch (norm) {
    case Norm::layer:
      return "LayerNormalization";
    case Norm::rms:
      return "SimplifiedLayerNormalization";
    case Norm::instance:
      return "InstanceNormalization";
    case Norm::group:
      return "GroupNormalization";
    case Norm::batch:
      return "BatchNormalization";
  }
  return "";
}

Session make_session(const std::string &model, int threads) {
  static const Env env = ort::make<Env>(ort::kCreateEnv, kErrors, "halnorm_bench");
  const auto options = ort::make<SessionOptions>(ort::kCreateSessionOptions);
  ort::require(ort::function(ort::kSetIntraOpNumThreads)(options.get(), threads));
  ort::require(ort::function(ort::kAddSessionConfigEntry)(
      options.get(), "session.intra_op.spin_duration_us", kSpinMicroseconds));
  return ort::make<Session>(ort::kCreateSessionFromArray, env.get(), model.data(), model.size(),
                            options.get());
}

// A session has threads of its own: all workloads of a problem have one.
std::shared_ptr<ort::Session> session_of(const std::string &model, int threads) {
  static std::string last_model;
  static std::weak_ptr<ort::Session> last;
  std::shared_ptr<ort::Session> session = last.lock();
  if (session == nullptr || model != last_model) {
    session = make_session(model, threads);
    last = session;
    last_model = model;
  }
  return session;
}

class OnnxRuntimeSolver : public Solver {
 public:
  OnnxRuntimeSolver(const Problem &problem, const PeerTensors &tensors, int threads)
      : memory_(ort::make<MemoryInfo>(ort::kCreateCpuMemoryInfo, kDeviceAllocator, kDefaultMemory)),
        run_options_(ort::make<RunOptions>(ort::kCreateRunOptions)) {
    describe(problem, tensors);
    session_ = session_of(onnx::model(node_), threads);
    binding_ = ort::make<IoBinding>(ort::kCreateIoBinding, session_.get());
    for (const onnx::Tensor &input : node_.inputs) bind(ort::kBindInput, input);
    for (const onnx::Tensor &output : node_.outputs) bind(ort::kBindOutput, output);
  }

  bool run() override {
    try {
      ort::require(
          ort::function(ort::kRunWithBinding)(session_.get(), run_options_.get(), binding_.get()));
    } catch (const std::exception &error) {
      failure_ = error.what();
      return false;
    }
    return true;
  }
  std::string failure() const override { return failure_; }

 private:
  void describe(const Problem &problem, const PeerTensors &tensors) {
    const bool channels = problem.has_channels();
    const std::vector<int64_t> rows = {problem.row_count(), problem.row_length()};
    const std::vector<int64_t> shape = channels ? problem.shape : rows;
    const int64_t parameters = channels ? problem.shape[1] : problem.row_length();

    node_.operation = operation_of(problem.norm());
    add(&node_.inputs, "x", tensors.x, shape);
    add(&node_.constants, "gamma", tensors.gamma, {parameters});
    add(&node_.constants, "beta", tensors.beta, {parameters});
    add(&node_.constants, "running_mean", tensors.running_mean, {parameters});
    add(&node_.constants, "running_var", tensors.running_var, {parameters});
    add(&node_.outputs, "y", tensors.y, shape);
    add(&node_.outputs, "mean", tensors.mean, {rows[0], 1});
    add(&node_.outputs, "rstd", tensors.rstd, {rows[0], 1});
    node_.numbers.push_back({"epsilon", static_cast<float>(problem.eps)});
    if (!channels) node_.integers.push_back({"axis", -1});
    if (problem.norm() == Norm::group) node_.integers.push_back({"num_groups", problem.groups});
  }

  static void add(std::vector<onnx::Tensor> *list, const char *name, const halnorm_tensor &tensor,
                  const std::vector<int64_t> &shape) {
    if (tensor.data == nullptr) return;
    size_t bytes = tensor.dtype.bits / 8;
    for (const int64_t extent : shape) bytes *= static_cast<size_t>(extent);
    list->push_back({name, type_of(tensor), shape, data_of(tensor), bytes});
  }

  void bind(decltype(ort::kBindInput) bind_tensor, const onnx::Tensor &tensor) {
    values_.push_back(ort::make<Value>(
        ort::kCreateTensorWithData, memory_.get(), const_cast<void *>(tensor.data), tensor.bytes,
        tensor.shape.data(), tensor.shape.size(), static_cast<int>(tensor.type)));
    ort::require(
        ort::function(bind_tensor)(binding_.get(), tensor.name.c_str(), values_.back().get()));
  }

  onnx::Node node_;
  MemoryInfo memory_;
  RunOptions run_options_;
  std::shared_ptr<ort::Session> session_;
  std::list<Value> values_;
  IoBinding binding_;
  std::string failure_;
};

}  // namespace
}  // namespace halnorm_bench

const char *halnorm_bench_peer_version() { return OrtGetApiBase()->GetVersionString(); }

void halnorm_bench_append_peer(const halnorm_test::Problem &problem,
                               const halnorm_bench::PeerTensors &tensors, int threads,
                               std::vector<halnorm_bench::Contender> *contenders) {
  using namespace halnorm_bench;
  const auto create = [&](std::string *detail) {
    *detail = operation_of(problem.norm());
    if (problem.norm() == Norm::group) *detail += ", taken apart into other operators";
    return std::make_unique<OnnxRuntimeSolver>(problem, tensors, threads);
  };
  append_peer("ONNX Runtime", unsuitable(problem), create, contenders);
}
