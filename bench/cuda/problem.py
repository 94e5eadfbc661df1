# SPDX-License-Identifier: Apache-2.0
"""Problems: those of the grammar of tests/problem.h whose tensors are dense, NCHW or NHWC."""
import math
import os
import re
from dataclasses import dataclass, field

OPERATIONS = ("layer_norm_forward", "layer_norm_backward", "rms_norm_forward", "rms_norm_backward",
              "instance_norm_forward", "instance_norm_backward", "group_norm_forward",
              "group_norm_backward", "batch_norm_inference", "batch_norm_training",
              "batch_norm_backward")
ELEMENT_BYTES = {"f32": 4, "f16": 2, "bf16": 2}
SWITCHES = ("gamma", "beta", "statistics", "running", "dgamma", "dbeta", "narrow_parameters")
HERE = os.path.dirname(os.path.abspath(__file__))
# Not among those of bench/shapes, which are tuned for CPUs.
DEFAULT_LIST = os.path.join(HERE, "problems.txt")
SHAPES = os.path.join(HERE, "..", "shapes")


class BadProblem(Exception):
    """A text that is no problem, or none that this benchmark knows; the message says why."""


@dataclass(frozen=True)
class Problem:
    text: str
    operation: str
    dtype: str
    shape: tuple
    switches: frozenset
    groups: int = 1
    eps: float = 1e-5
    channels_last: bool = False
    momentum: float = field(default=0.1, init=False)

    def __contains__(self, switch):
        return switch in self.switches

    @property
    def norm(self):
        return self.operation.split("_")[0]

    @property
    def is_backward(self):
        return self.operation.endswith("_backward")

    @property
    def has_channels(self):
        return self.norm not in ("layer", "rms")

    @property
    def parameter_dtype(self):
        return self.dtype if "narrow_parameters" in self else "f32"

    @property
    def parameter_shape(self):
        return self.shape[1:2] if self.has_channels else self.shape[-1:]

    @property
    def statistic_shape(self):
        return {"group": (self.shape[0], self.groups), "instance": self.shape[:2],
                "batch": self.shape[1:2]}.get(self.norm, self.shape[:-1])

    @property
    def statistic_length(self):
        """How many elements a statistic is of."""
        return math.prod(self.shape) // math.prod(self.statistic_shape)

    @property
    def sharers(self):
        """How many elements share one of gamma."""
        return math.prod(self.shape) // math.prod(self.parameter_shape)

    @property
    def traffic(self):
        """Bytes of x and y, or of dy, x and dx."""
        return (3 if self.is_backward else 2) * math.prod(self.shape) * ELEMENT_BYTES[self.dtype]

    def tensors(self):
        """Name, shape, dtype: what the call reads, then what it writes."""
        elements, parameters = (self.shape, self.dtype), (self.parameter_shape, self.parameter_dtype)
        statistics, channels = (self.statistic_shape, "f32"), (self.shape[1:2], "f32")
        read, written = {"x": elements}, {}
        read.update((name, parameters) for name in ("gamma", "beta") if name in self)
        has_statistics = self.is_backward or "statistics" in self
        names = ("rstd",) if self.norm == "rms" else ("mean", "rstd")
        (read if self.is_backward else written).update(
            (name, statistics) for name in names if has_statistics)
        if self.is_backward:
            read["dy"] = written["dx"] = elements
            written.update((name, parameters) for name in ("dgamma", "dbeta") if name in self)
        else:
            written["y"] = elements
        if self.operation == "batch_norm_inference":
            read.update(running_mean=channels, running_var=channels)
        elif "running" in self:
            written.update(running_mean=channels, running_var=channels)
        return read, written


def parse(text):
    parts = text.split(":")
    if len(parts) != 4:
        raise BadProblem("'%s': expected operation:dtype:shape:options" % text)
    operation, dtype, shape, options = parts
    if operation not in OPERATIONS:
        raise BadProblem("'%s': operation '%s': expected one of %s"
                         % (text, operation, ", ".join(OPERATIONS)))
    if dtype not in ELEMENT_BYTES:
        raise BadProblem("'%s': dtype '%s': expected one of %s"
                         % (text, dtype, ", ".join(ELEMENT_BYTES)))
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
        raise BadProblem("'%s': shape '%s': expected numbers >= 1 with x between" % (text, shape))
    extents = tuple(int(extent) for extent in shape.split("x"))
    switches, others = set(), {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if option in SWITCHES:
            switches.add(option)
        elif name == "groups" and re.fullmatch(r"[1-9]\d*", value):
            others["groups"] = int(value)
        elif name == "eps" and re.fullmatch(r"\d+(\.\d*)?(e-?\d+)?", value):
            others["eps"] = float(value)
        elif option == "layout=channels_last":
            others["channels_last"] = True
        else:
            raise BadProblem("'%s': option '%s': the CUDA benchmark knows %s, groups=G, eps=E and "
                             "layout=channels_last" % (text, option, ", ".join(SWITCHES)))
    problem = Problem(text, operation, dtype, extents, frozenset(switches), **others)
    if problem.has_channels and (len(extents) < 2 or extents[1] % problem.groups != 0):
        raise BadProblem("'%s': expected samples x channels x ... whose channels the groups divide"
                         % text)
    if problem.channels_last and not (problem.has_channels and len(extents) > 2):
        raise BadProblem("'%s': layout=channels_last: expected an operation with channels, and three "
                         "dimensions or more" % text)
    return problem


def read_list(text):
    """A problem, problems with blanks between, a file with one on each line, or the name of such a
    file in bench/shapes."""
    if ":" in text:
        return [parse(part) for part in text.split()]
    for path in (os.path.join(SHAPES, text + ".txt"), text):
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                lines = [line.split("#")[0].strip() for line in file]
            return [parse(line) for line in lines if line]
    raise BadProblem("'%s' is neither a problem nor a file, nor a list of bench/shapes" % text)
