/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "my_kernels.h"

int main(void) {
  float x[3][4] = {{3, 4, 0, 0}, {5, 5, 5, 5}, {-2, 0, 0, 0}}, y[3][4], gamma[4] = {1, 1, 1, 2};
  const float root_mean_square[3] = {2.5f, 5, 1};
  int row, i;
  MY_FUNCTION(3, x[0], 4, gamma, 0, y[0], 4, NULL);
  for (row = 0; row < 3; ++row) {
    for (i = 0; i < 4; ++i) {
      if (fabsf(y[row][i] - x[row][i] / root_mean_square[row] * gamma[i]) > 1e-6f) return 1;
    }
  }
  puts("rms_norm without the library");
  return 0;
}
