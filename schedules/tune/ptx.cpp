// SPDX-License-Identifier: Apache-2.0
#include "ptx.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace halnorm_tune {
namespace {

// The first whose name the opcode begins with, and whose type it has, if there is one. A division
// is a sequence of so many instructions, in the machine code of sm_90; the rest is one, or none
// where bits stay in their register.
struct Cost {
  const char *name, *type;
  Unit unit;
  int count;
};
constexpr Cost kCosts[] = {
    {"ld.param", "", Unit::none, 0},
    {"mov", "", Unit::none, 0},
    {"cvta", "", Unit::none, 0},
    {"ld.global", "", Unit::load, 1},
    {"st.global", "", Unit::store, 1},
    {"ld.shared", "", Unit::shared, 1},
    {"st.shared", "", Unit::shared, 1},
    {"shfl", "", Unit::shuffle, 1},
    {"bar", "", Unit::barrier, 1},
    {"cvt", "f64", Unit::conversion, 1},
    {"cvt.f64", "", Unit::conversion, 1},
    {"cvt.rn.f64", "", Unit::conversion, 1},
    {"cvt.u", "", Unit::none, 0},
    {"cvt", "", Unit::integer, 1},
    {"div", "f64", Unit::f64, 12},
    {"div", "f32", Unit::f32, 10},
    {"sqrt", "f32", Unit::f32, 8},
    {"rcp", "f32", Unit::f32, 8},
    {"div", "", Unit::integer, 20},
    {"rem", "", Unit::integer, 20},
    {"selp", "", Unit::integer, 1},
    {"setp", "", Unit::integer, 1},
    {"", "f64", Unit::f64, 1},
    {"", "f32", Unit::f32, 1},
    {"", "", Unit::integer, 1},
};

bool begins_with(const std::string &text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

std::vector<std::string> parts_of(const std::string &opcode) {
  std::istringstream stream(opcode);
  std::vector<std::string> parts;
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

int bits_of(const std::string &type) {
  int bits = 0;
  for (const char c : type) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) bits = 10 * bits + (c - '0');
  }
  return type == "pred" ? 1 : bits;
}

void classify(PtxInstruction *instruction) {
  const std::vector<std::string> parts = parts_of(instruction->opcode);
  instruction->operation = parts.front();
  instruction->type = parts.back();
  for (const Cost &cost : kCosts) {
    if (!begins_with(instruction->opcode, cost.name)) continue;
    if (*cost.type != '\0' && instruction->type != cost.type) continue;
    instruction->unit = cost.unit;
    instruction->count = cost.count;
    break;
  }
  int values = 1;
  for (const std::string &part : parts) {
    if (part == "v2" || part == "v4") values = part[1] - '0';
  }
  instruction->bytes = values * bits_of(instruction->type) / 8;
}

// Where an instruction has its operands: "{%r1, %r2}" and "[%rd1+16]" are one each.
std::vector<std::string> split_operands(const std::string &text) {
  std::vector<std::string> operands;
  std::string operand;
  int depth = 0;
  for (const char c : text) {
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ',' && depth == 0) {
      operands.push_back(operand);
      operand.clear();
    } else if (c != ' ' && c != '\t') {
      operand += c;
    }
  }
  if (!operand.empty()) operands.push_back(operand);
  return operands;
}

class Reader {
 public:
  PtxKernel read(const std::string &text) {
    const size_t entry = text.find(".entry"), body = text.find("\n{", entry);
    if (entry == std::string::npos || body == std::string::npos) {
      throw std::runtime_error("PTX without a kernel");
    }
    std::istringstream lines(text.substr(body + 2));
    for (std::string line; std::getline(lines, line) && line != "}";) {
      line.erase(std::min(line.find("//"), line.size()));
      const size_t first = line.find_first_not_of(" \t");
      if (first == std::string::npos || line[first] == '.') continue;
      const size_t colon = line.find(':'), end = line.find(';');
      if (colon != std::string::npos) {
        labels_[line.substr(first, colon - first)] = kernel_.instructions.size();
      } else if (end != std::string::npos) {
        add(line.substr(first, end - first));
      }
    }
    std::vector<bool> &begins = kernel_.begins_block;
    begins.assign(kernel_.instructions.size() + 1, false);
    for (size_t i = 0; i < kernel_.instructions.size(); ++i) {
      PtxInstruction &instruction = kernel_.instructions[i];
      if (instruction.operation != "bra") continue;
      const auto label = labels_.find(targets_[i]);
      if (label == labels_.end()) throw std::runtime_error("PTX: no label " + targets_[i]);
      instruction.target = label->second;
      begins[instruction.target] = begins[i + 1] = true;
    }
    kernel_.registers = static_cast<int>(registers_.size());
    return kernel_;
  }

