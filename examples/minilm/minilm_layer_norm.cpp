// SPDX-License-Identifier: Apache-2.0
//
// The LayerNorms of minilm_layer_norm.c in C++17, on tensors that own their memory: each runs on
// the model's own activations and is compared with what the model computed.
//
//   minilm_layer_norm_cpp DATA_DIR
//
// Exits with 0 if all is well, 1 if a call fails or a result is wrong, 2 if called wrongly.
//
// What counts as wrong. The C program asks |y - r| <= 8 u (|gamma xhat| + |gamma| + |beta|) of
// halnorm's y and of the model's, where r is the result in float64 and u = 2^-24. Then the two
// differ by at most twice that, and |gamma xhat| is at most |y| + |beta|.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "halnorm.h"
#include "npy.h"

namespace {

void check(halnorm_status status) {
  if (status != HALNORM_OK) throw std::runtime_error(halnorm_last_error());
}

// Dense, row-major, float32.
class Tensor {
 public:
  Tensor(std::vector<int64_t> shape, const float *elements)
      : shape_(std::move(shape)),
        elements_(elements, elements + std::accumulate(shape_.begin(), shape_.end(), int64_t{1},
                                                       std::multiplies<>())) {}

  const std::vector<float> &elements() const { return elements_; }

  halnorm_tensor view() {
    const auto dimensions = static_cast<int32_t>(shape_.size());
    return {elements_.data(), {HALNORM_CPU, 0}, dimensions, HALNORM_F32, shape_.data(), nullptr, 0};
  }
  // Only for where halnorm takes a const halnorm_tensor *: it does not write to those.
  halnorm_tensor view() const { return const_cast<Tensor *>(this)->view(); }

 private:
  std::vector<int64_t> shape_;
  std::vector<float> elements_;
};

class Context {
 public:
  Context() {
    halnorm_context *created = nullptr;
    check(halnorm_context_create(&created));
    context_.reset(created);
  }
  void set_num_threads(int32_t n) { check(halnorm_context_set_num_threads(context_.get(), n)); }
  const halnorm_context *get() const { return context_.get(); }

 private:
  struct Destroy {
    void operator()(halnorm_context *context) const { halnorm_context_destroy(context); }
  };
  std::unique_ptr<halnorm_context, Destroy> context_;
};

// Over the last dimension, in place: a caller that is done with x moves it in.
Tensor layer_norm(const Context &context, Tensor x, const Tensor &gamma, const Tensor &beta,
                  double eps) {
  halnorm_tensor y = x.view();
  const halnorm_tensor scale = gamma.view(), shift = beta.view();
  check(halnorm_layer_norm(context.get(), &y, &scale, &shift, -1, eps, &y, nullptr, nullptr, 0));
  return x;
}

Tensor read(const std::string &path, const std::vector<int64_t> &expected_shape) {
  npy_array array;
  char error[4608];
  if (npy_read(path.c_str(), &array, error, sizeof error) != 0) throw std::runtime_error(error);
  const std::unique_ptr<float, decltype(&std::free)> owner(array.data, &std::free);
  const std::vector<int64_t> shape(array.shape, array.shape + array.ndim);
  if (shape != expected_shape) throw std::runtime_error(path + ": not of the manifest's shape");
  return Tensor(shape, array.data);
}

// The greatest absolute difference; throws at the first element that is wrong.
double difference(const std::string &name, const Tensor &y, const Tensor &model,
                  const Tensor &gamma, const Tensor &beta) {
  const double twice_bound = 16.0 / 16777216.0;  // 16 u
  const size_t columns = gamma.elements().size();
  double greatest = 0.0;
  for (size_t i = 0; i < y.elements().size(); i++) {
    const double expected = model.elements()[i], value = y.elements()[i];
    const double scale = gamma.elements()[i % columns], shift = beta.elements()[i % columns];
    const double d = std::abs(value - expected);
    // Not d > bound, which a NaN would pass.
    if (!(d <= twice_bound * (std::abs(expected) + std::abs(scale) + 2.0 * std::abs(shift)))) {
      std::ostringstream message;
      message << name << ": element " << i << " is " << value << ", the model's " << expected;
      throw std::runtime_error(message.str());
    }
    greatest = std::max(greatest, d);
  }
  return greatest;
}

void run_manifest(const std::string &data_dir) {
  Context context;
  context.set_num_threads(1);
  std::ifstream manifest(data_dir + "/manifest.txt");
  int layers = 0;
  double greatest = 0.0;
  for (std::string line; std::getline(manifest, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string name;
    int64_t rows = 0, columns = 0;
    double eps = 0.0;
    if (!(fields >> name >> rows >> columns >> eps)) {
      throw std::runtime_error("manifest.txt: expected: name rows columns eps; is: " + line);
    }
    const std::string path = data_dir + "/" + name;
    const Tensor gamma = read(path + ".gamma.npy", {columns});
    const Tensor beta = read(path + ".beta.npy", {columns});
    const Tensor y =
        layer_norm(context, read(path + ".input.npy", {rows, columns}), gamma, beta, eps);
    const double d = difference(name, y, read(path + ".output.npy", {rows, columns}), gamma, beta);
    std::printf("%-42s %.2e\n", name.c_str(), d);
    greatest = std::max(greatest, d);
    layers++;
  }
  if (layers == 0) throw std::runtime_error(data_dir + "/manifest.txt names no LayerNorm");
  std::printf("halnorm %s: %d LayerNorms within %.2e of the model's own output\n",
              halnorm_version(), layers, greatest);
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: minilm_layer_norm_cpp DATA_DIR\n");
    return 2;
  }
  try {
    run_manifest(argv[1]);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "minilm_layer_norm_cpp: %s\n", error.what());
    return 1;
  }
}
