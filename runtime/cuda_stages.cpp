// SPDX-License-Identifier: Apache-2.0
#include "cuda_stages.h"

#include "context.h"
#include "cuda_library.h"
#include "errors.h"

namespace halnorm {
namespace {

constexpr int64_t kVector = 4;  // elements that a thread loads at once, where they are aligned

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

bool is_aligned(const Elements &elements, Storage storage) {
  const auto bytes = static_cast<uint64_t>(kVector * element_size(storage));
  return elements.address % bytes == 0 && elements.extents[0] % kVector == 0 &&
         elements.strides[1] % kVector == 0 && elements.strides[2] % kVector == 0;
}

bool is_aligned(uint64_t parameter) { return parameter % (kVector * sizeof(float)) == 0; }

void add_elements(CudaArguments *arguments, const Elements &e) {
  arguments->add(e.address, {e.extents[0], e.strides[0]}, {e.extents[1], e.strides[1]},
                 {e.extents[2], e.strides[2]});
}

void add_of_rows(CudaArguments *arguments, const OfRows &o) {
  arguments->add(o.address, {o.extents[0], o.strides[0]}, {o.extents[1], o.strides[1]});
}

// The kernels of a step: [rows are neighbours][aligned].
struct PartChoice {
  Part parts[2][2];
  Part of(bool columns, bool aligned) const { return parts[columns][aligned]; }
};

#define HALNORM_CUDA_PARTS(what)                                           \
  {                                                                        \
    {                                                                      \
      {Part::cuda_row_##what##_any, Part::cuda_row_##what##_aligned}, {    \
        Part::cuda_column_##what##_any, Part::cuda_column_##what##_aligned \
      }                                                                    \
    }                                                                      \
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
  const bool aligned = is_aligned(x, call_.storage) &&
                       (!of_gradients || is_aligned(dy, call_.storage)) &&
                       (!weighted || is_aligned(gamma_));
  const int64_t n = x.extents[columns ? 1 : 0], rows = x.extents[columns ? 0 : 1];
  const int64_t count = ceil_div(n, columns ? kBlock : kChunk), outers = x.extents[2];
  *parts = {{0, 0}, {count, rows, outers}, {columns ? rows : 1, columns ? 1 : count, count * rows}};
  const int sum_count = sums.summands == Summands::values ? 1 : 2;
  CudaArguments arguments;
  if (of_gradients) add_elements(&arguments, dy);
  add_elements(&arguments, x);
  for (int k = 0; k < of_rows_count; ++k) add_of_rows(&arguments, of_rows[k]);
  if (weighted) arguments.add(gamma_, {n, 1});
  arguments.add(sums.rows_of_a_statistic);
  for (int k = 0; k < sum_count; ++k) {
    parts->addresses[k] = memory_.take_floats(count * rows * outers);
    arguments.add(parts->addresses[k], {count, parts->strides[0]}, {rows, parts->strides[1]},
                  {outers, parts->strides[2]});
  }
  const PartChoice &choice = kSums[static_cast<int>(sums.summands)];
  return memory_.launch(choice.of(columns, aligned), call_.storage, &arguments);
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

// Forward ----------------------------------------------------------------------------------------

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
    add_of_rows(&arguments, *center);
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
  add_of_rows(&arguments, *center);
  arguments.add(elements_of_a_statistic());
  arguments.add(static_cast<float>(call_.eps));
  arguments.add(int32_t{call_.has_mean()});
  for (const OfRows &out : {*low, *rstd, variance, mean_out, rstd_out}) {
    // All have the extents of the first.
    OfRows result = out;
    result.extents[0] = statistic_count_;
    result.extents[1] = statistic_outers_;
    add_of_rows(&arguments, result);
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

halnorm_status CudaStages::apply(bool of_gradient, const Elements *inputs, int input_count,
                                 const OfRows *of_rows, int of_rows_count) {
  const bool along = call_.gamma_along_rows();
  const Elements output = memory_.room_for(grid_, call_.y, &Axis::y);
  bool aligned = is_aligned(output, call_.storage);
  CudaArguments arguments;
  for (int k = 0; k < input_count; ++k) {
    aligned = aligned && is_aligned(inputs[k], call_.storage);
    add_elements(&arguments, inputs[k]);
  }
  for (int k = 0; k < of_rows_count; ++k) add_of_rows(&arguments, of_rows[k]);
  const int64_t parameters = memory_.parameter_count();
  aligned = aligned && is_aligned(gamma_);
  arguments.add(gamma_, {parameters, 1});
  if (!of_gradient) {
    aligned = aligned && is_aligned(beta_);
    arguments.add(beta_, {parameters, 1});
  }
  arguments.add(static_cast<int32_t>(rows_of_a_statistic_));
  add_elements(&arguments, output);
  const PartChoice &choice = kLastPasses[of_gradient][along];
  if (halnorm_status status =
          memory_.launch(choice.of(grid_.columns, aligned), call_.storage, &arguments)) {
    return status;
  }
  return memory_.store(grid_, call_.y, &Axis::y, output);
}

halnorm_status CudaStages::whole_rows(bool *done) {
  const Elements y = memory_.room_for(grid_, call_.y, &Axis::y);
  const bool aligned = is_aligned(x_, call_.storage) && is_aligned(y, call_.storage) &&
                       is_aligned(gamma_) && is_aligned(beta_);
  const Kernel *kernel = aligned && !grid_.columns ? memory_.find_whole(Part::cuda_norm) : nullptr;
  *done = kernel != nullptr;
  if (!*done) return HALNORM_OK;
  const int64_t rows = grid_.rows.extent, outers = grid_.outer_count;
  const OfRows mean = memory_.room_for_statistic(grid_, call_.mean, rows, outers);
  const OfRows rstd = memory_.room_for_statistic(grid_, call_.rstd, rows, outers);
  CudaArguments arguments;
  add_elements(&arguments, x_);
  arguments.add(gamma_, {grid_.n, 1});
  arguments.add(beta_, {grid_.n, 1});
  arguments.add(static_cast<float>(call_.eps));
  add_elements(&arguments, y);
  add_of_rows(&arguments, mean);
  add_of_rows(&arguments, rstd);
  if (halnorm_status status = memory_.launch(*kernel, &arguments)) return status;
  if (halnorm_status status = memory_.store(grid_, call_.y, &Axis::y, y)) return status;
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

// Backward ---------------------------------------------------------------------------------------

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
  add_of_rows(&arguments, rstd);
  arguments.add(elements_of_a_statistic());
  arguments.add(int32_t{call_.has_mean()});
  add_of_rows(&arguments, *mean_g);
  add_of_rows(&arguments, *slope);
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

halnorm_status CudaStages::gradients_along_rows(const OfRows &mean, const OfRows &rstd) {
  const OfRows of_rows[] = {mean, rstd};
  Parts parts;
  if (halnorm_status status =
          sum({Summands::parameter_gradients, &grid_, true, 1}, of_rows, 2, &parts)) {
    return status;
  }
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

halnorm_status CudaStages::whole_rows_backward(const OfRows &mean, const OfRows &rstd, bool *done) {
  const Elements dx = memory_.room_for(grid_, call_.y, &Axis::y);
  const bool aligned = is_aligned(x_, call_.storage) && is_aligned(dy_, call_.storage) &&
                       is_aligned(dx, call_.storage) && is_aligned(gamma_);
  const Kernel *kernel =
      aligned && !grid_.columns ? memory_.find_whole(Part::cuda_norm_backward) : nullptr;
  *done = kernel != nullptr;
  if (!*done) return HALNORM_OK;
  CudaArguments arguments;
  add_elements(&arguments, dy_);
  add_elements(&arguments, x_);
  add_of_rows(&arguments, mean);
  add_of_rows(&arguments, rstd);
  arguments.add(gamma_, {grid_.n, 1});
  arguments.add(int32_t{call_.has_mean()});
  add_elements(&arguments, dx);
  if (halnorm_status status = memory_.launch(*kernel, &arguments)) return status;
  return memory_.store(grid_, call_.y, &Axis::y, dx);
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
  // Parameters first: dx may be dy.
  if (parameters && along) {
    if (halnorm_status status = gradients_along_rows(of_rows[0], of_rows[1])) return status;
  }
  if (through_statistics && along) {
    bool done = false;
    if (halnorm_status status = whole_rows_backward(of_rows[0], of_rows[1], &done)) return status;
    if (done) return HALNORM_OK;
  }
  Parts parts;
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

halnorm_status CudaStages::run() {
  if (halnorm_status status = memory_.load(grid_, call_.x, &Axis::x, &x_)) return status;
  if (halnorm_status status = memory_.load_gamma(&gamma_)) return status;
  return call_.is_backward() ? backward() : forward();
}

halnorm_status execute_on_cuda(const NormCall &call) {
  for (const auto &[name, stride] : {Named{"x", &Axis::x}, {"dy", &Axis::dy}, {"y", &Axis::y}}) {
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