 private:
  int number_of(const std::string &name) {
    return registers_.try_emplace(name, static_cast<int>(registers_.size())).first->second;
  }

  // The registers in an operand, which may be a vector or an address.
  std::vector<int> registers_in(const std::string &operand) {
    std::vector<int> found;
    for (size_t at = operand.find('%'); at != std::string::npos; at = operand.find('%', at + 1)) {
      const size_t end = operand.find_first_of(",}]+", at);
      found.push_back(number_of(operand.substr(at, end - at)));
    }
    return found;
  }

  PtxOperand operand_of(const std::string &text) {
    static const std::map<std::string, int> special = {{"%tid.x", 0},   {"%tid.y", 1},
                                                       {"%tid.z", 2},   {"%ctaid.x", 3},
                                                       {"%ctaid.y", 4}, {"%ctaid.z", 5}};
    const auto found = special.find(text);
    if (found != special.end()) return {PtxOperand::Kind::special, found->second};
    const size_t parameter = text.rfind("_param_");
    if (text[0] == '[' && parameter != std::string::npos) {
      return {PtxOperand::Kind::parameter, std::stoll(text.substr(parameter + 7))};
    }
    const bool is_address = text[0] == '[';
    if (text[0] == '%' || (is_address && text[1] == '%')) {
      return {PtxOperand::Kind::reg, registers_in(text).front()};
    }
    const bool is_number = text[0] == '-' || std::isdigit(static_cast<unsigned char>(text[0])) != 0;
    const bool is_float = text.size() > 1 && (text[1] == 'f' || text[1] == 'd');
    if (is_number && !is_float) return {PtxOperand::Kind::number, std::stoll(text, nullptr, 0)};
    return {};
  }

  void add(std::string text) {
    PtxInstruction instruction;
    if (text[0] == '@') {
      const size_t end = text.find(' ');
      instruction.unless = text[1] == '!';
      instruction.predicate =
          number_of(text.substr(instruction.unless ? 2 : 1, end - (instruction.unless ? 2 : 1)));
      text = text.substr(text.find_first_not_of(" \t", end));
    }
    const size_t space = text.find_first_of(" \t");
    instruction.opcode = text.substr(0, space);
    classify(&instruction);
    std::vector<std::string> operands;
    if (space != std::string::npos) operands = split_operands(text.substr(space));
    const bool has_result = instruction.operation != "st" && instruction.operation != "bar" &&
                            instruction.operation != "bra" && !operands.empty();
    if (instruction.operation == "bra") targets_[kernel_.instructions.size()] = operands.at(0);
    if (instruction.predicate >= 0) instruction.reads.push_back(instruction.predicate);
    for (size_t i = 0; i < operands.size(); ++i) {
      const std::vector<int> registers = registers_in(operands[i]);
      if (i == 0 && has_result) {
        instruction.writes = registers;
        continue;
      }
      const PtxOperand operand = operand_of(operands[i]);
      instruction.inputs.push_back(operand);
      if (operand.kind == PtxOperand::Kind::special) continue;
      instruction.reads.insert(instruction.reads.end(), registers.begin(), registers.end());
    }
    kernel_.instructions.push_back(std::move(instruction));
  }

  PtxKernel kernel_;
  std::map<std::string, int> registers_;
  std::map<std::string, size_t> labels_;
  std::map<size_t, std::string> targets_;
};

struct Value {
  std::optional<int64_t> number;
  int parameter = -1;  // a pointer into what it points to
};

int64_t as(const std::string &type, int64_t value) {
  const int bits = bits_of(type);
  if (bits == 0 || bits >= 64) return value;
  const uint64_t low = static_cast<uint64_t>(value) & ((uint64_t{1} << bits) - 1);
  const bool negative = type[0] == 's' && (low >> (bits - 1)) != 0;
  return static_cast<int64_t>(negative ? low | ~((uint64_t{1} << bits) - 1) : low);
}

