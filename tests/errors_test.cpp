// SPDX-License-Identifier: Apache-2.0
// Every error of the operations, a table row each: the status, what the message must name, and that
// no output was written.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "call.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

// A tensor with its numbers in place, so that a test may bend any of them.
struct LooseTensor {
  LooseTensor() { elements.assign(kElements, kUnwritten); }
  LooseTensor(const LooseTensor &) = delete;
  LooseTensor &operator=(const LooseTensor &) = delete;

  void reshape(std::vector<int64_t> extents) {
    shape = std::move(extents);
    tensor.data = elements.data();
    tensor.device.device_type = HALNORM_CPU;
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.shape = shape.data();
  }
  void set_stride(size_t dimension, int64_t stride) {
    if (tensor.strides == nullptr) strides = dense_strides(shape);
    strides[dimension] = stride;
    tensor.strides = strides.data();
  }
  void set_dtype(halnorm_dtype dtype) { tensor.dtype = dtype; }
  // Begins at an element of another one.
  void place_in(LooseTensor &other, size_t element) {
    tensor.data = other.elements.data() + element;
  }
  halnorm_tensor *pointer() { return given ? &tensor : nullptr; }

  static constexpr size_t kElements = 48;  // twice as many as any tensor here has
  bool given = true;
  std::vector<int64_t> shape, strides;
  std::vector<float> elements;
  halnorm_tensor tensor = {nullptr, {HALNORM_CPU, 0}, 0, HALNORM_F32, nullptr, nullptr, 0};
};

constexpr halnorm_dtype kF16 = HALNORM_F16, kBf16 = HALNORM_BF16;

// A valid call, until a table row bends it: of 4 rows of 6 (axis 1), or of 4 samples of 6 channels,
// with a spatial dimension of 1 where the operation needs one. Group norm has 2 groups.
struct Call {
  LooseTensor x, dy, gamma, beta, out, dgamma, dbeta, mean, rstd, running_mean, running_var;
  Arguments arguments;
  Problem problem;

  explicit Call(Operation operation) {
    problem = full_problem(operation, Dtype::f32, {4, 6});
    if (problem.norm() == Norm::instance) problem.shape.push_back(1);
    for (LooseTensor *tensor : {&x, &dy, &out}) tensor->reshape(problem.shape);
    for (LooseTensor *tensor : {&gamma, &beta, &dgamma, &dbeta}) tensor->reshape({6});
    for (LooseTensor *tensor : {&mean, &rstd, &running_mean, &running_var}) {
      tensor->reshape(problem.statistic_shape());
    }
    arguments.axis = 1;
    arguments.groups = static_cast<int32_t>(problem.groups);
  }

  // The tensor that the output may be.
  LooseTensor &source() { return problem.is_backward() ? dy : x; }
  std::vector<LooseTensor *> activations() { return {&x, &dy, &out}; }
  std::vector<LooseTensor *> tensors() {
    return {&x,     &dy,   &gamma, &beta,         &out,        &dgamma,
            &dbeta, &mean, &rstd,  &running_mean, &running_var};
  }
  void set_activations(halnorm_dtype dtype) {
    for (LooseTensor *tensor : activations()) tensor->set_dtype(dtype);
  }

  halnorm_status run() {
    arguments.x = x.pointer();
    arguments.dy = dy.pointer();
    arguments.gamma = gamma.pointer();
    arguments.beta = beta.pointer();
    arguments.y = arguments.dx = out.pointer();
    arguments.dgamma = dgamma.pointer();
    arguments.dbeta = dbeta.pointer();
    arguments.mean = mean.pointer();
    arguments.rstd = rstd.pointer();
    arguments.running_mean = running_mean.pointer();
    arguments.running_var = running_var.pointer();
    return call(problem.operation, arguments);
  }
};

