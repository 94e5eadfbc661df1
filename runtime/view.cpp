// SPDX-License-Identifier: Apache-2.0
#include "view.h"

#include "errors.h"
#include "overlap.h"

namespace halnorm {
namespace {

// How far one axis of a tensor may reach, in elements. No memory is as large, and sums over all
// axes of two tensors, in bytes, still fit int64_t.
constexpr int64_t kMaxReach = int64_t{1} << 54;
static_assert(2 * kMaxRank * sizeof(float) <= 1 << 8, "sums of reaches must fit");

[[gnu::cold, gnu::noinline]] Text shape_text(const int64_t *extents, int32_t rank) {
  Text text;
  text.append("[");
  for (int32_t i = 0; i < rank; ++i) {
    text.append(i == 0 ? "%lld" : ", %lld", static_cast<long long>(extents[i]));
  }
  text.append("]");
  return text;
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_dtype(const Argument &argument,
                                                         const char *expected) {
  const halnorm_dtype dtype = argument.tensor->dtype;
  return fail(HALNORM_INVALID_ARGUMENT, "%s: dtype is {code %d, bits %d, lanes %d}; expected %s",
              argument.name, dtype.code, dtype.bits, dtype.lanes, expected);
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_shape(const View &view, Shape expected,
                                                         int32_t ones) {
  Text text = shape_text(expected.extents, expected.rank);
  if (ones > 0) {
    int64_t extents[kMaxRank];
    for (int32_t i = 0; i < expected.rank; ++i) extents[i] = expected.extents[i];
    for (int32_t i = 0; i < ones; ++i) extents[expected.rank + i] = 1;
    text.append(" or %s", shape_text(extents, expected.rank + ones).data);
  }
  return fail(HALNORM_INVALID_ARGUMENT, "%s: shape is %s; expected %s", view.name,
              shape_text(view.shape, view.rank).data, text.data);
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_strides(const Argument &argument) {
  const halnorm_tensor &tensor = *argument.tensor;
  return fail(HALNORM_INVALID_ARGUMENT,
              "%s: strides are %s for shape %s; expected it dense and row-major", argument.name,
              shape_text(tensor.strides, tensor.ndim).data,
              shape_text(tensor.shape, tensor.ndim).data);
}

bool read_storage(halnorm_dtype dtype, View *view) {
  if (dtype.lanes != 1) return false;
  if (dtype.code == 2 && dtype.bits == 32) {
    view->storage = Storage::f32;
    view->element_bytes = 4;
  } else if ((dtype.code == 2 || dtype.code == 4) && dtype.bits == 16) {
    view->storage = dtype.code == 2 ? Storage::f16 : Storage::bf16;
    view->element_bytes = 2;
  } else {
    return false;
  }
  return true;
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_extents(const Argument &argument) {
  const halnorm_tensor &tensor = *argument.tensor;
  for (int32_t i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] >= 0) continue;
    return fail(HALNORM_INVALID_ARGUMENT, "%s: extent %d of its shape is %lld; expected >= 0",
                argument.name, i, static_cast<long long>(tensor.shape[i]));
  }
  return fail(HALNORM_INVALID_ARGUMENT,
              "%s: the extents of its shape %s multiply to more than an int64_t holds",
              argument.name, shape_text(tensor.shape, tensor.ndim).data);
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_memory(const Argument &argument, bool reachable,
                                                          int element_bytes) {
  const halnorm_tensor &tensor = *argument.tensor;
  const Text shape = shape_text(tensor.shape, tensor.ndim);
  if (tensor.data == nullptr) {
    return fail(HALNORM_INVALID_ARGUMENT, "%s: data is NULL for a tensor of shape %s",
                argument.name, shape.data);
  }
  if (!reachable) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "%s: byte_offset, strides and shape %s lead outside of memory", argument.name,
                shape.data);
  }
  return fail(HALNORM_INVALID_ARGUMENT,
              "%s: data + byte_offset is %#llx; expected a multiple of its element's %d bytes",
              argument.name,
              static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(tensor.data)) +
                  static_cast<unsigned long long>(tensor.byte_offset),
              element_bytes);
}

// What a tensor covers, in elements from its first one.
struct Range {
  int64_t lowest = 0, highest = 0;
  bool reachable = true;  // no further than kMaxReach
};

// Fills in element_count, strides and dense.
halnorm_status read_axes(const Argument &argument, View *view, Range *range) {
  const halnorm_tensor &tensor = *argument.tensor;
  int64_t count = 1;
  bool empty = false, overflow = false, reachable = true, dense = true;
  int64_t lowest = 0, highest = 0;
  for (int32_t i = tensor.ndim - 1; i >= 0; --i) {
    const int64_t extent = tensor.shape[i];
    if (extent == 1) {
      view->strides[i] = 0;
      continue;
    }
    if (extent < 0) return refuse_extents(argument);
    const int64_t stride = tensor.strides == nullptr ? count : tensor.strides[i];
    view->strides[i] = stride;
    dense = dense && stride == count;
    empty = empty || extent == 0;
    overflow = __builtin_mul_overflow(count, extent, &count) || overflow;
    int64_t reach;
    if (__builtin_mul_overflow(stride, extent - 1, &reach) || reach < -kMaxReach ||
        reach > kMaxReach) {
      reachable = false;
      reach = 0;
    }
    (reach < 0 ? lowest : highest) += reach;
  }
  if (overflow && !empty) return refuse_extents(argument);
  if (empty) {
    for (int32_t i = 0; i < tensor.ndim; ++i) view->strides[i] = 0;
  }
  view->element_count = empty ? 0 : count;
  view->dense = dense || empty;
  *range = {lowest, highest, reachable};
  return HALNORM_OK;
}

halnorm_status read_memory(const Argument &argument, const Range &range, View *view) {
  const halnorm_tensor &tensor = *argument.tensor;
  if (view->element_count == 0) {
    view->data = nullptr;
    view->begin = view->end = 0;
    return HALNORM_OK;
  }
  const int64_t bytes = view->element_bytes;
  uintptr_t first = 0;
  const bool reachable = range.reachable &&
                         !__builtin_add_overflow(reinterpret_cast<uintptr_t>(tensor.data),
                                                 tensor.byte_offset, &first) &&
                         !__builtin_add_overflow(first, range.lowest * bytes, &view->begin) &&
                         !__builtin_add_overflow(first, (range.highest + 1) * bytes, &view->end);
  const bool aligned = (first & (static_cast<uintptr_t>(bytes) - 1)) == 0;
  if (tensor.data == nullptr || !reachable || !aligned) {
    return refuse_memory(argument, reachable, view->element_bytes);
  }
  view->data = static_cast<char *>(tensor.data) + tensor.byte_offset;
  return HALNORM_OK;
}

halnorm_status read_argument(const Argument &argument, View *view) {
  const halnorm_tensor *tensor = argument.tensor;
  view->name = argument.name;
  view->given = tensor != nullptr;
  if (tensor == nullptr) {
    view->begin = view->end = 0;
    if (!argument.required) return HALNORM_OK;
    return fail(HALNORM_INVALID_ARGUMENT, "%s: is NULL; expected a tensor", argument.name);
  }
  if (!read_storage(tensor->dtype, view)) return refuse_dtype(argument, "f32, f16 or bf16");
  if (tensor->device.device_type != HALNORM_CPU && tensor->device.device_type != HALNORM_CUDA) {
    return fail(HALNORM_INVALID_ARGUMENT, "%s: device_type is %d; expected 1 (CPU) or 2 (CUDA)",
                argument.name, tensor->device.device_type);
  }
  if (tensor->ndim < 0) {
    return fail(HALNORM_INVALID_ARGUMENT, "%s: ndim is %d; expected >= 0", argument.name,
                tensor->ndim);
  }
  if (tensor->ndim > kMaxRank) {
    return fail(HALNORM_UNSUPPORTED, "%s: ndim is %d; this build handles up to %d dimensions",
                argument.name, tensor->ndim, kMaxRank);
  }
  if (tensor->ndim > 0 && tensor->shape == nullptr) {
    return fail(HALNORM_INVALID_ARGUMENT, "%s: shape is NULL; expected %d extents", argument.name,
                tensor->ndim);
  }
  view->rank = tensor->ndim;
  view->device = tensor->device;
  view->shape = tensor->shape;
  Range range;
  if (halnorm_status status = read_axes(argument, view, &range)) return status;
  return read_memory(argument, range, view);
}

halnorm_status check_dtype(const Argument &argument, const View &view, const View &x) {
  const bool same = view.storage == x.storage, f32 = view.storage == Storage::f32;
  if (argument.role == Role::data) {
    return same ? HALNORM_OK : refuse_dtype(argument, "the dtype of x");
  }
  if (argument.role == Role::parameter) {
    return same || f32 ? HALNORM_OK : refuse_dtype(argument, "f32 or the dtype of x");
  }
  return f32 ? HALNORM_OK : refuse_dtype(argument, "f32");
}

bool has_shape(const View &view, Shape expected, int32_t ones) {
  if (view.rank != expected.rank && view.rank != expected.rank + ones) return false;
  for (int32_t i = 0; i < view.rank; ++i) {
    if (view.shape[i] != (i < expected.rank ? expected.extents[i] : 1)) return false;
  }
  return true;
}

halnorm_status check_shape(const Argument &argument, const View &view,
                           const ExpectedShapes &expected) {
  if (argument.role != Role::statistic) {
    const Shape shape = argument.role == Role::data ? expected.data : expected.parameter;
    return has_shape(view, shape, 0) ? HALNORM_OK : refuse_shape(view, shape, 0);
  }
  if (!has_shape(view, expected.statistic, expected.statistic_ones)) {
    return refuse_shape(view, expected.statistic, expected.statistic_ones);
  }
  if (view.dense) return HALNORM_OK;
  return refuse_strides(argument);
}

halnorm_status check_device(const View &view, const View &x) {
  if (view.device.device_type == x.device.device_type &&
      (x.device.device_type == HALNORM_CPU || view.device.device_id == x.device.device_id)) {
    return HALNORM_OK;
  }
  return fail(HALNORM_INVALID_ARGUMENT,
              "%s: device is {type %d, id %d}; expected that of x, {type %d, id %d}", view.name,
              view.device.device_type, view.device.device_id, x.device.device_type,
              x.device.device_id);
}

// Of two that have the dtype and the shape of x.
bool same_tensor(const View &a, const View &b) {
  if (a.data != b.data) return false;
  for (int32_t i = 0; i < a.rank; ++i) {
    if (a.strides[i] != b.strides[i]) return false;
  }
  return true;
}

[[gnu::cold, gnu::noinline]] halnorm_status refuse_self_overlap(const View &view, Overlap overlap) {
  Text strides = shape_text(view.strides, view.rank), shape = shape_text(view.shape, view.rank);
  if (overlap == Overlap::undecided) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "%s: whether strides %s lead two indices of shape %s to one element could not be "
                "decided; expected strides that nest",
                view.name, strides.data, shape.data);
  }
  return fail(HALNORM_INVALID_ARGUMENT,
              "%s: strides %s lead two indices of shape %s to one element; expected an output that "
              "does not overlap itself",
              view.name, strides.data, shape.data);
}

