// SPDX-License-Identifier: Apache-2.0
// The cases of instructions.txt, and the kernel that runs one.
#ifndef HALNORM_TESTS_PTX_INSTRUCTION_CASE_H_
#define HALNORM_TESTS_PTX_INSTRUCTION_CASE_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace halnorm_ptx_test {

constexpr size_t kRegion = 64;  // bytes of memory, and of results, that a thread has for itself

struct Case {
  std::string name, form, text;
  std::vector<std::string> operands, results;
};

std::vector<Case> read_cases();

// A kernel `test(results, memory, operands...)`, all of 64 bits.
class CaseKernel {
 public:
  explicit CaseKernel(const Case &of);

  std::string text() const;
  std::vector<uint64_t> operands() const;
  std::vector<uint64_t> results() const;

 private:
  std::string reg(size_t operand) const;
  std::string instruction() const;
  std::string load_word(size_t word) const;
  bool has_address() const { return case_.form.find('[') != std::string::npos; }
  size_t first_source() const { return is_store_ ? 0 : letters_.size() - sources_; }

  const Case &case_;
  std::string letters_;  // of the form: an operand each
  bool is_store_, is_shared_;
  size_t sources_;
};

}  // namespace halnorm_ptx_test

#endif  // HALNORM_TESTS_PTX_INSTRUCTION_CASE_H_
