/* SPDX-License-Identifier: Apache-2.0 */
#include <halnorm.h>
#include <math.h>
#include <stdio.h>

int main(void) {
  float input[2][4] = {{1, 2, 3, 4}, {0, 0, 0, 8}}, output[2][4];
  int64_t shape[2] = {2, 4};
  halnorm_tensor x = {NULL, {HALNORM_CPU, 0}, 2, HALNORM_F32, NULL, NULL, 0}, y;
  double error = 0;
  int i, j;

  x.data = input;
  x.shape = shape;
  y = x;
  y.data = output;
  if (halnorm_layer_norm(NULL, &x, NULL, NULL, -1, 0.0, &y, NULL, NULL, 0) != HALNORM_OK) {
    printf("halnorm_layer_norm: %s\n", halnorm_last_error());
    return 1;
  }
  for (i = 0; i < 2; ++i) {
    const double mean = i == 0 ? 2.5 : 2, variance = i == 0 ? 1.25 : 12;
    for (j = 0; j < 4; ++j) {
      const double off = fabs(output[i][j] - (input[i][j] - mean) / sqrt(variance));
      if (!(off <= error)) error = off;
    }
  }
  printf("halnorm %s, kernel %s: largest error %g\n", halnorm_version(), halnorm_last_kernel(),
         error);
  return !(error <= 1e-6);
}
