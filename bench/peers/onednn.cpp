// SPDX-License-Identifier: Apache-2.0
#include "onednn.h"

#include <oneapi/dnnl/dnnl.h>

#include <cstring>
#include <exception>
#include <stdexcept>
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

// These throw the reason why there is no primitive.
void require(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return;
  throw std::runtime_error(std::string(what) + ": " + status_name(status));
}

// What a oneDNN create function made.
template <typename Owner, typename Create>
Owner make(const char *what, Create create) {
  typename Owner::pointer handle = nullptr;
  require(create(&handle), what);
  return Owner(handle);
}

dnnl_data_type_t data_type(const char *dtype) {
  if (std::strcmp(dtype, "f32") == 0) return dnnl_f32;
  if (std::strcmp(dtype, "f16") == 0) return dnnl_f16;
  if (std::strcmp(dtype, "bf16") == 0) return dnnl_bf16;
  throw std::runtime_error("dtype " + std::string(dtype));
}

// Of x, y, dy and dx, which have one layout.
MemoryDesc data_desc(const OneDnnPrimitive::Options &options) {
  constexpr size_t kMostDims = 5;
  constexpr dnnl_format_tag_t kFirst[] = {dnnl_nc, dnnl_ncw, dnnl_nchw, dnnl_ncdhw};
  constexpr dnnl_format_tag_t kLast[] = {dnnl_nc, dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
  const size_t rank = options.shape.size();
  if (rank < 2 || rank > kMostDims) throw std::runtime_error("fewer than 2 or more than 5 dims");
  dnnl_dims_t dims = {};
  for (size_t d = 0; d < rank; ++d) dims[d] = options.shape[d];
  const dnnl_format_tag_t tag = (options.channels_last ? kLast : kFirst)[rank - 2];
  return make<MemoryDesc>("tensor", [&](dnnl_memory_desc_t *result) {
    return dnnl_memory_desc_create_with_tag(result, static_cast<int>(rank), dims,
                                            data_type(options.dtype), tag);
  });
}

bool is_layer_norm(OneDnnPrimitive::Kind kind) {
  return kind == OneDnnPrimitive::Kind::layer_norm_forward ||
         kind == OneDnnPrimitive::Kind::layer_norm_backward;
}

bool is_backward(OneDnnPrimitive::Kind kind) {
  return kind == OneDnnPrimitive::Kind::layer_norm_backward ||
         kind == OneDnnPrimitive::Kind::batch_norm_backward;
}

PrimitiveDesc primitive_desc(const Engine &engine, const OneDnnPrimitive::Options &options,
                             const OneDnnPrimitive::Operands &operands) {
  const bool layer = is_layer_norm(options.kind);
  const bool backward = is_backward(options.kind);
  const bool inference = options.kind == OneDnnPrimitive::Kind::batch_norm_inference;
  const MemoryDesc data = data_desc(options);
  const char *const what = layer
                               ? "layer normalization for this type and shape on this CPU"
                               : "batch normalization for this type, shape and layout on this CPU";

  unsigned flags = dnnl_normalization_flags_none;
  if (operands.gamma != nullptr) flags |= dnnl_use_scale;
  if (operands.beta != nullptr || operands.dbeta != nullptr) flags |= dnnl_use_shift;
  if (inference || options.fixed_statistics) flags |= dnnl_use_global_stats;

  // A forward one without use_global_stats that is called inference computes the statistics, as
  // training does, and keeps them to itself.
  const bool training = backward || (!inference && operands.mean != nullptr);
  const dnnl_prop_kind_t forward_kind = training ? dnnl_forward_training : dnnl_forward_inference;
  PrimitiveDesc forward = make<PrimitiveDesc>(what, [&](dnnl_primitive_desc_t *result) {
    return layer ? dnnl_layer_normalization_forward_primitive_desc_create(
                       result, engine.get(), forward_kind, data.get(), data.get(), nullptr,
                       options.eps, flags, nullptr)
                 : dnnl_batch_normalization_forward_primitive_desc_create(
                       result, engine.get(), forward_kind, data.get(), data.get(), options.eps,
                       flags, nullptr);
  });
  if (!backward) return forward;

  const bool gradients = operands.dgamma != nullptr || operands.dbeta != nullptr;
  const dnnl_prop_kind_t backward_kind = gradients ? dnnl_backward : dnnl_backward_data;
  return make<PrimitiveDesc>(what, [&](dnnl_primitive_desc_t *result) {
    return layer ? dnnl_layer_normalization_backward_primitive_desc_create(
                       result, engine.get(), backward_kind, data.get(), data.get(), data.get(),
                       nullptr, options.eps, flags, forward.get(), nullptr)
                 : dnnl_batch_normalization_backward_primitive_desc_create(
                       result, engine.get(), backward_kind, data.get(), data.get(), data.get(),
                       options.eps, flags, forward.get(), nullptr);
  });
}

}  // namespace

