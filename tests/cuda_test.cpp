// SPDX-License-Identifier: Apache-2.0
// The C API on CUDA tensors: on a GPU where there is one, else on the interpreter of tests/ptx/.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda_device.h"
#include "halnorm.h"
#include "problem.h"
#include "run.h"
#include "test_util.h"

namespace halnorm_test {
namespace {

constexpr char kTarget[] = "cuda_sm80";

RunOptions on_cuda() {
  RunOptions options;
  options.target = kTarget;
  return options;
}

// To prefer in place of a kernel of whole rows.
std::string in_stages(Dtype dtype) {
  return "halnorm_any_norm_cuda_row_values_any_" + std::string(name(dtype)) + "__cuda_sm80";
}

// Shapes that need every kind of tail: of lanes, vectors, chunks, blocks and warps.
std::vector<std::vector<int64_t>> shapes_of(Operation operation) {
  const Norm norm = norm_of(operation);
  if (norm == Norm::layer || norm == Norm::rms) {
    return {{1, 1}, {3, 7}, {5, 128}, {2, 1023}, {3, 1024}, {2, 1028}, {70, 96}, {2, 3, 4100}};
  }
  return {{2, 2, 1}, {3, 4, 7}, {2, 8, 5, 4}, {2, 4, 33, 32}, {70, 2, 3}, {1, 6, 1100}};
}

std::vector<Layout> layouts_of(Operation operation) {
  const Norm norm = norm_of(operation);
  if (norm == Norm::layer || norm == Norm::rms) {
    return {Layout::dense, Layout::padded, Layout::transposed, Layout::reversed, Layout::gaps};
  }
  return {Layout::dense, Layout::padded, Layout::channels_last, Layout::transposed, Layout::gaps};
}

class Cuda : public testing::TestWithParam<Operation> {
 protected:
  void SetUp() override {
    const std::string why = CudaDevice::why_none();
    if (!why.empty()) GTEST_SKIP() << why;
  }
};

TEST_P(Cuda, AgreesWithTheReference) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    for (const std::vector<int64_t> &shape : shapes_of(GetParam())) {
      const Problem problem = full_problem(GetParam(), dtype, shape);
      const Report report = check(problem, on_cuda());
      EXPECT_EQ(report.failure, "");
    }
  }
}

TEST_P(Cuda, TakesAnyLayout) {
  for (const Layout layout : layouts_of(GetParam())) {
    for (const bool inplace : {false, true}) {
      Problem problem = full_problem(GetParam(), Dtype::f32, {3, 4, 5, 12});
      problem.layout = layout;
      problem.inplace = inplace;
      EXPECT_EQ(check(problem, on_cuda()).failure, "");
    }
  }
}

TEST_P(Cuda, TakesNarrowAndAbsentParameters) {
  for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    Problem narrow = full_problem(GetParam(), dtype, {3, 4, 40});
    narrow.narrow_parameters = true;
    EXPECT_EQ(check(narrow, on_cuda()).failure, "");
  }
  Problem centered = full_problem(GetParam(), Dtype::f32, {3, 4, 40});
  centered.zero_centered = true;
  EXPECT_EQ(check(centered, on_cuda()).failure, "");
  Problem plain;
  plain.operation = GetParam();
  plain.shape = {3, 4, 40};
  EXPECT_EQ(check(plain, on_cuda()).failure, "");
}

// What lies at whole vectors and what does not takes other kernels.
TEST_P(Cuda, SameBitsWhereverTensorsLie) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{3, 4, 1200}, {2, 8, 16, 4}}) {
      const Problem problem = full_problem(GetParam(), dtype, shape);
      RunOptions options = on_cuda();
      options.placement = Placement::start_flush;
      const Result aligned = run(problem, options);
      ASSERT_EQ(aligned.error, "");
      options.placement = Placement::odd_offset;
      const Result odd = run(problem, options);
      ASSERT_EQ(odd.error, "");
      EXPECT_EQ(aligned.bits, odd.bits) << command(problem, options);
    }
  }
}

// Rows of 16-bit elements that begin and end at halves of vectors, which are loaded at once.
TEST_P(Cuda, HalvesOfVectorsHaveKernels) {
  for (const Dtype dtype : {Dtype::f16, Dtype::bf16}) {
    for (const int64_t n : {int64_t{4}, int64_t{12}, int64_t{1204}, int64_t{4100}}) {
      const Problem problem = full_problem(GetParam(), dtype, {3, 4, n});
      EXPECT_EQ(check(problem, on_cuda()).failure, "");
      const Result halves = run(problem, on_cuda());
      EXPECT_NE(halves.kernel.find("_halves_"), std::string::npos)
          << command(problem, on_cuda()) << " ran " << halves.kernel;
      RunOptions options = on_cuda();
      options.placement = Placement::odd_offset;
      const Result odd = run(problem, options);
      EXPECT_NE(odd.kernel.find("_any_"), std::string::npos) << odd.kernel;
      EXPECT_EQ(halves.bits, odd.bits) << command(problem, options);
    }
  }
}

