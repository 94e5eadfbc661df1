// SPDX-License-Identifier: Apache-2.0
// Values against the reference: every combination of options, and rows chosen to hurt.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <tuple>

#include "reference.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

// Every combination of the switches of the grammar that parse() takes: whatever is optional is
// absent in some of them.
std::vector<Problem> option_combinations(Operation operation, Dtype dtype, const char *shape) {
  std::vector<const char *> switches;
  std::string unused;
  const std::string start = std::string(name(operation)) + ":" + name(dtype) + ":" + shape + ":";
  for (const char *option : {"gamma", "beta", "statistics", "running", "biased", "dgamma", "dbeta",
                             "no_dx", "fixed", "zero_centered", "narrow_parameters", "inplace"}) {
    // Some go with another one only, and gamma, running or dgamma serves as that for each.
    for (const char *with : {"", ",gamma", ",running", ",dgamma"}) {
      if (!parse(start + option + with, &unused)) continue;
      switches.push_back(option);
      break;
    }
  }
  std::vector<Problem> problems;
  for (unsigned set = 0; set < 1u << switches.size(); ++set) {
    std::string options;
    for (size_t i = 0; i < switches.size(); ++i) {
      if (set >> i & 1) options += (options.empty() ? "" : ",") + std::string(switches[i]);
    }
    const std::optional<Problem> problem = parse(start + options, &unused);
    if (problem) problems.push_back(*problem);
  }
  return problems;
}

class Options : public testing::TestWithParam<std::tuple<Operation, Dtype>> {};

