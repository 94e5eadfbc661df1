// SPDX-License-Identifier: Apache-2.0
#include "cuda_memory.h"

#include "context.h"
#include "errors.h"

namespace halnorm {
namespace {

constexpr int64_t kAlignment = 256;

int64_t round_up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }

uint64_t address_of(const void *data) { return reinterpret_cast<uint64_t>(data); }

// Kernels take one axis of elements, one of rows and one around them.
bool is_direct(const Grid &grid, Stride stride) {
  if (grid.outer_rank > 1 || grid.reduced_rank > 1) return false;
  if (grid.columns) return grid.rows.*stride == 1 || grid.rows.extent == 1;
  return grid.reduced_rank == 0 || grid.reduced[0].*stride == 1;
}

void set_extents(const Grid &grid, Elements *elements) {
  const int64_t rows = grid.rows.extent;
  elements->extents[0] = grid.columns ? rows : grid.n;
  elements->extents[1] = grid.columns ? grid.n : rows;
  elements->extents[2] = grid.outer_count;
}

Elements in_place(const Grid &grid, uint64_t address, Stride stride) {
  Elements elements = {};
  elements.address = address;
  set_extents(grid, &elements);
  const int64_t row = grid.rows.*stride;
  const int64_t element = grid.reduced_rank == 0 ? 0 : grid.reduced[0].*stride;
  elements.strides[0] = 1;
  elements.strides[1] = grid.columns ? element : row;
  elements.strides[2] = grid.outer_rank == 0 ? 0 : grid.outer[0].*stride;
  return elements;
}

Elements dense(const Grid &grid, uint64_t address) {
  Elements elements = {};
  elements.address = address;
  set_extents(grid, &elements);
  elements.strides[0] = 1;
  elements.strides[1] = elements.extents[0];
  elements.strides[2] = elements.extents[0] * elements.extents[1];
  return elements;
}

}  // namespace

CudaMemory::CudaMemory(const NormCall &call, int32_t target, CudaStream *stream)
    : call_(call), target_(target), stream_(stream) {}

halnorm_status CudaMemory::begin_to_launch() {
  const halnorm_context *context = call_.context;
  const uint64_t begin = context == nullptr ? 0 : address_of(context->cuda_workspace);
  const int64_t size = context == nullptr ? 0 : static_cast<int64_t>(context->cuda_workspace_bytes);
  const int64_t needed = used_ == 0 ? 0 : used_ + kAlignment - 1;
  workspace_ = static_cast<uint64_t>(round_up(static_cast<int64_t>(begin), kAlignment));
  if (used_ > 0 && static_cast<int64_t>(workspace_ - begin) + used_ > size) {
    return fail(HALNORM_OUT_OF_MEMORY,
                "workspace: has %lld bytes of CUDA memory; the call needs %lld",
                static_cast<long long>(size), static_cast<long long>(needed));
  }
  launching_ = true;
  used_ = 0;
  return HALNORM_OK;
}

uint64_t CudaMemory::take(int64_t bytes) {
  const uint64_t taken = workspace_ + static_cast<uint64_t>(used_);
  used_ += round_up(bytes, kAlignment);
  return taken;
}

OfRows CudaMemory::take_of_rows(int64_t count, int64_t outers) {
  return {take_floats(count * outers), {count, outers}, {1, outers == 1 ? 0 : count}};
}

halnorm_status CudaMemory::launch(Part part, Storage storage, CudaArguments *arguments) {
  const Kernel *kernel = find_kernel(call_, target_, Operation::any_norm, part, storage);
  return kernel == nullptr ? no_kernel(call_, target_) : launch(*kernel, arguments);
}

const Kernel *CudaMemory::find_whole(Operation operation, Part part) const {
  const Kernel *kernel = find_kernel(call_, target_, operation, part, call_.storage);
  if (kernel == nullptr || call_.row_length > kernel->rows) return nullptr;
  const bool in_stages = prefers_stages(call_) || kernel->launch.stages != 0;
  return kernel == preferred_kernel(call_) || !in_stages ? kernel : nullptr;
}

const Kernel *CudaMemory::find_whole(Operation operation, Part narrow, Part wide) const {
  const Kernel *of_block = find_whole(operation, wide);
  if (of_block != nullptr && of_block == preferred_kernel(call_)) return of_block;
  const Kernel *of_warp = find_whole(operation, narrow);
  return of_warp != nullptr ? of_warp : of_block;
}

halnorm_status CudaMemory::launch(const Kernel &kernel, CudaArguments *arguments) {
  last = &kernel;
  return launching_ ? arguments->run(kernel, stream_) : HALNORM_OK;
}

