// SPDX-License-Identifier: Apache-2.0
#include "instruction_case.h"

#include <ctype.h>
#include <string.h>

#include <fstream>
#include <sstream>

#include "gpu.h"

namespace halnorm_ptx_test {
namespace {

std::vector<std::string> split_words(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::string letters_of(const std::string &form) {
  std::string letters;
  for (const char c : form) {
    if (isalpha(static_cast<unsigned char>(c)) != 0) letters += c;
  }
  return letters;
}

uint64_t bits_of(const std::string &word, char kind) {
  const bool is_special = word.find("inf") != std::string::npos || word == "nan";
  if (word.find('.') == std::string::npos && !is_special) {
    const uint64_t value = std::stoull(word, nullptr, 0);
    const unsigned int width = kind == 'p' ? 1 : kind == 'h' ? 16 : kind == 'r' ? 32 : 64;
    return width == 64 ? value : value & ((uint64_t{1} << width) - 1);
  }
  uint64_t bits = 0;
  if (kind == 'r') {
    const float value = std::stof(word);
    memcpy(&bits, &value, sizeof value);
    if (word == "nan") bits = 0x7fffffff;
  } else {
    const double value = std::stod(word);
    memcpy(&bits, &value, sizeof value);
  }
  return bits;
}

// A register %<kind><number> from and to the 64 bits that lie in %d0.
std::string from_bits(const std::string &reg) {
  switch (reg[1]) {
    case 'p':
      return "setp.ne.b64 " + reg + ", %d0, 0;\n";
    case 'h':
      return "cvt.u16.u64 " + reg + ", %d0;\n";
    case 'r':
      return "cvt.u32.u64 " + reg + ", %d0;\n";
    default:
      return "mov.b64 " + reg + ", %d0;\n";
  }
}
std::string to_bits(const std::string &reg) {
  switch (reg[1]) {
    case 'p':
      return "selp.b64 %d0, 1, 0, " + reg + ";\n";
    case 'h':
      return "cvt.u64.u16 %d0, " + reg + ";\n";
    case 'r':
      return "cvt.u64.u32 %d0, " + reg + ";\n";
    default:
      return "mov.b64 %d0, " + reg + ";\n";
  }
}

std::string fill_shared_memory() {
  std::string text = "mov.b64 %d2, %d3;\n";
  for (unsigned int k = 0; k < 32; k += 4) {
    const unsigned int word = 0x03020100 + k * 0x01010101;
    text += "st.shared.b32 [%d2+" + std::to_string(k) + "], " + std::to_string(word) + ";\n";
  }
  return text;
}

}  // namespace

std::vector<Case> read_cases() {
  std::ifstream file(HALNORM_PTX_INSTRUCTIONS);
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    const std::vector<std::string> head = split_words(line.substr(0, colon));
    std::istringstream values(line.substr(colon + 1));
    for (std::string text; std::getline(values, text, ';');) {
      const size_t equals = text.find('=');
      cases.push_back({head.at(0), head.at(1), head[0] + " " + head[1] + " :" + text,
                       split_words(text.substr(0, equals)), split_words(text.substr(equals + 1))});
    }
  }
  return cases;
}

CaseKernel::CaseKernel(const Case &of) : case_(of), letters_(letters_of(of.form)) {
  is_store_ = of.form[0] == '[';
  is_shared_ = of.name.find(".shared") != std::string::npos;
  sources_ = of.form.find('[') == std::string::npos ? letters_.size() - of.results.size()
             : is_store_                            ? letters_.size()
                                                    : 1;
}

// %d1 is where the results of a thread go, %d2 where its own memory is.
std::string CaseKernel::text() const {
  std::string body = "mov.u32 %r0, %tid.x;\nmul.wide.u32 %d3, %r0, 64;\n";
  body += "ld.param.b64 %d1, [results];\nadd.s64 %d1, %d1, %d3;\n";
  body +=
      is_shared_ ? fill_shared_memory() : "ld.param.b64 %d2, [memory];\nadd.s64 %d2, %d2, %d3;\n";
  std::string parameters = ".param .u64 results, .param .u64 memory";
  for (size_t k = 0; k < sources_; ++k) {
    const std::string parameter = "operand" + std::to_string(k);
    parameters += ", .param .u64 " + parameter;
    body += "ld.param.b64 %d0, [" + parameter + "];\n";
    if (has_address() && k == 0) body += "add.s64 %d0, %d0, %d2;\n";
    body += from_bits(reg(first_source() + k));
  }
  body += instruction();
  for (size_t k = 0; k < case_.results.size(); ++k) {
    body += is_store_ ? load_word(k) : to_bits(reg(k));
    body += "st.global.b64 [%d1+" + std::to_string(8 * k) + "], %d0;\n";
  }
  return kernel_text(parameters, body + "ret;");
}

std::vector<uint64_t> CaseKernel::operands() const {
  std::vector<uint64_t> values;
  for (size_t k = 0; k < sources_; ++k) {
    values.push_back(bits_of(case_.operands.at(k), letters_[first_source() + k]));
  }
  return values;
}

std::vector<uint64_t> CaseKernel::results() const {
  std::vector<uint64_t> values;
  for (size_t k = 0; k < case_.results.size(); ++k) {
    values.push_back(bits_of(case_.results[k], is_store_ ? 'r' : letters_[k]));
  }
  return values;
}

// Operands are numbered from 4 on.
std::string CaseKernel::reg(size_t operand) const {
  return std::string("%") + letters_[operand] + std::to_string(operand + 4);
}

std::string CaseKernel::instruction() const {
  std::string text = case_.name + " ";
  size_t operand = 0;
  for (size_t k = 0; k < case_.form.size(); ++k) {
    const char c = case_.form[k];
    const bool is_first = k == 0 || case_.form[k - 1] == '{' || case_.form[k - 1] == '[';
    if (!is_first && c != '}' && c != ']') text += ", ";
    text += isalpha(static_cast<unsigned char>(c)) != 0 ? reg(operand++) : std::string(1, c);
  }
  return text + ";\n";
}

std::string CaseKernel::load_word(size_t word) const {
  const std::string space = is_shared_ ? "shared" : "global";
  return "ld." + space + ".b32 %r0, [%d2+" + std::to_string(4 * word) + "];\n" + to_bits("%r0");
}

}  // namespace halnorm_ptx_test
