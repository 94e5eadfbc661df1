// SPDX-License-Identifier: Apache-2.0
// The arguments of one call after a bend, and what the library has to say of them. It is decided
// here by other means than in the library: elements are counted out, not reasoned about.
#ifndef HALNORM_TESTS_FUZZ_BENT_CALL_H_
#define HALNORM_TESTS_FUZZ_BENT_CALL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "attempt.h"
#include "call.h"

namespace halnorm_test {

enum class Role { data, parameter, statistic };
enum class Access { read, written, updated };

// A tensor that the call has.
struct Slot {
  const char *name;
  halnorm_tensor **tensor;
  Role role;
  Access access;
  bool required;
  const char *in_place_of;  // the name of the one that it may be, or null
};

// The library may refuse a call for not knowing whether an output overlaps.
bool is_undecided(const std::string &message);

class BentCall {
 public:
  explicit BentCall(const Attempt &attempt) : attempt_(attempt) {}
  BentCall(const BentCall &) = delete;
  BentCall &operator=(const BentCall &) = delete;

  void bend(Arguments *arguments);

  bool is_valid() const { return !invalid_ && !unsupported_ && number_ == nullptr; }
  // The status is one that the arguments deserve.
  bool deserves(halnorm_status status) const;
  // What is wrong with the message of a refusal; empty when nothing is.
  std::string complaint(const std::string &message) const;

  // Brings an output that lay in another tensor's memory to where the tests look for it, if it was
  // written, and makes that memory as it was.
  void move_home(bool was_written);

 private:
  void bend_number(Arguments *arguments);
  void bend_tensor(const Slot &slot);
  void bend_rank(halnorm_tensor *tensor);
  void bend_extent(halnorm_tensor *tensor);
  void bend_stride(const Slot &slot);
  void bend_dtype(const Slot &slot);
  void bend_byte_offset(halnorm_tensor *tensor);
  void add_ones(const Slot &slot);
  void place_in_another();
  void move_away();
  void find_overlaps();
  // Shape and strides where they may be changed.
  void own_axes(halnorm_tensor *tensor);
  void own_strides(halnorm_tensor *tensor);

  const Attempt &attempt_;
  std::vector<Slot> slots_;
  bool invalid_ = false, unsupported_ = false;  // a tensor is
  const char *number_ = nullptr;                // the one that is wrong
  std::vector<int64_t> shape_, strides_;        // of the bent tensor
  halnorm_tensor home_ = {}, away_ = {};
  bool away_is_updated_ = false;
  std::vector<uint8_t> before_;  // what lay where an output was put; empty if none was
};

}  // namespace halnorm_test

#endif  // HALNORM_TESTS_FUZZ_BENT_CALL_H_
