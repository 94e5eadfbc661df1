# SPDX-License-Identifier: Apache-2.0
"""Problems for the tests: one of each norm, with the formula in float64 and the error bounds of
docs/numerics.md."""
import math
from typing import NamedTuple, Tuple

import numpy as np

import halnorm

U = 2.0 ** -24
EPS = 1e-5
# Bits of the fraction.
PRECISION = {"float32": 23, "float16": 10, "bfloat16": 7}


class Case(NamedTuple):
    operation: str
    shape: Tuple[int, ...]
    normalized: int = 1  # dimensions, of layer and RMS norm
    groups: int = 2      # of group norm

    @property
    def by_channel(self):
        return self.operation not in ("layer_norm", "rms_norm")

    @property
    def has_bias(self):
        return self.operation != "rms_norm"

    @property
    def parameter_shape(self):
        return self.shape[1:2] if self.by_channel else self.shape[-self.normalized:]

    @property
    def statistic_shape(self):
        return {"instance_norm": self.shape[:2], "group_norm": (self.shape[0], self.groups),
                "batch_norm": self.shape[1:2]}.get(self.operation, self.shape[:-self.normalized])

    def rows(self, x):
        """x as a matrix whose rows have their statistics in common."""
        if self.operation == "batch_norm":
            x = np.moveaxis(x, 1, 0)
        return x.reshape(math.prod(self.statistic_shape), -1)

    def from_rows(self, rows):
        if self.operation != "batch_norm":
            return rows.reshape(self.shape)
        moved = (self.shape[1], self.shape[0], *self.shape[2:])
        return np.moveaxis(rows.reshape(moved), 0, 1)

    def expand(self, parameter):
        """weight or bias for each element of x."""
        if self.by_channel:
            parameter = parameter.reshape(-1, *[1] * (len(self.shape) - 2))
        return np.broadcast_to(parameter, self.shape)

    def sum_for_parameter(self, terms):
        kept = len(self.shape) - self.normalized
        axes = ((0, *range(2, len(self.shape))) if self.by_channel else tuple(range(kept)))
        return terms.sum(axes)

    def arguments(self):
        """What stands between input and weight."""
        return {"layer_norm": (self.parameter_shape,), "rms_norm": (self.parameter_shape,),
                "group_norm": (self.groups,)}.get(self.operation, ())

    def inputs(self, dtype="float32", seed=0):
        """input, weight, bias, grad_output; the parameters in float32."""
        random = np.random.default_rng(seed)
        made = [random.normal(0.5, 1.5, self.shape), random.normal(1, 0.5, self.parameter_shape),
                random.normal(0, 1, self.parameter_shape), random.normal(0.25, 1, self.shape)]
        return [made[0].astype(dtype), *(a.astype("float32") for a in made[1:3]),
                made[3].astype(dtype)]

    def forward(self, x, weight, bias, module=halnorm, **options):
        """(out, mean, rstd), with a mean of 0 for RMS norm."""
        function = getattr(module, self.operation + "_forward")
        if self.operation == "batch_norm":
            return function(x, None, None, weight, bias, 0.1, EPS, **options)
        if self.has_bias:
            return function(x, *self.arguments(), weight, bias, EPS, **options)
        out, rstd = function(x, *self.arguments(), weight, EPS, **options)
        return out, np.zeros(self.statistic_shape, "float32"), rstd

    def backward(self, grad_output, x, mean, rstd, weight, **options):
        function = getattr(halnorm, self.operation + "_backward")
        statistics = (mean, rstd) if self.has_bias else (rstd,)
        return function(grad_output, x, *self.arguments(), *statistics, weight, **options)


CASES = [
    Case("layer_norm", (5, 33)), Case("layer_norm", (3, 4, 6, 50), normalized=2),
    Case("layer_norm", (2, 1500)), Case("rms_norm", (7, 64)), Case("rms_norm", (2, 3, 10), 2),
    Case("instance_norm", (2, 6, 5, 7)), Case("group_norm", (2, 6, 5, 7)),
    Case("group_norm", (3, 8), groups=4), Case("batch_norm", (4, 6, 5, 7)),
    Case("batch_norm", (9, 5)),
]
NAMES = ["%s %s" % (case.operation, "x".join(map(str, case.shape))) for case in CASES]


