// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <sstream>

#include "fault.h"
#include "instructions.h"
#include "module.h"
#include "special_registers.h"
#include "tokens.h"

namespace halnorm_ptx {
namespace {

constexpr int64_t kMostRegisters = 65536;  // of a declaration: more than any kernel has

char kind_of_type(const std::string &type) {
  static const std::map<std::string, char> kinds = {
      {".pred", 'p'}, {".b16", 'h'}, {".u16", 'h'}, {".s16", 'h'}, {".b32", 'r'}, {".u32", 'r'},
      {".s32", 'r'},  {".f32", 'r'}, {".b64", 'd'}, {".u64", 'd'}, {".s64", 'd'}, {".f64", 'd'}};
  const auto found = kinds.find(type);
  return found == kinds.end() ? '\0' : found->second;
}

// 0 if a parameter cannot be of this type.
uint32_t bytes_of_parameter(const std::string &type) {
  if (type == ".u8" || type == ".s8" || type == ".b8") return 1;
  switch (kind_of_type(type)) {
    case 'h':
      return 2;
    case 'r':
      return 4;
    case 'd':
      return 8;
    default:
      return 0;
  }
}

// A letter of a form is met by a register of that kind, a constant that fits it, or a special
// register; a label and a parameter by their names.
class FunctionParser {
 public:
  FunctionParser(const std::vector<Token> &tokens, size_t *at, Function *function)
      : tokens_(tokens), at_(*at), function_(*function) {}

  void parse() {
    function_.name = take().text;
    parse_parameters();
    parse_directives();
    expect("{");
    scopes_.emplace_back();
    while (!scopes_.empty()) parse_statement();
    if (function_.code.empty() || !never_goes_on(function_.code.back())) {
      fail("the function " + function_.name + " ends without ret");
    }
    for (const auto &[instruction, label] : branches_) {
      const auto found = labels_.find(label.text);
      if (found == labels_.end()) fail("there is no label " + label.text, label);
      function_.code[instruction].target = found->second;
    }
    find_reconvergence(&function_);
  }

 private:
  [[noreturn]] void fail(const std::string &what, const Token &token) const {
    throw ParseError("line " + std::to_string(token.line) + ": " + what);
  }
  [[noreturn]] void fail(const std::string &what) const { fail(what, tokens_[at_]); }

  const Token &peek() const { return tokens_[at_]; }
  const Token &take() {
    if (peek().text.empty()) fail("the text ends within a function");
    return tokens_[at_++];
  }
  bool take_if(const char *text) {
    if (peek().text != text) return false;
    ++at_;
    return true;
  }
  void expect(const char *text) {
    if (!take_if(text)) fail("'" + peek().text + "' where '" + text + "' was expected");
  }

  static bool never_goes_on(const Instruction &last) {
    const std::string &name = last.opcode->name;
    return last.guard == kNone &&
           (name == "ret" || name == "exit" || name.compare(0, 3, "bra") == 0);
  }

  // .param .u64 .ptr .align 1 name
  void parse_parameters() {
    expect("(");
    while (!take_if(")")) {
      if (!take_if(".param")) fail("'" + peek().text + "' where .param was expected");
      const Token &type = take();
      const uint32_t size = bytes_of_parameter(type.text);
      if (size == 0) fail("a parameter of the type " + type.text, type);
      if (take_if(".ptr")) {
        if (peek().text == ".global") take();
        if (take_if(".align")) take();
      }
      const uint32_t offset = (function_.parameter_bytes + size - 1) / size * size;
      function_.parameters.push_back({take().text, offset, size});
      function_.parameter_bytes = offset + size;
      if (!take_if(",") && peek().text != ")") fail("'" + peek().text + "' after a parameter");
    }
  }

  void parse_directives() {
    while (take_if(".maxntid")) {
      function_.max_threads = 1;
      do function_.max_threads *= static_cast<uint32_t>(take_integer());
      while (take_if(","));
    }
  }

  int64_t take_integer() {
    std::string text = take_if("-") ? "-" : "";
    const Token &token = take();
    text += token.text;
    uint64_t value = 0;
    if (!parse_number(text, 'd', &value)) fail("'" + text + "' where a number was expected", token);
    return static_cast<int64_t>(value);
  }

  void parse_statement() {
    if (take_if("{")) {
      scopes_.emplace_back();
    } else if (take_if("}")) {
      scopes_.pop_back();
    } else if (take_if(".reg")) {
      parse_registers();
    } else if (!peek().text.empty() && tokens_[at_ + 1].text == ":") {
      const Token &label = take();
      if (!labels_.emplace(label.text, function_.code.size()).second) {
        fail("the label " + label.text + " is there twice", label);
      }
      expect(":");
    } else {
      parse_instruction();
    }
  }

  // .reg .b32 %r<289>, tmp;
  void parse_registers() {
    const Token &type = take();
    const char kind = kind_of_type(type.text);
    if (kind == '\0') fail("registers of the type " + type.text, type);
    do {
      const std::string name = take().text;
      if (!take_if("<")) {
        declare(name, kind);
        continue;
      }
      const int64_t count = take_integer();
      if (count < 0 || count > kMostRegisters) fail(std::to_string(count) + " registers");
      expect(">");
      for (int64_t k = 0; k < count; ++k) declare(name + std::to_string(k), kind);
    } while (take_if(","));
    expect(";");
  }

