// SPDX-License-Identifier: Apache-2.0
#include "onednn.h"

#include <oneapi/dnnl/dnnl.h>

#include <array>
#include <cstring>
#include <exception>
#include <type_traits>
#include <utility>

#if DNNL_CPU_RUNTIME != DNNL_RUNTIME_OMP
#error "This peer needs a oneDNN with an OpenMP CPU engine: others ignore options.threads."
#endif

// Declared here because <omp.h> belongs to the compiler: Clang's comes with -fopenmp, which would
// link a second OpenMP runtime beside the one that oneDNN uses, and set the thread count there.
extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}

namespace halnorm_bench {
namespace {

template <auto destroy>
struct Destroy {
  template <typename T>
  void operator()(T *object) const noexcept {
    destroy(object);
  }
};

template <typename Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

using Engine = Owned<dnnl_engine_t, dnnl_engine_destroy>;
using Stream = Owned<dnnl_stream_t, dnnl_stream_destroy>;
using MemoryDesc = Owned<dnnl_memory_desc_t, dnnl_memory_desc_destroy>;
using Memory = Owned<dnnl_memory_t, dnnl_memory_destroy>;
using PrimitiveDesc = Owned<dnnl_primitive_desc_t, dnnl_primitive_desc_destroy>;
using Primitive = Owned<dnnl_primitive_t, dnnl_primitive_destroy>;

const char *status_name(dnnl_status_t status) {
  switch (status) {
    case dnnl_success:
      return "success";
    case dnnl_out_of_memory:
      return "out of memory";
    case dnnl_invalid_arguments:
      return "invalid arguments";
    case dnnl_unimplemented:
      return "unimplemented";
    case dnnl_runtime_error:
      return "runtime error";
    default:
      return "unknown status";
  }
}

// Gives the result of a oneDNN create function to owner.
template <typename Owner, typename Create>
dnnl_status_t make(Owner *owner, Create create) {
  typename Owner::pointer handle = nullptr;
  const dnnl_status_t status = create(&handle);
  owner->reset(handle);
  return status;
}

dnnl_data_type_t data_type(const char *dtype) {
  if (dtype == nullptr) return dnnl_data_type_undef;
  if (std::strcmp(dtype, "f32") == 0) return dnnl_f32;
  if (std::strcmp(dtype, "f16") == 0) return dnnl_f16;
  if (std::strcmp(dtype, "bf16") == 0) return dnnl_bf16;
  return dnnl_data_type_undef;
}

// A memory object that remembers its buffer, so that a repeated call does not pay for setting it.
class Operand {
 public:
  dnnl_status_t create(const MemoryDesc &desc, const Engine &engine) {
    return make(&memory_, [&](dnnl_memory_t *memory) {
      return dnnl_memory_create(memory, desc.get(), engine.get(), DNNL_MEMORY_NONE);
    });
  }

  dnnl_status_t set(void *buffer) noexcept {
    if (buffer == buffer_) return dnnl_success;
    const dnnl_status_t status = dnnl_memory_set_data_handle(memory_.get(), buffer);
    if (status == dnnl_success) buffer_ = buffer;
    return status;
  }

  // oneDNN has no memory object for read-only data; the primitive only reads its inputs.
  dnnl_status_t set(const void *buffer) noexcept { return set(const_cast<void *>(buffer)); }

  explicit operator bool() const { return memory_ != nullptr; }
  dnnl_memory_t get() const { return memory_.get(); }

 private:
  Memory memory_;
  void *buffer_ = nullptr;
};

}  // namespace

struct OneDnnLayerNorm::State {
  const char *create(const Options &options, dnnl_status_t *status);
  dnnl_status_t add_operand(int argument, const MemoryDesc &desc, Operand *operand);

