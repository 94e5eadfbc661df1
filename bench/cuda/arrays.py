# SPDX-License-Identifier: Apache-2.0
"""Values of device tensors as arrays in float64: on the host with NumPy, or, quicker, on the device
with PyTorch. Both have the same methods and the same names of functions."""
import numpy as np

from problem import ELEMENT_BYTES


class Tensor:
    """Dense elements in memory of the device, NCHW or, with `channels_last`, NHWC."""

    def __init__(self, device, shape, dtype, channels_last=False):
        self.shape, self.dtype = tuple(shape), dtype
        self.order = list(range(len(shape)))  # of the dimensions in memory
        if channels_last and len(shape) > 2:
            self.order = [0, *range(2, len(shape)), 1]
        self.strides = [0] * len(shape)
        step = 1
        for dimension in reversed(self.order):
            self.strides[dimension] = step
            step *= shape[dimension]
        self.memory = device.allocate(step * ELEMENT_BYTES[dtype])


class NumpyArrays:
    name = "NumPy, on the host"
    functions = np

    def __init__(self, seed=1):
        self._random = np.random.default_rng(seed)

    def normal(self, shape, mean, deviation):
        return self._random.standard_normal(shape, "float32") * np.float32(deviation) + mean

    def bits(self, tensor):
        data = np.empty(tensor.memory.size, "uint8")
        tensor.memory.download(data)
        return data

    def read(self, tensor):
        return self._decode(tensor, self.bits(tensor)).astype("float64")

    def _decode(self, tensor, data):
        if tensor.dtype == "bf16":
            values = (data.view("uint16").astype("uint32") << 16).view("float32")
        else:
            values = data.view({"f32": "float32", "f16": "float16"}[tensor.dtype])
        in_memory = values.reshape([tensor.shape[d] for d in tensor.order])
        return in_memory.transpose(np.argsort(tensor.order)) if tensor.order else in_memory

    def write(self, tensor, array):
        values = np.ascontiguousarray(array.astype("float32").reshape(tensor.shape)
                                      .transpose(tensor.order))
        if tensor.dtype == "f16":
            values = values.astype("float16")
        elif tensor.dtype == "bf16":
            # To nearest, ties to even.
            bits = values.view("uint32")
            values = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype("uint16")
        tensor.memory.upload(values)

    def same(self, bits, others):
        return np.array_equal(bits, others)


class TorchArrays:
    """`wrap` makes a flat tensor of bytes out of Memory, without a copy, on `device`."""
    name = "PyTorch, on the device"

    def __init__(self, torch, device, wrap, seed=1):
        self.functions, self._device, self._wrap = torch, device, wrap
        torch.manual_seed(seed)

    def view(self, tensor):
        torch = self.functions
        dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[tensor.dtype]
        flat = self._wrap(tensor.memory).view(dtype)
        return flat.as_strided(tensor.shape, tensor.strides)

    def normal(self, shape, mean, deviation):
        return self.functions.randn(shape, device=self._device) * deviation + mean

    def bits(self, tensor):
        return self._wrap(tensor.memory).clone()

    def read(self, tensor):
        return self.view(tensor).double()

    def write(self, tensor, array):
        self.view(tensor).copy_(array.reshape(tensor.shape))

    def same(self, bits, others):
        return self.functions.equal(bits, others)
