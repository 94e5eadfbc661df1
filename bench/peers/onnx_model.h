// SPDX-License-Identifier: Apache-2.0
// An ONNX model of one node, as the bytes of its file.
#ifndef HALNORM_BENCH_PEERS_ONNX_MODEL_H_
#define HALNORM_BENCH_PEERS_ONNX_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace halnorm_bench {
namespace onnx {

// onnx.proto, TensorProto.DataType
enum Type { kFloat = 1, kFloat16 = 10, kBfloat16 = 16 };

struct Tensor {
  std::string name;
  Type type = kFloat;
  std::vector<int64_t> shape;
  const void *data = nullptr;  // of a constant
  size_t bytes = 0;
};

struct Node {
  std::string operation;
  std::vector<Tensor> inputs, constants, outputs;  // the node takes the inputs, then the constants
  std::vector<std::pair<std::string, float>> numbers;
  std::vector<std::pair<std::string, int64_t>> integers;
};

std::string model(const Node &node);

}  // namespace onnx
}  // namespace halnorm_bench

#endif  // HALNORM_BENCH_PEERS_ONNX_MODEL_H_
