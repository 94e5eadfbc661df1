// SPDX-License-Identifier: Apache-2.0
#include "process.h"

#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <dirent.h>
#include <malloc.h>

#include <fstream>
#include <string>
#endif

#if HALNORM_COVERAGE
// Of libgcov. A child begins with the counts of its parent, and _exit writes none.
extern "C" void __gcov_reset(void);
extern "C" void __gcov_dump(void);
#endif

namespace halnorm_test {
namespace {

// The number behind `key` in a file of lines `key number`.
int64_t number_in([[maybe_unused]] const char *path, [[maybe_unused]] const char *key) {
#ifdef __linux__
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    int64_t number;
    if (word == key && file >> number) return number;
  }
#endif
  return -1;
}

int64_t kib_in(const char *path, const char *key) {
  const int64_t kib = number_in(path, key);
  return kib < 0 ? -1 : kib * 1024;
}

}  // namespace

int thread_count() {
#ifdef __linux__
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == nullptr) return -1;
  int count = 0;
  while (const dirent *entry = readdir(tasks)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(tasks);
  return count;
#else
  return -1;
#endif
}

int64_t address_space_bytes() { return kib_in("/proc/self/status", "VmSize:"); }
int64_t resident_bytes() { return kib_in("/proc/self/status", "VmRSS:"); }
int64_t free_memory_bytes() { return kib_in("/proc/meminfo", "MemAvailable:"); }

int64_t allocated_bytes() {
#ifdef __GLIBC__
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
#else
  return -1;
#endif
}

bool true_in_child(const std::function<bool()> &run, unsigned seconds) {
  const pid_t child = fork();
  if (child == -1) return false;
  if (child == 0) {
    alarm(seconds);
#if HALNORM_COVERAGE
    __gcov_reset();
#endif
    const bool result = run();
#if HALNORM_COVERAGE
    __gcov_dump();
#endif
    _exit(result ? 0 : 1);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace halnorm_test
