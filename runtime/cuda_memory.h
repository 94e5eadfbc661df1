// SPDX-License-Identifier: Apache-2.0
// Tensors of a call on CUDA as kernels take them: in place where they lie so, else copied to the
// caller's workspace.
#ifndef HALNORM_RUNTIME_CUDA_MEMORY_H_
#define HALNORM_RUNTIME_CUDA_MEMORY_H_

#include <stdint.h>

#include "cuda_launch.h"
#include "cuda_operands.h"
#include "dispatch.h"
#include "grid.h"
#include "halnorm.h"
#include "norm_call.h"
#include "strided.h"
#include "view.h"

namespace halnorm {

class CudaMemory {
 public:
  CudaMemory(const NormCall &call, int32_t target, CudaStream *stream);

  // From here on, launches happen, and memory is that of the context's workspace.
  halnorm_status begin_to_launch();
  bool is_launching() const { return launching_; }

  // Of the workspace, at whole 256 bytes.
  uint64_t take(int64_t bytes);
  uint64_t take_floats(int64_t count) { return take(count * element_size(Storage::f32)); }
  OfRows take_of_rows(int64_t count, int64_t outers);

  halnorm_status launch(Part part, Storage storage, CudaArguments *arguments);
  // A kernel of whole rows; null where there is none for rows of this length. Of those of a row for
  // a warp and for several, the first that is long enough.
  const Kernel *find_whole(Operation operation, Part part) const;
  const Kernel *find_whole(Operation operation, Part narrow, Part wide) const;
  halnorm_status launch(const Kernel &kernel, CudaArguments *arguments);
  halnorm_status fill(uint64_t address, int64_t floats, float value);

  // A tensor of all elements to read, or room for one to write and then to store.
  halnorm_status load(const Grid &grid, const void *data, Stride stride, Elements *elements);
  Elements room_for(const Grid &grid, void *data, Stride stride);
  halnorm_status store(const Grid &grid, void *data, Stride stride, const Elements &elements);
  // Statistics of rows, f32, likewise. Null data: one value for all, on reading.
  halnorm_status load_statistic(const Grid &grid, const float *data, OfRows *of_rows);
  OfRows room_for_statistic(const Grid &grid, float *data, int64_t count, int64_t outers);
  halnorm_status store_statistic(const Grid &grid, float *data, const OfRows &of_rows);
  halnorm_status constant(float value, OfRows *of_rows);
  // gamma or beta: dense, in f32, always there.
  halnorm_status load_gamma(uint64_t *gamma) { return load_parameter(true, gamma); }
  halnorm_status load_beta(uint64_t *beta) { return load_parameter(false, beta); }
  // From dense memory to a gradient of parameters.
  halnorm_status store_gradient(void *data, Storage storage, Stride stride, uint64_t dense);

  // The axes that gamma and beta lie along.
  const Axis *parameter_axes() const {
    return call_.gamma_along_rows() ? call_.reduced : &call_.kept[1];
  }
  int32_t parameter_rank() const { return call_.gamma_along_rows() ? call_.reduced_rank : 1; }
  int64_t parameter_count() const {
    return call_.gamma_along_rows() ? call_.row_length : call_.kept[1].extent;
  }
  // The kernel that wrote all elements of the output, to report.
  const Kernel *last = nullptr;

 private:
  // A copy of elements, in the order of the axes, between a tensor and dense memory.
  struct CopyAxis {
    int64_t extent, from, to;
  };
  halnorm_status copy(Part part, Storage storage, uint64_t from, uint64_t to, const CopyAxis *axes,
                      int32_t rank, float offset);
  halnorm_status repack(const Grid &grid, uint64_t tensor, Stride stride, uint64_t dense,
                        bool to_dense);
  halnorm_status repack_statistic(const Grid &grid, uint64_t tensor, uint64_t dense, bool to_dense);
  halnorm_status load_parameter(bool gamma, uint64_t *address);

  const NormCall &call_;
  const int32_t target_;
  CudaStream *stream_;
  bool launching_ = false;
  uint64_t workspace_ = 0;
  int64_t used_ = 0;
};

// Sets all elements of a tensor to a value: a NaN if it is f32, else 0.
halnorm_status fill_on_cuda(const halnorm_context *context, const View &tensor, float value);

// Runs a call on CUDA tensors; the checks of its arguments are done.
halnorm_status execute_on_cuda(const NormCall &call);

}  // namespace halnorm

#endif  // HALNORM_RUNTIME_CUDA_MEMORY_H_
