// SPDX-License-Identifier: Apache-2.0
#include "trial_launches.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "HalideRuntime.h"

namespace halnorm_tune {
namespace {

std::vector<RecordedLaunch> *recorded = nullptr;
// Of the kernel that runs.
const char *kernel_name = "", *kernel_ptx = "";
std::map<const void *, uint64_t> bytes_of_tensors;

uint64_t bytes_of(const halide_buffer_t &tensor, const halide_filter_argument_t &argument) {
  auto bytes = static_cast<uint64_t>(argument.type.bytes());
  for (int d = 0; d < argument.dimensions; ++d) {
    if (tensor.dim[d].stride != 0) bytes *= static_cast<uint64_t>(tensor.dim[d].extent);
  }
  return bytes;
}

void print_text(const char *text) {
  std::printf("\"");
  for (; *text != '\0'; ++text) {
    if (*text == '\n') {
      std::printf("\\n");
    } else if (*text == '\t') {
      std::printf("\\t");
    } else {
      std::printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
  }
  std::printf("\"");
}

void print_three(const char *name, const int (&values)[3]) {
  std::printf(", \"%s\": [%d, %d, %d]", name, values[0], values[1], values[2]);
}

}  // namespace

void record_launches(std::vector<RecordedLaunch> *launches) { recorded = launches; }

void print_kernels(const std::vector<RecordedLaunch> &launches) {
  static std::set<const char *> printed;
  for (const RecordedLaunch &launch : launches) {
    if (!printed.insert(launch.ptx).second) continue;
    std::printf("{\"kernel\": \"%s\", \"ptx\": ", launch.kernel);
    print_text(launch.ptx);
    std::printf("}\n");
  }
}

void print_launches(const std::vector<RecordedLaunch> &launches) {
  const char *comma = "[";
  for (const RecordedLaunch &launch : launches) {
    std::printf("%s{\"kernel\": \"%s\"", comma, launch.kernel);
    print_three("blocks", launch.blocks);
    print_three("threads", launch.threads);
    std::printf(", \"shared_bytes\": %d, \"arguments\": ", launch.shared_bytes);
    comma = "[";
    for (const RecordedLaunch::Argument &argument : launch.arguments) {
      std::printf(argument.is_tensor ? "%s{\"bytes\": %llu}" : "%s%llu", comma,
                  static_cast<unsigned long long>(argument.value));
      comma = ", ";
    }
    std::printf("]}");
    comma = ", ";
  }
  std::printf(launches.empty() ? "[]" : "]");
}

int run_recorded(int (*run)(void **), const char *kernel, const halide_filter_metadata_t *metadata,
                 void **arguments) {
  if (recorded == nullptr) return run(arguments);
  kernel_name = kernel;
  bytes_of_tensors.clear();
  for (int i = 0; i < metadata->num_arguments; ++i) {
    const halide_filter_argument_t &argument = metadata->arguments[i];
    if (argument.kind == halide_argument_kind_input_scalar) continue;
    const auto *tensor = static_cast<const halide_buffer_t *>(arguments[i]);
    bytes_of_tensors[tensor] = bytes_of(*tensor, argument);
  }
  return run(arguments);
}

}  // namespace halnorm_tune

// What kernels call: the linker puts __wrap_ before the names, and __real_ stands for the
// runtime's.
extern "C" {

int __real_halide_cuda_initialize_kernels(void *user_context, void **state, const char *ptx,
                                          int bytes);
int __real_halide_cuda_run(void *user_context, void *state, const char *entry, int blocks_x,
                           int blocks_y, int blocks_z, int threads_x, int threads_y, int threads_z,
                           int shared_bytes, size_t sizes[], void *arguments[], int8_t is_buffer[]);

int __wrap_halide_cuda_initialize_kernels(void *user_context, void **state, const char *ptx,
                                          int bytes) {
  halnorm_tune::kernel_ptx = ptx;
  if (halnorm_tune::recorded != nullptr) return 0;
  return __real_halide_cuda_initialize_kernels(user_context, state, ptx, bytes);
}

int __wrap_halide_cuda_run(void *user_context, void *state, const char *entry, int blocks_x,
                           int blocks_y, int blocks_z, int threads_x, int threads_y, int threads_z,
                           int shared_bytes, size_t sizes[], void *arguments[],
                           int8_t is_buffer[]) {
  using namespace halnorm_tune;
  if (recorded == nullptr) {
    return __real_halide_cuda_run(user_context, state, entry, blocks_x, blocks_y, blocks_z,
                                  threads_x, threads_y, threads_z, shared_bytes, sizes, arguments,
                                  is_buffer);
  }
  RecordedLaunch launch = {
      kernel_name,  kernel_ptx, {blocks_x, blocks_y, blocks_z}, {threads_x, threads_y, threads_z},
      shared_bytes, {}};
  for (int k = 0; sizes[k] != 0; ++k) {
    RecordedLaunch::Argument argument = {is_buffer[k] != 0, 0};
    if (argument.is_tensor) {
      argument.value = bytes_of_tensors[arguments[k]];
    } else {
      std::memcpy(&argument.value, arguments[k], sizes[k]);
    }
    launch.arguments.push_back(argument);
  }
  recorded->push_back(launch);
  return 0;
}
}
