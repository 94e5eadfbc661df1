// SPDX-License-Identifier: Apache-2.0
// The tensors of a problem, each in memory of its own between two unreadable pages.
#ifndef HALNORM_TESTS_TENSORS_H_
#define HALNORM_TESTS_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "call.h"
#include "cuda_device.h"
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
  GuardedPages &operator=(GuardedPages &&other) noexcept;

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
  Tensor &operator=(Tensor &&) = default;

  // For the C API. Points into this object: build it again after a move.
  halnorm_tensor view();
  // The same with one part alone: the first `rank` dimensions, which number the parts, have extent
  // 1, strides stay.
  halnorm_tensor view_of_part(int64_t part, size_t rank);

  Dtype dtype() const { return dtype_; }
  int64_t rows() const { return static_cast<int64_t>(row_offsets_.size()); }
  int64_t row_length() const { return static_cast<int64_t>(element_offsets_.size()); }

  uint32_t bits(int64_t row, int64_t element) const;
  void set_bits(int64_t row, int64_t element, uint32_t bits);
  float value(int64_t row, int64_t element) const { return widen(dtype_, bits(row, element)); }
  void set(int64_t row, int64_t element, float v) { set_bits(row, element, narrow(dtype_, v)); }
  void set_all(float value);

  // From here to the next download, views are of a copy on the CUDA device.
  void upload();
  void download();

  // Remembers every byte; later, whether every byte, or every byte outside the elements, is as it
  // was; or makes it so again.
  void remember();
  bool unchanged() const;
  void restore();
  bool canaries_unchanged() const;

 private:
  uint8_t *element(int64_t row, int64_t element) const;
  // What AddressSanitizer, where it is built in, takes for memory of this tensor.
  void allow_elements() const;
  void allow_all() const;

  Dtype dtype_;
  std::vector<int64_t> shape_, part_shape_, strides_;
  std::vector<int64_t> row_offsets_, element_offsets_;
  GuardedPages pages_;
  uint8_t *origin_;  // element (0, 0); null when there are none
  uint64_t byte_offset_;
  std::vector<uint8_t> remembered_;
  std::unique_ptr<DeviceMemory> device_;
};

constexpr float kUnwritten = -77.0f;  // no test expects it
constexpr int64_t kAllParts = -1;

// All tensors of one call. What the problem does not use is absent; in place, so are y and dx.
struct Tensors {
  Tensors(const Problem &problem, Placement placement);

  // Fills x and what else is read, from `data` and in its proportions; the statistics of a backward
  // from a forward in long double; outputs with kUnwritten. Remembers all.
  void fill(const Data &data, uint64_t seed);

  halnorm_status call(const halnorm_context *context) { return call(context, kAllParts); }
  // On one part alone, where it lies. dgamma and dbeta, which are sums over all, are not asked for.
  halnorm_status call(const halnorm_context *context, int64_t part);
  // On arguments that `bend` has changed.
  halnorm_status call_bent(const halnorm_context *context,
                           const std::function<void(Arguments *)> &bend);
  // The same on copies on the CUDA device; on_cuda() runs what calls of them are made of.
  halnorm_status on_cuda(halnorm_context *context, const std::function<halnorm_status()> &run);
  halnorm_status call_on_cuda(halnorm_context *context, int64_t part);

  // Names the tensor that the call should have left alone and did not; empty when all is well.
  std::string damage();
  // The same of a call that was refused: outputs are as they were, too.
  std::string change();
  // Makes all as it was after fill().
  void restore();

  // y or dx, wherever it is; null where dx is not wanted.
  Tensor *output();

  Problem problem;
  Tensor x;
  std::optional<Tensor> y, dy, dx;                   // like x
  std::optional<Tensor> gamma, beta, dgamma, dbeta;  // parameters
  std::optional<Tensor> mean, rstd;                  // statistics: outputs of a forward
  std::optional<Tensor> running_mean, running_var;   // updated in training

 private:
  enum class Access { read, written, updated };
  struct Member {
    const char *name;
    Tensor *tensor;
    Access access;
  };
  std::vector<Member> members();
  halnorm_status call(const halnorm_context *context, int64_t part,
                      const std::function<void(Arguments *)> &bend);
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_TENSORS_H_
