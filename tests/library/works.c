/* SPDX-License-Identifier: Apache-2.0 */
#include "works.h"

#include <math.h>
#include <stdio.h>

#include "halnorm.h"

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
  return 1;
}
