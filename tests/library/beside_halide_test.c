/* SPDX-License-Identifier: Apache-2.0
 *
 * halnorm and Halide's own runtime in one process: each has its own threads, memory and handlers,
 * and halnorm, which is made of Halide's kernels, reports nothing to Halide's. */
#include <stdint.h>
#include <stdio.h>

#include "HalideRuntime.h"
#include "halnorm.h"
#include "works.h"

static int errors_of_halide = 0;

static void count_error(void *user_context, const char *message) {
  (void)user_context;
  printf("Halide's error handler got: %s\n", message);
  ++errors_of_halide;
}

static int halide_works(void) {
  void *memory = halide_malloc(NULL, 1000);
  if (memory == NULL) {
    puts("FAILED: halide_malloc gave no memory");
    return 0;
  }
  halide_free(NULL, memory);
  (void)halide_set_num_threads(3);
  if (halide_set_num_threads(2) != 3) {
    puts("FAILED: halide_set_num_threads does not remember its 3 threads");
    return 0;
  }
  return 1;
}

int main(void) {
  (void)halide_set_error_handler(count_error);
  if (!halide_works() || !halnorm_works() || !halide_works()) return 1;
  if (halnorm_layer_norm(NULL, NULL, NULL, NULL, -1, 0.0, NULL, NULL, NULL, 0) !=
      HALNORM_INVALID_ARGUMENT) {
    puts("FAILED: halnorm_layer_norm takes NULL for x");
    return 1;
  }
  if (errors_of_halide != 0) {
    puts("FAILED: an error of halnorm went to Halide's error handler");
    return 1;
  }
  return 0;
}