[[gnu::cold, gnu::noinline]] halnorm_status check_close_pair(const View &output, const View &other,
                                                             bool in_place) {
  const Overlap overlap = pair_overlap(output, other);
  if (overlap == Overlap::none) return HALNORM_OK;
  if (overlap == Overlap::undecided) {
    return fail(HALNORM_INVALID_ARGUMENT,
                "%s: whether it shares an element with %s could not be decided; expected tensors "
                "apart from each other, or strides that nest",
                output.name, other.name);
  }
  return fail(
      HALNORM_INVALID_ARGUMENT, "%s: shares memory with %s; expected %s", output.name, other.name,
      in_place ? "the same tensor exactly (address, shape, strides), or none of its elements"
               : "none of its elements");
}

halnorm_status check_overlaps(const Argument *arguments, int count, const View *views) {
  for (int i = 0; i < count; ++i) {
    const View &output = views[i];
    if (!output.given || arguments[i].access == Access::read) continue;
    if (!output.dense) {
      const Overlap overlap = self_overlap(output);
      if (overlap != Overlap::none) return refuse_self_overlap(output, overlap);
    }
    for (int j = 0; j < count; ++j) {
      const View &other = views[j];
      if (output.begin >= other.end || other.begin >= output.end) continue;
      // Of two outputs the earlier one is checked with the later.
      if (j == i || (arguments[j].access == Access::write && j < i)) continue;
      const bool in_place = arguments[i].in_place_of == j;
      if (in_place && same_tensor(output, other)) continue;
      if (halnorm_status status = check_close_pair(output, other, in_place)) return status;
    }
  }
  return HALNORM_OK;
}