// Which operations a table row is for.
using Which = bool (*)(const Problem &problem);
bool any(const Problem &) { return true; }
bool forward(const Problem &p) { return !p.is_backward(); }
bool backward(const Problem &p) { return p.is_backward(); }
bool of_rows(const Problem &p) { return !p.has_channels(); }
bool of_channels(const Problem &p) { return p.has_channels(); }
bool of_layer(const Problem &p) { return p.norm() == Norm::layer; }
bool of_instance(const Problem &p) { return p.norm() == Norm::instance; }
bool of_group(const Problem &p) { return p.norm() == Norm::group; }
bool with_beta(const Problem &p) { return p.beta; }
bool with_dbeta(const Problem &p) { return p.dbeta; }
bool with_mean(const Problem &p) { return p.has_mean(); }
bool with_rstd(const Problem &p) { return p.has_rstd(); }
bool writes_mean(const Problem &p) { return p.statistics && p.has_mean(); }
bool writes_rstd(const Problem &p) { return p.statistics; }
bool reads_mean(const Problem &p) { return p.is_backward() && p.has_mean(); }
bool with_running(const Problem &p) { return p.has_running(); }
bool training(const Problem &p) { return p.operation == Operation::batch_norm_training; }
bool inference(const Problem &p) { return p.operation == Operation::batch_norm_inference; }
bool not_training(const Problem &p) { return !training(p); }
bool not_batch_backward(const Problem &p) { return p.operation != Operation::batch_norm_backward; }
bool batch_with_mean(const Problem &p) { return p.norm() == Norm::batch && p.has_mean(); }

// In the messages OUT stands for y or dx, SOURCE for x or dy (the tensor that it may be), and '+'
// for the spatial dimension of instance norm.
struct Row {
  const char *name;
  Which which;
  halnorm_status status;
  std::vector<const char *> message;  // words that it must contain
  std::function<void(Call &)> bend;
};

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kHuge = int64_t{1} << 62;
constexpr halnorm_status kInvalid = HALNORM_INVALID_ARGUMENT;

// clang-format off
const std::vector<Row> &null_rows() {
  static const std::vector<Row> rows = {
      {"x_null", any, kInvalid, {"x", "NULL"}, [](Call &c) { c.x.given = false; }},
      {"y_null", forward, kInvalid, {"y", "NULL"}, [](Call &c) { c.out.given = false; }},
      {"dy_null", backward, kInvalid, {"dy", "NULL"}, [](Call &c) { c.dy.given = false; }},
      {"saved_mean_null", reads_mean, kInvalid, {"mean", "NULL"},
       [](Call &c) { c.mean.given = false; }},
      {"saved_rstd_null", backward, kInvalid, {"rstd", "NULL"},
       [](Call &c) { c.rstd.given = false; }},
      {"saved_statistics_null_without_dx", backward, kInvalid, {"rstd", "NULL"},
       [](Call &c) { c.rstd.given = c.out.given = false; }},
      {"running_mean_null", inference, kInvalid, {"running_mean", "NULL"},
       [](Call &c) { c.running_mean.given = false; }},
      {"running_var_null", inference, kInvalid, {"running_var", "NULL"},
       [](Call &c) { c.running_var.given = false; }},
      {"running_mean_alone", training, kInvalid, {"running_mean", "running_var"},
       [](Call &c) { c.running_var.given = false; }},
      {"running_var_alone", training, kInvalid, {"running_mean", "running_var"},
       [](Call &c) { c.running_mean.given = false; }},
      {"x_data_null", any, kInvalid, {"x", "NULL"}, [](Call &c) { c.x.tensor.data = nullptr; }},
      {"dy_data_null", backward, kInvalid, {"dy", "NULL"},
       [](Call &c) { c.dy.tensor.data = nullptr; }},
      {"out_data_null", any, kInvalid, {"OUT", "NULL"},
       [](Call &c) { c.out.tensor.data = nullptr; }},
      {"gamma_data_null", any, kInvalid, {"gamma"}, [](Call &c) { c.gamma.tensor.data = nullptr; }},
      {"dgamma_data_null", backward, kInvalid, {"dgamma"},
       [](Call &c) { c.dgamma.tensor.data = nullptr; }},
      {"rstd_data_null", with_rstd, kInvalid, {"rstd"},
       [](Call &c) { c.rstd.tensor.data = nullptr; }},
      {"running_var_data_null", with_running, kInvalid, {"running_var"},
       [](Call &c) { c.running_var.tensor.data = nullptr; }},
      {"x_shape_null", any, kInvalid, {"x", "shape"}, [](Call &c) { c.x.tensor.shape = nullptr; }},
      {"mean_shape_null", with_mean, kInvalid, {"mean", "shape"},
       [](Call &c) { c.mean.tensor.shape = nullptr; }},
  };
  return rows;
}

