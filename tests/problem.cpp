// SPDX-License-Identifier: Apache-2.0
#include "problem.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace halnorm_test {
namespace {

constexpr Operation kOperations[] = {Operation::layer_norm_forward, Operation::rms_norm_forward};
constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::f16, Dtype::bf16};
constexpr Layout kLayouts[] = {Layout::dense,      Layout::padded,   Layout::channels_first,
                               Layout::transposed, Layout::reversed, Layout::gaps};

struct Switch {
  const char *name;
  bool Problem::*member;
};
constexpr Switch kSwitches[] = {
    {"gamma", &Problem::gamma},
    {"beta", &Problem::beta},
    {"statistics", &Problem::statistics},
    {"zero_centered", &Problem::zero_centered},
    {"narrow_parameters", &Problem::narrow_parameters},
    {"inplace", &Problem::inplace},
};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

template <typename Enum, size_t kCount>
bool find(const Enum (&values)[kCount], std::string_view text, Enum *found) {
  for (Enum value : values) {
    if (text == name(value)) {
      *found = value;
      return true;
    }
  }
  return false;
}

template <typename Enum, size_t kCount>
std::string list(const Enum (&values)[kCount]) {
  std::string names;
  for (Enum value : values) names += (names.empty() ? "" : ", ") + std::string(name(value));
  return names;
}

// Each of these returns what is wrong, or nothing.
std::string parse_shape(std::string_view text, std::vector<int64_t> *shape) {
  for (std::string_view part : split(text, 'x')) {
    int64_t extent = 0;
    if (!parse_number(part, &extent) || extent < 0) {
      return "extent " + quoted(part) + " of shape " + quoted(text) +
             ": expected whole numbers >= 0 joined by 'x', as in 64x768";
    }
    shape->push_back(extent);
  }
  return "";
}

std::string parse_option(std::string_view option, Problem *problem) {
  for (const Switch &s : kSwitches) {
    if (option == s.name) {
      problem->*s.member = true;
      return "";
    }
  }
  const size_t equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (key == "axis") {
    int64_t axis = 0;
    const int64_t rank = static_cast<int64_t>(problem->shape.size());
    if (!parse_number(value, &axis) || axis < -rank || axis >= rank) {
      return "axis " + quoted(value) + ": expected a whole number from " + std::to_string(-rank) +
             " to " + std::to_string(rank - 1);
    }
    problem->axis = static_cast<int32_t>(axis);
    return "";
  }
  if (key == "eps") {
    if (!parse_number(value, &problem->eps) || !(problem->eps >= 0) || std::isinf(problem->eps)) {
      return "eps " + quoted(value) + ": expected a finite number >= 0";
    }
    return "";
  }
  if (key == "layout") {
    if (!find(kLayouts, value, &problem->layout)) {
      return "layout " + quoted(value) + ": expected one of " + list(kLayouts);
    }
    return "";
  }
  std::string names;
  for (const Switch &s : kSwitches) names += std::string(s.name) + ", ";
  return "option " + quoted(option) + ": expected one of " + names + "axis=K, eps=E, layout=L";
}

// Options that would be another problem under a second name are refused: a list must not hold the
// same problem twice and look as if it covered more.
std::string check_combination(const Problem &problem) {
  const size_t rank = problem.shape.size();
  if (problem.beta && problem.operation == Operation::rms_norm_forward) {
    return "option 'beta': expected none, rms_norm_forward has no beta";
  }
  if (problem.zero_centered && !problem.gamma) {
    return "option 'zero_centered': expected 'gamma' with it";
  }
  if (problem.narrow_parameters && !(problem.gamma || problem.beta)) {
    return "option 'narrow_parameters': expected 'gamma' or 'beta' with it";
  }
  if (problem.narrow_parameters && problem.dtype == Dtype::f32) {
    return "option 'narrow_parameters': expected dtype f16 or bf16, f32 is the default";
  }
  if (problem.layout == Layout::padded && problem.first_reduced() == 0) {
    return "layout 'padded': expected a dimension before the axis";
  }
  if (problem.layout == Layout::channels_first && rank < 3) {
    return "layout 'channels_first': expected 3 dimensions or more";
  }
  if (problem.layout == Layout::transposed && rank < 2) {
    return "layout 'transposed': expected 2 dimensions or more";
  }
  return "";
}

