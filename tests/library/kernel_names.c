/* SPDX-License-Identifier: Apache-2.0
 *
 * Prints what halnorm_kernel_name() and halnorm_target_name() list, for lists_complete.py. */
#include <stdio.h>

#include "halnorm.h"

int main(void) {
  int32_t i;
  for (i = 0; i < halnorm_target_count(); ++i) printf("target %s\n", halnorm_target_name(i));
  for (i = 0; i < halnorm_kernel_count(); ++i) printf("kernel %s\n", halnorm_kernel_name(i));
  return 0;
}