  void declare(const std::string &name, char kind) {
    scopes_.back()[name] = add_register({kind, Register::Source::variable, 0, name});
  }

  uint32_t add_register(const Register &reg) {
    function_.registers.push_back(reg);
    return static_cast<uint32_t>(function_.registers.size() - 1);
  }

  void parse_instruction() {
    Instruction instruction;
    if (take_if("@")) {
      instruction.guard_negated = take_if("!");
      const Token &guard = take();
      if (!find_register(guard.text, 'p', &instruction.guard)) {
        fail("no predicate " + guard.text, guard);
      }
    }
    const Token &name = take();
    instruction.line = name.line;
    if (name.text[0] == '.') fail("the directive " + name.text + " is not supported", name);
    const size_t operands = at_;
    bool is_known = false;
    for (const Opcode &opcode : opcodes()) {
      if (opcode.name != name.text) continue;
      is_known = true;
      at_ = operands;
      next_operand_ = 0;
      instruction.opcode = &opcode;
      if (!match(opcode.form, &instruction) || !take_if(";")) continue;
      function_.code.push_back(instruction);
      return;
    }
    if (!is_known) fail("the instruction " + name.text + " is not supported", name);
    fail("operands of " + name.text + " that are not supported", name);
  }

  bool match(const std::string &form, Instruction *instruction) {
    for (size_t k = 0; k < form.size(); ++k) {
      const bool first_of_group = k > 0 && (form[k - 1] == '{' || form[k - 1] == '[');
      const bool closes = form[k] == '}' || form[k] == ']';
      if (k > 0 && !first_of_group && !closes && !take_if(",")) return false;
      if (form[k] == '{' || form[k] == '[' || closes) {
        if (!take_if(std::string(1, form[k]).c_str())) return false;
      } else if (!match_operand(form[k], instruction)) {
        return false;
      }
      if (form[k + 1] == ']') instruction->offset += take_offset();
    }
    return true;
  }

  int64_t take_offset() {
    if (!take_if("+")) return 0;
    return take_integer();
  }

  bool match_operand(char letter, Instruction *instruction) {
    if (letter == 'L') {
      branches_.push_back({function_.code.size(), take()});
      return true;
    }
    if (letter == 'm') return match_parameter(take().text, instruction);
    std::string text = take_if("-") ? "-" : "";
    text += take().text;
    uint32_t *reg = &instruction->operands[next_operand_++];
    return find_register(text, letter, reg) || find_special(text, letter, reg) ||
           find_constant(text, letter, reg);
  }

  bool match_parameter(const std::string &name, Instruction *instruction) {
    for (const Parameter &parameter : function_.parameters) {
      if (parameter.name != name) continue;
      instruction->offset = parameter.offset;
      return true;
    }
    return false;
  }

  bool find_register(const std::string &name, char kind, uint32_t *reg) const {
    for (size_t k = scopes_.size(); k-- > 0;) {
      const auto found = scopes_[k].find(name);
      if (found == scopes_[k].end()) continue;
      *reg = found->second;
      return function_.registers[*reg].kind == kind;
    }
    return false;
  }

  bool find_special(const std::string &name, char kind, uint32_t *reg) {
    if (kind != 'r') return false;
    for (uint64_t k = 0; k < std::size(kSpecialRegisters); ++k) {
      if (kSpecialRegisters[k].name != name) continue;
      *reg = preset({'r', Register::Source::special, k, name});
      return true;
    }
    return false;
  }

  bool find_constant(const std::string &text, char kind, uint32_t *reg) {
    uint64_t value = 0;
    if (!parse_number(text, kind, &value)) return false;
    *reg = preset({kind, Register::Source::constant, value, text});
    return true;
  }

  uint32_t preset(const Register &reg) {
    const auto [found, is_new] = presets_.try_emplace({reg.kind, reg.source, reg.value});
    if (is_new) found->second = add_register(reg);
    return found->second;
  }

  const std::vector<Token> &tokens_;
  size_t &at_;
  Function &function_;
  size_t next_operand_ = 0;
  std::vector<std::map<std::string, uint32_t>> scopes_;
  std::map<std::string, uint32_t> labels_;
  std::map<std::tuple<char, Register::Source, uint64_t>, uint32_t> presets_;
  std::vector<std::pair<size_t, Token>> branches_;
};

std::vector<std::string> split_lines(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

Module parse(const std::string &text) {
  Module module;
  module.lines = split_lines(text);
  const std::vector<Token> tokens = tokenize(text);
  size_t at = 0;
  const auto fail = [&](const std::string &what) {
    throw ParseError("line " + std::to_string(tokens[at].line) + ": " + what);
  };
  const std::pair<const char *, const char *> header[] = {
      {".version", "7.0"}, {".target", "sm_80"}, {".address_size", "64"}};
  for (const auto &[directive, value] : header) {
    if (tokens[at].text != directive) fail(std::string(directive) + " was expected");
    ++at;
    if (tokens[at].text != value) {
      fail(format("%s %s, where %s is supported", directive, tokens[at].text.c_str(), value));
    }
    ++at;
  }
  while (!tokens[at].text.empty()) {
    if (tokens[at].text == ".visible") ++at;
    if (tokens[at].text != ".entry") fail("'" + tokens[at].text + "' outside of a function");
    ++at;
    module.functions.emplace_back();
    FunctionParser(tokens, &at, &module.functions.back()).parse();
  }
  return module;
}

}  // namespace halnorm_ptx
