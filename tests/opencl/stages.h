// SPDX-License-Identifier: Apache-2.0
// Layer and RMS norm of dense rows by the kernels of this folder, one after the other as
// runtime/cuda_stages.cpp has them, on the tensors of a problem.
#ifndef HALNORM_TESTS_OPENCL_STAGES_H_
#define HALNORM_TESTS_OPENCL_STAGES_H_

#include <string>
#include <vector>

#include "launch.h"
#include "tensors.h"

namespace halnorm_test {

class Stages {
 public:
  explicit Stages(Tensors *tensors);

  // Of whole rows.
  void forward_by(const std::string &kernel);
  void dx_by(const std::string &kernel);
  void gradients_by(const std::string &kernel, int64_t held);
  // Whether rows are taken as whole vectors.
  void forward(bool aligned);
  void dx(bool aligned);
  void dgamma_and_dbeta(bool aligned);

 private:
  // Parts of one or two sums: (part, row, outer).
  struct Parts {
    std::vector<float> sums[2];
    int64_t count, stride, row_stride;
  };

  Launch::Dimensions tensor() const { return {{n_, 1}, {rows_, n_}, {1, rows_ * n_}}; }
  Launch::Dimensions of_rows() const { return {{rows_, 1}, {1, rows_}}; }
  Launch::Dimensions of_elements() const { return {{n_, 1}}; }
  // Parts as folds take them, of each row: (part, member, statistic, outer).
  static Launch::Dimensions for_fold(const Parts &parts, int64_t rows) {
    return {{parts.count, parts.stride}, {1, 0}, {rows, parts.row_stride}, {1, 0}};
  }
  std::vector<float> room() const { return std::vector<float>(static_cast<size_t>(rows_)); }
  Parts parts_of_rows() const;
  void add_parts(Launch *launch, Parts *parts, int sums, int64_t rows) const;
  void fold_gradients(Parts *parts);
  void store(const Elements &elements, Tensor *to) const;
  void store(const std::vector<float> &values, std::optional<Tensor> *to) const;

  Tensors &tensors_;
  const Dtype dtype_;
  const int64_t rows_, n_;
  const int32_t has_mean_;
  Elements x_, dy_, result_;
  std::vector<float> gamma_, beta_, mean_, rstd_;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_OPENCL_STAGES_H_