const std::vector<Row> &shape_rows() {
  static const std::vector<Row> rows = {
      {"x_rank_negative", any, kInvalid, {"x", "-1"}, [](Call &c) { c.x.tensor.ndim = -1; }},
      {"x_rank_zero", any, kInvalid, {"x"},
       [](Call &c) { for (LooseTensor *t : c.activations()) t->tensor.ndim = 0; }},
      {"x_rank_one", of_channels, kInvalid, {"x"},
       [](Call &c) { for (LooseTensor *t : c.activations()) t->reshape({6}); }},
      {"x_without_spatial_dimension", of_instance, kInvalid, {"x"},
       [](Call &c) { for (LooseTensor *t : c.activations()) t->reshape({4, 6}); }},
      {"x_rank_33", any, HALNORM_UNSUPPORTED, {"x", "33"},
       [](Call &c) {
         for (LooseTensor *t : c.activations()) t->reshape(std::vector<int64_t>(33, 1));
       }},
      {"x_rank_33_without_shape", any, HALNORM_UNSUPPORTED, {"x", "33"},
       [](Call &c) { c.x.tensor.ndim = 33; c.x.tensor.shape = nullptr; }},
      {"x_extent_negative", any, kInvalid, {"x", "-4"}, [](Call &c) { c.x.shape[0] = -4; }},
      {"x_too_many_elements", any, kInvalid, {"x", "4611686018427387904"},
       [](Call &c) { c.x.shape[0] = kHuge; }},
      {"x_beyond_memory", any, kInvalid, {"x", "memory"},
       [](Call &c) { c.x.set_stride(0, kHuge); }},
      {"out_shape", any, kInvalid, {"OUT", "[4, 5+]", "[4, 6+]"},
       [](Call &c) { c.out.shape[1] = 5; }},
      {"dy_shape", backward, kInvalid, {"dy", "[3, 6+]", "[4, 6+]"},
       [](Call &c) { c.dy.shape[0] = 3; }},
      {"out_rank", any, kInvalid, {"OUT", "[24]", "[4, 6+]"}, [](Call &c) { c.out.reshape({24}); }},
      {"gamma_shape", any, kInvalid, {"gamma", "[5]", "[6]"}, [](Call &c) { c.gamma.reshape({5}); }},
      {"gamma_rank", any, kInvalid, {"gamma", "[4, 6]", "[6]"},
       [](Call &c) { c.gamma.reshape({4, 6}); }},
      {"gamma_of_another_axis", of_rows, kInvalid, {"gamma", "[6]", "[4, 6]"},
       [](Call &c) { c.arguments.axis = 0; }},
      {"beta_shape", with_beta, kInvalid, {"beta", "[7]", "[6]"},
       [](Call &c) { c.beta.reshape({7}); }},
      {"dgamma_shape", backward, kInvalid, {"dgamma", "[5]", "[6]"},
       [](Call &c) { c.dgamma.reshape({5}); }},
      {"dgamma_shape_without_gamma", backward, kInvalid, {"dgamma", "[5]", "[6]"},
       [](Call &c) { c.gamma.given = false; c.dgamma.reshape({5}); }},
      {"dbeta_shape", with_dbeta, kInvalid, {"dbeta", "[6, 1]", "[6]"},
       [](Call &c) { c.dbeta.reshape({6, 1}); }},
      {"mean_shape", of_layer, kInvalid, {"mean", "[3]", "[4]"},
       [](Call &c) { c.mean.reshape({3}); }},
      {"rstd_shape", of_rows, kInvalid, {"rstd", "[5]", "[4]"},
       [](Call &c) { c.rstd.reshape({5}); }},
      {"mean_keeps_too_much", of_layer, kInvalid, {"mean", "[4, 2]", "[4, 1]"},
       [](Call &c) { c.mean.reshape({4, 2}); }},
      {"mean_of_instances", of_instance, kInvalid, {"mean", "[4]", "[4, 6]"},
       [](Call &c) { c.mean.reshape({4}); }},
      {"rstd_of_groups", of_group, kInvalid, {"rstd", "[4, 6]", "[4, 2]"},
       [](Call &c) { c.rstd.reshape({4, 6}); }},
      {"mean_of_batch", batch_with_mean, kInvalid, {"mean", "[4, 6]", "[6]"},
       [](Call &c) { c.mean.reshape({4, 6}); }},
      {"rstd_of_batch", batch_with_mean, kInvalid, {"rstd", "[5]", "[6]"},
       [](Call &c) { c.rstd.reshape({5}); }},
      {"running_mean_shape", with_running, kInvalid, {"running_mean", "[7]", "[6]"},
       [](Call &c) { c.running_mean.reshape({7}); }},
      {"running_var_shape", with_running, kInvalid, {"running_var", "[6, 1]", "[6]"},
       [](Call &c) { c.running_var.reshape({6, 1}); }},
      {"mean_not_dense", with_mean, kInvalid, {"mean", "dense"},
       [](Call &c) { c.mean.set_stride(0, 7); }},
      {"rstd_not_dense", with_rstd, kInvalid, {"rstd", "dense"},
       [](Call &c) { c.rstd.set_stride(0, -1); }},
      {"running_mean_not_dense", with_running, kInvalid, {"running_mean", "dense"},
       [](Call &c) { c.running_mean.set_stride(0, 2); }},
      {"running_var_not_dense", with_running, kInvalid, {"running_var", "dense"},
       [](Call &c) { c.running_var.set_stride(0, 0); }},
  };
  return rows;
}

