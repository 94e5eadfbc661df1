/* SPDX-License-Identifier: Apache-2.0 */
#include "works.h"

#include <math.h>
#include <stdio.h>

#include "halnorm.h"

#define ROWS 24
#define COLUMNS 4998 /* a multiple of 3 */

static float row[2 * COLUMNS], results[ROWS][COLUMNS];

/* Of -4, 0, 4 over and over. They lie apart, and so are packed into memory of the library's; there
 * is work for four threads. */
static int works_on_threads(void) {
  int64_t shape[2] = {ROWS, COLUMNS}, strides[2] = {0, 2};
  halnorm_tensor x = {row, {HALNORM_CPU, 0}, 2, HALNORM_F32, NULL, NULL, 0}, y;
  halnorm_context *context;
  halnorm_status status;
  int i;
  x.shape = shape;
  y = x;
  x.strides = strides;
  y.data = results;
  for (i = 0; i < COLUMNS; ++i) row[2 * i] = (float)(4 * (i % 3 - 1));
  status = halnorm_context_create(&context);
  if (status == HALNORM_OK) status = halnorm_context_set_num_threads(context, 4);
  if (status == HALNORM_OK) {
    status = halnorm_layer_norm(context, &x, NULL, NULL, -1, 0.0, &y, NULL, NULL, 0);
    halnorm_context_destroy(context);
  }
  if (status != HALNORM_OK) {
    printf("FAILED: on four threads: %s\n", halnorm_last_error());
    return 0;
  }
  for (i = 0; i < ROWS * COLUMNS; ++i) {
    const double expected = sqrt(1.5) * (i % 3 - 1);
    if (!(fabs((double)results[i / COLUMNS][i % COLUMNS] - expected) < 1e-6)) {
      printf("FAILED: element %d on four threads is %g, not %g\n", i,
             (double)results[i / COLUMNS][i % COLUMNS], expected);
      return 0;
    }
  }
  return 1;
}

int halnorm_works(void) {
  float x_data[3] = {-4, 0, 4}, y_data[3] = {0, 0, 0};
  int64_t shape[2] = {1, 3};
  halnorm_tensor x = {NULL, {HALNORM_CPU, 0}, 2, HALNORM_F32, NULL, NULL, 0}, y;
  x.data = x_data;
  x.shape = shape;
  y = x;
  y.data = y_data;
  if (halnorm_layer_norm(NULL, &x, NULL, NULL, -1, 0.0, &y, NULL, NULL, 0) != HALNORM_OK) {
    printf("FAILED: halnorm_layer_norm: %s\n", halnorm_last_error());
    return 0;
  }
  if (!(fabs((double)y_data[2] - sqrt(1.5)) < 1e-6)) {
    printf("FAILED: 4 of -4, 0, 4 became %g, not sqrt(3 / 2)\n", (double)y_data[2]);
    return 0;
  }
  return works_on_threads();
}
