// SPDX-License-Identifier: Apache-2.0
// The functions of ONNX Runtime's C interface that the benchmark calls. Its Python package has the
// library but no header. They stand in one table, whose order is fixed: new ones go to its end. The
// places are those in onnxruntime_c_api.h, struct OrtApi.
#ifndef HALNORM_BENCH_PEERS_ONNXRUNTIME_API_H_
#define HALNORM_BENCH_PEERS_ONNXRUNTIME_API_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

extern "C" {
struct OrtApiBase {
  void *const *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)();
};
const OrtApiBase *OrtGetApiBase();
}

namespace halnorm_bench {
namespace ort {

struct Status;
struct Env;
struct SessionOptions;
struct Session;
struct MemoryInfo;
struct Value;
struct RunOptions;
struct IoBinding;

template <typename Function>
struct Entry {
  size_t place;
};

constexpr Entry<const char *(const Status *)> kGetErrorMessage = {2};
constexpr Entry<Status *(int severity, const char *name, Env **)> kCreateEnv = {3};
constexpr Entry<Status *(const Env *, const void *model, size_t bytes, const SessionOptions *,
                         Session **)>
    kCreateSessionFromArray = {8};
constexpr Entry<Status *(SessionOptions **)> kCreateSessionOptions = {10};
constexpr Entry<Status *(SessionOptions *, int)> kSetIntraOpNumThreads = {24};
constexpr Entry<Status *(RunOptions **)> kCreateRunOptions = {39};
constexpr Entry<Status *(const MemoryInfo *, void *data, size_t bytes, const int64_t *shape,
                         size_t rank, int type, Value **)>
    kCreateTensorWithData = {49};
constexpr Entry<Status *(int allocator, int memory, MemoryInfo **)> kCreateCpuMemoryInfo = {69};
constexpr Entry<void(Env *)> kReleaseEnv = {92};
constexpr Entry<void(Status *)> kReleaseStatus = {93};
constexpr Entry<void(MemoryInfo *)> kReleaseMemoryInfo = {94};
constexpr Entry<void(Session *)> kReleaseSession = {95};
constexpr Entry<void(Value *)> kReleaseValue = {96};
constexpr Entry<void(RunOptions *)> kReleaseRunOptions = {97};
constexpr Entry<void(SessionOptions *)> kReleaseSessionOptions = {100};
constexpr Entry<Status *(SessionOptions *, const char *key, const char *value)>
    kAddSessionConfigEntry = {130};
constexpr Entry<Status *(Session *, const RunOptions *, const IoBinding *)> kRunWithBinding = {133};
constexpr Entry<Status *(Session *, IoBinding **)> kCreateIoBinding = {134};
constexpr Entry<void(IoBinding *)> kReleaseIoBinding = {135};
constexpr Entry<Status *(IoBinding *, const char *name, const Value *)> kBindInput = {136};
constexpr Entry<Status *(IoBinding *, const char *name, const Value *)> kBindOutput = {137};

// Of the table that holds all of the above.
constexpr uint32_t kVersion = 8;

template <typename Function>
Function *function(Entry<Function> entry) {
  static void *const *const table = OrtGetApiBase()->GetApi(kVersion);
  return reinterpret_cast<Function *>(table[entry.place]);
}

// Throws what the runtime says is wrong.
inline void require(Status *status) {
  if (status == nullptr) return;
  const std::runtime_error error(function(kGetErrorMessage)(status));
  function(kReleaseStatus)(status);
  throw error;
}

template <const auto &entry>
struct Release {
  template <typename T>
  void operator()(T *object) const {
    function(entry)(object);
  }
};

template <typename T, const auto &release>
using Owned = std::unique_ptr<T, Release<release>>;

// What a function of the table makes.
template <typename Owner, typename Function, typename... Arguments>
Owner make(Entry<Function> create, Arguments... arguments) {
  typename Owner::pointer object = nullptr;
  require(function(create)(arguments..., &object));
  return Owner(object);
}

}  // namespace ort
}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_ONNXRUNTIME_API_H_
