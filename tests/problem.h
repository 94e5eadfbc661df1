// SPDX-License-Identifier: Apache-2.0
// The one grammar for a problem, operation:dtype:shape:options, for example
//   layer_norm_forward:f32:64x768:gamma,beta
//   rms_norm_forward:bf16:2x17x64:gamma,axis=1,layout=gaps
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

enum class Operation { layer_norm_forward, rms_norm_forward };
enum class Dtype { f32, f16, bf16 };

enum class Layout {
  dense,           // row-major, no gaps
  padded,          // row-major, a gap after each row: the stride before the axis is larger
  channels_first,  // the last dimension lies at position 1 in memory: (N, H, W, C) over NCHW
  transposed,      // column-major
  reversed,        // row-major with every stride negative
  gaps,            // row-major with every second element left out: innermost stride 2
};

struct Problem {
  Operation operation = Operation::layer_norm_forward;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;

  bool gamma = false;
  bool beta = false;
  bool statistics = false;         // mean (layer norm only) and rstd are wanted
  bool zero_centered = false;      // scale by 1 + gamma
  bool narrow_parameters = false;  // gamma and beta have the dtype of x instead of f32
  bool inplace = false;            // y is x
  int32_t axis = -1;
  double eps = 1e-5;
  Layout layout = Layout::dense;

  // The axis counted from the front.
  size_t first_reduced() const;
  int64_t row_count() const;
  int64_t row_length() const;
  Dtype parameter_dtype() const { return narrow_parameters ? dtype : Dtype::f32; }
  bool has_mean() const { return statistics && operation == Operation::layer_norm_forward; }
};

const char *name(Operation operation);
const char *name(Dtype dtype);
const char *name(Layout layout);

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
