// SPDX-License-Identifier: Apache-2.0
// The gradients on CUDA.
#include "cuda_stages.h"
#include "kernel_call.h"

namespace halnorm {

halnorm_status CudaStages::gradient_means(const Parts &parts, const OfRows &rstd, OfRows *mean_g,
                                          OfRows *slope) {
  const bool along = call_.gamma_along_rows();
  *mean_g = new_of_rows();
  *slope = new_of_rows();
  CudaArguments arguments;
  for (int k = 0; k < 2; ++k) add_parts_of_statistics(&arguments, parts, k);
  if (!along) {
    // gamma of the channel of a member: (member, statistic).
    const bool groups = call_.sharing == Sharing::groups;
    arguments.add(gamma_, {members_, groups ? 1 : 0}, {statistic_count_, groups ? members_ : 1},
                  {1, 0});
    arguments.add(int32_t{1});
  }
  add(&arguments, rstd);
  arguments.add(elements_of_a_statistic());
  arguments.add(int32_t{call_.has_mean()});
  add(&arguments, *mean_g);
  add(&arguments, *slope);
  return memory_.launch(
      along ? Part::cuda_fold_gradient_means : Part::cuda_fold_gradient_means_channel, Storage::f32,
      &arguments);
}

// Sum k of parts, for each of their rows over all members: outer positions.
halnorm_status CudaStages::gradient(Part part, void *data, Storage storage, Stride stride,
                                    const Parts &parts, int k, int64_t members,
                                    const OfRows *weight) {
  if (data == nullptr) return HALNORM_OK;
  const int64_t count = memory_.parameter_count();
  const bool direct = memory_.parameter_rank() <= 1;
  const int64_t step = !direct                         ? 1
                       : memory_.parameter_rank() == 0 ? 0
                                                       : memory_.parameter_axes()[0].*stride;
  const uint64_t to =
      direct ? reinterpret_cast<uint64_t>(data) : memory_.take(count * element_size(storage));
  CudaArguments arguments;
  arguments.add(parts.addresses[k], {parts.extents[0], parts.strides[0]},
                {members, parts.strides[2]}, {count, parts.strides[1]});
  if (weight != nullptr) {
    arguments.add(weight->address, {members, weight->strides[1]}, {count, weight->strides[0]},
                  {1, 0});
    arguments.add(static_cast<int32_t>(rows_of_a_statistic_));
  }
  arguments.add(to, {count, step}, {1, 0});
  if (halnorm_status status = memory_.launch(part, storage, &arguments)) return status;
  return direct ? HALNORM_OK : memory_.store_gradient(data, storage, stride, to);
}

halnorm_status CudaStages::gradients_along_rows(const Parts &parts) {
  const int64_t members = grid_.outer_count;
  if (halnorm_status status = gradient(Part::cuda_fold_gradient, call_.dbeta, call_.dbeta_storage,
                                       &Axis::dbeta, parts, 0, members, nullptr)) {
    return status;
  }
  return gradient(Part::cuda_fold_gradient, call_.dgamma, call_.dgamma_storage, &Axis::dgamma,
                  parts, 1, members, nullptr);
}

// From the sums of dy and of dy * (x - mean) of the rows of channels.
halnorm_status CudaStages::gradients_of_channels(const Parts &parts, const OfRows &rstd) {
  const int64_t members = grid_.outer_count;
  if (halnorm_status status = gradient(Part::cuda_fold_gradient, call_.dbeta, call_.dbeta_storage,
                                       &Axis::dbeta, parts, 0, members, nullptr)) {
    return status;
  }
  return gradient(Part::cuda_fold_gradient_channel, call_.dgamma, call_.dgamma_storage,
                  &Axis::dgamma, parts, 1, members, &rstd);
}

bool CudaStages::are_whole_backward() const {
  int64_t alignment = smaller(alignment_of(x_, call_.storage), alignment_of(dy_, call_.storage));
  alignment = smaller(alignment, alignment_of(y_, call_.storage));
  return !grid_.columns && smaller(alignment, alignment_of(gamma_)) == kVectorBytes;
}

void CudaStages::add_whole_backward(CudaArguments *arguments, const OfRows &mean,
                                    const OfRows &rstd) const {
  add(arguments, dy_, call_.storage, kVectorBytes);
  add(arguments, x_, call_.storage, kVectorBytes);
  add(arguments, mean);
  add(arguments, rstd);
  arguments->add(gamma_, {grid_.n, 1});
  arguments->add(int32_t{call_.has_mean()});
}

halnorm_status CudaStages::whole_rows_backward(const OfRows &mean, const OfRows &rstd, bool *done) {
  const Kernel *kernel = are_whole_backward()
                             ? memory_.find_whole(Operation::any_norm, Part::cuda_norm_backward,
                                                  Part::cuda_wide_norm_backward)
                             : nullptr;
  *done = kernel != nullptr;
  if (!*done) return HALNORM_OK;
  CudaArguments arguments;
  add_whole_backward(&arguments, mean, rstd);
  add(&arguments, y_, call_.storage, kVectorBytes);
  if (halnorm_status status = memory_.launch(*kernel, &arguments)) return status;
  return memory_.store(grid_, call_.y, &Axis::y, y_);
}

halnorm_status CudaStages::whole_rows_gradients(const OfRows &mean, const OfRows &rstd,
                                                bool *done) {
  const Kernel *kernel = are_whole_backward()
                             ? memory_.find_whole(Operation::any_norm, Part::cuda_norm_gradients)
                             : nullptr;
  *done = kernel != nullptr;
  if (!*done) return HALNORM_OK;
  const int64_t count = ceil_div(grid_.rows.extent, kRowsOfAPart), outers = grid_.outer_count;
  // It stores all elements that it has room for.
  const int64_t held = kernel->rows;
  Parts parts = {{0, 0}, {count, grid_.n, outers}, {held, 1, held * count}};
  CudaArguments arguments;
  add_whole_backward(&arguments, mean, rstd);
  arguments.add(static_cast<int32_t>(grid_.rows.extent));
  add_in_parts(&arguments, y_, call_.storage, kRowsOfAPart);
  for (uint64_t &address : parts.addresses) {
    address = memory_.take_floats(held * count * outers);
    arguments.add(address, {held, 1}, {count, parts.strides[0]}, {outers, parts.strides[2]});
  }
  if (halnorm_status status = memory_.launch(*kernel, &arguments)) return status;
  if (halnorm_status status = memory_.store(grid_, call_.y, &Axis::y, y_)) return status;
  if (halnorm_status status = gradients_along_rows(parts)) return status;
  memory_.last = kernel;
  return HALNORM_OK;
}

halnorm_status CudaStages::backward() {
  const bool along = call_.gamma_along_rows(), parameters = call_.wants_parameter_gradients();
  const bool through_statistics = call_.y != nullptr && !call_.fixed_statistics;
  if (halnorm_status status = memory_.load(grid_, call_.dy, &Axis::dy, &dy_)) return status;
  // mean, rstd, mean_g, slope
  OfRows of_rows[4];
  if (halnorm_status status = memory_.load_statistic(grid_, call_.saved_mean, &of_rows[0])) {
    return status;
  }
  if (halnorm_status status = memory_.load_statistic(grid_, call_.saved_rstd, &of_rows[1])) {
    return status;
  }
  bool done = false;
  if (through_statistics && parameters && along) {
    if (halnorm_status status = whole_rows_gradients(of_rows[0], of_rows[1], &done)) return status;
    if (done) return HALNORM_OK;
  }
  Parts parts;
  // Parameters first: dx may be dy.
  if (parameters && along) {
    if (halnorm_status status =
            sum({Summands::parameter_gradients, &grid_, true, 1}, of_rows, 2, &parts)) {
      return status;
    }
    if (halnorm_status status = gradients_along_rows(parts)) return status;
  }
  if (through_statistics && along) {
    if (halnorm_status status = whole_rows_backward(of_rows[0], of_rows[1], &done)) return status;
    if (done) return HALNORM_OK;
  }
  if (through_statistics || (parameters && !along)) {
    const Summands summands = along ? Summands::weighted_gradients : Summands::gradients;
    const auto rows_of_a_statistic = static_cast<int32_t>(rows_of_a_statistic_);
    if (halnorm_status status =
            sum({summands, &grid_, false, rows_of_a_statistic}, of_rows, 1, &parts)) {
      return status;
    }
  }
  if (through_statistics) {
    if (halnorm_status status = gradient_means(parts, of_rows[1], &of_rows[2], &of_rows[3])) {
      return status;
    }
  }
  if (parameters && !along) {
    if (halnorm_status status = gradients_of_channels(parts, of_rows[1])) return status;
  }
  if (call_.y == nullptr) return HALNORM_OK;
  const Elements inputs[] = {dy_, x_};
  if (through_statistics) return apply(true, inputs, 2, of_rows, 4);
  // Fixed statistics are constants: dx is to dy what y is to x - mean.
  OfRows fixed[3] = {{}, {}, of_rows[1]};
  if (halnorm_status status = memory_.constant(0, &fixed[0])) return status;
  fixed[1] = fixed[0];
  beta_ = memory_.take_floats(memory_.parameter_count());
  if (halnorm_status status = memory_.fill(beta_, memory_.parameter_count(), -0.0f)) return status;
  return apply(false, inputs, 1, fixed, 3);
}

}  // namespace halnorm