def half_ulp(values, dtype):
    bits = PRECISION[np.dtype(dtype).name]
    return 2.0 ** (np.floor(np.log2(np.abs(values) + 1e-30)) - bits - 1) * (1 + 2.0 ** -20)


def sum_error(count):
    return (4 + 1.5 * min(math.log2(max(count, 1)), 6)) * U


class Reference:
    """The formula in float64, and how far halnorm may be off it."""

    def __init__(self, case, x, weight, bias):
        self.case, self.dtype = case, x.dtype
        rows = case.rows(x.astype("float64"))
        self.count = rows.shape[1]
        self.weight = case.rows(case.expand(weight.astype("float64")))
        self.bias = case.rows(case.expand(bias.astype("float64") * case.has_bias))
        self.mean = rows.mean(1, keepdims=True) * case.has_bias
        self.rstd = 1 / np.sqrt(((rows - self.mean) ** 2).mean(1, keepdims=True) + EPS)
        self.xhat = (rows - self.mean) * self.rstd
        self.out = case.from_rows(self.xhat * self.weight + self.bias)
        t = sum_error(self.count)
        m = t * np.abs(rows).mean(1, keepdims=True) * self.rstd
        left = t * m if x.dtype == "float32" else m
        self.rstd_error = t * (1 + m ** 2)
        self.xhat_error = (t * np.abs(self.xhat) if not case.has_bias
                           else t * (1 + np.abs(self.xhat)) * (1 + m ** 2) + left)

    def out_error(self):
        rounded = 2 * U * (np.abs(self.weight * self.xhat) + np.abs(self.bias))
        return (self.case.from_rows(np.abs(self.weight) * self.xhat_error + rounded)
                + half_ulp(self.out, self.dtype))

    def gradients(self, grad_output, mean=None, rstd=None, x=None, inherited=0.0):
        """[(gradient, error) of input, weight and bias]. mean and rstd: as the forward wrote them,
        taken as exact; without them those of the formula, where `inherited` times the errors of
        the forward are added to the bounds."""
        case, xhat = self.case, self.xhat
        if rstd is None:
            rstd = self.rstd
        else:
            mean, rstd = (a.astype("float64").reshape(-1, 1) for a in (mean, rstd))
            xhat = (case.rows(x.astype("float64")) - mean) * rstd
        dy = case.rows(grad_output.astype("float64"))
        g = dy * self.weight
        t = sum_error(self.count)
        mean_g = g.mean(1, keepdims=True) * case.has_bias
        mean_gx = (g * xhat).mean(1, keepdims=True)
        dx = (g - mean_g - xhat * mean_gx) * rstd
        e1 = (t + 8 * U) * np.abs(g).mean(1, keepdims=True) * case.has_bias
        e2 = (t + 8 * U) * np.abs(g * xhat).mean(1, keepdims=True)
        terms = np.abs(g) + np.abs(mean_g) + np.abs(xhat * mean_gx)
        forward = inherited * (
            self.rstd_error * terms + self.xhat_error * np.abs(mean_gx)
            + np.abs(xhat) * (np.abs(g) * self.xhat_error).mean(1, keepdims=True))
        error = rstd * (e1 + np.abs(xhat) * e2 + 6 * U * terms + forward)
        dx = case.from_rows(dx)
        result = [(dx, case.from_rows(error) + half_ulp(dx, self.dtype))]
        summed = max(grad_output.size // math.prod(case.parameter_shape), 1)
        for terms, forward in ((dy * xhat, inherited * np.abs(dy) * self.xhat_error),
                               (dy, 0 * dy)):
            gradient = case.sum_for_parameter(case.from_rows(terms))
            error = case.sum_for_parameter(case.from_rows(
                (sum_error(summed) + 6 * U) * np.abs(terms) + forward))
            result.append((gradient, error + half_ulp(gradient, "float32")))
        return result if case.has_bias else result[:2]


def check(actual, expected, error):
    """That `actual` is within `error` of `expected`, everywhere."""
    actual = np.asarray(actual).astype("float64")
    assert actual.shape == expected.shape
    off = np.abs(actual - expected) / error
    assert off.max() <= 1, "%g of the bound at %s" % (
        off.max(), np.unravel_index(off.argmax(), off.shape))
