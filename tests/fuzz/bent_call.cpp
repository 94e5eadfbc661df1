// SPDX-License-Identifier: Apache-2.0
#include "bent_call.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "elements.h"

namespace halnorm_test {
namespace {

constexpr int32_t kMostDimensions = 32;
// The library knows no memory that is longer.
constexpr __int128 kFarthest = __int128{1} << 54;

std::vector<Slot> slots_of(const Problem &problem, Arguments *a) {
  const bool backward = problem.is_backward();
  const bool updates = problem.operation == Operation::batch_norm_training;
  const bool inference = problem.operation == Operation::batch_norm_inference;
  const Access statistic = backward ? Access::read : Access::written;
  const Access running = updates ? Access::updated : Access::read;
  std::vector<Slot> all = {
      {"x", &a->x, Role::data, Access::read, true, nullptr},
      {"gamma", &a->gamma, Role::parameter, Access::read, false, nullptr},
      {"beta", &a->beta, Role::parameter, Access::read, false, nullptr},
      {"dgamma", &a->dgamma, Role::parameter, Access::written, false, nullptr},
      {"dbeta", &a->dbeta, Role::parameter, Access::written, false, nullptr},
      {"mean", &a->mean, Role::statistic, statistic, backward, nullptr},
      {"rstd", &a->rstd, Role::statistic, statistic, backward, nullptr},
      // Of training, one without the other.
      {"running_mean", &a->running_mean, Role::statistic, running, updates || inference, nullptr},
      {"running_var", &a->running_var, Role::statistic, running, updates || inference, nullptr},
  };
  if (backward) {
    all.push_back({"dy", &a->dy, Role::data, Access::read, true, nullptr});
    all.push_back({"dx", &a->dx, Role::data, Access::written, false, "dy"});
  } else {
    all.push_back({"y", &a->y, Role::data, Access::written, true, "x"});
  }
  std::vector<Slot> given;
  for (const Slot &slot : all) {
    if (*slot.tensor != nullptr) given.push_back(slot);
  }
  return given;
}

bool is(halnorm_dtype a, halnorm_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

bool is_known(halnorm_dtype dtype) {
  const halnorm_dtype f32 = HALNORM_F32, f16 = HALNORM_F16, bf16 = HALNORM_BF16;
  return is(dtype, f32) || is(dtype, f16) || is(dtype, bf16);
}

uint32_t known_flags(Operation operation) {
  if (operation == Operation::batch_norm_training) {
    return HALNORM_ZERO_CENTERED_GAMMA | HALNORM_RUNNING_VAR_BIASED;
  }
  if (operation == Operation::batch_norm_backward) {
    return HALNORM_ZERO_CENTERED_GAMMA | HALNORM_FIXED_STATISTICS;
  }
  return HALNORM_ZERO_CENTERED_GAMMA;
}

// `tensor` cannot be addressed as it is.
bool leads_out_of_memory(const halnorm_tensor &tensor) {
  const std::vector<int64_t> strides = strides_of(tensor);
  for (size_t d = 0; d < strides.size(); ++d) {
    const __int128 reach = static_cast<__int128>(strides[d]) * (tensor.shape[d] - 1);
    if (reach > kFarthest || reach < -kFarthest) return true;
  }
  const __int128 first =
      static_cast<__int128>(reinterpret_cast<uintptr_t>(tensor.data)) + tensor.byte_offset;
  const ByteRange range = range_of(tensor);
  return first >> 64 != 0 || first + range.low < 0 || (first + range.high) >> 64 != 0;
}

}  // namespace

void BentCall::bend(Arguments *arguments) {
  slots_ = slots_of(attempt_.problem, arguments);
  bend_number(arguments);
  bend_tensor(slots_[attempt_.tensor_bend.tensor % slots_.size()]);
  if (!invalid_ && !unsupported_) find_overlaps();
  if (is_valid()) move_away();
}

// Applied where it is wrong or changes nothing: another right number would be another problem.
void BentCall::bend_number(Arguments *a) {
  const NumberBend &bend = attempt_.number_bend;
  const Problem &problem = attempt_.problem;
  const auto make = [this](auto *number, auto value, const char *name, bool is_wrong) {
    if (!is_wrong) return;
    *number = value;
    number_ = name;
  };
  switch (bend.kind) {
    case NumberBend::Kind::none:
      return;
    case NumberBend::Kind::axis: {
      const auto axis = static_cast<int32_t>(bend.whole);
      const auto rank = static_cast<int32_t>(problem.shape.size());
      return make(&a->axis, axis, "axis",
                  !problem.has_channels() && (axis < -rank || axis >= rank));
    }
    case NumberBend::Kind::groups: {
      const auto groups = static_cast<int32_t>(bend.whole);
      return make(&a->groups, groups, "groups",
                  problem.norm() == Norm::group && (groups < 1 || problem.shape[1] % groups != 0));
    }
    case NumberBend::Kind::eps:
      return make(&a->eps, bend.real, "eps",
                  !problem.is_backward() && !(std::isfinite(bend.real) && bend.real >= 0));
    case NumberBend::Kind::momentum:
      return make(&a->momentum, bend.real, "momentum",
                  problem.operation == Operation::batch_norm_training &&
                      !(bend.real >= 0 && bend.real <= 1));
    case NumberBend::Kind::flags: {
      const auto flags = a->flags | static_cast<uint32_t>(bend.whole);
      return make(&a->flags, flags, "flags", (flags & ~known_flags(problem.operation)) != 0);
    }
  }
}

void BentCall::bend_tensor(const Slot &slot) {
  const TensorBend &bend = attempt_.tensor_bend;
  halnorm_tensor *tensor = *slot.tensor;
  switch (bend.kind) {
    case TensorBend::Kind::none:
      return;
    case TensorBend::Kind::null:
      if (!slot.required) return;
      *slot.tensor = nullptr;
      invalid_ = true;
      return;
    case TensorBend::Kind::data_null:
      tensor->data = nullptr;
      invalid_ = invalid_ || has_elements(*tensor);
      return;
    case TensorBend::Kind::shape_null:
      tensor->shape = nullptr;
      invalid_ = invalid_ || tensor->ndim > 0;
      return;
    case TensorBend::Kind::rank:
      return bend_rank(tensor);
    case TensorBend::Kind::extent:
      return bend_extent(tensor);
    case TensorBend::Kind::stride:
      return bend_stride(slot);
    case TensorBend::Kind::dtype:
      return bend_dtype(slot);
    case TensorBend::Kind::device_type:
      tensor->device.device_type = static_cast<int32_t>(bend.number);
      invalid_ = invalid_ || tensor->device.device_type != HALNORM_CPU;
      return;
    case TensorBend::Kind::device_id:
      tensor->device.device_id = static_cast<int32_t>(bend.number);
      return;
    case TensorBend::Kind::byte_offset:
      return bend_byte_offset(tensor);
    case TensorBend::Kind::moved_byte_offset: {
      const uint64_t bytes = static_cast<uint64_t>(bend.number) & 0xfff;
      tensor->data = static_cast<uint8_t *>(tensor->data) - bytes;
      tensor->byte_offset += bytes;
      return;
    }
    case TensorBend::Kind::ones:
      return add_ones(slot);
    case TensorBend::Kind::alias:
    case TensorBend::Kind::alias_alike:
      return place_in_another();
  }
}

void BentCall::own_axes(halnorm_tensor *tensor) {
  shape_.assign(tensor->shape, tensor->shape + tensor->ndim);
  tensor->shape = shape_.data();
  own_strides(tensor);
}

void BentCall::own_strides(halnorm_tensor *tensor) {
  strides_ = strides_of(*tensor);
  tensor->strides = strides_.data();
}

void BentCall::bend_rank(halnorm_tensor *tensor) {
  const auto rank = static_cast<int32_t>(attempt_.tensor_bend.number);
  if (rank == tensor->ndim) return;
  own_axes(tensor);
  tensor->ndim = rank;
  if (rank > kMostDimensions) {
    unsupported_ = true;
    return;
  }
  invalid_ = true;
  if (rank < 0) return;
  // No longer than that: a sanitizer sees what is read behind.
  shape_.resize(static_cast<size_t>(rank), 2);
  shape_.shrink_to_fit();
  strides_.resize(static_cast<size_t>(rank), 1);
  strides_.shrink_to_fit();
  tensor->shape = shape_.data();
  tensor->strides = strides_.data();
}

void BentCall::bend_extent(halnorm_tensor *tensor) {
  if (tensor->ndim == 0) return;
  own_axes(tensor);
  int64_t &extent = shape_[attempt_.tensor_bend.dimension % shape_.size()];
  if (extent == attempt_.tensor_bend.number) return;
  extent = attempt_.tensor_bend.number;
  invalid_ = true;
}

void BentCall::bend_stride(const Slot &slot) {
  halnorm_tensor *tensor = *slot.tensor;
  if (tensor->ndim == 0) return;
  own_strides(tensor);
  const size_t d = attempt_.tensor_bend.dimension % strides_.size();
  const int64_t before = std::exchange(strides_[d], attempt_.tensor_bend.number);
  const bool matters = tensor->shape[d] != 1 && has_elements(*tensor);
  if (!matters || strides_[d] == before) return;
  if (slot.role == Role::statistic || leads_out_of_memory(*tensor)) {
    invalid_ = true;
  } else {
    strides_[d] = before;  // it may lead to memory of others
  }
}

void BentCall::bend_dtype(const Slot &slot) {
  halnorm_tensor *tensor = *slot.tensor;
  const halnorm_dtype bent = attempt_.tensor_bend.dtype;
  if (is(bent, tensor->dtype)) return;
  const halnorm_dtype f32 = HALNORM_F32, of_x = slots_.front().tensor[0]->dtype;
  const bool may_be = slot.role == Role::parameter && (is(bent, f32) || is(bent, of_x));
  if (may_be && is_known(bent)) return;  // its memory is of another
  tensor->dtype = bent;
  invalid_ = true;
}

void BentCall::bend_byte_offset(halnorm_tensor *tensor) {
  const uint64_t before = tensor->byte_offset;
  tensor->byte_offset += static_cast<uint64_t>(attempt_.tensor_bend.number);
  if (!has_elements(*tensor)) return;
  const uint64_t address = reinterpret_cast<uintptr_t>(tensor->data) + tensor->byte_offset;
  const bool is_aligned = address % static_cast<uint64_t>(element_bytes(*tensor)) == 0;
  if (leads_out_of_memory(*tensor) || !is_aligned) {
    invalid_ = true;
  } else {
    tensor->byte_offset = before;
  }
}

// A statistic of rows may keep the dimensions that it is of.
void BentCall::add_ones(const Slot &slot) {
  const Problem &problem = attempt_.problem;
  halnorm_tensor *tensor = *slot.tensor;
  own_axes(tensor);
  const size_t ones = 1 + attempt_.tensor_bend.dimension % 5u;
  for (size_t i = 0; i < ones; ++i) {
    shape_.push_back(1);
    strides_.push_back(attempt_.tensor_bend.number);
  }
  tensor->ndim += static_cast<int32_t>(ones);
  tensor->shape = shape_.data();
  tensor->strides = strides_.data();
  const bool may = slot.role == Role::statistic && !problem.has_channels() &&
                   ones == problem.shape.size() - problem.first_reduced();
  invalid_ = invalid_ || !may;
}

void BentCall::place_in_another() {
  const TensorBend &bend = attempt_.tensor_bend;
  std::vector<const Slot *> outputs;
  for (const Slot &slot : slots_) {
    if (slot.access != Access::read) outputs.push_back(&slot);
  }
  if (outputs.empty()) return;
  const Slot &slot = *outputs[bend.tensor % outputs.size()];
  halnorm_tensor *output = *slot.tensor;
  const halnorm_tensor &other = **slots_[bend.other % slots_.size()].tensor;
  if (&other == output || !has_elements(other) || !has_elements(*output)) return;
  if (overlaps_itself(*output)) return;  // and could not be brought back
  home_ = *output;
  own_strides(output);
  if (bend.kind == TensorBend::Kind::alias_alike && other.ndim == output->ndim) {
    strides_ = strides_of(other);
    output->strides = strides_.data();
  }
  const ByteRange room = range_of(other), needed = range_of(*output);
  const auto spare = static_cast<int64_t>(room.high - room.low - (needed.high - needed.low));
  if (spare < 0) {
    *output = home_;
    return;
  }
  const int64_t width = element_bytes(*output);
  const auto place = static_cast<int64_t>(static_cast<uint64_t>(bend.number) %
                                          static_cast<uint64_t>(spare / width + 1));
  output->data = first_element(other) + static_cast<int64_t>(room.low - needed.low) + place * width;
  output->byte_offset = 0;
  if (reinterpret_cast<uintptr_t>(output->data) % static_cast<uintptr_t>(width) != 0) {
    invalid_ = true;
    return;
  }
  if (same_elements(*output, home_)) return;
  away_ = *output;
  away_is_updated_ = slot.access == Access::updated;
}

// What is to be updated goes with it.
void BentCall::move_away() {
  if (away_.data == nullptr) return;
  const std::vector<int64_t> there = element_offsets(away_), here = element_offsets(home_);
  const auto width = static_cast<size_t>(element_bytes(home_));
  for (size_t i = 0; i < there.size(); ++i) {
    uint8_t *element = first_element(away_) + there[i];
    before_.insert(before_.end(), element, element + width);
    if (away_is_updated_) std::memcpy(element, first_element(home_) + here[i], width);
  }
}

void BentCall::move_home(bool was_written) {
  if (before_.empty()) return;
  const std::vector<int64_t> there = element_offsets(away_), here = element_offsets(home_);
  const auto width = static_cast<size_t>(element_bytes(home_));
  for (size_t i = 0; i < there.size(); ++i) {
    uint8_t *element = first_element(away_) + there[i];
    if (was_written) std::memcpy(first_element(home_) + here[i], element, width);
    std::memcpy(element, before_.data() + i * width, width);
  }
}

void BentCall::find_overlaps() {
  for (const Slot &output : slots_) {
    if (output.access == Access::read) continue;
    invalid_ = invalid_ || overlaps_itself(**output.tensor);
    for (const Slot &other : slots_) {
      if (&other == &output) continue;
      const bool in_place =
          output.in_place_of != nullptr && std::strcmp(output.in_place_of, other.name) == 0;
      if (in_place && same_elements(**output.tensor, **other.tensor)) continue;
      invalid_ = invalid_ || overlap(**output.tensor, **other.tensor);
    }
  }
}

bool BentCall::deserves(halnorm_status status) const {
  if (is_valid()) return status == HALNORM_OK;
  return ((invalid_ || number_ != nullptr) && status == HALNORM_INVALID_ARGUMENT) ||
         (unsupported_ && status == HALNORM_UNSUPPORTED);
}

std::string BentCall::complaint(const std::string &message) const {
  const size_t colon = message.find(": ");
  const std::string subject = message.substr(0, colon);
  if (colon == std::string::npos || message.size() < colon + 10) return "it is no sentence";
  if (number_ != nullptr && subject == number_) return "";
  if (invalid_ || unsupported_ || is_undecided(message)) {
    // These count or divide dimensions of x, which may be what is wrong.
    if (subject == "axis" || subject == "groups") return "";
    for (const Slot &slot : slots_) {
      if (subject == slot.name) return "";
    }
  }
  return "it blames what is right, or nothing";
}

bool is_undecided(const std::string &message) {
  return message.find("could not be decided") != std::string::npos;
}

}  // namespace halnorm_test