const std::vector<Row> &number_rows() {
  static const std::vector<Row> rows = {
      {"axis_too_large", of_rows, kInvalid, {"axis", "2"}, [](Call &c) { c.arguments.axis = 2; }},
      {"axis_too_small", of_rows, kInvalid, {"axis", "-3"}, [](Call &c) { c.arguments.axis = -3; }},
      {"eps_negative", forward, kInvalid, {"eps", "-1"}, [](Call &c) { c.arguments.eps = -1; }},
      {"eps_nan", forward, kInvalid, {"eps", "nan"}, [](Call &c) { c.arguments.eps = kNan; }},
      {"eps_infinite", forward, kInvalid, {"eps", "inf"},
       [](Call &c) { c.arguments.eps = kInfinity; }},
      {"groups_zero", of_group, kInvalid, {"groups", "0"}, [](Call &c) { c.arguments.groups = 0; }},
      {"groups_negative", of_group, kInvalid, {"groups", "-2"},
       [](Call &c) { c.arguments.groups = -2; }},
      {"groups_do_not_divide", of_group, kInvalid, {"groups", "4", "6"},
       [](Call &c) { c.arguments.groups = 4; }},
      {"groups_beyond_channels", of_group, kInvalid, {"groups", "12", "6"},
       [](Call &c) { c.arguments.groups = 12; }},
      {"momentum_negative", training, kInvalid, {"momentum", "-1"},
       [](Call &c) { c.arguments.momentum = -1; }},
      {"momentum_too_large", training, kInvalid, {"momentum", "2"},
       [](Call &c) { c.arguments.momentum = 2; }},
      {"momentum_nan", training, kInvalid, {"momentum", "nan"},
       [](Call &c) { c.arguments.momentum = kNan; }},
      {"momentum_infinite_without_running_statistics", training, kInvalid, {"momentum", "inf"},
       [](Call &c) {
         c.running_mean.given = c.running_var.given = false;
         c.arguments.momentum = kInfinity;
       }},
      {"flags_unknown", any, kInvalid, {"flags"}, [](Call &c) { c.arguments.flags = 1u << 31; }},
      {"flag_of_training", not_training, kInvalid, {"flags"},
       [](Call &c) { c.arguments.flags = HALNORM_RUNNING_VAR_BIASED; }},
      {"flag_of_batch_norm_backward", not_batch_backward, kInvalid, {"flags"},
       [](Call &c) { c.arguments.flags = HALNORM_FIXED_STATISTICS; }},
  };
  return rows;
}

