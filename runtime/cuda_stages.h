// SPDX-License-Identifier: Apache-2.0
// A call on CUDA tensors as a sequence of kernels (generators/cuda_*.cpp) on one stream.
#ifndef HALNORM_RUNTIME_CUDA_STAGES_H_
#define HALNORM_RUNTIME_CUDA_STAGES_H_

#include <stdint.h>

#include "cuda_launch.h"
#include "cuda_memory.h"
#include "cuda_operands.h"
#include "generators/summands.h"
#include "grid.h"
#include "halnorm.h"
#include "norm_call.h"

namespace halnorm {

// The stages of one call. They run twice: once to find the kernels and to count the workspace, with
// nothing launched, and once to launch.
class CudaStages {
 public:
  CudaStages(const NormCall &call, CudaMemory *memory);

  halnorm_status run();

 private:
  halnorm_status forward();
  // Layer and RMS norm, or their dx, in one kernel; false in *done where there is none for such
  // rows.
  halnorm_status whole_rows(bool *done);
  halnorm_status whole_rows_backward(const OfRows &mean, const OfRows &rstd, bool *done);
  // With dgamma and dbeta.
  halnorm_status whole_rows_gradients(const OfRows &mean, const OfRows &rstd, bool *done);
  bool are_whole_backward() const;
  void add_whole_backward(CudaArguments *arguments, const OfRows &mean, const OfRows &rstd) const;
  halnorm_status statistics(OfRows *center, OfRows *low, OfRows *rstd);
  halnorm_status running_statistics(OfRows *mean, OfRows *rstd);
  halnorm_status update_running_statistics(const OfRows &center, const OfRows &low,
                                           const OfRows &variance);
  halnorm_status backward();
  halnorm_status gradient_means(const Parts &parts, const OfRows &rstd, OfRows *mean_g,
                                OfRows *slope);
  halnorm_status gradients_along_rows(const Parts &parts);
  halnorm_status gradients_of_channels(const Parts &parts, const OfRows &rstd);
  halnorm_status gradient(Part part, void *data, Storage storage, Stride stride, const Parts &parts,
                          int k, int64_t members, const OfRows *weight);

  // Where sums run over: elements of rows, or the rows of each element.
  struct Sums {
    Summands summands;
    const Grid *grid;
    bool across_rows;
    int32_t rows_of_a_statistic;
  };
  halnorm_status sum(const Sums &sums, const OfRows *of_rows, int of_rows_count, Parts *parts);
  halnorm_status apply(bool of_gradient, const Elements *inputs, int input_count,
                       const OfRows *of_rows, int of_rows_count);
  // The parts that a statistic is made of: (part, member, statistic, outer).
  void add_parts_of_statistics(CudaArguments *arguments, const Parts &parts, int k) const;
  Elements of_sums(const Elements &elements) const;
  OfRows new_of_rows() { return memory_.take_of_rows(statistic_count_, statistic_outers_); }
  double elements_of_a_statistic() const { return static_cast<double>(members_ * sums_grid_.n); }
  bool by_batch() const { return call_.sharing == Sharing::batch; }

  const NormCall &call_;
  CudaMemory &memory_;
  const Grid grid_, sums_grid_;
  const int64_t rows_of_a_sum_;  // rows of grid_ that one row of sums_grid_ holds
  // A statistic has so many rows of sums_grid_, or positions of its outer axis, and serves so many
  // neighbouring rows of grid_.
  int64_t members_, rows_of_a_statistic_;
  int64_t statistic_count_, statistic_outers_;
  Elements x_ = {}, dy_ = {}, y_ = {};  // as kernels take them; of a gradient, y is dx
  uint64_t gamma_ = 0, beta_ = 0;
};

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CUDA_STAGES_H_
