// SPDX-License-Identifier: Apache-2.0
// The C API as Python functions of the same names and arguments: arrays come in by DLPack or the
// buffer protocol, and the interpreter runs on during a call. __init__.py makes the package of it.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <new>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "halnorm.h"

namespace nb = nanobind;

namespace {

void check(halnorm_status status) {
  if (status == HALNORM_OK) return;
  PyObject *type = PyExc_RuntimeError;
  if (status == HALNORM_INVALID_ARGUMENT) type = PyExc_ValueError;
  if (status == HALNORM_UNSUPPORTED) type = PyExc_NotImplementedError;
  if (status == HALNORM_OUT_OF_MEMORY) type = PyExc_MemoryError;
  PyErr_SetString(type, halnorm_last_error());
  throw nb::python_error();
}

// Never changed, so that a call on another thread may go on with it.
class Context {
 public:
  Context(std::optional<std::string> target, int32_t num_threads)
      : target_(std::move(target)), num_threads_(num_threads) {
    check(halnorm_context_create(&handle_));
    try {
      if (target_) check(halnorm_context_set_target(handle_, target_->c_str()));
      check(halnorm_context_set_num_threads(handle_, num_threads));
    } catch (...) {
      halnorm_context_destroy(handle_);
      throw;
    }
  }
  ~Context() { halnorm_context_destroy(handle_); }
  Context(const Context &) = delete;
  Context &operator=(const Context &) = delete;

  const halnorm_context *handle() const { return handle_; }
  const std::optional<std::string> &target() const { return target_; }
  int32_t num_threads() const { return num_threads_; }

 private:
  halnorm_context *handle_ = nullptr;
  std::optional<std::string> target_;
  int32_t num_threads_;
};

// What Python passes for a parameter of a C function, and the argument that it becomes.
template <typename Parameter>
class Argument {
 public:
  using Passed = Parameter;
  static auto named(const char *name) { return nb::arg(name); }
  Argument(Parameter value, const char *) : value_(value) {}
  Parameter get() { return value_; }

 private:
  Parameter value_;
};

template <typename Array>
class TensorArgument {
 public:
  using Passed = nb::object;
  static auto named(const char *name) { return nb::arg(name).none(); }
  TensorArgument(nb::object passed, const char *name) {
    if (passed.is_none()) return;
    std::optional<nb::dlpack::dtype> dtype;
    if (!nb::try_cast(passed, array_, false)) {
      // That of ml_dtypes, which numpy does not hand over.
      if (!is_numpy_bfloat16(passed) ||
          !nb::try_cast(nb::object(passed.attr("view")("uint16")), array_, false)) {
        refuse(passed, name);
      }
      dtype = nb::dlpack::dtype{4, 16, 1};
    }
    const nb::dlpack::dtype known = dtype.value_or(array_.dtype());
    tensor_.data = const_cast<void *>(static_cast<const void *>(array_.data()));
    tensor_.device = {array_.device_type(), array_.device_id()};
    tensor_.ndim = static_cast<int32_t>(array_.ndim());
    tensor_.dtype = {known.code, known.bits, known.lanes};
    tensor_.shape = const_cast<int64_t *>(array_.shape_ptr());
    tensor_.strides = const_cast<int64_t *>(array_.stride_ptr());
    given_ = true;
  }
  halnorm_tensor *get() { return given_ ? &tensor_ : nullptr; }

 private:
  static bool is_numpy_bfloat16(nb::handle passed) {
    if (!nb::hasattr(passed, "view") || !nb::hasattr(passed, "dtype")) return false;
    const nb::object dtype = passed.attr("dtype");
    return nb::cast<std::string>(nb::str(dtype)) == "bfloat16";
  }

  [[noreturn]] static void refuse(nb::handle passed, const char *name) {
    std::string type = nb::cast<std::string>(nb::type_name(passed.type()));
    if (nb::hasattr(passed, "dtype")) {
      const nb::object dtype = passed.attr("dtype");
      type += " of " + nb::cast<std::string>(nb::str(dtype));
    }
    const std::string message = std::string(name) + ": is of type " + type +
                                "; expected an array that DLPack hands over" +
                                (Array::ReadOnly ? "" : ", and that may be written to");
    throw nb::type_error(message.c_str());
  }

