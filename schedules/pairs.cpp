// SPDX-License-Identifier: Apache-2.0
#include "pairs.h"

namespace halnorm {

using Halide::Expr;
using Halide::Type;
using Halide::UInt;
using Halide::Internal::Call;
using Halide::Internal::Cast;
using Halide::Internal::Reinterpret;
using Halide::Internal::Shuffle;

namespace {

bool is_half_a_word(const Expr &shift) { return Halide::Internal::is_const(shift, 16); }

Expr second_half(const Expr &word) {
  return word & Halide::Internal::make_const(word.type(), 0xffff0000);
}

// What the upper half of is a 16-bit value; undefined if it is none such.
Expr word_of_upper_half(const Expr &value) {
  const Cast *cast = value.as<Cast>();
  if (cast == nullptr || value.type().element_of() != UInt(16)) return Expr();
  const Call *shift = Call::as_intrinsic(cast->value, {Call::shift_right});
  if (shift == nullptr || shift->type.element_of() != UInt(32)) return Expr();
  return is_half_a_word(shift->args[1]) ? shift->args[0] : Expr();
}

}  // namespace

Expr PairsInWords::visit(const Call *op) {
  if (!op->is_intrinsic(Call::widening_shift_left) || op->type.element_of() != UInt(32) ||
      !is_half_a_word(op->args[1])) {
    return IRMutator::visit(op);
  }
  const Shuffle *slice = op->args[0].as<Shuffle>();
  if (slice == nullptr || !slice->is_slice() || slice->slice_stride() != 2 ||
      slice->slice_begin() > 1 || slice->vectors.size() != 1 ||
      slice->vectors[0].type().lanes() != 2 * op->type.lanes()) {
    return IRMutator::visit(op);
  }
  const Expr words = Reinterpret::make(op->type, mutate(slice->vectors[0]));
  return slice->slice_begin() == 0 ? words << 16 : second_half(words);
}

Expr PairsInWords::visit(const Shuffle *op) {
  if (!op->is_interleave() || op->vectors.size() != 2) return IRMutator::visit(op);
  const Expr first = word_of_upper_half(op->vectors[0]),
             second = word_of_upper_half(op->vectors[1]);
  if (!first.defined() || !second.defined()) return IRMutator::visit(op);
  return Reinterpret::make(op->type, (mutate(first) >> 16) | second_half(mutate(second)));
}

}  // namespace halnorm
