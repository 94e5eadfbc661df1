// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <algorithm>
#include <cmath>

#include "statistics.h"

namespace halnorm_test {
namespace {

constexpr double kUnit = 0x1p-24;       // relative rounding error of f32
constexpr double kSmallest = 0x1p-149;  // smallest f32 subnormal

// Relative error of a tree sum over n terms of one sign.
double tree_error(int64_t n) {
  const double depth = std::log2(static_cast<double>(std::max<int64_t>(n, 1)));
  return (kTreeConstant + kTreeSlope * std::min(depth, kTreeGrowth)) * kUnit;
}

size_t index(int64_t i) { return static_cast<size_t>(i); }

// What y is scaled by at one element of gamma.
double scale_of(const Tensors &tensors, int64_t parameter) {
  if (!tensors.gamma) return 1;
  return static_cast<double>(tensors.gamma->value(0, parameter)) +
         (tensors.problem.zero_centered ? 1 : 0);
}

// How xhat comes from x, and its error: relative * |xhat| + absolute.
struct Normalizer {
  long double mean, rstd;
  double relative, absolute;
};

// The errors of the statistics that a forward computes.
struct Errors {
  double mean, variance, rstd;
  double xhat_relative, xhat_absolute;
};

Errors errors_of(const Problem &problem, const Statistic &statistic) {
  const bool centered = problem.norm() != Norm::rms;
  const double tree = tree_error(problem.statistic_length());
  const double rstd = static_cast<double>(statistic.rstd);
  const double variance = static_cast<double>(statistic.variance);
  const double first_pass = centered ? tree * static_cast<double>(statistic.mean_absolute) : 0;
  const double off = first_pass * rstd;
  const double left = problem.dtype == Dtype::f32 ? tree * first_pass : first_pass;
  const double spread = std::sqrt(variance) + first_pass;
  const double grown = tree * (1 + off * off);
  return {left + tree * spread + kUnit * std::fabs(static_cast<double>(statistic.mean)) + kSmallest,
          tree * (variance + first_pass * first_pass) + left * left + kSmallest, rstd * grown,
          centered ? grown : tree, centered ? grown + left * rstd : 0};
}

void expect_running(const Tensors &tensors, const std::vector<Statistic> &statistics,
                    Expected *expected) {
  const Problem &problem = tensors.problem;
  const double n = static_cast<double>(problem.statistic_length());
  const double correction = problem.biased ? 1 : n / (n - 1);
  const double momentum = problem.momentum;
  const auto update = [&](double old, double batch, double error, std::vector<double> *value,
                          std::vector<double> *bound) {
    const double kept = (1 - momentum) * old, added = momentum * batch;
    value->push_back(kept + added);
    bound->push_back(momentum * error + 4 * kUnit * (std::fabs(kept) + std::fabs(added)) +
                     2 * kSmallest);
  };
  for (size_t s = 0; s < statistics.size(); ++s) {
    const Errors errors = errors_of(problem, statistics[s]);
    const int64_t at = static_cast<int64_t>(s);
    update(static_cast<double>(tensors.running_mean->value(at, 0)),
           static_cast<double>(statistics[s].mean), errors.mean, &expected->running_mean,
           &expected->running_mean_bound);
    update(static_cast<double>(tensors.running_var->value(at, 0)),
           correction * static_cast<double>(statistics[s].variance), correction * errors.variance,
           &expected->running_var, &expected->running_var_bound);
  }
}

std::vector<Normalizer> given_statistics(const Tensors &tensors) {
  std::vector<Normalizer> normalizers;
  for (int64_t s = 0; s < tensors.problem.statistic_count(); ++s) {
    const long double variance = tensors.running_var->value(s, 0);
    normalizers.push_back({tensors.running_mean->value(s, 0),
                           1 / std::sqrt(variance + static_cast<long double>(tensors.problem.eps)),
                           6 * kUnit, 0});
  }
  return normalizers;
}

std::vector<Normalizer> computed_statistics(const Tensors &tensors, Expected *expected) {
  const std::vector<Statistic> statistics = statistics_of(tensors.problem, tensors.x);
  std::vector<Normalizer> normalizers;
  for (const Statistic &statistic : statistics) {
    const Errors errors = errors_of(tensors.problem, statistic);
    normalizers.push_back(
        {statistic.mean, statistic.rstd, errors.xhat_relative, errors.xhat_absolute});
    expected->mean.push_back(static_cast<double>(statistic.mean));
    expected->mean_bound.push_back(errors.mean);
    expected->rstd.push_back(static_cast<double>(statistic.rstd));
    expected->rstd_bound.push_back(errors.rstd);
  }
  if (tensors.problem.running) expect_running(tensors, statistics, expected);
  return normalizers;
}

Expected forward(const Tensors &tensors) {
  const Problem &problem = tensors.problem;
  const Tensor &x = tensors.x;
  Expected expected;
  const std::vector<Normalizer> normalizers = problem.operation == Operation::batch_norm_inference
                                                  ? given_statistics(tensors)
                                                  : computed_statistics(tensors, &expected);
  for (int64_t row = 0; row < x.rows(); ++row) {
    const Normalizer &normalizer = normalizers[index(problem.statistic_of(row))];
    for (int64_t i = 0; i < x.row_length(); ++i) {
      const int64_t parameter = problem.parameter_of(row, i);
      const double xhat = static_cast<double>(
          (static_cast<long double>(x.value(row, i)) - normalizer.mean) * normalizer.rstd);
      const double gamma = scale_of(tensors, parameter);
      const double beta = tensors.beta ? static_cast<double>(tensors.beta->value(0, parameter)) : 0;
      const double y = gamma * xhat + beta;
      const double xhat_error = normalizer.relative * std::fabs(xhat) + normalizer.absolute +
                                kSmallest * (1 + static_cast<double>(normalizer.rstd));
      const double error =
          std::fabs(gamma) * xhat_error + 2 * kUnit * (std::fabs(gamma * xhat) + std::fabs(beta));
      expected.y.push_back(y);
      expected.y_bound.push_back(error + half_ulp(problem.dtype, std::fabs(y) + error));
    }
  }
  return expected;
}

// A sum of products, of their absolute values, and of what subnormal steps of each may do.
struct Sum {
  long double value = 0, absolute = 0, steps = 0;
  void add(long double term, long double step) {
    value += term;
    absolute += std::fabs(term);
    steps += step;
  }
};

// The inputs of a backward at one element.
struct Point {
  long double dy, xhat, gradient;  // gradient: dy * gamma
  long double rstd;