const std::vector<Row> &dtype_and_device_rows() {
  static const std::vector<Row> rows = {
      {"x_f64", any, kInvalid, {"x", "dtype", "64"}, [](Call &c) { c.x.set_dtype({2, 64, 1}); }},
      {"x_int32", any, kInvalid, {"x", "dtype"}, [](Call &c) { c.x.set_dtype({0, 32, 1}); }},
      {"x_f8", any, kInvalid, {"x", "dtype"}, [](Call &c) { c.x.set_dtype({2, 8, 1}); }},
      {"x_bf32", any, kInvalid, {"x", "dtype"}, [](Call &c) { c.x.set_dtype({4, 32, 1}); }},
      {"x_lanes", any, kInvalid, {"x", "lanes 4"}, [](Call &c) { c.x.set_dtype({2, 32, 4}); }},
      {"out_another_dtype", any, kInvalid, {"OUT", "dtype"}, [](Call &c) { c.out.set_dtype(kF16); }},
      {"dy_another_dtype", backward, kInvalid, {"dy", "dtype"},
       [](Call &c) { c.dy.set_dtype(kBf16); }},
      {"gamma_narrower_than_x", any, kInvalid, {"gamma", "dtype"},
       [](Call &c) { c.gamma.set_dtype(kF16); }},
      {"gamma_other_16_bits", any, kInvalid, {"gamma", "dtype"},
       [](Call &c) { c.set_activations(kF16); c.gamma.set_dtype(kBf16); }},
      {"beta_narrower_than_x", with_beta, kInvalid, {"beta", "dtype"},
       [](Call &c) { c.beta.set_dtype(kBf16); }},
      {"dgamma_narrower_than_x", backward, kInvalid, {"dgamma", "dtype"},
       [](Call &c) { c.dgamma.set_dtype(kF16); }},
      {"dbeta_other_16_bits", with_dbeta, kInvalid, {"dbeta", "dtype"},
       [](Call &c) { c.set_activations(kBf16); c.dbeta.set_dtype(kF16); }},
      {"mean_f16", with_mean, kInvalid, {"mean", "dtype"}, [](Call &c) { c.mean.set_dtype(kF16); }},
      {"rstd_bf16", with_rstd, kInvalid, {"rstd", "dtype"},
       [](Call &c) { c.rstd.set_dtype(kBf16); }},
      {"running_mean_of_the_dtype_of_x", with_running, kInvalid, {"running_mean", "dtype"},
       [](Call &c) { c.set_activations(kF16); c.running_mean.set_dtype(kF16); }},
      {"running_var_bf16", with_running, kInvalid, {"running_var", "dtype"},
       [](Call &c) { c.running_var.set_dtype(kBf16); }},
      {"x_device_unknown", any, kInvalid, {"x", "99"},
       [](Call &c) { c.x.tensor.device.device_type = 99; }},
      {"rstd_device_unknown", with_rstd, kInvalid, {"rstd", "0"},
       [](Call &c) { c.rstd.tensor.device.device_type = 0; }},
      {"out_on_another_device", any, kInvalid, {"OUT", "device"},
       [](Call &c) { c.out.tensor.device.device_type = HALNORM_CUDA; }},
      {"gamma_on_another_device", any, kInvalid, {"gamma", "device"},
       [](Call &c) { c.gamma.tensor.device.device_type = HALNORM_CUDA; }},
      {"dgamma_on_another_device", backward, kInvalid, {"dgamma", "device"},
       [](Call &c) { c.dgamma.tensor.device.device_type = HALNORM_CUDA; }},
      {"running_var_on_another_device", with_running, kInvalid, {"running_var", "device"},
       [](Call &c) { c.running_var.tensor.device.device_type = HALNORM_CUDA; }},
      {"x_misaligned", any, kInvalid, {"x"}, [](Call &c) { c.x.tensor.byte_offset = 2; }},
      {"out_misaligned", any, kInvalid, {"OUT"}, [](Call &c) { c.out.tensor.byte_offset = 1; }},
      {"rstd_misaligned", with_rstd, kInvalid, {"rstd"},
       [](Call &c) { c.rstd.tensor.byte_offset = 3; }},
      {"dgamma_misaligned", backward, kInvalid, {"dgamma"},
       [](Call &c) { c.dgamma.tensor.byte_offset = 2; }},
      {"x_f16_misaligned", any, kInvalid, {"x"},
       [](Call &c) { c.set_activations(kF16); c.x.tensor.byte_offset = 1; }},
  };
  return rows;
}