TEST_P(Options, EveryCombinationIsAccurate) {
  const auto [operation, dtype] = GetParam();
  Problem of_operation;
  of_operation.operation = operation;
  const bool channels = of_operation.has_channels();
  for (const char *shape : {channels ? "2x6x70" : "5x300", channels ? "1x3x1100" : "3x1500"}) {
    const std::vector<Problem> problems = option_combinations(operation, dtype, shape);
    ASSERT_GE(problems.size(), 12u);
    for (Problem problem : problems) {
      if (problem.norm() == Norm::group) problem.groups = 3;
      EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
      if (!channels) continue;
      problem.layout = Layout::channels_last;
      EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Accuracy, Options,
                         testing::Combine(testing::ValuesIn(kOperations),
                                          testing::ValuesIn(kDtypes)),
                         operation_and_dtype);

// Data of kinds that hurt, in every operation.
class Values : public testing::TestWithParam<std::tuple<Dtype, const char *>> {
 protected:
  RunOptions options() const {
    const auto [dtype, data] = GetParam();
    std::string error;
    RunOptions options;
    const std::optional<Data> parsed = parse_data(data, &error);
    EXPECT_TRUE(parsed) << error;
    options.data = *parsed;
    // bf16 has 8 bits and f16 ends at 65504: there these rows are constant or infinite.
    if (dtype == Dtype::f16 && std::fabs(options.data.mean) > 65504) {
      options.data.mean = std::copysign(65504, options.data.mean);
    }
    return options;
  }
};

TEST_P(Values, OfRowsAreAccurate) {
  const Dtype dtype = std::get<0>(GetParam());
  for (Operation operation : operations(/*with_channels=*/false)) {
    for (int64_t length : {1, 2, 3, 100, 768, 1024, 1025, 5000}) {
      const Problem problem = full_problem(operation, dtype, {9, length});
      EXPECT_TRUE(accurate_on_all_targets(problem, options()));
      if (problem.is_backward()) continue;
      Problem plain = problem;
      plain.gamma = plain.beta = false;
      EXPECT_TRUE(accurate_on_all_targets(plain, options()));
    }
  }
}

TEST_P(Values, OfChannelsAreAccurate) {
  const Dtype dtype = std::get<0>(GetParam());
  for (Operation operation : operations(/*with_channels=*/true)) {
    for (int64_t length : {1, 3, 100, 1025}) {
      for (Layout layout : {Layout::dense, Layout::channels_last}) {
        Problem problem = full_problem(operation, dtype, {3, 10, length});
        problem.layout = layout;
        EXPECT_TRUE(accurate_on_all_targets(problem, options()));
      }
    }
  }
}

constexpr const char *kData[] = {
    "normal",          "normal:1e4:1", "normal:1e4:0.01", "normal:1e6:1",
    "normal:1e6:0.01", "normal:1e7:1", "normal:1e7:0.01", "normal:-300:2",
    "constant:0",      "constant:1",   "constant:0.1",    "constant:1e7",
    "constant:-65504", "subnormal",    "extremes",        "special",
};

INSTANTIATE_TEST_SUITE_P(Accuracy, Values,
                         testing::Combine(testing::ValuesIn(kDtypes), testing::ValuesIn(kData)),
                         [](const auto &info) {
                           return std::string(name(std::get<0>(info.param))) + "_" +
                                  test_name(std::get<1>(info.param));
                         });

TEST(Accuracy, AnyEpsIsHonoured) {
  for (double eps : {0.0, 1e-12, 1e-3, 1.0, 1e6}) {
    for (Operation operation : kOperations) {
      for (Dtype dtype : kDtypes) {
        Problem problem = full_problem(operation, dtype, {2, 4, 250});
        problem.eps = eps;
        EXPECT_TRUE(accurate_on_all_targets(problem, RunOptions()));
      }
    }
  }
}

// rstd is infinite and y NaN, as the formula says.
TEST(Accuracy, ZerosWithoutEpsDivideByZero) {
  for (Operation operation : kOperations) {
    for (Dtype dtype : kDtypes) {
      Problem problem = full_problem(operation, dtype, {2, 4, 250});
      if (!problem.statistics) continue;
      problem.eps = 0;
      Tensors tensors(problem, Placement::end_flush);
      tensors.fill({Data::Kind::constant, 0, 0}, 1);
      ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
      EXPECT_EQ(tensors.rstd->value(1, 0), INFINITY) << print(problem);
      EXPECT_TRUE(std::isnan(tensors.y->value(1, 7))) << print(problem);
    }
  }
}

// What the correction is for: the plain two-pass form loses 1e-1 here.
TEST(Accuracy, MeanOfTenMillionCostsNothing) {
  RunOptions options;
  options.data.mean = 1e7;
  for (const char *text : {"layer_norm_forward:f32:8x1000:", "layer_norm_forward:f32:8x4096:"}) {
    const Problem problem = must_parse(text);
    for (const std::string &target : usable_targets()) {
      options.target = target;
      const Report report = check(problem, options);
      EXPECT_EQ(report.failure, "");
      EXPECT_LE(report.worst_error, 4e-6) << command(problem, options);
    }
  }
}

// In the data above only x has them. They concern what shares a statistic with them, and an element
// of dgamma and dbeta.
TEST(Accuracy, SpecialValuesOfDyStayWhereTheyBelong) {
  for (Operation operation : kOperations) {
    if (!is_backward(operation)) continue;
    for (Layout layout : {Layout::dense, Layout::transposed}) {
      for (float value : {NAN, INFINITY, -INFINITY}) {
        Problem problem = full_problem(operation, Dtype::f32, {5, 6, 40});
        problem.layout = layout;
        Tensors tensors(problem, Placement::end_flush);
        tensors.fill(Data(), 1);
        tensors.dy->set(13, 17, value);
        tensors.dy->remember();
        const Expected expected = reference(tensors);
        ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
        EXPECT_TRUE(as_expected(&tensors, expected)) << print(problem) << " with " << value;
      }
    }
  }
}

// Each of gamma, beta, dgamma and dbeta is f32 or of the dtype of x, whatever the others are.
void expect_accurate_with_narrow(Operation operation, Dtype dtype, unsigned narrow) {
  const Problem problem = full_problem(operation, dtype, {2, 6, 90});
  Tensors tensors(problem, Placement::end_flush);
  const std::vector<int64_t> shape = problem.parameter_shape();
  std::optional<Tensor> *const parameters[] = {&tensors.gamma, &tensors.beta, &tensors.dgamma,
                                               &tensors.dbeta};
  for (size_t i = 0; i < 4; ++i) {
    if (!(narrow >> i & 1)) continue;
    if (!*parameters[i]) return;  // the same as without this bit
    parameters[i]->emplace(dtype, shape, dense_strides(shape), 0, Placement::end_flush);
  }
  tensors.fill(Data(), 1);
  const Expected expected = reference(tensors);
  ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
  EXPECT_TRUE(as_expected(&tensors, expected))
      << print(problem)
      << ", of the dtype of x (bits 0 to 3: gamma, beta, dgamma, dbeta): " << narrow;
}

TEST(Accuracy, ParametersMayDifferInDtype) {
  for (Operation operation : kOperations) {
    for (Dtype dtype : {Dtype::f16, Dtype::bf16}) {
      for (unsigned narrow = 0; narrow < 16; ++narrow) {
        expect_accurate_with_narrow(operation, dtype, narrow);
      }
    }
  }
}

// halnorm.h: "a finite set whose elements or squared deviations (of RMS norm: squares) add up to
// more than f32 holds has rstd 0 or NaN". Here squares alone, then elements too.
TEST(Accuracy, SumsBeyondF32MakeRstdZeroOrNaN) {
  for (Operation operation : kOperations) {
    Problem problem = full_problem(operation, Dtype::f32, {2, 4, 100});
    if (!problem.statistics) continue;
    problem.running = false;
    for (Layout layout : {Layout::dense, Layout::gaps}) {
      problem.layout = layout;
      for (float magnitude : {0x1p64f, std::numeric_limits<float>::max()}) {
        Tensors tensors(problem, Placement::end_flush);
        tensors.fill(Data(), 1);
        for (int64_t row = 0; row < tensors.x.rows(); ++row) {
          for (int64_t i = 0; i < tensors.x.row_length(); ++i) {
            tensors.x.set(row, i, i % 3 == 0 ? -magnitude : magnitude);
          }
        }
        ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
        for (int64_t s = 0; s < tensors.rstd->rows(); ++s) {
          const float rstd = tensors.rstd->value(s, 0);
          EXPECT_TRUE(rstd == 0 || std::isnan(rstd)) << print(problem) << ": " << rstd;
        }
      }
    }
  }
}

// The tables of measured errors in docs/numerics.md. A row is
//   | `problem` | `data` | output | error (of the bound) | ... |
// without gamma, beta and the outputs, which it has all; with * for the dtype, and then a cell for
// each; without `data` where that is normal. Errors are the largest, rounded up.
class Document : public testing::Test {
 protected:
  struct Row {
    std::string problem, data, output;
    std::vector<std::string> cells;
  };

  static std::vector<Row> rows() {
    std::vector<Row> rows;
    std::ifstream file(HALNORM_TEST_DOCS_DIR "/numerics.md");
    for (std::string line; std::getline(file, line);) {
      std::vector<std::string> cells;
      for (std::string_view cell : split(line, '|')) {
        while (!cell.empty() && cell.front() == ' ') cell.remove_prefix(1);
        while (!cell.empty() && cell.back() == ' ') cell.remove_suffix(1);
        cells.emplace_back(cell);
      }
      if (cells.size() < 5 || split(cells[1], ':').size() != 4) continue;
      cells.pop_back();
      const bool has_data = cells[2][0] == '`';
      Row row = {unquoted(cells[1]), has_data ? unquoted(cells[2]) : "normal", "", {}};
      row.output = cells[has_data ? 3 : 2];
      row.cells.assign(cells.begin() + (has_data ? 4 : 3), cells.end());
      rows.push_back(row);
    }
    return rows;
  }
  static std::string unquoted(const std::string &cell) { return cell.substr(1, cell.size() - 2); }

  static void expect_measured(const Row &row, Dtype dtype, const std::string &cell) {
    double said = 0, said_of_bound = 0;
    ASSERT_EQ(std::sscanf(cell.c_str(), "%lf (%lf)", &said, &said_of_bound), 2) << cell;
    std::string text = row.problem, error;
    if (text.find('*') != std::string::npos) text.replace(text.find('*'), 1, name(dtype));
    Problem problem = must_parse(text);
    const Problem full = full_problem(problem.operation, problem.dtype, problem.shape);
    for (bool Problem::*option : {&Problem::gamma, &Problem::beta, &Problem::statistics,
                                  &Problem::running, &Problem::dgamma, &Problem::dbeta}) {
      problem.*option = full.*option;
    }
    const std::optional<Data> data = parse_data(row.data, &error);
    ASSERT_TRUE(data) << error;
    Tensors tensors(problem, Placement::end_flush);
    tensors.fill(*data, 1);
    const Expected expected = reference(tensors);
    ASSERT_EQ(tensors.call(nullptr), HALNORM_OK) << halnorm_last_error();
    double largest = 0, of_bound = 0;
    bool found = false;
    for (const Output &output : outputs_of(tensors, expected)) {
      if (output.name != row.output) continue;
      found = true;
      const int64_t length = output.actual->row_length();
      for (size_t i = 0; i < output.expected->size(); ++i) {
        const int64_t at = static_cast<int64_t>(i);
        const double value = static_cast<double>(output.actual->value(at / length, at % length));
        largest = std::max(largest, std::fabs(value - (*output.expected)[i]));
        of_bound =
            std::max(of_bound, std::fabs(value - (*output.expected)[i]) / (*output.bound)[i]);
      }
    }
    ASSERT_TRUE(found) << row.output << " of " << text;
    const std::string what = row.output + " of " + text + ", " + row.data;
    expect_rounded_up(what, largest, said);
    expect_rounded_up(what + " in bounds", of_bound, said_of_bound);
  }
  // To two digits.
  static void expect_rounded_up(const std::string &what, double measured, double said) {
    EXPECT_LE(measured, said * (1 + 1e-6)) << what;
    EXPECT_LE(said, measured * 1.11) << what;
  }
};

TEST_F(Document, SaysWhatIsMeasured) {
  const std::vector<Row> all = rows();
  EXPECT_GE(all.size(), 40u);
  for (const Row &row : all) {
    const bool each_dtype = row.problem.find('*') != std::string::npos;
    ASSERT_EQ(row.cells.size(), each_dtype ? 3u : 1u) << row.problem;
    for (size_t i = 0; i < row.cells.size(); ++i) expect_measured(row, kDtypes[i], row.cells[i]);
  }
}

}  // namespace
}  // namespace halnorm_test
