/* SPDX-License-Identifier: Apache-2.0
 *
 * Usage: dlopen_test LIBRARY
 * Loads a shared object that holds the whole of libhalnorm.a and normalizes a row with it. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  void *library, *symbol;
  int (*works)(void);
  if (argc != 2) {
    fprintf(stderr, "usage: dlopen_test LIBRARY\n");
    return 2;
  }
  library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    printf("FAILED: dlopen: %s\n", dlerror());
    return 1;
  }
  symbol = dlsym(library, "halnorm_works");
  if (symbol == NULL) {
    printf("FAILED: dlsym: %s\n", dlerror());
    return 1;
  }
  /* ISO C has no conversion from an object pointer to a function pointer. */
  memcpy(&works, &symbol, sizeof(works));
  return works() ? 0 : 1;
}
