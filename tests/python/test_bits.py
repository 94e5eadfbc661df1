# SPDX-License-Identifier: Apache-2.0
"""Python's results are the bits of the same calls in C, also of views."""
import ctypes
import os

import numpy as np
import pytest

import halnorm

PATH = os.environ.get("HALNORM_C_FUNCTIONS")
pytestmark = pytest.mark.skipif(PATH is None, reason="HALNORM_C_FUNCTIONS names no library of "
                                                     "tests/python/c_functions.c")


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32),
                ("device_id", ctypes.c_int32), ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


def tensor(array):
    extents = ctypes.c_int64 * array.ndim
    return ctypes.byref(Tensor(
        array.ctypes.data, 1, 0, array.ndim, 2, 8 * array.itemsize, 1, extents(*array.shape),
        extents(*(stride // array.itemsize for stride in array.strides)), 0))


def call(name, *arguments):
    function = getattr(ctypes.CDLL(PATH), name)
    converted = [tensor(a) if isinstance(a, np.ndarray)
                 else ctypes.c_double(a) if isinstance(a, float) else a for a in arguments]
    assert function(*converted) == 0


def normal(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_same(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("view", [np.s_[:], np.s_[:, ::2], np.s_[:, :1001], np.s_[::-1]])
def test_layer_norm(dtype, view):
    x = normal((9, 2003), dtype)[view]
    weight, bias = normal(x.shape[1], seed=1), normal(x.shape[1], seed=2)
    y, mean, rstd = np.empty_like(x), np.empty(9, "float32"), np.empty(9, "float32")
    call("c_layer_norm", x, weight, bias, 1, 1e-3, y, mean, rstd)
    assert_same(halnorm.layer_norm_forward(x, x.shape[1], weight, bias, 1e-3), (y, mean, rstd))


def test_batch_norm_training():
    x = normal((3, 7, 5, 8)).transpose(0, 3, 1, 2)
    weight, bias = normal(8, seed=1), normal(8, seed=2)
    running = [normal(8, seed=3), np.abs(normal(8, seed=4))]
    running_here = [a.copy() for a in running]
    y, mean, rstd = np.empty_like(x), np.empty(8, "float32"), np.empty(8, "float32")
    call("c_batch_norm_training", x, weight, bias, 1e-5, 0.3, *running, y, mean, rstd)
    results = halnorm.batch_norm_forward(x, *running_here, weight, bias, 0.3)
    assert_same((*results, *running_here), (y, mean, rstd, *running))


def test_group_norm_backward():
    dy, x = normal((2, 6, 9), "float16"), normal((2, 6, 9), "float16", 1)
    weight, mean, rstd = normal(6, seed=2), normal((2, 3), seed=3), normal((2, 3), seed=4)
    gradients = np.empty_like(x), np.empty(6, "float32"), np.empty(6, "float32")
    call("c_group_norm_backward", dy, x, weight, mean, rstd, 3, *gradients)
    assert_same(halnorm.group_norm_backward(dy, x, 3, mean, rstd, weight,
                                            zero_centered_weight=True), gradients)
