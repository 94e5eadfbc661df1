// SPDX-License-Identifier: Apache-2.0
// Schedule templates for CUDA, by shape of work.
#ifndef HALNORM_SCHEDULES_CUDA_H_
#define HALNORM_SCHEDULES_CUDA_H_

#include "Halide.h"
#include "generators/cuda_roles.h"

namespace halnorm {

struct CudaKnobs {
#define HALNORM_CUDA_KNOB(name, initial, ...) Halide::GeneratorParam<int> name{#name, initial};
#include "knobs.inc"
};

// How values get from one lane of a warp to another. Where there are no shuffles, in OpenCL
// (tests/opencl), lanes are threads like any other, and the warps of a block that have nothing in
// common are blocks.
enum class Lanes {
  shuffle,  // from register to register
  share,    // through shared memory
};

// A warp for each part of a row.
void schedule_cuda_row_sums(const CudaRoles &roles, const CudaKnobs &knobs, Lanes lanes);
// A thread for each part of each of the rows that are neighbours, or of a vector of them.
void schedule_cuda_column_sums(const CudaRoles &roles, bool aligned, const CudaKnobs &knobs);
// A warp for each aligned row of so many chunks, which stays in its registers from the first sum to
// the output.
void schedule_cuda_norm(const CudaRoles &roles, int chunks, const CudaKnobs &knobs, Lanes lanes);
// A warp for each of so many chunks of an aligned row.
void schedule_cuda_wide_norm(const CudaRoles &roles, int chunks, Halide::Pipeline pipeline,
                             Lanes lanes);
// A warp, or one for each of so many chunks, for kRowsOfAPart aligned rows, one after the other,
// each in its registers, as are the sums over them. There are so many rows in all; the pipeline is
// the one that they belong to.
void schedule_cuda_norm_gradients(const CudaRoles &roles, int chunks, const Halide::Expr &rows,
                                  Halide::Pipeline pipeline, Lanes lanes);
// A warp for each statistic.
void schedule_cuda_fold(const CudaRoles &roles, const CudaKnobs &knobs);
// A thread for an element of a dense vector.
void schedule_cuda_vector(Halide::Stage vector, const Halide::Var &i, const CudaKnobs &knobs);
// A thread for as many words of the output as it stores at once.
void schedule_cuda_elements(const CudaRoles &roles, const CudaKnobs &knobs);

}  // namespace halnorm

#endif  // HALNORM_SCHEDULES_CUDA_H_
