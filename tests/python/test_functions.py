# SPDX-License-Identifier: Apache-2.0
"""Results of the functions: the formula, strides, `out`, statistics, gradients, settings."""
import ml_dtypes
import numpy as np
import pytest

import cases
import halnorm

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
each_case = pytest.mark.parametrize("case", cases.CASES, ids=cases.NAMES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)


@each_dtype
@each_case
def test_forward_and_backward_are_the_formula(case, dtype):
    x, weight, bias, grad_output = case.inputs(dtype)
    reference = cases.Reference(case, x, weight, bias)
    out, mean, rstd = case.forward(x, weight, bias)
    assert out.dtype == dtype and mean.dtype == rstd.dtype == np.float32
    assert mean.shape == rstd.shape == case.statistic_shape
    cases.check(out, reference.out, reference.out_error())
    cases.check(rstd.reshape(-1, 1), reference.rstd,
                (reference.rstd_error + 2 * cases.U) * reference.rstd)
    gradients = case.backward(grad_output, x, mean, rstd, weight)
    expected = reference.gradients(grad_output, mean, rstd, x)
    assert len(gradients) == len(expected)
    assert gradients[0].dtype == dtype and gradients[1].dtype == np.float32
    for actual, (gradient, error) in zip(gradients, expected):
        cases.check(actual, gradient, error)


@each_case
def test_function_without_statistics_is_the_same(case):
    x, weight, bias, _ = case.inputs()
    out = case.forward(x, weight, bias)[0]
    parameters = (weight, bias) if case.has_bias else (weight,)
    if case.operation == "batch_norm":
        plain = halnorm.batch_norm(x, None, None, weight, bias, True, 0.1, cases.EPS)
    elif case.operation == "instance_norm":
        plain = halnorm.instance_norm(x, None, None, weight, bias, eps=cases.EPS)
    else:
        plain = getattr(halnorm, case.operation)(x, *case.arguments(), *parameters, cases.EPS)
    assert plain.tobytes() == out.tobytes()


@each_case
def test_gradients_that_are_masked_are_none(case):
    x, weight, bias, grad_output = case.inputs()
    _, mean, rstd = case.forward(x, weight, bias)
    every = case.backward(grad_output, x, mean, rstd, weight)
    for wanted in range(len(every)):
        mask = tuple(i == wanted for i in range(len(every)))
        masked = case.backward(grad_output, x, mean, rstd, weight, output_mask=mask)
        assert [a is not None for a in masked] == list(mask)
        assert masked[wanted].tobytes() == every[wanted].tobytes()


@each_case
def test_gradients_without_weight_are_those_of_ones(case):
    x, weight, bias, grad_output = case.inputs("float16")
    _, mean, rstd = case.forward(x, weight, bias)
    with_ones = case.backward(grad_output, x, mean, rstd, np.ones_like(weight))
    without = case.backward(grad_output, x, mean, rstd, None)
    assert without[0].tobytes() == with_ones[0].tobytes()
    assert without[1].dtype == np.float16
    assert without[1].tobytes() == with_ones[1].astype(np.float16).tobytes()


def test_order_in_memory_is_kept():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 6)).astype("float32")
    channels_last = x.transpose(0, 3, 1, 2)
    out = halnorm.group_norm(channels_last, 3)
    assert out.strides == channels_last.strides
    np.testing.assert_allclose(out, halnorm.group_norm(channels_last.copy(), 3), atol=1e-5)


@pytest.mark.parametrize("view", [np.s_[::2], np.s_[:, ::-1], np.s_[:, 3:20], np.s_[::-1, ::3]])
def test_strides_are_read_in_place(view):
    x = np.random.default_rng(0).normal(size=(6, 24)).astype("float32")[view]
    np.testing.assert_allclose(halnorm.layer_norm(x, x.shape[1]),
                               halnorm.layer_norm(x.copy(), x.shape[1]), atol=1e-5)


def test_out_is_written_and_returned():
    case = cases.CASES[0]
    x, weight, bias, _ = case.inputs()
    expected = case.forward(x, weight, bias)[0]
    buffer = np.full((5, 80), 7, "float32")
    out = buffer[:, 1:67:2]
    assert case.forward(x, weight, bias, out=out)[0] is out
    np.testing.assert_array_equal(out, expected)
    assert (buffer[:, 0] == 7).all() and (buffer[:, 67:] == 7).all()
    assert halnorm.layer_norm(x, 33, weight, bias, cases.EPS, out=x) is x
    assert x.tobytes() == expected.tobytes()


def test_running_statistics():
    x, weight, bias, grad_output = cases.Case("batch_norm", (4, 6, 5)).inputs()
    mean, var = np.full(6, 2, "float32"), np.full(6, 3, "float32")
    halnorm.batch_norm(x, mean, var, weight, bias, True, 0.25)
    count = 4 * 5
    np.testing.assert_allclose(mean, 1.5 + 0.25 * x.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(var, 2.25 + 0.25 * x.var((0, 2)) * count / (count - 1), rtol=1e-5)
    before = mean.copy(), var.copy()
    out = halnorm.batch_norm(x, mean, var, weight, bias)
    assert (mean == before[0]).all() and (var == before[1]).all()
    xhat = (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5)
    np.testing.assert_allclose(out, xhat * weight[:, None] + bias[:, None], atol=1e-5)
    same = halnorm.instance_norm(x, mean, var, weight, bias, use_input_stats=False)
    assert same.tobytes() == out.tobytes()
    rstd = (1 / np.sqrt(var + 1e-5)).astype("float32")
    grad_input, grad_weight, _ = halnorm.batch_norm_backward(
        grad_output, x, mean, rstd, weight, fixed_statistics=True)
    np.testing.assert_allclose(grad_input, grad_output * (weight * rstd)[:, None], rtol=1e-5)
    np.testing.assert_allclose(grad_weight, (grad_output * xhat).sum((0, 2)), rtol=1e-4)


def test_zero_centered_weight():
    x, weight, _, _ = cases.Case("rms_norm", (7, 64)).inputs()
    shifted = halnorm.rms_norm(x, 64, weight - 1, 1e-6, zero_centered_weight=True)
    np.testing.assert_allclose(shifted, halnorm.rms_norm(x, 64, weight, 1e-6), atol=1e-5)


def test_rms_norm_has_the_epsilon_of_float32():
    x = np.full((1, 64), 1e-3, "float16")
    mean_square = float(x[0, 0]) ** 2
    np.testing.assert_allclose(halnorm.rms_norm(x, 64)[0],
                               float(x[0, 0]) / np.sqrt(mean_square + 2.0 ** -23), rtol=1e-3)


def test_settings_change_no_bit():
    x = np.random.default_rng(0).normal(size=(64, 1024)).astype("float32")
    expected = halnorm.layer_norm(x, 1024).tobytes()
    assert halnorm.get_num_threads() == 0 and halnorm.get_target() is None
    try:
        for target, usable in halnorm.targets().items():
            if not usable:
                continue
            halnorm.set_target(target)
            for threads in (1, 2, 0):
                halnorm.set_num_threads(threads)
                assert (halnorm.get_target(), halnorm.get_num_threads()) == (target, threads)
                assert halnorm.layer_norm(x, 1024).tobytes() == expected
                assert "__%s" % target in halnorm.last_kernel()
    finally:
        halnorm.set_target(None)
        halnorm.set_num_threads(0)
