// SPDX-License-Identifier: Apache-2.0
#include "onnx_model.h"

#include <cstring>

namespace halnorm_bench {
namespace onnx {
namespace {

// Of operators and of the file's format: the first that have group normalization per channel.
constexpr uint64_t kOperatorSet = 21, kFormat = 10;

// A message of protocol buffers: fields after one another, each with its number and kind before it
// (protobuf.dev/programming-guides/encoding). The numbers are those in onnx.proto.
class Message {
 public:
  void add(uint64_t field, uint64_t value) {
    key(field, 0);
    varint(value);
  }
  void add(uint64_t field, const std::string &bytes) {
    key(field, 2);
    varint(bytes.size());
    bytes_ += bytes;
  }
  void add(uint64_t field, const Message &message) { add(field, message.bytes_); }
  void add(uint64_t field, float value) {
    key(field, 5);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  const std::string &bytes() const { return bytes_; }

 private:
  void key(uint64_t field, uint64_t kind) { varint(field << 3 | kind); }
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

Message value_info(const Tensor &tensor) {
  Message shape, tensor_type, type, info;
  for (const int64_t extent : tensor.shape) {
    Message dimension;
    dimension.add(1, static_cast<uint64_t>(extent));
    shape.add(1, dimension);
  }
  tensor_type.add(1, static_cast<uint64_t>(tensor.type));
  tensor_type.add(2, shape);
  type.add(1, tensor_type);
  info.add(1, tensor.name);
  info.add(2, type);
  return info;
}

Message constant(const Tensor &tensor) {
  Message message;
  for (const int64_t extent : tensor.shape) message.add(1, static_cast<uint64_t>(extent));
  message.add(2, static_cast<uint64_t>(tensor.type));
  message.add(8, tensor.name);
  message.add(9, std::string(static_cast<const char *>(tensor.data), tensor.bytes));
  return message;
}

// AttributeProto.AttributeType
constexpr uint64_t kNumber = 1, kInteger = 2;

Message node_message(const Node &node) {
  Message message;
  for (const Tensor &input : node.inputs) message.add(1, input.name);
  for (const Tensor &input : node.constants) message.add(1, input.name);
  for (const Tensor &output : node.outputs) message.add(2, output.name);
  message.add(4, node.operation);
  for (const auto &[name, value] : node.numbers) {
    Message attribute;
    attribute.add(1, name);
    attribute.add(2, value);
    attribute.add(20, kNumber);
    message.add(5, attribute);
  }
  for (const auto &[name, value] : node.integers) {
    Message attribute;
    attribute.add(1, name);
    attribute.add(3, static_cast<uint64_t>(value));
    attribute.add(20, kInteger);
    message.add(5, attribute);
  }
  return message;
}

}  // namespace

std::string model(const Node &node) {
  Message graph, operators, message;
  graph.add(1, node_message(node));
  graph.add(2, std::string("norm"));
  for (const Tensor &tensor : node.constants) graph.add(5, constant(tensor));
  for (const Tensor &tensor : node.inputs) graph.add(11, value_info(tensor));
  for (const Tensor &tensor : node.outputs) graph.add(12, value_info(tensor));
  operators.add(1, std::string());
  operators.add(2, kOperatorSet);
  message.add(1, kFormat);
  message.add(7, graph);
  message.add(8, operators);
  return message.bytes();
}

}  // namespace onnx
}  // namespace halnorm_bench
