// SPDX-License-Identifier: Apache-2.0
#include "assembly.h"

#include <map>
#include <regex>
#include <sstream>

#include "instruction.h"

namespace halnorm_tune {
namespace {

struct Block {
  std::string label;
  size_t region = 0;
  std::vector<Instruction> instructions;
  StackPointers at_begin;  // on any way to it
};

class Reader {
 public:
  explicit Reader(const std::string &text)
      : comment_(text.find("\n// %bb.") == std::string::npos ? "#" : "//") {
    regions_.emplace_back();
    regions_[0].func = regions_[0].label = "outside";
    blocks_.emplace_back();
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) read_line(line);
    follow_pointers();
    for (const Block &block : blocks_) count(block);
  }

  std::vector<CodeRegion> regions() && { return std::move(regions_); }

 private:
  void read_line(const std::string &line) {
    const size_t comment = line.rfind(comment_, 0) == 0 ? 0 : line.find(" " + comment_);
    std::string code = line.substr(0, comment);
    const std::string note = comment == std::string::npos ? "" : line.substr(comment);
    code.erase(0, code.find_first_not_of(" \t"));
    code.erase(code.find_last_not_of(" \t") + 1);

    std::smatch match;
    static const std::regex label("\\.L(BB\\d+_\\d+):"), fall_through("^\\W+(%bb\\.\\d+):");
    if (std::regex_search(code, match, label) || std::regex_search(note, match, fall_through)) {
      blocks_.emplace_back();
      blocks_.back().label = match[1];
      block_note_ = note;
      parent_ = 0;
    }
    static const std::regex parent("Parent Loop (BB\\d+_\\d+)"),
        within("in Loop: Header=(BB\\d+_\\d+)"),
        header("=>\\s*This (Inner )?Loop Header: Depth=(\\d+)");
    if (std::regex_search(note, match, parent)) parent_ = region_of(match[1]);
    if (std::regex_search(note, match, within)) blocks_.back().region = region_of(match[1]);
    if (std::regex_search(note, match, header)) begin_loop(std::stoi(match[2]));
    if (code.empty() || code[0] == '.' || code.back() == ':') return;
    if (code.rfind("prefetch", 0) == 0 || code.rfind("prfm", 0) == 0) return;
    regions_[blocks_.back().region].instructions.push_back(code);
    blocks_.back().instructions.emplace_back(code, comment_ == "#");
  }

  // Blocks of a loop may stand before its header.
  size_t region_of(const std::string &label) {
    const auto [known, is_new] = loops_.insert({label, regions_.size()});
    if (is_new) {
      regions_.emplace_back();
      regions_.back().func = regions_.back().label = label;
    }
    return known->second;
  }

  void begin_loop(int depth) {
    blocks_.back().region = region_of(blocks_.back().label);
    CodeRegion &region = regions_[blocks_.back().region];
    region.depth = depth;
    region.parent = static_cast<int>(parent_);
    std::smatch match;
    static const std::regex name("_for_([^.\"]+)\\.");
    if (std::regex_search(block_note_, match, name)) region.func = match[1];
  }

  // Until nothing more reaches a block. What is dead where two ways meet may be in it too.
  void follow_pointers() {
    std::map<std::string, size_t> at;
    for (size_t i = 1; i < blocks_.size(); ++i) at[blocks_[i].label] = i;  // the first has no label
    bool changed = true;
    const auto reach = [&](size_t block, const StackPointers &stack) {
      StackPointers &known = blocks_[block].at_begin;
      const size_t before = known.size();
      known.insert(stack.begin(), stack.end());
      changed |= known.size() != before;
    };
    while (changed) {
      changed = false;
      for (size_t i = 0; i < blocks_.size(); ++i) {
        StackPointers stack = blocks_[i].at_begin;
        bool falls_through = true;
        for (const Instruction &instruction : blocks_[i].instructions) {
          instruction.follow(&stack);
          const auto target = at.find(instruction.jump_target());
          if (target != at.end()) reach(target->second, stack);
          falls_through = !instruction.ends_flow();
        }
        if (falls_through && i + 1 < blocks_.size()) reach(i + 1, stack);
      }
    }
  }

  void count(const Block &block) {
    CodeRegion &region = regions_[block.region];
    StackPointers stack = block.at_begin;
    for (const Instruction &instruction : block.instructions) {
      region.operations += instruction.operations();
      (instruction.stores() ? region.bytes_stored : region.bytes_loaded) +=
          instruction.tensor_bytes(stack);
      instruction.follow(&stack);
    }
  }

  const std::string comment_;  // what begins one
  std::vector<CodeRegion> regions_;
  std::vector<Block> blocks_;
  std::map<std::string, size_t> loops_;
  std::string block_note_;
  size_t parent_ = 0;
};

}  // namespace

std::vector<CodeRegion> read_assembly(const std::string &text) { return Reader(text).regions(); }

}  // namespace halnorm_tune