int64_t magnitude(int64_t value) { return value < 0 ? -value : value; }

// Whether a step of `outer` takes every tensor as far as all steps of `inner`.
bool nests(const Axis &outer, const Axis &inner) {
  const int64_t n = inner.extent;
  return outer.x == inner.x * n && outer.dy == inner.dy * n && outer.y == inner.y * n &&
         outer.gamma == inner.gamma * n && outer.beta == inner.beta * n &&
         outer.dgamma == inner.dgamma * n && outer.dbeta == inner.dbeta * n &&
         outer.statistic == inner.statistic * n;
}

}  // namespace

halnorm_status read_arguments(const Argument *arguments, int count, View *views) {
  for (int i = 0; i < count; ++i) {
    if (halnorm_status status = read_argument(arguments[i], &views[i])) return status;
  }
  return HALNORM_OK;
}

halnorm_status check_together(const Argument *arguments, int count, const View *views,
                              const ExpectedShapes &expected) {
  const View &x = views[0];
  for (int i = 1; i < count; ++i) {
    if (!views[i].given) continue;
    if (halnorm_status status = check_dtype(arguments[i], views[i], x)) return status;
    if (halnorm_status status = check_shape(arguments[i], views[i], expected)) return status;
    if (halnorm_status status = check_device(views[i], x)) return status;
  }
  return check_overlaps(arguments, count, views);
}

int32_t canonicalize(Axis *axes, int32_t rank) {
  int32_t count = 0;
  for (int32_t i = 0; i < rank; ++i) {
    if (axes[i].extent == 1) continue;
    const int64_t stride = magnitude(axes[i].x);
    int32_t at = count++;
    while (at > 0 && magnitude(axes[at - 1].x) < stride) --at;
    if (at == i) continue;  // as most are: an Axis is large to copy
    const Axis axis = axes[i];
    for (int32_t j = count - 1; j > at; --j) axes[j] = axes[j - 1];
    axes[at] = axis;
  }
  int32_t kept = 0;
  for (int32_t i = 1; i < count; ++i) {
    Axis &outer = axes[kept];
    const Axis &inner = axes[i];
    if (nests(outer, inner)) {
      const int64_t extent = outer.extent * inner.extent;
      outer = inner;
      outer.extent = extent;
    } else {
      axes[++kept] = inner;
    }
  }
  return count == 0 ? 0 : kept + 1;
}

}  // namespace halnorm
