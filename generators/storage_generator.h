// SPDX-License-Identifier: Apache-2.0
// What all generators have in common: how elements are stored.
#ifndef HALNORM_GENERATORS_STORAGE_GENERATOR_H_
#define HALNORM_GENERATORS_STORAGE_GENERATOR_H_

#include "Halide.h"
#include "norm_math.h"

namespace halnorm {

template <typename T>
class StorageGenerator : public Halide::Generator<T> {
 public:
  Halide::GeneratorParam<Storage> storage{
      "storage",
      Storage::f32,
      {{"f32", Storage::f32}, {"f16", Storage::f16}, {"bf16", Storage::bf16}}};

 protected:
  Halide::Expr widened(const Halide::Expr &stored) const {
    return widen(stored, storage, this->get_target());
  }
  Halide::Expr narrowed(const Halide::Expr &value) const {
    return narrow(value, storage, this->get_target());
  }
  // A 16-bit format cannot express a deviation so small against its mean that it needs correction.
  bool corrected() const { return storage == Storage::f32; }
};

}  // namespace halnorm

#endif  // HALNORM_GENERATORS_STORAGE_GENERATOR_H_