struct OneDnnPrimitive::State {
  State(const Options &options, const Operands &operands);
  void bind(const PrimitiveDesc &desc, int argument, const void *buffer);

  // Members are destroyed last to first: everything else goes before the engine it belongs to.
  Engine engine;
  Stream stream;
  Primitive primitive;
  std::vector<Memory> memories;
  std::vector<dnnl_exec_arg_t> arguments;
  int threads;
  std::string implementation;
};

OneDnnPrimitive::State::State(const Options &options, const Operands &operands)
    : threads(options.threads) {
  // Before the primitive exists, because oneDNN plans its split over threads when it creates one.
  omp_set_num_threads(threads);
  engine = make<Engine>(
      "CPU engine", [](dnnl_engine_t *result) { return dnnl_engine_create(result, dnnl_cpu, 0); });
  stream = make<Stream>("stream", [&](dnnl_stream_t *result) {
    return dnnl_stream_create(result, engine.get(), dnnl_stream_default_flags);
  });
  const PrimitiveDesc desc = primitive_desc(engine, options, operands);
  const char *info = nullptr;
  require(dnnl_primitive_desc_query(desc.get(), dnnl_query_impl_info_str, 0, &info),
          "implementation name");
  implementation = info;
  primitive = make<Primitive>("primitive", [&](dnnl_primitive_t *result) {
    return dnnl_primitive_create(result, desc.get());
  });

  bind(desc, DNNL_ARG_SRC, operands.x);
  bind(desc, DNNL_ARG_DIFF_DST, operands.dy);
  bind(desc, DNNL_ARG_SCALE, operands.gamma);
  // oneDNN 3.2 counts the shift among the inputs of layer normalization backward, and never reads
  // it.
  const bool counts_shift = options.kind == Kind::layer_norm_backward;
  bind(desc, DNNL_ARG_SHIFT, counts_shift ? operands.dbeta : operands.beta);
  bind(desc, DNNL_ARG_DST, operands.y);
  bind(desc, DNNL_ARG_DIFF_SRC, operands.dx);
  bind(desc, DNNL_ARG_MEAN, operands.mean);
  bind(desc, DNNL_ARG_VARIANCE, operands.variance);
  bind(desc, DNNL_ARG_DIFF_SCALE, operands.dgamma);
  bind(desc, DNNL_ARG_DIFF_SHIFT, operands.dbeta);
}

void OneDnnPrimitive::State::bind(const PrimitiveDesc &desc, int argument, const void *buffer) {
  if (buffer == nullptr) return;
  const const_dnnl_memory_desc_t memory_desc =
      dnnl_primitive_desc_query_md(desc.get(), dnnl_query_exec_arg_md, argument);
  // oneDNN has no memory object for read-only data; the primitive only reads its inputs.
  memories.push_back(make<Memory>("memory object", [&](dnnl_memory_t *result) {
    return dnnl_memory_create(result, memory_desc, engine.get(), const_cast<void *>(buffer));
  }));
  arguments.push_back({argument, memories.back().get()});
}

OneDnnPrimitive::OneDnnPrimitive(const Options &options, const Operands &operands)
    : state_(std::make_unique<State>(options, operands)) {}

OneDnnPrimitive::~OneDnnPrimitive() = default;

// The C API, because the C++ one copies its argument map into a new vector on each call: a peer is
// shown at its best. Waiting on the stream is part of the call, since oneDNN promises results only
// after it; with an OpenMP engine the wait itself is almost free.
bool OneDnnPrimitive::execute() noexcept {
  State &s = *state_;
  // The thread count is the calling thread's, and other objects and libraries set it too.
  if (omp_get_max_threads() != s.threads) omp_set_num_threads(s.threads);
  return dnnl_primitive_execute(s.primitive.get(), s.stream.get(),
                                static_cast<int>(s.arguments.size()),
                                s.arguments.data()) == dnnl_success &&
         dnnl_stream_wait(s.stream.get()) == dnnl_success;
}

std::string OneDnnPrimitive::implementation() const { return state_->implementation; }

std::string OneDnnPrimitive::version() {
  const dnnl_version_t *v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace halnorm_bench
