// SPDX-License-Identifier: Apache-2.0
#include "driver.h"

#include <stdio.h>

#include <chrono>

#include "instructions.h"
#include "ptx.h"

namespace halnorm_ptx {
namespace {

struct Calls {
  long count = 0;
  int until_failure = 0;  // 0: none was asked for
  CUresult failure = CUDA_SUCCESS;
  std::chrono::milliseconds delay{0};
};

std::map<std::string, Calls> calls;

}  // namespace

Driver &driver() {
  // Never destroyed: threads and static objects of the program may call until its very end.
  static Driver &state = *new Driver;
  return state;
}

std::vector<CUcontext> &context_stack() {
  static thread_local std::vector<CUcontext> stack;
  return stack;
}

uintptr_t next_handle() {
  static uintptr_t last = 0x00c0000000000000;
  return last += 16;
}

CUresult enter(const char *name) {
  Calls &of_name = calls[name];
  ++of_name.count;
  std::this_thread::sleep_for(of_name.delay);
  if (of_name.until_failure == 0 || --of_name.until_failure > 0) return CUDA_SUCCESS;
  return of_name.failure;
}

CUresult execute(const Launch &launch, Context *context) {
  context->broken = run(launch, &context->memory, &driver().last_fault);
  if (context->broken != CUDA_SUCCESS) fprintf(stderr, "%s\n", driver().last_fault.c_str());
  return context->broken;
}

}  // namespace halnorm_ptx

using namespace halnorm_ptx;

const char *halnorm_ptx_last_fault(void) {
  static thread_local std::string text;
  const std::lock_guard<std::mutex> lock(driver().mutex);
  text = driver().last_fault;
  return text.c_str();
}

void halnorm_ptx_fail(const char *call, int nth, int result) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  calls[call].until_failure = nth;
  calls[call].failure = static_cast<CUresult>(result);
}

void halnorm_ptx_delay(const char *call, int milliseconds) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  calls[call].delay = std::chrono::milliseconds(milliseconds);
}

long halnorm_ptx_calls(const char *call) {
  const std::lock_guard<std::mutex> lock(driver().mutex);
  return calls[call].count;
}

const char *halnorm_ptx_instruction(int index) {
  static thread_local std::string text;
  if (index < 0 || static_cast<size_t>(index) >= opcodes().size()) return nullptr;
  const Opcode &opcode = opcodes()[static_cast<size_t>(index)];
  text = opcode.name + " " + opcode.form;
  return text.c_str();
}