halnorm_status CudaMemory::fill(uint64_t address, int64_t floats, float value) {
  CudaArguments arguments;
  arguments.add(value);
  arguments.add(address, {floats, 1});
  return launch(Part::cuda_fill, Storage::f32, &arguments);
}

halnorm_status CudaMemory::copy(Part part, Storage storage, uint64_t from, uint64_t to,
                                const CopyAxis *axes, int32_t rank, float offset) {
  const int64_t to_size = part == Part::cuda_parameter ? 4 : element_size(storage);
  if (rank > 3) {
    for (int64_t i = 0; i < axes[0].extent; ++i) {
      const int64_t from_bytes = i * axes[0].from * element_size(storage);
      if (halnorm_status status = copy(part, storage, from + static_cast<uint64_t>(from_bytes),
                                       to + static_cast<uint64_t>(i * axes[0].to * to_size),
                                       axes + 1, rank - 1, offset)) {
        return status;
      }
    }
    return HALNORM_OK;
  }
  CopyAxis all[3] = {{1, 0, 0}, {1, 0, 0}, {1, 0, 0}};  // fastest first
  for (int32_t d = 0; d < rank; ++d) all[d] = axes[rank - 1 - d];
  CudaArguments arguments;
  arguments.add(from, {all[0].extent, all[0].from}, {all[1].extent, all[1].from},
                {all[2].extent, all[2].from});
  if (part == Part::cuda_parameter) arguments.add(offset);
  arguments.add(to, {all[0].extent, all[0].to}, {all[1].extent, all[1].to},
                {all[2].extent, all[2].to});
  return launch(part, storage, &arguments);
}

halnorm_status CudaMemory::repack(const Grid &grid, uint64_t tensor, Stride stride, uint64_t packed,
                                  bool to_dense) {
  CopyAxis axes[2 * kMaxRank + 1];
  int32_t rank = 0;
  const auto add = [&](const Axis &axis) {
    axes[rank].extent = axis.extent;
    axes[rank].from = axis.*stride;
    ++rank;
  };
  for (int32_t d = 0; d < grid.outer_rank; ++d) add(grid.outer[d]);
  if (!grid.columns) add(grid.rows);
  for (int32_t d = 0; d < grid.reduced_rank; ++d) add(grid.reduced[d]);
  if (grid.columns) add(grid.rows);
  int64_t step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    axes[d].to = step;
    step *= axes[d].extent;
  }
  if (to_dense) return copy(Part::cuda_copy, call_.storage, tensor, packed, axes, rank, 0);
  for (int32_t d = 0; d < rank; ++d) axes[d] = {axes[d].extent, axes[d].to, axes[d].from};
  return copy(Part::cuda_copy, call_.storage, packed, tensor, axes, rank, 0);
}

halnorm_status CudaMemory::load(const Grid &grid, const void *data, Stride stride,
                                Elements *elements) {
  if (is_direct(grid, stride)) {
    *elements = in_place(grid, address_of(data), stride);
    return HALNORM_OK;
  }
  *elements = dense(grid, take(grid.row_count() * grid.n * element_size(call_.storage)));
  return repack(grid, address_of(data), stride, elements->address, true);
}

Elements CudaMemory::room_for(const Grid &grid, void *data, Stride stride) {
  if (is_direct(grid, stride)) return in_place(grid, address_of(data), stride);
  return dense(grid, take(grid.row_count() * grid.n * element_size(call_.storage)));
}

halnorm_status CudaMemory::store(const Grid &grid, void *data, Stride stride,
                                 const Elements &elements) {
  if (is_direct(grid, stride)) return HALNORM_OK;
  const Kernel *wrote = last;
  const halnorm_status status = repack(grid, address_of(data), stride, elements.address, false);
  last = wrote;
  return status;
}

halnorm_status CudaMemory::repack_statistic(const Grid &grid, uint64_t tensor, uint64_t packed,
                                            bool to_dense) {
  CopyAxis axes[kMaxRank + 1];
  int32_t rank = 0;
  for (int32_t d = 0; d < grid.outer_rank; ++d) {
    axes[rank++] = {grid.outer[d].extent, grid.outer[d].statistic, 0};
  }
  axes[rank++] = {grid.rows.extent, grid.rows.statistic, 0};
  int64_t step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    axes[d].to = step;
    step *= axes[d].extent;
    if (!to_dense) axes[d] = {axes[d].extent, axes[d].to, axes[d].from};
  }
  return copy(Part::cuda_copy, Storage::f32, to_dense ? tensor : packed, to_dense ? packed : tensor,
              axes, rank, 0);
}

