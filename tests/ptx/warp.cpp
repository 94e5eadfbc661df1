// SPDX-License-Identifier: Apache-2.0
#include "warp.h"

#include <string.h>

#include <algorithm>

namespace halnorm_ptx {
namespace {

// More than any kernel of a test takes in a block.
constexpr uint64_t kMostSteps = 100'000'000;

template <class T>
void fill(uint8_t *bytes, uint64_t value) {
  const T narrow = static_cast<T>(value);
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    memcpy(bytes + lane * sizeof(T), &narrow, sizeof(T));
}

void fill(uint8_t *bytes, char kind, uint64_t value) {
  switch (kind) {
    case 'p':
      return fill<uint32_t>(bytes, value == 0 ? 0 : kAllLanes);
    case 'h':
      return fill<uint16_t>(bytes, value);
    case 'r':
      return fill<uint32_t>(bytes, value);
    default:
      return fill<uint64_t>(bytes, value);
  }
}

Dim3 thread_of(uint32_t number, const Dim3 &block) {
  return {number % block.x, number / block.x % block.y, number / block.x / block.y};
}

}  // namespace

Warp::Warp(const Launch &of, uint32_t number, Memory *global, SharedMemory *of_block)
    : index(number), launch(&of), memory(global), shared(of_block) {
  threads_ = static_cast<uint32_t>(std::min<uint64_t>(of.block.count() - index * kLanes, kLanes));
  registers_.resize(of.function->registers.size());
  for (uint32_t k = 0; k < registers_.size(); ++k) {
    const Register &reg = of.function->registers[k];
    if (reg.source == Register::Source::constant) fill(registers_[k].bytes, reg.kind, reg.value);
    if (reg.source == Register::Source::special) set_special(k, kSpecialRegisters[reg.value]);
    if (reg.source != Register::Source::variable) preset_.push_back(k);
  }
}

void Warp::start(const Dim3 &block) {
  block_ = block;
  live = threads_ == kLanes ? kAllLanes : (1u << threads_) - 1;
  synced = 0;
  waits = false;
  steps_ = 0;
  paths_.assign(1, {0, kNone, live});
  defined_.assign(registers_.size(), 0);
  for (const uint32_t k : preset_) {
    const Register &reg = launch->function->registers[k];
    defined_[k] = kAllLanes;
    if (reg.source != Register::Source::special) continue;
    const SpecialRegister &special = kSpecialRegisters[reg.value];
    if (special.is_of_block) set_special(k, special);
  }
}

void Warp::set_special(uint32_t reg, const SpecialRegister &special) {
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const Dim3 thread = thread_of(index * kLanes + lane, launch->block);
    lanes<uint32_t>(reg)[lane] = special.value({thread, launch->block, block_, launch->grid, lane});
  }
}

void Warp::run() {
  const std::vector<Instruction> &code = launch->function->code;
  waits = false;
  while (!paths_.empty() && !waits) {
    Path &path = paths_.back();
    if (path.lanes == 0 || path.next == path.reconverge) {
      paths_.pop_back();
      continue;
    }
    current_ = path.next++;
    const Instruction &instruction = code[current_];
    active = path.lanes;
    if (instruction.guard != kNone) {
      use(instruction.guard);
      const uint32_t holds = *lanes<uint32_t>(instruction.guard);
      active &= instruction.guard_negated ? ~holds : holds;
      if (active == 0) continue;
    }
    if (++steps_ > kMostSteps) {
      throw Fault{CUDA_ERROR_LAUNCH_TIMEOUT, "the kernel does not come to an end",
                  lowest_lane(active)};
    }
    instruction.opcode->run(*this, instruction);
  }
}

void Warp::branch(const Instruction &instruction) {
  Path &path = paths_.back();
  const uint32_t others = path.lanes & ~active;
  if (others == 0) {
    path.next = instruction.target;
    return;
  }
  const uint32_t after = path.next, meeting = instruction.reconverge;
  path.next = meeting;
  if (after != meeting) paths_.push_back({after, meeting, others});
  if (instruction.target != meeting) paths_.push_back({instruction.target, meeting, active});
}

void Warp::end_threads() {
  live &= ~active;
  for (Path &path : paths_) path.lanes &= ~active;
}

std::string Warp::place(uint32_t lane) const {
  const Dim3 thread = thread_of(index * kLanes + lane, launch->block);
  const uint32_t line = launch->function->code[current_].line;
  std::string text = launch->module->lines[line - 1];
  text = text.substr(0, text.find("//"));
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of("; \t");
  text = text.substr(begin, end - begin + 1);
  std::replace(text.begin(), text.end(), '\t', ' ');
  return format("kernel %s, block (%u, %u, %u), thread (%u, %u, %u), line %u: %s",
                launch->function->name.c_str(), block_.x, block_.y, block_.z, thread.x, thread.y,
                thread.z, line, text.c_str());
}

void Warp::refuse_undefined(uint32_t reg) const {
  const uint32_t lane = lowest_lane(active & ~defined_[reg]);
  throw Fault{CUDA_ERROR_LAUNCH_FAILED,
              launch->function->registers[reg].name + " was never written", lane};
}

}  // namespace halnorm_ptx