// Outputs that share elements with something.
const std::vector<Row> &overlap_rows() {
  static const std::vector<Row> rows = {
      {"out_overlaps_itself", any, kInvalid, {"OUT"}, [](Call &c) { c.out.set_stride(0, 0); }},
      {"out_rows_overlap", any, kInvalid, {"OUT"}, [](Call &c) { c.out.set_stride(0, 5); }},
      {"out_one_row_after_source", any, kInvalid, {"OUT", "SOURCE"},
       [](Call &c) { c.out.place_in(c.source(), 6); }},
      {"out_one_element_after_source", any, kInvalid, {"OUT", "SOURCE"},
       [](Call &c) { c.out.place_in(c.source(), 1); }},
      {"out_transposes_source", any, kInvalid, {"OUT", "SOURCE"},
       [](Call &c) {
         c.out.place_in(c.source(), 0);
         c.out.set_stride(0, 1);
         c.out.set_stride(1, 4);
       }},
      {"out_reverses_source", any, kInvalid, {"OUT", "SOURCE"},
       [](Call &c) {
         c.out.place_in(c.source(), 23);
         c.out.set_stride(0, -6);
         c.out.set_stride(1, -1);
       }},
      {"dx_is_x", backward, kInvalid, {"dx", "x"}, [](Call &c) { c.out.place_in(c.x, 0); }},
      {"gamma_in_out", any, kInvalid, {"gamma", "OUT"},
       [](Call &c) { c.gamma.place_in(c.out, 18); }},
      {"beta_in_out", with_beta, kInvalid, {"beta", "OUT"},
       [](Call &c) { c.beta.place_in(c.out, 3); }},
      {"mean_in_x", writes_mean, kInvalid, {"mean", "x"},
       [](Call &c) { c.mean.place_in(c.x, 20); }},
      {"rstd_in_gamma", writes_rstd, kInvalid, {"rstd", "gamma"},
       [](Call &c) { c.rstd.place_in(c.gamma, 2); }},
      {"rstd_is_mean", writes_mean, kInvalid, {"rstd", "mean"},
       [](Call &c) { c.rstd.place_in(c.mean, 0); }},
      {"rstd_in_out", with_rstd, kInvalid, {"rstd", "OUT"},
       [](Call &c) { c.rstd.place_in(c.out, 20); }},
      {"dgamma_overlaps_itself", backward, kInvalid, {"dgamma"},
       [](Call &c) { c.dgamma.set_stride(0, 0); }},
      {"dgamma_in_dx", backward, kInvalid, {"dgamma", "dx"},
       [](Call &c) { c.dgamma.place_in(c.out, 9); }},
      {"dgamma_in_x", backward, kInvalid, {"dgamma", "x"},
       [](Call &c) { c.dgamma.place_in(c.x, 2); }},
      {"dgamma_is_gamma", backward, kInvalid, {"dgamma", "gamma"},
       [](Call &c) { c.dgamma.place_in(c.gamma, 0); }},
      {"dgamma_in_rstd", backward, kInvalid, {"dgamma", "rstd"},
       [](Call &c) { c.dgamma.place_in(c.rstd, 1); }},
      {"dbeta_is_dgamma", with_dbeta, kInvalid, {"dbeta", "dgamma"},
       [](Call &c) { c.dbeta.place_in(c.dgamma, 0); }},
      {"dbeta_in_dy", with_dbeta, kInvalid, {"dbeta", "dy"},
       [](Call &c) { c.dbeta.place_in(c.dy, 20); }},
      {"dbeta_in_mean", with_dbeta, kInvalid, {"dbeta", "mean"},
       [](Call &c) { c.dbeta.place_in(c.mean, 3); }},
      {"running_mean_in_out", with_running, kInvalid, {"running_mean", "OUT"},
       [](Call &c) { c.running_mean.place_in(c.out, 5); }},
      {"running_var_in_x", training, kInvalid, {"running_var", "x"},
       [](Call &c) { c.running_var.place_in(c.x, 5); }},
      {"running_var_is_running_mean", training, kInvalid, {"running_var", "running_mean"},
       [](Call &c) { c.running_var.place_in(c.running_mean, 0); }},
      {"running_mean_is_mean", training, kInvalid, {"running_mean", "mean"},
       [](Call &c) { c.running_mean.place_in(c.mean, 0); }},
      {"running_var_in_beta", training, kInvalid, {"running_var", "beta"},
       [](Call &c) { c.running_var.place_in(c.beta, 4); }},
  };
  return rows;
}
// clang-format on

std::vector<Row> all_rows() {
  std::vector<Row> all;
  for (const std::vector<Row> *rows :
       {&null_rows(), &shape_rows(), &number_rows(), &dtype_and_device_rows(), &overlap_rows()}) {
    all.insert(all.end(), rows->begin(), rows->end());
  }
  return all;
}

// A word of a message, with its placeholders filled in.
std::string for_problem(std::string word, const Problem &problem) {
  if (word == "OUT") return problem.is_backward() ? "dx" : "y";
  if (word == "SOURCE") return problem.is_backward() ? "dy" : "x";
  const size_t plus = word.find('+');
  if (plus != std::string::npos) word.replace(plus, 1, problem.shape.size() == 3 ? ", 1" : "");
  return word;
}

