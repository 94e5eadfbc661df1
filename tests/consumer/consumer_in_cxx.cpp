// SPDX-License-Identifier: Apache-2.0
#include <halnorm.h>

#include <cmath>
#include <cstdio>
#include <vector>

int main() {
  std::vector<float> row = {3, 4, 0, 0}, result(row.size());
  int64_t shape[] = {static_cast<int64_t>(row.size())};
  halnorm_tensor x = {row.data(), {HALNORM_CPU, 0}, 1, HALNORM_F32, shape, nullptr, 0};
  halnorm_tensor y = x;
  y.data = result.data();
  if (halnorm_rms_norm(nullptr, &x, nullptr, -1, 0.0, &y, nullptr, 0) != HALNORM_OK) {
    std::printf("halnorm_rms_norm: %s\n", halnorm_last_error());
    return 1;
  }
  const double root_mean_square = 2.5;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::fabs(result[i] - row[i] / root_mean_square) > 1e-6) return 1;
  }
  std::printf("halnorm %s, kernel %s\n", halnorm_version(), halnorm_last_kernel());
  return 0;
}