std::string parse_parts(std::string_view text, Problem *problem) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 4) {
    return std::to_string(parts.size()) +
           " parts between colons: expected 4, operation:dtype:shape:options (options may be "
           "empty)";
  }
  if (!find(kOperations, parts[0], &problem->operation)) {
    return "operation " + quoted(parts[0]) + ": expected one of " + list(kOperations);
  }
  if (!find(kDtypes, parts[1], &problem->dtype)) {
    return "dtype " + quoted(parts[1]) + ": expected one of " + list(kDtypes);
  }
  std::string wrong = parse_shape(parts[2], &problem->shape);
  if (!wrong.empty()) return wrong;
  if (!parts[3].empty()) {
    for (std::string_view option : split(parts[3], ',')) {
      wrong = parse_option(option, problem);
      if (!wrong.empty()) return wrong;
    }
  }
  return check_combination(*problem);
}

template <typename Number>
bool parse_whole(std::string_view text, Number *value) {
  const char *end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

size_t Problem::first_reduced() const {
  return axis < 0 ? shape.size() - static_cast<size_t>(-axis) : static_cast<size_t>(axis);
}

int64_t Problem::row_count() const {
  int64_t count = 1;
  for (size_t d = 0; d < first_reduced(); ++d) count *= shape[d];
  return count;
}

int64_t Problem::row_length() const {
  int64_t length = 1;
  for (size_t d = first_reduced(); d < shape.size(); ++d) length *= shape[d];
  return length;
}

const char *name(Operation operation) {
  switch (operation) {
    case Operation::layer_norm_forward:
      return "layer_norm_forward";
    case Operation::rms_norm_forward:
      return "rms_norm_forward";
  }
  std::abort();
}

const char *name(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f16:
      return "f16";
    case Dtype::bf16:
      return "bf16";
  }
  std::abort();
}

const char *name(Layout layout) {
  switch (layout) {
    case Layout::dense:
      return "dense";
    case Layout::padded:
      return "padded";
    case Layout::channels_first:
      return "channels_first";
    case Layout::transposed:
      return "transposed";
    case Layout::reversed:
      return "reversed";
    case Layout::gaps:
      return "gaps";
  }
  std::abort();
}

std::optional<Problem> parse(std::string_view text, std::string *error) {
  Problem problem;
  const std::string wrong = parse_parts(text, &problem);
  if (wrong.empty()) return problem;
  *error = "problem " + quoted(text) + ": " + wrong + ".";
  return std::nullopt;
}

Problem must_parse(std::string_view text) {
  std::string error;
  std::optional<Problem> problem = parse(text, &error);
  if (!problem) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::abort();
  }
  return *problem;
}

std::string print(const Problem &problem) {
  std::string shape;
  for (int64_t extent : problem.shape) shape += (shape.empty() ? "" : "x") + std::to_string(extent);

  const Problem defaults;
  std::vector<std::string> options;
  for (const Switch &s : kSwitches) {
    if (problem.*s.member) options.push_back(s.name);
  }
  if (problem.axis != defaults.axis) options.push_back("axis=" + std::to_string(problem.axis));
  if (problem.eps != defaults.eps) options.push_back("eps=" + print_number(problem.eps));
  if (problem.layout != defaults.layout) {
    options.push_back("layout=" + std::string(name(problem.layout)));
  }
  std::string joined;
  for (const std::string &option : options) joined += (joined.empty() ? "" : ",") + option;
  return std::string(name(problem.operation)) + ":" + name(problem.dtype) + ":" + shape + ":" +
         joined;
}

std::string print_number(double value) {
  char text[64];
  const std::to_chars_result result = std::to_chars(text, text + sizeof text, value);
  return std::string(text, result.ptr);
}

bool parse_number(std::string_view text, double *value) { return parse_whole(text, value); }
bool parse_number(std::string_view text, int64_t *value) { return parse_whole(text, value); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace halnorm_test
