// SPDX-License-Identifier: Apache-2.0
#include "problem.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace halnorm_test {
namespace {

bool has_beta(Operation operation) {
  return !is_backward(operation) && norm_of(operation) != Norm::rms;
}
bool has_dbeta(Operation operation) {
  return is_backward(operation) && norm_of(operation) != Norm::rms;
}
bool saves_statistics(Operation operation) {
  return !is_backward(operation) && operation != Operation::batch_norm_inference;
}
bool is_training(Operation operation) { return operation == Operation::batch_norm_training; }
bool may_be_fixed(Operation operation) { return operation == Operation::batch_norm_backward; }
bool is_any(Operation) { return true; }

struct Switch {
  const char *name;
  bool Problem::*member;
  bool (*fits)(Operation operation);
};
constexpr Switch kSwitches[] = {
    {"gamma", &Problem::gamma, is_any},
    {"beta", &Problem::beta, has_beta},
    {"statistics", &Problem::statistics, saves_statistics},
    {"running", &Problem::running, is_training},
    {"biased", &Problem::biased, is_training},
    {"dgamma", &Problem::dgamma, is_backward},
    {"dbeta", &Problem::dbeta, has_dbeta},
    {"no_dx", &Problem::no_dx, is_backward},
    {"fixed", &Problem::fixed, may_be_fixed},
    {"zero_centered", &Problem::zero_centered, is_any},
    {"narrow_parameters", &Problem::narrow_parameters, is_any},
    {"inplace", &Problem::inplace, is_any},
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

std::string not_taken(std::string_view option, const Problem &problem) {
  return "option " + quoted(option) + ": " + name(problem.operation) + " does not take it";
}

std::string parse_option(std::string_view option, Problem *problem) {
  for (const Switch &s : kSwitches) {
    if (option == s.name) {
      problem->*s.member = true;
      return s.fits(problem->operation) ? "" : not_taken(option, *problem);
    }
  }
  const size_t equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
  if (key == "axis") {
    if (problem->has_channels()) return not_taken(key, *problem);
    int64_t axis = 0;
    const int64_t rank = static_cast<int64_t>(problem->shape.size());
    if (!parse_number(value, &axis) || axis < -rank || axis >= rank) {
      return "axis " + quoted(value) + ": expected a whole number from " + std::to_string(-rank) +
             " to " + std::to_string(rank - 1);
    }
    problem->axis = static_cast<int32_t>(axis);
    return "";
  }
  if (key == "groups") {
    if (problem->norm() != Norm::group) return not_taken(key, *problem);
    if (!parse_number(value, &problem->groups) || problem->groups < 1) {
      return "groups " + quoted(value) + ": expected a whole number >= 1";
    }
    return "";
  }
  if (key == "momentum") {
    if (!is_training(problem->operation)) return not_taken(key, *problem);
    if (!parse_number(value, &problem->momentum) ||
        !(problem->momentum >= 0 && problem->momentum <= 1)) {
      return "momentum " + quoted(value) + ": expected a number from 0 to 1";
    }
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

std::string check_shape(const Problem &problem) {
  if (!problem.has_channels()) return "";
  const size_t least = problem.norm() == Norm::instance ? 3 : 2;
  if (problem.shape.size() < least) {
    return "shape of " + std::to_string(problem.shape.size()) + " dimensions: expected " +
           std::to_string(least) + " or more, samples x channels x ..., for " +
           name(problem.operation);
  }
  if (problem.shape[1] % problem.groups != 0) {
    return "groups '" + std::to_string(problem.groups) + "': expected a divisor of the " +
           std::to_string(problem.shape[1]) + " channels";
  }
  return "";
}

std::string check_layout(const Problem &problem) {
  const size_t rank = problem.shape.size();
  const std::string layout = "layout " + quoted(name(problem.layout)) + ": expected ";
  switch (problem.layout) {
    case Layout::padded:
      if (problem.first_reduced() == 0) return layout + "a dimension before the axis";
      return "";
    case Layout::channels_first:
      if (problem.has_channels()) return layout + "another one for " + name(problem.operation);
      if (rank < 3) return layout + "3 dimensions or more";
      return "";
    case Layout::channels_last:
      if (!problem.has_channels()) return layout + "another one for " + name(problem.operation);
      if (rank < 3) return layout + "3 dimensions or more";
      return "";
    case Layout::transposed:
      if (rank < 2) return layout + "2 dimensions or more";
      return "";
    case Layout::dense:
    case Layout::reversed:
    case Layout::gaps:
      return "";
  }
  std::abort();
}

// Options that would be another problem under a second name are refused: a list must not hold the
// same problem twice and look as if it covered more.
std::string check_combination(const Problem &problem) {
  const bool has_parameters = problem.gamma || problem.beta || problem.dgamma || problem.dbeta;
  if (problem.zero_centered && !problem.gamma) {
    return "option 'zero_centered': expected 'gamma' with it";
  }
  if (problem.narrow_parameters && !has_parameters) {
    return problem.is_backward()
               ? "option 'narrow_parameters': expected 'gamma', 'dgamma' or 'dbeta' with it"
               : "option 'narrow_parameters': expected 'gamma' or 'beta' with it";
  }
  if (problem.narrow_parameters && problem.dtype == Dtype::f32) {
    return "option 'narrow_parameters': expected dtype f16 or bf16, f32 is the default";
  }
  if (problem.no_dx && !(problem.dgamma || problem.dbeta)) {
    return "option 'no_dx': expected 'dgamma' or 'dbeta' with it";
  }
  if (problem.no_dx && problem.inplace) {
    return "option 'inplace': expected no 'no_dx' with it";
  }
  if (problem.biased && !problem.running) {
    return "option 'biased': expected 'running' with it";
  }
  if (problem.momentum != Problem().momentum && !problem.running) {
    return "option 'momentum': expected 'running' with it";
  }
  if (problem.running && !problem.biased && problem.statistic_length() == 1) {
    return "option 'running': expected 'biased' with it, a channel of one element has no unbiased "
           "variance";
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
  wrong = check_shape(*problem);
  if (wrong.empty()) wrong = check_layout(*problem);
  if (wrong.empty()) wrong = check_combination(*problem);
  return wrong;
}

int64_t product(const std::vector<int64_t> &shape, size_t begin, size_t end) {
  int64_t count = 1;
  for (size_t d = begin; d < end; ++d) count *= shape[d];
  return count;
}

template <typename Number>
bool parse_whole(std::string_view text, Number *value) {
  const char *end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

Norm norm_of(Operation operation) {
  switch (operation) {
    case Operation::layer_norm_forward:
    case Operation::layer_norm_backward:
      return Norm::layer;
    case Operation::rms_norm_forward:
    case Operation::rms_norm_backward:
      return Norm::rms;
    case Operation::instance_norm_forward:
    case Operation::instance_norm_backward:
      return Norm::instance;
    case Operation::group_norm_forward:
    case Operation::group_norm_backward:
      return Norm::group;
    case Operation::batch_norm_inference:
    case Operation::batch_norm_training:
    case Operation::batch_norm_backward:
      return Norm::batch;
  }
  std::abort();
}

bool is_backward(Operation operation) {
  return operation == Operation::layer_norm_backward || operation == Operation::rms_norm_backward ||
         operation == Operation::instance_norm_backward ||
         operation == Operation::group_norm_backward || operation == Operation::batch_norm_backward;
}

size_t Problem::first_reduced() const {
  if (has_channels()) return 2;
  return axis < 0 ? shape.size() - static_cast<size_t>(-axis) : static_cast<size_t>(axis);
}

int64_t Problem::row_count() const { return product(shape, 0, first_reduced()); }

int64_t Problem::row_length() const { return product(shape, first_reduced(), shape.size()); }

std::vector<int64_t> Problem::parameter_shape() const {
  if (has_channels()) return {shape[1]};
  return {shape.begin() + static_cast<ptrdiff_t>(first_reduced()), shape.end()};
}

std::vector<int64_t> Problem::statistic_shape() const {
  switch (norm()) {
    case Norm::layer:
    case Norm::rms:
    case Norm::instance:
      return {shape.begin(), shape.begin() + static_cast<ptrdiff_t>(first_reduced())};
    case Norm::group:
      return {shape[0], groups};
    case Norm::batch:
      return {shape[1]};
  }
  std::abort();
}

int64_t Problem::statistic_count() const {
  const std::vector<int64_t> extents = statistic_shape();
  return product(extents, 0, extents.size());
}

int64_t Problem::statistic_length() const {
  if (norm() == Norm::group) return shape[1] / groups * row_length();
  return norm() == Norm::batch ? shape[0] * row_length() : row_length();
}

int64_t Problem::statistic_of(int64_t row) const {
  if (norm() == Norm::group) return row / (shape[1] / groups);
  return norm() == Norm::batch ? row % shape[1] : row;
}

int64_t Problem::place_in_statistic(int64_t row, int64_t element) const {
  if (norm() == Norm::group) return row % (shape[1] / groups) * row_length() + element;
  return norm() == Norm::batch ? row / shape[1] * row_length() + element : element;
}

size_t Problem::part_rank() const {
  if (!has_channels()) return first_reduced();
  return norm() == Norm::batch && operation != Operation::batch_norm_inference ? 0 : 1;
}

int64_t Problem::part_count() const { return product(shape, 0, part_rank()); }

const char *name(Operation operation) {
  switch (operation) {
    case Operation::layer_norm_forward:
      return "layer_norm_forward";
    case Operation::layer_norm_backward:
      return "layer_norm_backward";
    case Operation::rms_norm_forward:
      return "rms_norm_forward";
    case Operation::rms_norm_backward:
      return "rms_norm_backward";
    case Operation::instance_norm_forward:
      return "instance_norm_forward";
    case Operation::instance_norm_backward:
      return "instance_norm_backward";
    case Operation::group_norm_forward:
      return "group_norm_forward";
    case Operation::group_norm_backward:
      return "group_norm_backward";
    case Operation::batch_norm_inference:
      return "batch_norm_inference";
    case Operation::batch_norm_training:
      return "batch_norm_training";
    case Operation::batch_norm_backward:
      return "batch_norm_backward";
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
    case Layout::channels_last:
      return "channels_last";
    case Layout::transposed:
      return "transposed";
    case Layout::reversed:
      return "reversed";
    case Layout::gaps:
      return "gaps";
  }
  std::abort();
}

Problem full_problem(Operation operation, Dtype dtype, std::vector<int64_t> shape) {
  Problem problem;
  problem.operation = operation;
  problem.dtype = dtype;
  problem.shape = std::move(shape);
  problem.gamma = true;
  problem.beta = has_beta(operation);
  problem.statistics = saves_statistics(operation);
  problem.running = is_training(operation);
  problem.dgamma = is_backward(operation);
  problem.dbeta = has_dbeta(operation);
  if (problem.norm() == Norm::group && problem.shape[1] % 2 == 0) problem.groups = 2;
  return problem;
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
  if (problem.groups != defaults.groups) {
    options.push_back("groups=" + std::to_string(problem.groups));
  }
  if (problem.momentum != defaults.momentum) {
    options.push_back("momentum=" + print_number(problem.momentum));
  }
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