  // Members are destroyed last to first: everything else goes before the engine it belongs to.
  Engine engine;
  Stream stream;
  Primitive primitive;
  Operand x, gamma, beta, y, mean, variance;
  std::array<dnnl_exec_arg_t, 6> arguments = {};
  int argument_count = 0;
  int threads = 1;
  bool failed = false;
  std::string implementation;
};

dnnl_status_t OneDnnLayerNorm::State::add_operand(int argument, const MemoryDesc &desc,
                                                  Operand *operand) {
  const dnnl_status_t status = operand->create(desc, engine);
  if (status != dnnl_success) return status;
  arguments[static_cast<size_t>(argument_count)] = {argument, operand->get()};
  ++argument_count;
  return dnnl_success;
}

// Null, or the step that failed, with its status.
const char *OneDnnLayerNorm::State::create(const Options &options, dnnl_status_t *status) {
  *status = dnnl_invalid_arguments;
  const dnnl_data_type_t type = data_type(options.dtype);
  if (type == dnnl_data_type_undef) return "dtype (f32, f16 and bf16 are known)";
  if (options.rows <= 0 || options.columns <= 0) return "shape";
  if (options.threads <= 0) return "threads";

  // Before the primitive exists, because oneDNN plans its split over threads when it creates one.
  threads = options.threads;
  omp_set_num_threads(threads);

  *status =
      make(&engine, [](dnnl_engine_t *result) { return dnnl_engine_create(result, dnnl_cpu, 0); });
  if (*status != dnnl_success) return "CPU engine";
  *status = make(&stream, [&](dnnl_stream_t *result) {
    return dnnl_stream_create(result, engine.get(), dnnl_stream_default_flags);
  });
  if (*status != dnnl_success) return "stream";

  const dnnl_dims_t data_dims = {options.rows, options.columns};
  const dnnl_dims_t row_dims = {options.rows};
  const dnnl_dims_t column_dims = {options.columns};
  MemoryDesc data, per_row, per_column;
  *status = make(&data, [&](dnnl_memory_desc_t *result) {
    return dnnl_memory_desc_create_with_tag(result, 2, data_dims, type, dnnl_ab);
  });
  if (*status != dnnl_success) return "descriptor of x and y";
  *status = make(&per_row, [&](dnnl_memory_desc_t *result) {
    return dnnl_memory_desc_create_with_tag(result, 1, row_dims, dnnl_f32, dnnl_a);
  });
  if (*status != dnnl_success) return "descriptor of the statistics";
  *status = make(&per_column, [&](dnnl_memory_desc_t *result) {
    return dnnl_memory_desc_create_with_tag(result, 1, column_dims, dnnl_f32, dnnl_a);
  });
  if (*status != dnnl_success) return "descriptor of gamma and beta";

  unsigned flags = dnnl_normalization_flags_none;
  if (options.gamma) flags |= dnnl_use_scale;
  if (options.beta) flags |= dnnl_use_shift;
  PrimitiveDesc desc;
  *status = make(&desc, [&](dnnl_primitive_desc_t *result) {
    return dnnl_layer_normalization_forward_primitive_desc_create(
        result, engine.get(), options.statistics ? dnnl_forward_training : dnnl_forward_inference,
        data.get(), data.get(), per_row.get(), options.eps, flags, nullptr);
  });
  if (*status != dnnl_success) return "layer normalization for this type and shape on this CPU";

  const char *info = nullptr;
  *status = dnnl_primitive_desc_query(desc.get(), dnnl_query_impl_info_str, 0, &info);
  if (*status != dnnl_success || info == nullptr) return "implementation name";
  implementation = info;

  *status = make(&primitive, [&](dnnl_primitive_t *result) {
    return dnnl_primitive_create(result, desc.get());
  });
  if (*status != dnnl_success) return "primitive";

  *status = add_operand(DNNL_ARG_SRC, data, &x);
  if (*status == dnnl_success) *status = add_operand(DNNL_ARG_DST, data, &y);
  if (*status == dnnl_success && options.gamma) {
    *status = add_operand(DNNL_ARG_SCALE, per_column, &gamma);
  }
  if (*status == dnnl_success && options.beta) {
    *status = add_operand(DNNL_ARG_SHIFT, per_column, &beta);
  }
  if (*status == dnnl_success && options.statistics) {
    *status = add_operand(DNNL_ARG_MEAN, per_row, &mean);
  }
  if (*status == dnnl_success && options.statistics) {
    *status = add_operand(DNNL_ARG_VARIANCE, per_row, &variance);
  }
  return *status == dnnl_success ? nullptr : "memory objects";
}

std::unique_ptr<OneDnnLayerNorm> OneDnnLayerNorm::create(const Options &options,
                                                         std::string *why_not) {
  try {
    auto state = std::make_unique<State>();
    dnnl_status_t status = dnnl_success;
    const char *failed_step = state->create(options, &status);
    if (failed_step == nullptr) {
      return std::unique_ptr<OneDnnLayerNorm>(new OneDnnLayerNorm(std::move(state)));
    }
    if (why_not != nullptr) {
      *why_not = "oneDNN " + version() + ": " + failed_step + ": " + status_name(status);
    }
  } catch (const std::exception &) {
    // Short enough that the string needs no allocation, which could fail as well.
    if (why_not != nullptr) *why_not = "out of memory";
  }
  return nullptr;
}

OneDnnLayerNorm::OneDnnLayerNorm(std::unique_ptr<State> state) noexcept
    : state_(std::move(state)) {}

OneDnnLayerNorm::~OneDnnLayerNorm() = default;

// The C API, because the C++ one copies its argument map into a new vector on each call: a peer is
// shown at its best. Waiting on the stream is part of the call, since oneDNN promises results only
// after it; with an OpenMP engine the wait itself is almost free.
void OneDnnLayerNorm::execute(const void *x, const float *gamma, const float *beta, void *y,
                              float *mean, float *variance) noexcept {
  State &s = *state_;
  // The thread count is the calling thread's, and other objects and libraries set it too.
  if (omp_get_max_threads() != s.threads) omp_set_num_threads(s.threads);

  bool ok = s.x.set(x) == dnnl_success && s.y.set(y) == dnnl_success;
  if (s.gamma) ok = ok && s.gamma.set(gamma) == dnnl_success;
  if (s.beta) ok = ok && s.beta.set(beta) == dnnl_success;
  if (s.mean) ok = ok && s.mean.set(mean) == dnnl_success;
  if (s.variance) ok = ok && s.variance.set(variance) == dnnl_success;
  ok = ok &&
       dnnl_primitive_execute(s.primitive.get(), s.stream.get(), s.argument_count,
                              s.arguments.data()) == dnnl_success &&
       dnnl_stream_wait(s.stream.get()) == dnnl_success;
  if (!ok) s.failed = true;
}

bool OneDnnLayerNorm::failed() const noexcept { return state_->failed; }

std::string OneDnnLayerNorm::implementation() const { return state_->implementation; }

std::string OneDnnLayerNorm::version() {
  const dnnl_version_t *v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace halnorm_bench