class Errors : public testing::TestWithParam<Row> {};

TEST_P(Errors, AreNamedAndNothingIsWritten) {
  const Row &row = GetParam();
  int calls = 0;
  for (Operation operation : kOperations) {
    Call call(operation);
    if (!row.which(call.problem)) continue;
    ++calls;
    SCOPED_TRACE(name(operation));
    row.bend(call);
    std::vector<std::vector<float>> before;
    for (const LooseTensor *tensor : call.tensors()) before.push_back(tensor->elements);

    EXPECT_EQ(call.run(), row.status) << halnorm_last_error();
    for (const char *part : row.message) {
      const std::string word = for_problem(part, call.problem);
      EXPECT_TRUE(contains_word(halnorm_last_error(), word))
          << "the message '" << halnorm_last_error() << "' does not contain '" << word << "'";
    }
    for (size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(call.tensors()[i]->elements, before[i]) << "tensor " << i << " was written";
    }
  }
  EXPECT_GT(calls, 0) << "the row is for no operation";
}

void PrintTo(const Row &row, std::ostream *out) { *out << row.name; }

INSTANTIATE_TEST_SUITE_P(All, Errors, testing::ValuesIn(all_rows()),
                         [](const auto &info) { return std::string(info.param.name); });

// The call that the table bends is itself fine; otherwise a row might fail for the wrong reason.
TEST(ErrorsTable, StartsFromAValidCall) {
  for (Operation operation : kOperations) {
    Call call(operation);
    EXPECT_EQ(call.run(), HALNORM_OK) << name(operation) << ": " << halnorm_last_error();
  }
}

TEST(ErrorsTable, CudaTensorsAreUnsupportedWithoutACudaTarget) {
  for (int32_t i = 0; i < halnorm_target_count(); ++i) {
    if (std::strncmp(halnorm_target_name(i), "cuda", 4) == 0) {
      GTEST_SKIP() << "this build has the target " << halnorm_target_name(i)
                   << ", and host memory must not be passed to it as device memory";
    }
  }
  for (Operation operation : kOperations) {
    Call call(operation);
    for (LooseTensor *tensor : call.tensors()) tensor->tensor.device.device_type = HALNORM_CUDA;
    EXPECT_EQ(call.run(), HALNORM_UNSUPPORTED) << name(operation);
    EXPECT_NE(std::string(halnorm_last_error()).find("CUDA"), std::string::npos)
        << halnorm_last_error();
  }
}

TEST(ErrorsTable, ZeroCenteredGammaWithoutGammaHasNoEffect) {
  for (Operation operation : kOperations) {
    Call plain(operation), flagged(operation);
    for (Call *call : {&plain, &flagged}) {
      for (size_t i = 0; i < 24; ++i) {
        call->x.elements[i] = static_cast<float>(i * i % 7);
        call->dy.elements[i] = static_cast<float>(i * i % 5);
      }
      for (LooseTensor *tensor : {&call->mean, &call->rstd, &call->running_var}) {
        tensor->elements.assign(LooseTensor::kElements, 2);
      }
      call->gamma.given = call->beta.given = false;
    }
    flagged.arguments.flags = HALNORM_ZERO_CENTERED_GAMMA;
    ASSERT_EQ(plain.run(), HALNORM_OK) << halnorm_last_error();
    ASSERT_EQ(flagged.run(), HALNORM_OK) << halnorm_last_error();
    EXPECT_EQ(plain.out.elements, flagged.out.elements) << name(operation);
    EXPECT_EQ(plain.dgamma.elements, flagged.dgamma.elements) << name(operation);
  }
}

TEST(ErrorsTable, BiasedVarianceWithoutRunningStatisticsHasNoEffect) {
  Call call(Operation::batch_norm_training);
  call.running_mean.given = call.running_var.given = false;
  call.arguments.flags = HALNORM_RUNNING_VAR_BIASED;
  EXPECT_EQ(call.run(), HALNORM_OK) << halnorm_last_error();
}

TEST(ErrorsTable, BackwardOfNothingIsFine) {
  for (Operation operation : kOperations) {
    Call call(operation);
    if (!is_backward(operation)) continue;
    call.out.given = call.dgamma.given = call.dbeta.given = false;
    EXPECT_EQ(call.run(), HALNORM_OK) << name(operation) << ": " << halnorm_last_error();
  }
}

}  // namespace
}  // namespace halnorm_test