// Every kernel of this operation and every stage, preferred in turn.
TEST_P(Cuda, SameBitsWhicheverKernelsRun) {
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{3, 4, 96}, {7, 10, 256}, {2, 2, 1024}, {2, 2, 2000}, {2, 2, 4092}}) {
      const Problem problem = full_problem(GetParam(), dtype, shape);
      const Result chosen = run(problem, on_cuda());
      ASSERT_EQ(chosen.error, "");
      RunOptions options = on_cuda();
      options.kernel = in_stages(dtype);
      const Result staged = run(problem, options);
      ASSERT_EQ(staged.error, "") << command(problem, options);
      EXPECT_EQ(staged.bits, chosen.bits) << command(problem, options);
      for (int32_t k = 0; k < halnorm_kernel_count(); ++k) {
        const std::string kernel = halnorm_kernel_name(k);
        const char *operation = is_backward(GetParam()) ? "any_norm" : name(GetParam());
        const std::string prefix = "halnorm_" + std::string(operation) + "_cuda_";
        if ((kernel.rfind(prefix + "norm", 0) != 0 && kernel.rfind(prefix + "wide", 0) != 0) ||
            kernel.find("_" + std::string(name(dtype)) + "_") == std::string::npos) {
          continue;
        }
        options.kernel = kernel;
        const Result preferred = run(problem, options);
        ASSERT_EQ(preferred.error, "") << command(problem, options);
        EXPECT_EQ(preferred.bits, chosen.bits) << command(problem, options);
      }
    }
  }
}

// Rows of several warps, each of which has a chunk.
TEST_P(Cuda, WideRowsAreOneKernel) {
  const Norm norm = norm_of(GetParam());
  if (norm != Norm::layer && norm != Norm::rms) GTEST_SKIP() << "has no rows";
  for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{3, 4104}, {1, 8192}, {1, 8200}, {1, 16384}}) {
      for (const bool inplace : {false, true}) {
        Problem problem = full_problem(GetParam(), dtype, shape);
        problem.inplace = inplace;
        EXPECT_EQ(check(problem, on_cuda()).failure, "");
        const Result result = run(problem, on_cuda());
        EXPECT_NE(result.kernel.find("_cuda_wide_norm"), std::string::npos)
            << command(problem, on_cuda()) << " ran " << result.kernel;
        if (inplace) continue;
        RunOptions options = on_cuda();
        options.kernel = in_stages(dtype);
        EXPECT_EQ(run(problem, options).bits, result.bits) << command(problem, options);
      }
    }
  }
}

// dx, dgamma and dbeta of rows that a warp holds, or a block of them, which few rows are not worth.
TEST_P(Cuda, GradientsOfRowsInOneSweep) {
  const Norm norm = norm_of(GetParam());
  if (!is_backward(GetParam()) || (norm != Norm::layer && norm != Norm::rms)) {
    GTEST_SKIP() << "not a gradient of rows";
  }
  for (int32_t k = 0; k < halnorm_kernel_count(); ++k) {
    RunOptions options = on_cuda();
    options.kernel = halnorm_kernel_name(k);
    if (options.kernel.rfind("halnorm_any_norm_cuda_norm_gradients_", 0) != 0) continue;
    const Dtype dtype = options.kernel.find("bf16") != std::string::npos  ? Dtype::bf16
                        : options.kernel.find("f16") != std::string::npos ? Dtype::f16
                                                                          : Dtype::f32;
    const int64_t held = std::stoll(options.kernel.substr(options.kernel.find("_held") + 5));
    RunOptions staged = on_cuda();
    staged.kernel = in_stages(dtype);
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{1, 8}, {33, held}, {34, held - 8}}) {
      Problem problem = full_problem(GetParam(), dtype, shape);
      EXPECT_EQ(check(problem, options).failure, "");
      const Result expected = run(problem, staged);
      for (const bool inplace : {false, true}) {
        problem.inplace = inplace;
        const Result result = run(problem, options);
        EXPECT_EQ(result.kernel, options.kernel) << command(problem, options);
        EXPECT_EQ(result.bits, expected.bits) << command(problem, options);
      }
    }
  }
  const Result many = run(full_problem(GetParam(), Dtype::f32, {8192, 256}), on_cuda());
  EXPECT_NE(many.kernel.find("_cuda_norm_gradients_f32_n256_"), std::string::npos) << many.kernel;
}

TEST_P(Cuda, SameBitsAloneAndInABatch) {
  const Problem problem = full_problem(GetParam(), Dtype::f32, {5, 4, 60});
  const Result all = run(problem, on_cuda());
  ASSERT_EQ(all.error, "");
  if (problem.part_count() == 1) return;
  for (const int64_t part : {int64_t{0}, problem.part_count() - 1}) {
    RunOptions options = on_cuda();
    options.part = part;
    const Result alone = run(problem, options);
    ASSERT_EQ(alone.error, "");
    const auto begin = all.bits.begin() + static_cast<int64_t>(all.bits_of_part) * part;
    EXPECT_EQ(alone.bits,
              std::vector<uint32_t>(begin, begin + static_cast<int64_t>(alone.bits.size())))
        << command(problem, options);
  }
}

// NaN, infinities, zeros of both signs and subnormals among the elements.
TEST_P(Cuda, TakesSpecialValues) {
  for (const char *kind : {"special", "subnormal", "extremes"}) {
    std::string error;
    const std::optional<Data> data = parse_data(kind, &error);
    ASSERT_TRUE(data) << error;
    RunOptions options = on_cuda();
    options.data = *data;
    for (const Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) {
      EXPECT_EQ(check(full_problem(GetParam(), dtype, {4, 4, 70}), options).failure, "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Cuda, testing::ValuesIn(kOperations),
                         [](const auto &p) { return std::string(name(p.param)); });

}  // namespace
}  // namespace halnorm_test
