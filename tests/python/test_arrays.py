# SPDX-License-Identifier: Apache-2.0
"""What is taken as an array, what comes back, what is refused and how, and that nothing leaks."""
import gc
import sys
import weakref

import ml_dtypes
import numpy as np
import pytest

import halnorm

X = np.random.default_rng(0).normal(size=(4, 6, 5)).astype("float32")


def framework(name):
    return pytest.importorskip(name, exc_type=ImportError)


def test_numpy_that_is_read_only():
    x = X.copy()
    x.flags.writeable = False
    out = halnorm.layer_norm(x, 5)
    assert out.flags.writeable
    assert out.tobytes() == halnorm.layer_norm(X, 5).tobytes()


def test_subclass_of_numpy_gives_numpy():
    class Own(np.ndarray):
        pass

    assert type(halnorm.layer_norm(X.view(Own), 5)) is np.ndarray


def test_buffer_without_a_framework():
    out = halnorm.layer_norm(memoryview(X), 5)
    assert np.asarray(out).tobytes() == halnorm.layer_norm(X, 5).tobytes()
    np.testing.assert_array_equal(np.from_dlpack(out), np.asarray(out))


def test_torch():
    torch = framework("torch")
    x = torch.from_numpy(X.copy())
    out, mean, rstd = halnorm.layer_norm_forward(x, (5,), torch.ones(5))
    assert type(out) is torch.Tensor and mean.shape == rstd.shape == (4, 6)
    assert out.numpy().tobytes() == halnorm.layer_norm(X, 5).tobytes()
    half = halnorm.rms_norm(x.to(torch.bfloat16), 5)
    assert half.dtype == torch.bfloat16
    channels_last = x[None].to(memory_format=torch.channels_last)
    assert halnorm.group_norm(channels_last, 2).stride() == channels_last.stride()
    assert halnorm.layer_norm(x, 5, out=x) is x
    assert x.numpy().tobytes() == out.numpy().tobytes()
    with pytest.raises(ValueError, match="halnorm.torch"):
        halnorm.layer_norm(x, 5, torch.ones(5, requires_grad=True))
    with torch.no_grad():
        halnorm.layer_norm(x, 5, torch.ones(5, requires_grad=True))
    with pytest.raises(TypeError, match="resolve_neg"):
        halnorm.layer_norm(torch.ones(4, 5, dtype=torch.complex64).conj().imag, 5)
    with pytest.raises(RuntimeError):
        halnorm.layer_norm(x[0].to_sparse(), 5)


def test_jax():
    jax = framework("jax")
    x = jax.numpy.asarray(X)
    out, mean, rstd = halnorm.layer_norm_forward(x, (5,), jax.numpy.ones(5))
    assert isinstance(out, jax.Array) and isinstance(rstd, jax.Array)
    assert np.asarray(out).tobytes() == halnorm.layer_norm(X, 5).tobytes()
    assert halnorm.rms_norm(x.astype("bfloat16"), 5).dtype == "bfloat16"
    with pytest.raises(TypeError, match="out: .* never changes"):
        halnorm.layer_norm(X, 5, out=x)
    with pytest.raises(TypeError, match="running_mean: .* never changes"):
        halnorm.batch_norm(x, jax.numpy.zeros(6), jax.numpy.ones(6), training=True)
    with pytest.raises(TypeError, match="input: is of type .*Tracer"):
        jax.jit(lambda traced: halnorm.layer_norm(traced, 5))(x)


def read_only():
    out = X.copy()
    out.flags.writeable = False
    return out


REFUSED = [
    (TypeError, r"^input: is of type list; expected an array", lambda: halnorm.layer_norm([1.], 1)),
    (TypeError, r"^input: is of type NoneType; expected an array",
     lambda: halnorm.group_norm(None, 1)),
    (TypeError, r"^input: is of type list; expected an array",
     lambda: halnorm.batch_norm_backward(X, [1.], X, X)),
    (TypeError, r"^weight: is of type list", lambda: halnorm.layer_norm(X, 5, [1.] * 5)),
    (TypeError, r"^input: is of type ndarray of >f4",
     lambda: halnorm.layer_norm(X.astype(">f4"), 5)),
    (TypeError, r"^out: .* may be written to", lambda: halnorm.layer_norm(X, 5, out=read_only())),
    (ValueError, r"^input: dtype is .*bits 64", lambda: halnorm.layer_norm(X.astype("f8"), 5)),
    (ValueError, r"^input: dtype", lambda: halnorm.layer_norm(X.view("uint32"), 5)),
    (ValueError, r"^input: dtype", lambda: halnorm.layer_norm(X.view("uint16"), 10)),
    (ValueError, r"^weight: shape is \[4\]; expected \[5\]",
     lambda: halnorm.layer_norm(X, 5, np.ones(4, "float32"))),
    (ValueError, r"^bias: shape", lambda: halnorm.group_norm(X, 2, None, np.ones(4, "float32"))),
    (ValueError, r"^normalized_shape: is \[6\]; .* \[4, 6, 5\]", lambda: halnorm.layer_norm(X, 6)),
    (ValueError, r"^normalized_shape: is \[\]", lambda: halnorm.layer_norm(X, ())),
    (ValueError, r"^normalized_shape", lambda: halnorm.rms_norm(X[0, 0], (6, 5))),
    (ValueError, r"^eps: is -1", lambda: halnorm.layer_norm(X, 5, eps=-1)),
    (ValueError, r"^out: shares memory with input", lambda: halnorm.layer_norm(X, 5, out=X[::-1])),
    (ValueError, r"^out: shape", lambda: halnorm.layer_norm(X, 5, out=X[1:].copy())),
    (ValueError, r"^num_groups: is 4; expected a divisor of the 6 channels of input",
     lambda: halnorm.group_norm(X, 4)),
    (ValueError, r"^num_groups: is -1", lambda: halnorm.group_norm_forward(X, -1)),
    (ValueError, r"^input: ndim is 2", lambda: halnorm.instance_norm(X[0])),
    (ValueError, r"^running_mean: is NULL", lambda: halnorm.batch_norm(X, None, None)),
    (ValueError, r"^momentum: is 2",
     lambda: halnorm.batch_norm(X, None, None, training=True, momentum=2)),
    (NotImplementedError, r"^running_mean, running_var: are given",
     lambda: halnorm.instance_norm(X, np.zeros(6, "float32"), np.ones(6, "float32"))),
    (NotImplementedError, r'^name: is "none"', lambda: halnorm.set_target("none")),
    (ValueError, r"^num_threads: is -1", lambda: halnorm.set_num_threads(-1)),
]


@pytest.mark.parametrize("error, message, call", REFUSED, ids=[case[1] for case in REFUSED])
def test_error_says_what_was_wrong(error, message, call):
    before = X.tobytes()
    with pytest.raises(error, match=message):
        call()
    assert X.tobytes() == before


@pytest.mark.parametrize("dtype", ["float32", ml_dtypes.bfloat16])
def test_references_are_given_back(dtype):
    x, weight = X.astype(dtype), np.ones(5, dtype)

    def counts():
        return sys.getrefcount(x), sys.getrefcount(weight)

    before = counts()
    for _ in range(10):
        out = halnorm.layer_norm(x, 5, weight)
        with pytest.raises(ValueError):
            halnorm.layer_norm(x, 5, weight[:3])
        with pytest.raises(TypeError):
            halnorm.layer_norm(x, 5, weight, [0])
    gc.collect()
    assert counts() == before
    alive = weakref.ref(out)
    del out
    assert alive() is None