  Array array_;
  halnorm_tensor tensor_ = {};
  bool given_ = false;
};

template <>
class Argument<const halnorm_tensor *> : public TensorArgument<nb::ndarray<nb::ro>> {
  using TensorArgument::TensorArgument;
};

template <>
class Argument<halnorm_tensor *> : public TensorArgument<nb::ndarray<>> {
  using TensorArgument::TensorArgument;
};

template <typename... Parameters>
using Function = halnorm_status (*)(const halnorm_context *, Parameters...);

template <typename... Parameters, size_t... I>
void define(nb::module_ &module, const char *name, Function<Parameters...> function,
            std::array<const char *, sizeof...(Parameters)> names, std::index_sequence<I...>) {
  module.def(
      name,
      [function, names](const Context &context, typename Argument<Parameters>::Passed... passed) {
        std::tuple<Argument<Parameters>...> arguments{Argument<Parameters>(passed, names[I])...};
        halnorm_status status;
        {
          nb::gil_scoped_release released;
          status = function(context.handle(), std::get<I>(arguments).get()...);
        }
        check(status);
      },
      nb::arg("context"), Argument<Parameters>::named(names[I])...);
}

template <typename... Parameters>
void define(nb::module_ &module, const char *name, Function<Parameters...> function,
            std::array<const char *, sizeof...(Parameters)> names) {
  define(module, name, function, names, std::index_sequence_for<Parameters...>());
}

// A new dense array with the dtype of the input, or of float32, for frameworks whose arrays cannot
// be written to.
nb::ndarray<nb::array_api> empty(const nb::object &input, const std::vector<size_t> &shape,
                                 bool float32) {
  const halnorm_dtype like = Argument<const halnorm_tensor *>(input, "input").get()->dtype;
  const nb::dlpack::dtype dtype =
      float32 ? nb::dtype<float>() : nb::dlpack::dtype{like.code, like.bits, like.lanes};
  size_t bytes = (dtype.bits * size_t{dtype.lanes} + 7) / 8;
  for (size_t extent : shape) bytes *= extent;
  // Frameworks copy what is aligned to less.
  constexpr std::align_val_t kAlignment{64};
  void *data = ::operator new(bytes, kAlignment);
  nb::capsule owner(data, [](void *p) noexcept { ::operator delete(p, kAlignment); });
  return {data, shape.size(), shape.data(), owner, nullptr, dtype};
}

nb::dict targets() {
  nb::dict usable;
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    usable[halnorm_target_name(i)] = halnorm_target_usable(i) != 0;
  }
  return usable;
}

}  // namespace

NB_MODULE(_halnorm, module) {
  nb::class_<Context>(module, "Context")
      .def(nb::init<std::optional<std::string>, int32_t>(), nb::arg("target").none(),
           nb::arg("num_threads"))
      .def_prop_ro("target", &Context::target)
      .def_prop_ro("num_threads", &Context::num_threads);
  module.def("empty", &empty, nb::arg("input"), nb::arg("shape"), nb::arg("float32"));
  module.def("targets", &targets);
  module.def("last_kernel", &halnorm_last_kernel);
  module.attr("__version__") = halnorm_version();
  module.attr("ZERO_CENTERED_GAMMA") = static_cast<int>(HALNORM_ZERO_CENTERED_GAMMA);
  module.attr("FIXED_STATISTICS") = static_cast<int>(HALNORM_FIXED_STATISTICS);

  define(module, "layer_norm", halnorm_layer_norm,
         {"x", "gamma", "beta", "axis", "eps", "y", "mean", "rstd", "flags"});
  define(module, "layer_norm_backward", halnorm_layer_norm_backward,
         {"dy", "x", "gamma", "mean", "rstd", "axis", "dx", "dgamma", "dbeta", "flags"});
  define(module, "rms_norm", halnorm_rms_norm, {"x", "gamma", "axis", "eps", "y", "rstd", "flags"});
  define(module, "rms_norm_backward", halnorm_rms_norm_backward,
         {"dy", "x", "gamma", "rstd", "axis", "dx", "dgamma", "flags"});
  define(module, "instance_norm", halnorm_instance_norm,
         {"x", "gamma", "beta", "eps", "y", "mean", "rstd", "flags"});
  define(module, "instance_norm_backward", halnorm_instance_norm_backward,
         {"dy", "x", "gamma", "mean", "rstd", "dx", "dgamma", "dbeta", "flags"});
  define(module, "group_norm", halnorm_group_norm,
         {"x", "gamma", "beta", "groups", "eps", "y", "mean", "rstd", "flags"});
  define(module, "group_norm_backward", halnorm_group_norm_backward,
         {"dy", "x", "gamma", "mean", "rstd", "groups", "dx", "dgamma", "dbeta", "flags"});
  define(module, "batch_norm_inference", halnorm_batch_norm_inference,
         {"x", "gamma", "beta", "running_mean", "running_var", "eps", "y", "flags"});
  define(module, "batch_norm_training", halnorm_batch_norm_training,
         {"x", "gamma", "beta", "eps", "momentum", "running_mean", "running_var", "y", "mean",
          "rstd", "flags"});
  define(module, "batch_norm_backward", halnorm_batch_norm_backward,
         {"dy", "x", "gamma", "mean", "rstd", "dx", "dgamma", "dbeta", "flags"});
}
