/* SPDX-License-Identifier: Apache-2.0
 *
 * Usage: dlopen_test LIBRARY COUNT
 * COUNT times: loads a shared object that holds the whole of libhalnorm.a, normalizes with it and
 * unloads it. Neither the object nor a thread, nor memory, may stay. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 20, MOST_KIB = 1024 };

static int thread_count(void) {
  DIR *tasks = opendir("/proc/self/task");
  const struct dirent *entry;
  int count = 0;
  if (tasks == NULL) return 1; /* this system does not tell */
  while ((entry = readdir(tasks)) != NULL) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

/* At the beginning: an emulator has threads of its own. */
static int threads_at_first;

/* A thread that has been joined may be listed for a moment. */
static int is_alone(void) {
  const struct timespec millisecond = {0, 1000000};
  int i;
  for (i = 0; i < 1000 && thread_count() > threads_at_first; ++i) nanosleep(&millisecond, NULL);
  return thread_count() <= threads_at_first;
}

static long resident_kib(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long size = 0, pages = 0;
  if (file == NULL) return 0;
  if (fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int works_once(const char *path) {
  void *library, *symbol;
  int (*works)(void);
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    printf("FAILED: dlopen: %s\n", dlerror());
    return 0;
  }
  symbol = dlsym(library, "halnorm_works");
  if (symbol == NULL) {
    printf("FAILED: dlsym: %s\n", dlerror());
    return 0;
  }
  /* ISO C has no conversion from an object pointer to a function pointer. */
  memcpy(&works, &symbol, sizeof(works));
  if (!works()) return 0;
  if (dlclose(library) != 0) {
    printf("FAILED: dlclose: %s\n", dlerror());
    return 0;
  }
  if (dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL) {
    printf("FAILED: the library is still there\n");
    return 0;
  }
  if (!is_alone()) {
    printf("FAILED: a thread is still there\n");
    return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  long before = 0, growth;
  int i, count;
  if (argc != 3) {
    fprintf(stderr, "usage: dlopen_test LIBRARY COUNT\n");
    return 2;
  }
  count = atoi(argv[2]);
  threads_at_first = thread_count();
  for (i = 0; i < count; ++i) {
    if (i == WARM_UP) before = resident_kib();
    if (!works_once(argv[1])) {
      printf("in round %d\n", i + 1);
      return 1;
    }
  }
  growth = count > WARM_UP ? resident_kib() - before : 0;
  if (growth > MOST_KIB) {
    printf("FAILED: memory has grown by %ld KiB in %d rounds\n", growth, count - WARM_UP);
    return 1;
  }
  printf("%d times, memory has grown by %ld KiB\n", count, growth);
  return 0;
}
