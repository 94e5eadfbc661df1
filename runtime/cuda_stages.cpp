// SPDX-License-Identifier: Apache-2.0
#include "cuda_stages.h"

#include "context.h"
#include "cuda_library.h"
#include "errors.h"
#include "kernel_call.h"

namespace halnorm {
namespace {

struct Named {
  const char *name;
  Stride stride;
};

// How far the last element of a tensor is from its first, or as far as they would be if dense.
int64_t last_offset(const NormCall &call, Stride stride) {
  int64_t last = 0;
  const auto add = [&](const Axis *axes, int32_t rank) {
    for (int32_t d = 0; d < rank; ++d) {
      const int64_t step = axes[d].*stride;
      last += (step < 0 ? -step : step) * (axes[d].extent - 1);
    }
  };
  add(call.kept, call.kept_rank);
  add(call.reduced, call.reduced_rank);
  return larger(last, call.row_count * call.row_length);
}

// Of neighbouring rows there are no kernels of halves of vectors: the threads of a warp read
// neighbours even one by one.
int64_t usable(bool columns, int64_t alignment) {
  return columns && alignment < kVectorBytes ? 0 : alignment;
}

// The kernels of a step.
struct PartChoice {
  Part row_any, row_halves, row_aligned, column_any, column_aligned;
  Part of(bool columns, int64_t alignment) const {
    const bool aligned = alignment == kVectorBytes;
    if (columns) return aligned ? column_aligned : column_any;
    return aligned ? row_aligned : alignment == 0 ? row_any : row_halves;
  }
};

#define HALNORM_CUDA_PARTS(what)                                                                  \
  {                                                                                               \
    Part::cuda_row_##what##_any, Part::cuda_row_##what##_halves, Part::cuda_row_##what##_aligned, \
        Part::cuda_column_##what##_any, Part::cuda_column_##what##_aligned                        \
  }
// In the order of Summands.
constexpr PartChoice kSums[] = {HALNORM_CUDA_PARTS(values), HALNORM_CUDA_PARTS(deviations),
                                HALNORM_CUDA_PARTS(gradients), HALNORM_CUDA_PARTS(weighted),
                                HALNORM_CUDA_PARTS(parameters)};
// [of a gradient][gamma along rows].
constexpr PartChoice kLastPasses[2][2] = {
    {HALNORM_CUDA_PARTS(apply_channel), HALNORM_CUDA_PARTS(apply)},
    {HALNORM_CUDA_PARTS(backward_channel), HALNORM_CUDA_PARTS(backward)}};
#undef HALNORM_CUDA_PARTS

}  // namespace

CudaStages::CudaStages(const NormCall &call, CudaMemory *memory)
    : call_(call),
      memory_(*memory),
      grid_(grid_of(call)),
      sums_grid_(sums_grid_of(call, grid_)),
      rows_of_a_sum_(grid_.rows.extent / larger(sums_grid_.rows.extent, 1)) {
  const int64_t rows = sums_grid_.rows.extent;
  members_ = by_batch() ? grid_.outer_count : call.channels_of_a_group / rows_of_a_sum_;
  rows_of_a_statistic_ = call.channels_of_a_group;
  statistic_count_ = by_batch() ? rows : rows / members_;
  statistic_outers_ = by_batch() ? 1 : grid_.outer_count;
}

Elements CudaStages::of_sums(const Elements &elements) const {
  if (rows_of_a_sum_ == 1 && sums_grid_.columns == grid_.columns) return elements;
  // The channels of a group are dense, and so are its neighbours'.
  return {elements.address,
          {sums_grid_.n, sums_grid_.rows.extent, elements.extents[2]},
          {1, sums_grid_.n, elements.strides[2]}};
}

halnorm_status CudaStages::sum(const Sums &sums, const OfRows *of_rows, int of_rows_count,
                               Parts *parts) {
  const bool columns = sums.grid->columns != sums.across_rows;
  const bool of_gradients = call_.is_backward();
  const bool weighted = sums.summands == Summands::weighted_gradients;
  const bool of_rows_of_sums = sums.grid == &sums_grid_;
  const Elements x = of_rows_of_sums ? of_sums(x_) : x_, &dy = dy_;
  int64_t alignment = alignment_of(x, call_.storage);
  if (of_gradients) alignment = smaller(alignment, alignment_of(dy, call_.storage));
  if (weighted) alignment = smaller(alignment, alignment_of(gamma_));
  alignment = usable(columns, alignment);
  const int64_t n = x.extents[columns ? 1 : 0], rows = x.extents[columns ? 0 : 1];
  const int64_t block = sums.across_rows ? kRowsOfAPart : kBlock;
  const int64_t count = ceil_div(n, columns ? block : kChunk), outers = x.extents[2];
  *parts = {{0, 0}, {count, rows, outers}, {columns ? rows : 1, columns ? 1 : count, count * rows}};
  const int sum_count = sums.summands == Summands::values ? 1 : 2;
  CudaArguments arguments;
  if (of_gradients) add(&arguments, dy, call_.storage, alignment);
  add(&arguments, x, call_.storage, alignment);
  for (int k = 0; k < of_rows_count; ++k) add(&arguments, of_rows[k]);
  if (weighted) arguments.add(gamma_, {n, 1});
  arguments.add(sums.rows_of_a_statistic);
  for (int k = 0; k < sum_count; ++k) {
    parts->addresses[k] = memory_.take_floats(count * rows * outers);
    arguments.add(parts->addresses[k], {count, parts->strides[0]}, {rows, parts->strides[1]},
                  {outers, parts->strides[2]});
  }
  const PartChoice &choice = kSums[static_cast<int>(sums.summands)];
  return memory_.launch(choice.of(columns, alignment), call_.storage, &arguments);
}

void CudaStages::add_parts_of_statistics(CudaArguments *arguments, const Parts &parts,
                                         int k) const {
  const int64_t row = parts.strides[1], outer = parts.strides[2];
  if (by_batch()) {
    arguments->add(parts.addresses[k], {parts.extents[0], parts.strides[0]}, {members_, outer},
                   {statistic_count_, row});
  } else {
    arguments->add(parts.addresses[k], {parts.extents[0], parts.strides[0]}, {members_, row},
                   {statistic_count_, row * members_}, {statistic_outers_, outer});
  }
}

halnorm_status CudaStages::apply(bool of_gradient, const Elements *inputs, int input_count,
                                 const OfRows *of_rows, int of_rows_count) {
  const bool along = call_.gamma_along_rows();
  int64_t alignment = smaller(alignment_of(y_, call_.storage), alignment_of(gamma_));
  if (!of_gradient) alignment = smaller(alignment, alignment_of(beta_));
  for (int k = 0; k < input_count; ++k) {
    alignment = smaller(alignment, alignment_of(inputs[k], call_.storage));
  }
  alignment = usable(grid_.columns, alignment);
  CudaArguments arguments;
  for (int k = 0; k < input_count; ++k) {
    add(&arguments, inputs[k], call_.storage, alignment);
  }
  for (int k = 0; k < of_rows_count; ++k) add(&arguments, of_rows[k]);
  const int64_t parameters = memory_.parameter_count();
  arguments.add(gamma_, {parameters, 1});
  if (!of_gradient) arguments.add(beta_, {parameters, 1});
  arguments.add(static_cast<int32_t>(rows_of_a_statistic_));
  add(&arguments, y_, call_.storage, alignment);
  const PartChoice &choice = kLastPasses[of_gradient][along];
  if (halnorm_status status =
          memory_.launch(choice.of(grid_.columns, alignment), call_.storage, &arguments)) {
    return status;
  }
  return memory_.store(grid_, call_.y, &Axis::y, y_);
}

halnorm_status CudaStages::run() {
  if (halnorm_status status = memory_.load(grid_, call_.x, &Axis::x, &x_)) return status;
  if (call_.y != nullptr) y_ = memory_.room_for(grid_, call_.y, &Axis::y);
  if (halnorm_status status = memory_.load_gamma(&gamma_)) return status;
  return call_.is_backward() ? backward() : forward();
}

halnorm_status execute_on_cuda(const NormCall &call) {
  // Kernels count in 32 bits.
  for (const auto &[name, stride] : {Named{"x", &Axis::x},
                                     {"dy", &Axis::dy},
                                     {call.is_backward() ? "dx" : "y", &Axis::y},
                                     {"gamma", &Axis::gamma},
                                     {"beta", &Axis::beta},
                                     {"dgamma", &Axis::dgamma},
                                     {"dbeta", &Axis::dbeta}}) {
    const int64_t last = last_offset(call, stride);
    if (last <= INT32_MAX) continue;
    return fail(HALNORM_UNSUPPORTED,
                "%s: its elements are up to %lld elements apart; expected at most %d on CUDA", name,
                static_cast<long long>(last), INT32_MAX);
  }
  int32_t target;
  if (halnorm_status status = resolve_target(call.context, HALNORM_CUDA, &target)) return status;
  CudaStream stream;
  if (halnorm_status status = open_stream(call.context, call.device.device_id, &stream))
    return status;
  CudaMemory memory(call, target, &stream);
  CudaStages stages(call, &memory);
  if (halnorm_status status = stages.run()) return status;
  if (halnorm_status status = memory.begin_to_launch()) return status;
  const halnorm_status status = stages.run();
  if (status == HALNORM_OK) set_last_kernel(memory.last);
  return status;
}

}  // namespace halnorm