// Nothing where the instruction is none on integers.
std::optional<int64_t> evaluate(const PtxInstruction &instruction,
                                const std::vector<int64_t> &raw) {
  const std::string &operation = instruction.operation, &type = instruction.type;
  if (type[0] == 'f' || instruction.writes.size() != 1 || raw.empty()) return std::nullopt;
  std::vector<int64_t> v;
  for (const int64_t value : raw) v.push_back(as(type, value));
  if (operation == "mov" || operation == "cvta" || operation == "cvt") return v[0];
  if (operation == "not") return as(type, ~v[0]);
  if (operation == "neg") return as(type, -v[0]);
  if (v.size() < 2) return std::nullopt;
  const bool wide = instruction.opcode.find(".wide") != std::string::npos;
  const auto result = [&](int64_t value) { return wide ? value : as(type, value); };
  if (operation == "setp") {
    const std::string comparison = parts_of(instruction.opcode)[1];
    if (comparison == "lt") return v[0] < v[1];
    if (comparison == "le") return v[0] <= v[1];
    if (comparison == "gt") return v[0] > v[1];
    if (comparison == "ge") return v[0] >= v[1];
    if (comparison == "eq") return v[0] == v[1];
    if (comparison == "ne") return v[0] != v[1];
    return std::nullopt;
  }
  if (operation == "add") return result(v[0] + v[1]);
  if (operation == "sub") return result(v[0] - v[1]);
  if (operation == "mul") return result(v[0] * v[1]);
  if (operation == "mad" && v.size() == 3) return result(v[0] * v[1] + v[2]);
  if (operation == "div" && v[1] != 0) return result(v[0] / v[1]);
  if (operation == "rem" && v[1] != 0) return result(v[0] % v[1]);
  if (operation == "min") return std::min(v[0], v[1]);
  if (operation == "max") return std::max(v[0], v[1]);
  if (operation == "and") return result(v[0] & v[1]);
  if (operation == "or") return result(v[0] | v[1]);
  if (operation == "xor") return result(v[0] ^ v[1]);
  if (operation == "shl") return result(v[0] << (raw[1] & 63));
  if (operation == "shr") return result(v[0] >> (raw[1] & 63));
  return std::nullopt;
}

}  // namespace

PtxKernel read_ptx(const std::string &text) { return Reader().read(text); }

std::vector<Step> steps_of(const PtxKernel &kernel, const ThreadArguments &arguments) {
  constexpr size_t kMost = 1000000;
  std::vector<Value> registers(static_cast<size_t>(kernel.registers));
  const auto value_of = [&](const PtxOperand &operand) -> Value {
    const auto at = static_cast<size_t>(operand.value);
    switch (operand.kind) {
      case PtxOperand::Kind::reg:
        return registers[at];
      case PtxOperand::Kind::number:
        return {operand.value, -1};
      case PtxOperand::Kind::special:
        return {at < 3 ? arguments.thread[at] : arguments.block[at - 3], -1};
      case PtxOperand::Kind::parameter:
        if (at >= arguments.values.size()) {
          throw std::runtime_error("PTX: a launch without parameter " + std::to_string(at));
        }
        return {arguments.values[at], static_cast<int>(operand.value)};
      default:
        return {};
    }
  };
  std::vector<Step> steps;
  for (size_t i = 0; i < kernel.instructions.size();) {
    const PtxInstruction &instruction = kernel.instructions[i];
    if (steps.size() == kMost) throw std::runtime_error("PTX: a kernel that does not end");
    steps.push_back({&instruction, kernel.begins_block[i], -1});
    ++i;
    bool executes = true;
    if (instruction.predicate >= 0) {
      const std::optional<int64_t> predicate =
          registers[static_cast<size_t>(instruction.predicate)].number;
      executes = predicate && (*predicate != 0) != instruction.unless;
    }
    if (instruction.operation == "ret") break;
    if (instruction.operation == "bra") {
      if (executes) i = instruction.target;
      continue;
    }
    std::vector<int64_t> numbers;
    bool known = true;
    int parameter = -1;
    for (const PtxOperand &operand : instruction.inputs) {
      const Value value = value_of(operand);
      known = known && value.number;
      numbers.push_back(value.number.value_or(0));
      if (!value.number && value.parameter >= 0) parameter = value.parameter;
    }
    const bool is_memory = instruction.unit == Unit::load || instruction.unit == Unit::store;
    if (is_memory) steps.back().parameter = value_of(instruction.inputs.at(0)).parameter;
    Value result;
    const bool is_parameter = begins_with(instruction.opcode, "ld.param");
    if (is_parameter) {
      result = value_of(instruction.inputs.at(0));
    } else if (instruction.operation == "selp" && numbers.size() == 3 &&
               value_of(instruction.inputs[2]).number) {
      result = value_of(instruction.inputs[numbers[2] != 0 ? 0 : 1]);
    } else if (known && !is_memory) {
      result.number = evaluate(instruction, numbers);
    } else if (!is_memory) {
      result.parameter = parameter;
    }
    for (const int written : instruction.writes) registers[static_cast<size_t>(written)] = result;
  }
  return steps;
}

}  // namespace halnorm_tune
