# SPDX-License-Identifier: Apache-2.0
"""The formulas in float64 and how far a result may be off them: the bounds of tests/reference.h, on
arrays of NumPy or PyTorch."""
import math
from dataclasses import dataclass
from typing import Any

U = 2.0 ** -24  # relative rounding error of f32
# Half an ulp of each dtype, relative and, where values are subnormal, absolute.
ROUNDING = {"f32": (2.0 ** -24, 2.0 ** -149), "f16": (2.0 ** -11, 2.0 ** -25),
            "bf16": (2.0 ** -8, 2.0 ** -134)}


@dataclass
class Expected:
    values: Any
    error: Any      # of the arithmetic
    rounding: Any   # to the dtype of the output
    terms: int      # how many elements are added up for one of the output


def tree(count):
    """Relative error of a sum of `count` terms of one sign in the order of halnorm."""
    return (4 + 1.5 * min(math.log2(count), 6)) * U


def looseness(count):
    """Sums in any order may be off by `count` roundings, this many times the bound of a tree."""
    return max(1.0, count / (4 + 1.5 * math.log2(count)))


def _rows(problem, array):
    """A matrix whose rows have their statistics in common."""
    if problem.norm == "batch":
        array = array.swapaxes(0, 1)
    return array.reshape(-1, problem.statistic_length)


def _elements(problem, rows):
    if problem.norm != "batch":
        return rows.reshape(problem.shape)
    samples, channels, *rest = problem.shape
    return rows.reshape((channels, samples, *rest)).swapaxes(0, 1)


def _along(problem, parameter):
    """gamma or beta, to be multiplied with or added to the elements of x."""
    if problem.has_channels:
        return parameter.reshape((-1, *[1] * (len(problem.shape) - 2)))
    return parameter


def _expected(values, error, dtype, terms):
    relative, absolute = ROUNDING[dtype]
    return Expected(values, error, (abs(values) + error) * relative + absolute, terms)


@dataclass
class Statistics:
    mean: Any
    variance: Any
    rstd: Any
    mean_error: Any
    variance_error: Any
    rstd_error: Any
    xhat_error: Any  # for each element, as rows


def statistics(problem, x):
    """Of the rows of x."""
    rows, relative, centered = _rows(problem, x), tree(problem.statistic_length), problem.norm != "rms"
    mean = rows.mean(axis=1, keepdims=True) * centered
    variance = ((rows - mean) ** 2).mean(axis=1, keepdims=True)
    rstd = 1 / (variance + problem.eps) ** 0.5
    first_pass = relative * abs(rows).mean(axis=1, keepdims=True) * centered
    left = relative * first_pass if problem.dtype == "f32" else first_pass
    grown = relative * (1 + (first_pass * rstd) ** 2)
    xhat = (rows - mean) * rstd
    xhat_error = (grown * (1 + abs(xhat)) + left * rstd) if centered else relative * abs(xhat)
    return Statistics(mean, variance, rstd,
                      left + relative * (variance ** 0.5 + first_pass) + U * abs(mean),
                      relative * (variance + first_pass ** 2) + left ** 2, rstd * grown, xhat_error)


def forward(problem, t):
    """`t`: the inputs by name, running statistics as they were before."""
    found, terms = {}, problem.statistic_length
    if problem.operation == "batch_norm_inference":
        rstd = 1 / (t["running_var"] + problem.eps) ** 0.5
        xhat = (t["x"] - _along(problem, t["running_mean"])) * _along(problem, rstd)
        xhat_error = 6 * U * abs(xhat)
    else:
        s = statistics(problem, t["x"])
        xhat = _elements(problem, (_rows(problem, t["x"]) - s.mean) * s.rstd)
        xhat_error = _elements(problem, s.xhat_error)
        found["mean"] = _expected(s.mean, s.mean_error, "f32", terms)
        found["rstd"] = _expected(s.rstd, s.rstd_error, "f32", terms)
        if "running" in problem:
            _running(problem, t, s, found)
    scaled = xhat * _along(problem, t["gamma"]) if "gamma" in t else xhat
    error = xhat_error * abs(_along(problem, t["gamma"])) if "gamma" in t else xhat_error
    y, error = scaled, error + 2 * U * abs(scaled)
    if "beta" in t:
        beta = _along(problem, t["beta"])
        y, error = y + beta, error + 2 * U * abs(beta)
    found["y"] = _expected(y, error, problem.dtype, terms)
    return found


def _running(problem, t, s, found):
    n = problem.statistic_length
    for name, batch, batch_error in (
            ("running_mean", s.mean, s.mean_error),
            ("running_var", s.variance * (n / (n - 1)), s.variance_error * (n / (n - 1)))):
        kept = (1 - problem.momentum) * t[name].reshape(-1, 1)
        added = problem.momentum * batch
        error = problem.momentum * batch_error + 4 * U * (abs(kept) + abs(added))
        found[name] = _expected(kept + added, error, "f32", n)


def backward(problem, t):
    """The statistics that are given are taken as exact."""
    rstd = t["rstd"].reshape(-1, 1)
    mean = t["mean"].reshape(-1, 1) if "mean" in t else 0.0
    dy, terms = t["dy"], problem.statistic_length
    relative, shared = tree(terms), tree(problem.sharers)
    xhat = (_rows(problem, t["x"]) - mean) * rstd
    g = _rows(problem, dy * _along(problem, t["gamma"]) if "gamma" in t else dy)
    centered = problem.norm != "rms"
    c1 = g.mean(axis=1, keepdims=True) * centered
    c1_error = (relative + 8 * U) * abs(g).mean(axis=1, keepdims=True) * centered
    c2 = (g * xhat).mean(axis=1, keepdims=True)
    c2_error = (relative + 8 * U) * abs(g * xhat).mean(axis=1, keepdims=True)
    dx = (g - c1 - xhat * c2) * rstd
    error = rstd * (c1_error + abs(xhat) * c2_error
                    + 6 * U * (abs(g) + abs(c1) + abs(xhat * c2)))
    found = {"dx": _expected(_elements(problem, dx), _elements(problem, error), problem.dtype, terms)}
    axes = ((0, *range(2, len(problem.shape))) if problem.has_channels
            else tuple(range(len(problem.shape) - 1)))
    products = dy * _elements(problem, xhat)
    for name, of_sum, bound in (("dgamma", products, shared + 6 * U), ("dbeta", dy, shared)):
        if name in problem:
            found[name] = _expected(of_sum.sum(axis=axes), bound * abs(of_sum).sum(axis=axes),
                                    problem.parameter_dtype, problem.sharers)
    return found


def wrong(name, actual, expected, any_order):
    """What is wrong with an output, or nothing. Both may have other shapes of as many elements."""
    actual = actual.reshape(-1)
    values, error, rounding = (a.reshape(-1) for a in
                               (expected.values, expected.error, expected.rounding))
    if actual.shape != values.shape:
        return "%s has %d elements, expected %d" % (name, len(actual), len(values))
    bound = error * (looseness(expected.terms) if any_order else 1) + rounding
    bad = ~(abs(actual - values) <= bound)
    if not bad.any():
        return ""
    first = int((bad * 1).argmax())
    return "%s element %d is %.9g, expected %.9g within %.3g; %d of %d are off" % (
        name, first, float(actual[first]), float(values[first]), float(bound[first]),
        int(bad.sum()), len(values))
