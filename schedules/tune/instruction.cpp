// SPDX-License-Identifier: Apache-2.0
#include "instruction.h"

#include <algorithm>
#include <map>
#include <regex>
#include <utility>

namespace halnorm_tune {
namespace {

// Bytes between a vector register and memory where it is not the whole register; x86.
const std::pair<std::regex, int64_t> kPartOfRegister[] = {
    {std::regex("v?p(insr|extr)b"), 1},
    {std::regex("v?p(insr|extr|broadcast)w"), 2},
    {std::regex("v?(\\w+ss|movd|p(insr|extr|broadcast)d|(insert|extract)ps)"), 4},
    {std::regex("v?(\\w+sd|mov(q|[lh]p[sd])|p(insr|extr|broadcast)q)"), 8},
    {std::regex("v(insert|extract|broadcast)[fi](128|32x4|64x2)"), 16},
    {std::regex("v(insert|extract|broadcast)[fi](32x8|64x4)"), 32},
};
// Those that have elements half as wide in memory.
const std::regex kHalves("v?(cvt(ph2ps|ps2ph|ps2pd|dq2pd)|pmov([sz]x(bw|wd|dq)|wb|dw|qd))");
// What passes an address on, and what adds to one.
const std::regex kMove("(mov|ldr|str)[lq]?"), kSum("(lea|add|sub|orr?)[lq]?");
const std::regex kOnlyReads("(cmp|cmn|tst|test)[blqw]?|[ct]bn?z");

bool is_memory(const std::string &operand) {
  return operand[0] == '[' || operand.find('(') != std::string::npos;
}

// The place of the second of a pair of 64-bit registers of AArch64.
std::string next_place(const std::string &memory) {
  static const std::regex place(R"(\[(\w+)(?:,#(-?\d+))?\])");
  std::smatch match;
  if (!std::regex_match(memory, match, place)) return memory;
  const int offset = match[2].matched ? std::stoi(match[2]) : 0;
  return "[" + match.str(1) + ",#" + std::to_string(offset + 8) + "]";
}

}  // namespace

Instruction::Instruction(const std::string &text, bool is_x86) : is_x86_(is_x86) {
  const size_t space = text.find_first_of(" \t");
  mnemonic_ = text.substr(0, space);
  if (space == std::string::npos) return;
  int nested = 0;
  operands_.emplace_back();
  for (char c : text.substr(space)) {
    nested += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
    if (c == ',' && nested == 0) {
      operands_.emplace_back();
    } else if (c != ' ' && c != '\t') {
      operands_.back() += c;
    }
  }
  if (is_x86) std::reverse(operands_.begin(), operands_.end());
}

const std::string *Instruction::memory() const {
  const auto found = std::find_if(operands_.begin(), operands_.end(), is_memory);
  return found == operands_.end() ? nullptr : &*found;
}

int64_t Instruction::operations() const {
  std::smatch match;
  if (is_x86_) {
    static const std::regex arithmetic("v?(?:add|sub|mul|div|sqrt)([ps])([sd])");
    if (!std::regex_match(mnemonic_, match, arithmetic)) return 0;
    return match[1] == "s" ? 1 : register_bytes() / (match[2] == "s" ? 4 : 8);
  }
  static const std::regex arithmetic("f(add|sub|mul|div|sqrt)"), lanes("v\\d+\\.(\\d+)[hsd]");
  if (!std::regex_match(mnemonic_, arithmetic)) return 0;
  return std::regex_match(operands_[0], match, lanes) ? std::stoi(match[1]) : 1;
}

// Of the widest vector register of an x86 instruction; 0 without one.
int64_t Instruction::register_bytes() const {
  int64_t bytes = 0;
  for (const std::string &operand : operands_) {
    if (operand.find("mm") != 2) continue;  // %xmm1
    bytes = std::max<int64_t>(bytes, operand[1] == 'z' ? 64 : operand[1] == 'y' ? 32 : 16);
  }
  return bytes;
}

bool Instruction::stores() const {
  return is_x86_ ? memory() != nullptr && memory() == &operands_[0] : mnemonic_.rfind("st", 0) == 0;
}

int64_t Instruction::tensor_bytes(const StackPointers &stack) const {
  // A constant is addressed by the program counter, or by its label.
  if (memory() == nullptr || is_stack(*memory(), stack) ||
      memory()->find("rip") != std::string::npos || memory()->find("lo12") != std::string::npos) {
    return 0;
  }
  return is_x86_ ? x86_bytes() : aarch64_bytes();
}

int64_t Instruction::x86_bytes() const {
  const int64_t whole = register_bytes();
  if (whole == 0) return 0;
  for (const auto &[mnemonic, bytes] : kPartOfRegister) {
    if (std::regex_match(mnemonic_, mnemonic)) return bytes;
  }
  return std::regex_match(mnemonic_, kHalves) ? whole / 2 : whole;
}

int64_t Instruction::aarch64_bytes() const {
  static const std::map<char, int64_t> sizes = {{'b', 1}, {'h', 2}, {'s', 4}, {'d', 8}, {'q', 16}};
  static const std::regex vectors("v\\d+\\.(\\d*)([bhsd])"), whole("([bhsdq])\\d+");
  int64_t bytes = 0;
  for (const std::string &operand : operands_) {
    if (is_memory(operand)) continue;
    if (std::regex_match(operand, whole)) bytes += sizes.at(operand[0]);
    for (std::sregex_iterator i(operand.begin(), operand.end(), vectors), end; i != end; ++i) {
      const bool one = i->str(1).empty() || mnemonic_ == "ld1r";
      bytes += (one ? 1 : std::stoi(i->str(1))) * sizes.at(i->str(2)[0]);
    }
  }
  return bytes;
}

// The integer registers that an operand names, by what their widths have in common.
std::vector<std::string> Instruction::registers(const std::string &operand) const {
  static const std::regex x86("%[er]?([a-ds][xpi]|bp|di|[0-9]+)[dwb]?\\b"),
      aarch64("\\b[xw]?(\\d+|sp)\\b");
  std::vector<std::string> names;
  for (std::sregex_iterator i(operand.begin(), operand.end(), is_x86_ ? x86 : aarch64), end;
       i != end; ++i) {
    const bool number = !is_x86_ && i->str(0) != "sp" && i->str(0)[0] != 'x' && i->str(0)[0] != 'w';
    if (!number) names.push_back(i->str(1));
  }
  return names;
}

bool Instruction::is_stack(const std::string &operand, const StackPointers &stack) const {
  const std::vector<std::string> names = registers(operand);
  return std::any_of(names.begin(), names.end(), [&](const std::string &name) {
    return name == "sp" || stack.count(name) != 0;
  });
}

void Instruction::follow(StackPointers *stack) const {
  if (operands_.size() < 2 || std::regex_match(mnemonic_, kOnlyReads)) return;
  if ((mnemonic_ == "ldp" || mnemonic_ == "stp") && operands_.size() == 3) {
    Instruction one = *this;
    one.mnemonic_ = mnemonic_ == "ldp" ? "ldr" : "str";
    one.operands_ = {operands_[0], operands_[2]};
    one.follow(stack);
    one.operands_ = {operands_[1], next_place(operands_[2])};
    one.follow(stack);
    return;
  }
  const auto mark = [stack](const std::string &place, bool points_to_stack) {
    if (points_to_stack) {
      stack->insert(place);
    } else {
      stack->erase(place);
    }
  };
  if (stores()) {
    const bool spills = std::regex_match(mnemonic_, kMove);
    mark(*memory(), spills && std::any_of(operands_.begin(), operands_.end(), [&](const auto &one) {
                      return !is_memory(one) && is_stack(one, *stack);
                    }));
    return;
  }
  bool points_to_stack = false;
  const bool is_address = mnemonic_.rfind("lea", 0) == 0;
  if (std::regex_match(mnemonic_, kMove) || std::regex_match(mnemonic_, kSum)) {
    // On x86 what is added to is a summand.
    const bool adds_to = is_x86_ && !is_address && mnemonic_[0] != 'm';
    for (size_t i = adds_to ? 0 : 1; i < operands_.size(); ++i) {
      points_to_stack |= is_memory(operands_[i]) && !is_address ? stack->count(operands_[i]) != 0
                                                                : is_stack(operands_[i], *stack);
    }
  }
  for (const std::string &name : registers(operands_[0])) mark(name, points_to_stack);
}

std::string Instruction::jump_target() const {
  for (const std::string &operand : operands_) {
    if (operand.rfind(".LBB", 0) == 0) return operand.substr(2);
  }
  return "";
}

bool Instruction::ends_flow() const {
  static const std::regex ends("jmpq?|b|br|ret[lq]?");
  return std::regex_match(mnemonic_, ends);
}

}  // namespace halnorm_tune
