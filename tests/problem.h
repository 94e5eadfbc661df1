// SPDX-License-Identifier: Apache-2.0
// The one grammar for a problem, operation:dtype:shape:options, for example
//   layer_norm_forward:f32:64x768:gamma,beta
//   rms_norm_forward:bf16:2x17x64:gamma,axis=1,layout=gaps
//   batch_norm_training:f32:8x64x56x56:gamma,beta,statistics,running,layout=channels_last
//   group_norm_backward:bf16:2x320x64x64:gamma,dgamma,dbeta,groups=32
// Test lists, benchmark lists, tuner input and failure messages are written in it. The options
// have the names of the members of `Problem`.
#ifndef HALNORM_TESTS_PROBLEM_H_
#define HALNORM_TESTS_PROBLEM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halnorm_test {

enum class Operation {
  layer_norm_forward,
  layer_norm_backward,
  rms_norm_forward,
  rms_norm_backward,
  instance_norm_forward,
  instance_norm_backward,
  group_norm_forward,
  group_norm_backward,
  batch_norm_inference,
  batch_norm_training,
  batch_norm_backward,
};
enum class Norm { layer, rms, instance, group, batch };
enum class Dtype { f32, f16, bf16 };

enum class Layout {
  dense,           // row-major, no gaps
  padded,          // row-major, a gap after each row: the stride before the axis (of C) is larger
  channels_first,  // the last dimension lies at position 1 in memory: (N, H, W, C) over NCHW
  channels_last,   // dimension 1 lies last in memory: (N, C, H, W) over NHWC
  transposed,      // column-major
  reversed,        // row-major with every stride negative
  gaps,            // row-major with every second element left out: innermost stride 2
};

constexpr Operation kOperations[] = {
    Operation::layer_norm_forward,    Operation::layer_norm_backward,
    Operation::rms_norm_forward,      Operation::rms_norm_backward,
    Operation::instance_norm_forward, Operation::instance_norm_backward,
    Operation::group_norm_forward,    Operation::group_norm_backward,
    Operation::batch_norm_inference,  Operation::batch_norm_training,
    Operation::batch_norm_backward,
};
constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f16, Dtype::bf16};
constexpr Layout kLayouts[] = {
    Layout::dense,      Layout::padded,   Layout::channels_first, Layout::channels_last,
    Layout::transposed, Layout::reversed, Layout::gaps,
};

Norm norm_of(Operation operation);
bool is_backward(Operation operation);

struct Problem {
  Operation operation = Operation::layer_norm_forward;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;

  bool gamma = false;
  bool beta = false;               // forward; RMS norm has none
  bool statistics = false;         // forward: mean (not of RMS norm) and rstd are wanted
  bool running = false;            // training: running_mean and running_var are given
  bool biased = false;             // HALNORM_RUNNING_VAR_BIASED
  bool dgamma = false;             // backward: wanted
  bool dbeta = false;              // backward: wanted; RMS norm has none
  bool no_dx = false;              // backward: dx is not wanted
  bool fixed = false;              // HALNORM_FIXED_STATISTICS
  bool zero_centered = false;      // scale by 1 + gamma
  bool narrow_parameters = false;  // gamma, beta, dgamma, dbeta have the dtype of x instead of f32
  bool inplace = false;            // y is x; of a backward, dx is dy
  int32_t axis = -1;               // layer and RMS norm
  int64_t groups = 1;              // group norm
  double momentum = 0.1;           // training, with `running`
  double eps = 1e-5;               // a backward has the statistics that a forward with it saves
  Layout layout = Layout::dense;

  Norm norm() const { return norm_of(operation); }
  bool is_backward() const { return halnorm_test::is_backward(operation); }
  // x is (N, C, spatial dimensions), and gamma and beta have an element for each channel.
  bool has_channels() const { return norm() != Norm::layer && norm() != Norm::rms; }
  bool has_rstd() const { return statistics || is_backward(); }
  bool has_mean() const { return has_rstd() && norm() != Norm::rms; }
  bool has_running() const { return running || operation == Operation::batch_norm_inference; }
  bool has_dx() const { return is_backward() && !no_dx; }
  Dtype parameter_dtype() const { return narrow_parameters ? dtype : Dtype::f32; }

  // A row is what runs over the dimensions from this one on: from the axis, or the spatial ones.
  // Rows are numbered in row-major order, as the elements in each of them are.
  size_t first_reduced() const;
  int64_t row_count() const;
  int64_t row_length() const;

  std::vector<int64_t> parameter_shape() const;
  int64_t parameter_of(int64_t row, int64_t element) const {
    return has_channels() ? row % shape[1] : element;
  }

  // Rows that have their mean and variance in common have the same statistic.
  std::vector<int64_t> statistic_shape() const;
  int64_t statistic_count() const;
  int64_t statistic_length() const;  // how many elements each is of
  int64_t statistic_of(int64_t row) const;
  // Where an element stands among those of its statistic, samples first, then channels.
  int64_t place_in_statistic(int64_t row, int64_t element) const;

  // A part is what may be computed alone, with the same bits: a row of layer and RMS norm, a sample
  // of the others. Of batch norm in training it is the whole tensor.
  size_t part_rank() const;  // how many leading dimensions number the parts
  int64_t part_count() const;
};

const char *name(Operation operation);
const char *name(Dtype dtype);
const char *name(Layout layout);

// With gamma, beta and all that the operation can be asked for; group norm with two groups, where
// the channels are even.
Problem full_problem(Operation operation, Dtype dtype, std::vector<int64_t> shape);

// Nothing where `text` is no problem; *error then says what was found where, and what was expected.
std::optional<Problem> parse(std::string_view text, std::string *error);

// For problems that are written into a program: prints the error and aborts.
Problem must_parse(std::string_view text);

// The canonical form: parse(print(p)) is p, and options at their default are left out.
std::string print(const Problem &problem);

// The shortest decimal form that reads back as the same value.
std::string print_number(double value);

// Reads the whole of `text` as a number.
bool parse_number(std::string_view text, double *value);
bool parse_number(std::string_view text, int64_t *value);

// "a:b:c" split at each separator: always one part more than there are separators.
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_PROBLEM_H_
