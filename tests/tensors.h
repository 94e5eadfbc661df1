// SPDX-License-Identifier: Apache-2.0
// The tensors of a problem, each in memory of its own between two unreadable pages.
#ifndef HALNORM_TESTS_TENSORS_H_
#define HALNORM_TESTS_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "halnorm.h"
#include "problem.h"
#include "storage.h"

namespace halnorm_test {

// Where a tensor lies between its guard pages.
enum class Placement {
  end_flush,    // its last byte is the last one before the guard page
  start_flush,  // its first byte is the first one after the guard page
  odd_offset,   // its first element lies one element past a cache line; byte_offset is not 0
};

const char *name(Placement placement);
std::optional<Placement> parse_placement(std::string_view text, std::string *error);

// Pages that can be used, with one before and one after that cannot.
class GuardedPages {
 public:
  explicit GuardedPages(size_t bytes);
  ~GuardedPages();
  GuardedPages(GuardedPages &&other) noexcept;
  GuardedPages(const GuardedPages &) = delete;
  GuardedPages &operator=(const GuardedPages &) = delete;
  GuardedPages &operator=(GuardedPages &&) = delete;

  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t *data_;
  size_t size_;
};

// Row-major strides, in elements, of a dense tensor.
std::vector<int64_t> dense_strides(const std::vector<int64_t> &shape);

// Strides of `layout`; dimensions from `first_reduced` on are one row.
std::vector<int64_t> strides_of(Layout layout, const std::vector<int64_t> &shape,
                                size_t first_reduced);

// A strided tensor, seen as rows: dimensions before `first_reduced` number the rows, the others the
// elements of a row, both in row-major order. What is not an element is a canary: bytes that read
// as NaN in every dtype and that nobody may change.
class Tensor {
 public:
  Tensor(Dtype dtype, std::vector<int64_t> shape, std::vector<int64_t> strides,
         size_t first_reduced, Placement placement);
  Tensor(Tensor &&) = default;

  // For the C API. Points into this object: build it again after a move.
  halnorm_tensor view();
  // The same with row `row` alone: every dimension before it has extent 1, strides stay.
  halnorm_tensor view_of_row(int64_t row);

  Dtype dtype() const { return dtype_; }
  int64_t rows() const { return static_cast<int64_t>(row_offsets_.size()); }
  int64_t row_length() const { return static_cast<int64_t>(element_offsets_.size()); }

  uint32_t bits(int64_t row, int64_t element) const;
  void set_bits(int64_t row, int64_t element, uint32_t bits);
  float value(int64_t row, int64_t element) const { return widen(dtype_, bits(row, element)); }
  void set(int64_t row, int64_t element, float v) { set_bits(row, element, narrow(dtype_, v)); }
  void set_all(float value);

  // Remembers every byte; later, whether every byte, or every byte outside the elements, is as it
  // was.
  void remember();
  bool unchanged() const;
  bool canaries_unchanged() const;

 private:
  uint8_t *element(int64_t row, int64_t element) const;

  Dtype dtype_;
  std::vector<int64_t> shape_, one_row_shape_, strides_;
  std::vector<int64_t> row_offsets_, element_offsets_;
  GuardedPages pages_;
  uint8_t *origin_;  // element (0, 0); null when there are none
  uint64_t byte_offset_;
  std::vector<uint8_t> remembered_;
};

constexpr float kUnwritten = -77.0f;  // no test expects it
constexpr int64_t kAllRows = -1;

// All tensors of one call. y is absent in place, and what the problem does not use is absent too.
struct Tensors {
  Tensors(const Problem &problem, Placement placement);

  // Fills the inputs from `data`, the outputs with kUnwritten, and remembers all.
  void fill(const Data &data, uint64_t seed);

  halnorm_status call(const halnorm_context *context) { return call(context, kAllRows); }
  // On one row alone, where it lies.
  halnorm_status call(const halnorm_context *context, int64_t row);

  // Names the tensor that the call should have left alone and did not; empty when all is well.
  std::string damage() const;

  Tensor &output() { return y ? *y : x; }
  const Tensor &output() const { return y ? *y : x; }

  Problem problem;
  Tensor x;
  std::optional<Tensor> y, gamma, beta, mean, rstd;
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_TENSORS_H_