  // Of one of the first two times xhat, where the product with x - mean is subnormal, or xhat is.
  long double step(long double factor) const {
    return static_cast<long double>(kSmallest) * (1 + std::fabs(rstd) + std::fabs(factor));
  }
};

Point point_at(const Tensors &tensors, int64_t row, int64_t i) {
  const Problem &problem = tensors.problem;
  const int64_t statistic = problem.statistic_of(row);
  const long double mean = tensors.mean ? tensors.mean->value(statistic, 0) : 0.0f;
  const long double rstd = tensors.rstd->value(statistic, 0);
  const long double dy = tensors.dy->value(row, i);
  return {dy, (static_cast<long double>(tensors.x.value(row, i)) - mean) * rstd,
          dy * static_cast<long double>(scale_of(tensors, problem.parameter_of(row, i))), rstd};
}

// The sums c1 and c2 of a statistic, divided by its length.
struct Corrections {
  Sum gradient, product;
};

std::vector<Corrections> corrections_of(const Tensors &tensors) {
  const Problem &problem = tensors.problem;
  std::vector<Corrections> corrections(index(problem.statistic_count()));
  if (problem.fixed) return corrections;
  for (int64_t row = 0; row < tensors.x.rows(); ++row) {
    Corrections &of_row = corrections[index(problem.statistic_of(row))];
    for (int64_t i = 0; i < tensors.x.row_length(); ++i) {
      const Point point = point_at(tensors, row, i);
      if (problem.norm() != Norm::rms) of_row.gradient.add(point.gradient, 0);
      of_row.product.add(point.gradient * point.xhat, point.step(point.gradient));
    }
  }
  const long double n = static_cast<long double>(problem.statistic_length());
  for (Corrections &of_statistic : corrections) {
    for (Sum *sum : {&of_statistic.gradient, &of_statistic.product}) {
      sum->value /= n;
      sum->absolute /= n;
      sum->steps /= n;
    }
  }
  return corrections;
}

void expect_dx(const Tensors &tensors, Expected *expected) {
  const Problem &problem = tensors.problem;
  const double sum_error = tree_error(problem.statistic_length()) + 8 * kUnit;
  const std::vector<Corrections> corrections = corrections_of(tensors);
  for (int64_t row = 0; row < tensors.x.rows(); ++row) {
    const int64_t statistic = problem.statistic_of(row);
    const auto &[c1, c2] = corrections[index(statistic)];
    const double c1_error = sum_error * static_cast<double>(c1.absolute) + kSmallest;
    const double c2_error =
        sum_error * static_cast<double>(c2.absolute) + static_cast<double>(c2.steps) + kSmallest;
    const double rstd = static_cast<double>(tensors.rstd->value(statistic, 0));
    for (int64_t i = 0; i < tensors.x.row_length(); ++i) {
      const Point point = point_at(tensors, row, i);
      const long double taken = point.xhat * c2.value;
      const double dx =
          static_cast<double>((point.gradient - c1.value - taken) * static_cast<long double>(rstd));
      const double terms =
          static_cast<double>(std::fabs(point.gradient) + std::fabs(c1.value) + std::fabs(taken));
      const double xhat = std::fabs(static_cast<double>(point.xhat));
      const double error =
          rstd * (c1_error + xhat * c2_error + 6 * kUnit * terms + kSmallest * (2 + xhat)) +
          kSmallest;
      expected->y.push_back(dx);
      expected->y_bound.push_back(error + half_ulp(problem.dtype, std::fabs(dx) + error));
    }
  }
}

void expect_parameter_gradients(const Tensors &tensors, Expected *expected) {
  const Problem &problem = tensors.problem;
  int64_t count = 1;
  for (int64_t extent : problem.parameter_shape()) count *= extent;
  std::vector<Sum> dgamma(index(count)), dbeta(index(count));
  for (int64_t row = 0; row < tensors.x.rows(); ++row) {
    for (int64_t i = 0; i < tensors.x.row_length(); ++i) {
      const Point point = point_at(tensors, row, i);
      const size_t parameter = index(problem.parameter_of(row, i));
      dgamma[parameter].add(point.dy * point.xhat, point.step(point.dy));
      dbeta[parameter].add(point.dy, 0);
    }
  }
  const int64_t sharers = problem.row_count() * problem.row_length() / std::max<int64_t>(count, 1);
  const double tree = tree_error(sharers);
  const auto expect = [&](const std::optional<Tensor> &tensor, const std::vector<Sum> &sums,
                          double relative, std::vector<double> *value, std::vector<double> *bound) {
    if (!tensor) return;
    for (const Sum &sum : sums) {
      const double error =
          relative * static_cast<double>(sum.absolute) + static_cast<double>(sum.steps) + kSmallest;
      const double magnitude = std::fabs(static_cast<double>(sum.value)) + error;
      value->push_back(static_cast<double>(sum.value));
      bound->push_back(error + half_ulp(tensor->dtype(), magnitude));
    }
  };
  expect(tensors.dgamma, dgamma, tree + 6 * kUnit, &expected->dgamma, &expected->dgamma_bound);
  expect(tensors.dbeta, dbeta, tree, &expected->dbeta, &expected->dbeta_bound);
}

}  // namespace

Expected reference(const Tensors &tensors) {
  if (!tensors.problem.is_backward()) return forward(tensors);
  Expected expected;
  if (tensors.problem.has_dx()) expect_dx(tensors, &expected);
  expect_parameter_gradients(tensors, &expected);
  return expected;
}

std::vector<Output> outputs_of(Tensors &tensors, const Expected &expected) {
  std::vector<Output> outputs;
  const bool backward = tensors.problem.is_backward();
  if (const Tensor *output = tensors.output()) {
    outputs.push_back({backward ? "dx" : "y", output, Extent::elements, &expected.y,
                       &expected.y_bound, backward});
  }
  const auto add = [&](const char *name, const std::optional<Tensor> &tensor, Extent extent,
                       const std::vector<double> &value, const std::vector<double> &bound,
                       bool any_special) {
    if (tensor) outputs.push_back({name, &*tensor, extent, &value, &bound, any_special});
  };
  if (!backward) {
    add("mean", tensors.mean, Extent::statistics, expected.mean, expected.mean_bound, true);
    add("rstd", tensors.rstd, Extent::statistics, expected.rstd, expected.rstd_bound, false);
  }
  if (tensors.problem.running) {
    add("running_mean", tensors.running_mean, Extent::whole, expected.running_mean,
        expected.running_mean_bound, true);
    add("running_var", tensors.running_var, Extent::whole, expected.running_var,
        expected.running_var_bound, true);
  }
  add("dgamma", tensors.dgamma, Extent::whole, expected.dgamma, expected.dgamma_bound, true);
  add("dbeta", tensors.dbeta, Extent::whole, expected.dbeta, expected.dbeta_bound, true);
  return outputs;
}

bool within(const Output &output, size_t i, double looseness) {
  const int64_t length = output.actual->row_length(), at = static_cast<int64_t>(i);
  const double actual = static_cast<double>(output.actual->value(at / length, at % length));
  const double expected = (*output.expected)[i];
  const double bound = looseness * (*output.bound)[i];
  if (output.any_special && !std::isfinite(expected)) return !std::isfinite(actual);
  if (std::isinf(actual) && std::isfinite(expected)) {
    // Too large for the dtype, or so nearly that the error decides.
    const Dtype dtype = output.actual->dtype();
    const double farthest = expected + std::copysign(bound, actual);
    return static_cast<double>(widen(dtype, narrow(dtype, static_cast<float>(farthest)))) == actual;
  }
  return within(actual, expected, bound);
}

bool within(double actual, double expected, double bound) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  return std::fabs(actual - expected) <= bound;
}

}  // namespace halnorm_test
