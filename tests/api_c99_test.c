/* SPDX-License-Identifier: Apache-2.0
 *
 * halnorm.h as a C99 program uses it, linked by the C compiler: no C++ library is needed. */
#include <math.h>
#include <stdio.h>

#include "halnorm.h"

static int failures = 0;

static void expect(int condition, const char *what) {
  if (condition) return;
  printf("FAILED: %s; last error: %s\n", what, halnorm_last_error());
  ++failures;
}

static void reverse_order(void *pool, int64_t count, halnorm_task run, void *task) {
  int64_t i;
  ++*(int *)pool;
  for (i = count - 1; i >= 0; --i) run(task, i);
}

int main(void) {
  float x_data[2][3] = {{1, 2, 3}, {-4, 0, 4}}, y_data[2][3], rstd_data[2];
  uint16_t gamma_data[3] = {0x3f80, 0x4000, 0x4040}; /* 1, 2, 3 in bf16 */
  int64_t shape[2] = {2, 3};
  halnorm_device cpu = {HALNORM_CPU, 0};
  halnorm_tensor x = {NULL, {HALNORM_CPU, 0}, 2, HALNORM_F32, NULL, NULL, 0}, y, rstd, gamma;
  halnorm_context *context = NULL;
  int calls = 0;

  x.data = x_data;
  x.shape = shape;
  y = rstd = gamma = x;
  y.data = y_data;
  rstd.data = rstd_data;
  rstd.ndim = 1;

  expect(halnorm_layer_norm(NULL, &x, NULL, NULL, -1, 0.0, &y, NULL, &rstd, 0) == HALNORM_OK,
         "halnorm_layer_norm succeeds");
  expect(fabs(y_data[0][2] - sqrt(1.5)) < 1e-6, "3 of 1, 2, 3 becomes sqrt(3 / 2)");
  expect(fabs(rstd_data[1] - sqrt(3.0 / 32)) < 1e-6, "rstd of -4, 0, 4 is sqrt(3 / 32)");

  expect(halnorm_batch_norm_training(NULL, &x, NULL, NULL, 0.0, 0.1, NULL, NULL, &y, NULL, NULL,
                                     0) == HALNORM_OK,
         "halnorm_batch_norm_training succeeds");
  expect(fabs(y_data[0][0] - 1) < 1e-6 && fabs(y_data[1][0] + 1) < 1e-6,
         "a channel of 1 and -4 becomes 1 and -1");

  expect(halnorm_context_create(&context) == HALNORM_OK, "halnorm_context_create succeeds");
  expect(halnorm_context_set_num_threads(context, 2) == HALNORM_OK, "set_num_threads succeeds");
  expect(halnorm_context_set_parallel_for(context, reverse_order, &calls) == HALNORM_OK,
         "set_parallel_for succeeds");
  expect(halnorm_context_set_target(context, NULL) == HALNORM_OK, "set_target succeeds");
  expect(halnorm_context_set_workspace(context, cpu, NULL, 0) == HALNORM_OK,
         "set_workspace succeeds");
  expect(halnorm_context_prepare(context, cpu) == HALNORM_OK, "prepare succeeds");
  expect(halnorm_rms_norm(context, &x, NULL, 1, 0.0, &y, NULL, 0) == HALNORM_OK,
         "halnorm_rms_norm succeeds");
  expect(fabs(y_data[1][0] + sqrt(1.5)) < 1e-6, "-4 of -4, 0, 4 becomes -sqrt(3 / 2)");
  expect(halnorm_last_kernel()[0] != '\0', "the kernel has a name");

  gamma.data = gamma_data;
  gamma.dtype = (halnorm_dtype)HALNORM_BF16;
  gamma.ndim = 1;
  gamma.shape = shape + 1;
  expect(halnorm_rms_norm(context, &x, &gamma, 1, 0.0, &y, NULL, HALNORM_ZERO_CENTERED_GAMMA) ==
             HALNORM_INVALID_ARGUMENT,
         "gamma in bf16 with x in f32 is refused");
  expect(halnorm_last_error()[0] != '\0', "the error has a message");
  halnorm_context_destroy(context);

  expect(halnorm_target_count() > 0 && halnorm_target_name(0) != NULL, "there is a target");
  expect(halnorm_cuda_load_seconds() == 0, "nothing was loaded for CUDA");
  expect(halnorm_version()[0] != '\0', "the version has a value");
  if (failures == 0) printf("all is well on %s\n", halnorm_last_kernel());
  return failures != 0;
}
