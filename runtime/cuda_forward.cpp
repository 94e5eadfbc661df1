// SPDX-License-Identifier: Apache-2.0
// The forward operations on CUDA.
#include "cuda_stages.h"
#include "kernel_call.h"

namespace halnorm {

// center, low and rstd of rows as the last pass takes them; mean and rstd for the caller.
halnorm_status CudaStages::statistics(OfRows *center, OfRows *low, OfRows *rstd) {
  const auto members_of_a_sum = static_cast<int32_t>(by_batch() ? 1 : members_);
  Parts parts;
  if (call_.has_mean()) {
    if (halnorm_status status =
            sum({Summands::values, &sums_grid_, false, 1}, nullptr, 0, &parts)) {
      return status;
    }
    *center = new_of_rows();
    CudaArguments arguments;
    add_parts_of_statistics(&arguments, parts, 0);
    arguments.add(elements_of_a_statistic());
    add(&arguments, *center);
    if (halnorm_status status = memory_.launch(Part::cuda_fold_center, Storage::f32, &arguments)) {
      return status;
    }
  } else if (halnorm_status status = memory_.constant(0, center)) {
    return status;
  }
  if (halnorm_status status =
          sum({Summands::deviations, &sums_grid_, false, members_of_a_sum}, center, 1, &parts)) {
    return status;
  }
  *low = new_of_rows();
  *rstd = new_of_rows();
  const OfRows variance = new_of_rows();
  const OfRows mean_out =
      memory_.room_for_statistic(grid_, call_.mean, statistic_count_, statistic_outers_);
  const OfRows rstd_out =
      memory_.room_for_statistic(grid_, call_.rstd, statistic_count_, statistic_outers_);
  CudaArguments arguments;
  for (int k = 0; k < 2; ++k) add_parts_of_statistics(&arguments, parts, k);
  add(&arguments, *center);
  arguments.add(elements_of_a_statistic());
  arguments.add(static_cast<float>(call_.eps));
  arguments.add(int32_t{call_.has_mean()});
  for (const OfRows &out : {*low, *rstd, variance, mean_out, rstd_out}) {
    // All have the extents of the first.
    OfRows result = out;
    result.extents[0] = statistic_count_;
    result.extents[1] = statistic_outers_;
    add(&arguments, result);
  }
  if (halnorm_status status =
          memory_.launch(Part::cuda_fold_statistics, Storage::f32, &arguments)) {
    return status;
  }
  if (halnorm_status status = memory_.store_statistic(grid_, call_.mean, mean_out)) return status;
  if (halnorm_status status = memory_.store_statistic(grid_, call_.rstd, rstd_out)) return status;
  if (call_.running_mean == nullptr) return HALNORM_OK;
  return update_running_statistics(*center, *low, variance);
}

halnorm_status CudaStages::update_running_statistics(const OfRows &center, const OfRows &low,
                                                     const OfRows &variance) {
  const double count = elements_of_a_statistic();
  const CudaArguments::Dimension all = {statistic_count_, 1};
  const auto mean = reinterpret_cast<uint64_t>(call_.running_mean);
  const auto var = reinterpret_cast<uint64_t>(call_.running_var);
  CudaArguments arguments;
  for (const OfRows *of_batch : {&center, &low, &variance}) arguments.add(of_batch->address, all);
  arguments.add(call_.momentum);
  arguments.add(call_.running_var_biased ? 1 : count / (count - 1));
  arguments.add(mean, all);
  arguments.add(var, all);
  return memory_.launch(Part::cuda_running, Storage::f32, &arguments);
}

halnorm_status CudaStages::running_statistics(OfRows *mean, OfRows *rstd) {
  const int64_t channels = grid_.rows.extent;
  *mean = {reinterpret_cast<uint64_t>(call_.running_mean), {channels, 1}, {1, 0}};
  *rstd = memory_.take_of_rows(channels, 1);
  CudaArguments arguments;
  arguments.add(reinterpret_cast<uint64_t>(call_.running_var), {channels, 1});
  arguments.add(static_cast<float>(call_.eps));
  arguments.add(rstd->address, {channels, 1});
  return memory_.launch(Part::cuda_reciprocal_deviation, Storage::f32, &arguments);
}

halnorm_status CudaStages::whole_rows(bool *done) {
  int64_t alignment = smaller(alignment_of(x_, call_.storage), alignment_of(y_, call_.storage));
  alignment = smaller(alignment, smaller(alignment_of(gamma_), alignment_of(beta_)));
  const Kernel *kernel =
      alignment == kVectorBytes && !grid_.columns
          ? memory_.find_whole(call_.operation, Part::cuda_norm, Part::cuda_wide_norm)
          : nullptr;
  *done = kernel != nullptr;
  if (!*done) return HALNORM_OK;
  const int64_t rows = grid_.rows.extent, outers = grid_.outer_count;
  const OfRows mean = memory_.room_for_statistic(grid_, call_.mean, rows, outers);
  const OfRows rstd = memory_.room_for_statistic(grid_, call_.rstd, rows, outers);
  CudaArguments arguments;
  add(&arguments, x_, call_.storage, alignment);
  arguments.add(gamma_, {grid_.n, 1});
  arguments.add(beta_, {grid_.n, 1});
  arguments.add(static_cast<float>(call_.eps));
  add(&arguments, y_, call_.storage, alignment);
  add(&arguments, mean);
  add(&arguments, rstd);
  if (halnorm_status status = memory_.launch(*kernel, &arguments)) return status;
  if (halnorm_status status = memory_.store(grid_, call_.y, &Axis::y, y_)) return status;
  if (halnorm_status status = memory_.store_statistic(grid_, call_.mean, mean)) return status;
  if (halnorm_status status = memory_.store_statistic(grid_, call_.rstd, rstd)) return status;
  memory_.last = kernel;
  return HALNORM_OK;
}

halnorm_status CudaStages::forward() {
  if (halnorm_status status = memory_.load_beta(&beta_)) return status;
  if (call_.gamma_along_rows()) {
    bool done = false;
    if (halnorm_status status = whole_rows(&done)) return status;
    if (done) return HALNORM_OK;
  }
  OfRows of_rows[3];  // high and low of the mean, rstd
  if (call_.operation == Operation::batch_norm_inference) {
    if (halnorm_status status = running_statistics(&of_rows[0], &of_rows[2])) return status;
    if (halnorm_status status = memory_.constant(0, &of_rows[1])) return status;
  } else if (halnorm_status status = statistics(&of_rows[0], &of_rows[1], &of_rows[2])) {
    return status;
  }
  return apply(false, &x_, 1, of_rows, 3);
}

}  // namespace halnorm
