// SPDX-License-Identifier: Apache-2.0
// Kernels that add up the rows of the next call beside their own: wherever a block of rows ends, at
// the end of an axis, of a thread's share or of all, and however many rows come after it, the bits
// are those of the library's choice.
#include "test_util.h"

namespace halnorm_test {
namespace {

// Rows that lie apart, so that they are no single axis: blocks start anew on each outer index, and
// a short block may come before a whole one.
Tensor rows_apart(const Problem &problem) {
  std::vector<int64_t> strides = dense_strides(problem.shape);
  strides[0] += 3 * strides[1];
  return Tensor(problem.dtype, problem.shape, strides, 2, Placement::end_flush);
}

bool is_of(const std::string &kernel, const std::string &target) {
  return kernel.find("__" + target + "__") != std::string::npos;
}

std::vector<uint32_t> bits_by(const std::string &kernel, Tensors *tensors, int32_t threads) {
  halnorm_context *context = nullptr;
  EXPECT_EQ(halnorm_context_create(&context), HALNORM_OK);
  for (const std::string &target : usable_targets()) {
    if (!is_of(kernel, target)) continue;
    EXPECT_EQ(halnorm_context_set_target(context, target.c_str()), HALNORM_OK);
  }
  EXPECT_EQ(halnorm_context_set_num_threads(context, threads), HALNORM_OK);
  EXPECT_EQ(halnorm_context_set_kernel(context, kernel.empty() ? nullptr : kernel.c_str()),
            HALNORM_OK);
  tensors->restore();
  EXPECT_EQ(tensors->call(context), HALNORM_OK) << halnorm_last_error();
  if (!kernel.empty()) {
    EXPECT_EQ(halnorm_last_kernel(), kernel);
  }
  EXPECT_EQ(tensors->damage(), "");
  halnorm_context_destroy(context);
  return bits_of(tensors);
}

TEST(RowsAhead, GiveTheSameBitsWhereverABlockEnds) {
  int kernels = 0;
  for (int32_t k = 0; k < halnorm_kernel_count(); ++k) {
    const std::string kernel = halnorm_kernel_name(k);
    if (kernel.find("_row_ahead_") == std::string::npos) continue;
    bool usable = false;
    for (const std::string &target : usable_targets()) {
      usable = usable || is_of(kernel, target);
    }
    if (!usable) continue;
    ++kernels;
    for (Dtype dtype : kDtypes) {
      if (kernel.find("_row_ahead_" + std::string(name(dtype)) + "_") == std::string::npos)
        continue;
      for (const std::vector<int64_t> &shape : {std::vector<int64_t>{1, 1, 64},
                                                {1, 3, 64},
                                                {1, 4, 100},
                                                {1, 257, 33},
                                                {1, 70, 1024},
                                                {3, 5, 64},
                                                {3, 17, 31},
                                                {2, 33, 200}}) {
        for (bool inplace : {false, true}) {
          Problem problem = full_problem(Operation::layer_norm_forward, dtype, shape);
          problem.inplace = inplace;
          Tensors tensors(problem, Placement::end_flush);
          tensors.x = rows_apart(problem);
          if (!inplace) tensors.y = rows_apart(problem);
          tensors.fill(Data(), 1);
          const std::vector<uint32_t> chosen = bits_by("", &tensors, 1);
          for (int32_t threads : {1, 3}) {
            EXPECT_EQ(bits_by(kernel, &tensors, threads), chosen)
                << kernel << ", " << print(problem) << ", threads " << threads;
          }
        }
      }
    }
  }
  EXPECT_GT(kernels, 0);
}

TEST(RowsAhead, AreNoneOfAnotherOperation) {
  const Problem problem = full_problem(Operation::rms_norm_forward, Dtype::f32, {5, 64});
  const Result chosen = run(problem, RunOptions());
  for (int32_t k = 0; k < halnorm_kernel_count(); ++k) {
    RunOptions options;
    options.kernel = halnorm_kernel_name(k);
    if (options.kernel.find("_row_ahead_") == std::string::npos) continue;
    const Result preferred = run(problem, options);
    EXPECT_EQ(preferred.error, "") << options.kernel;
    EXPECT_EQ(preferred.bits, chosen.bits) << options.kernel;
  }
}

}  // namespace
}  // namespace halnorm_test