halnorm_status CudaMemory::load_statistic(const Grid &grid, const float *data, OfRows *of_rows) {
  if (data == nullptr) return constant(0, of_rows);
  if (grid.outer_rank <= 1) {
    *of_rows =
        room_for_statistic(grid, const_cast<float *>(data), grid.rows.extent, grid.outer_count);
    return HALNORM_OK;
  }
  *of_rows = take_of_rows(grid.rows.extent, grid.outer_count);
  return repack_statistic(grid, address_of(data), of_rows->address, true);
}

OfRows CudaMemory::room_for_statistic(const Grid &grid, float *data, int64_t count,
                                      int64_t outers) {
  if (data == nullptr || grid.outer_rank > 1) return take_of_rows(count, outers);
  return {address_of(data),
          {count, outers},
          {grid.rows.statistic, grid.outer_rank == 0 ? 0 : grid.outer[0].statistic}};
}

halnorm_status CudaMemory::store_statistic(const Grid &grid, float *data, const OfRows &of_rows) {
  if (data == nullptr || grid.outer_rank <= 1) return HALNORM_OK;
  return repack_statistic(grid, address_of(data), of_rows.address, false);
}

halnorm_status CudaMemory::constant(float value, OfRows *of_rows) {
  *of_rows = {take_floats(1), {1, 1}, {0, 0}};
  return fill(of_rows->address, 1, value);
}

halnorm_status CudaMemory::load_parameter(bool gamma, uint64_t *address) {
  const void *data = gamma ? call_.gamma : call_.beta;
  const Storage storage = gamma ? call_.gamma_storage : call_.beta_storage;
  const Stride stride = gamma ? &Axis::gamma : &Axis::beta;
  // What x is multiplied by, and what is added to it, where there is none; see parameters.cpp.
  const float absent = gamma ? 1.0f : -0.0f;
  const bool offset = gamma && call_.zero_centered_gamma;
  const Axis *axes = parameter_axes();
  const int32_t rank = parameter_rank();
  if (data != nullptr && storage == Storage::f32 && !offset && is_dense(axes, rank, stride)) {
    *address = address_of(data);
    return HALNORM_OK;
  }
  *address = take_floats(parameter_count());
  if (data == nullptr) return fill(*address, parameter_count(), absent);
  CopyAxis copied[kMaxRank];
  int64_t step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    copied[d] = {axes[d].extent, axes[d].*stride, step};
    step *= axes[d].extent;
  }
  return copy(Part::cuda_parameter, storage, address_of(data), *address, copied, rank,
              offset ? 1.0f : -0.0f);
}

halnorm_status CudaMemory::store_gradient(void *data, Storage storage, Stride stride,
                                          uint64_t packed) {
  const Axis *axes = parameter_axes();
  const int32_t rank = parameter_rank();
  CopyAxis copied[kMaxRank];
  int64_t step = 1;
  for (int32_t d = rank - 1; d >= 0; --d) {
    copied[d] = {axes[d].extent, step, axes[d].*stride};
    step *= axes[d].extent;
  }
  return copy(Part::cuda_copy, storage, packed, address_of(data), copied, rank, 0);
}

halnorm_status fill_on_cuda(const halnorm_context *context, const View &tensor, float value) {
  if (tensor.element_count == 0) return HALNORM_OK;
  if (tensor.element_count > INT32_MAX) {
    return fail(HALNORM_UNSUPPORTED, "%s: has %lld elements; expected at most %d on CUDA",
                tensor.name, static_cast<long long>(tensor.element_count), INT32_MAX);
  }
  NormCall call = {};
  call.context = context;
  int32_t target = 0;
  if (halnorm_status status = resolve_target(context, HALNORM_CUDA, &target)) return status;
  CudaStream stream;
  if (halnorm_status status = open_stream(context, tensor.device.device_id, &stream)) return status;
  CudaMemory memory(call, target, &stream);
  if (halnorm_status status = memory.begin_to_launch()) return status;
  // Where elements are not dense, each by itself.
  const int64_t steps = tensor.dense ? 1 : tensor.element_count;
  for (int64_t i = 0; i < steps; ++i) {
    int64_t offset = 0, rest = i;
    for (int32_t d = tensor.rank - 1; d >= 0 && steps > 1; --d) {
      offset += rest % tensor.shape[d] * tensor.strides[d];
      rest /= tensor.shape[d];
    }
    CudaArguments arguments;
    arguments.add(value);
    arguments.add(address_of(tensor.data + offset * tensor.element_bytes),
                  {tensor.element_count / steps, 1});
    if (halnorm_status status = memory.launch(Part::cuda_fill, tensor.storage, &arguments)) {
      return status;
    }
  }
  return HALNORM_OK;
}

}  // namespace halnorm
