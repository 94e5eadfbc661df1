# SPDX-License-Identifier: Apache-2.0
"""What the functions have in common: the settings of calls, their results, their errors."""
import re
from typing import Any, Dict, Optional, Sequence, Tuple

from . import _halnorm
from ._arrays import kind_of, lend, refuse_gradients, refuse_immutable

# What the C API calls in its messages what has another name here.
_NAMES = {"x": "input", "gamma": "weight", "beta": "bias", "y": "out", "dy": "grad_output",
          "dx": "grad_input", "dgamma": "grad_weight", "dbeta": "grad_bias",
          "groups": "num_groups", "n": "num_threads"}
_NAME = re.compile(r"\b(%s)\b" % "|".join(_NAMES))


def _checked(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (ValueError, TypeError, NotImplementedError, MemoryError, RuntimeError) as error:
        message = _NAME.sub(lambda name: _NAMES[name[0]], str(error))
        raise type(error)(message) from None


# Replaced by another, never changed: a call on another thread may be under way with it.
_context = _halnorm.Context(None, 0)


def set_num_threads(num_threads: int) -> None:
    """Calls from now on run on at most so many threads; 0, and at first: all CPUs."""
    global _context
    _context = _checked(_halnorm.Context, _context.target, num_threads)


def get_num_threads() -> int:
    """What set_num_threads was given; 0 at first."""
    return _context.num_threads


def set_target(name: Optional[str]) -> None:
    """Calls from now on use the kernels of this target; None, and at first: the best that the
    machine can run, or that of the environment variable HALNORM_TARGET."""
    global _context
    _context = _checked(_halnorm.Context, name, _context.num_threads)


def get_target() -> Optional[str]:
    """What set_target was given; None at first."""
    return _context.target


def targets() -> Dict[str, bool]:
    """The targets of this build, best first, and whether this machine can run each."""
    return _halnorm.targets()


def last_kernel() -> str:
    """The kernel that this thread's last call ran: its target and schedule stand in its name."""
    return _halnorm.last_kernel()


def run(function: Any, *arguments: Any) -> None:
    refuse_gradients(arguments)
    _checked(function, _context, *map(lend, arguments))


def shape_of(input: Any) -> Tuple[int, ...]:
    """The shape of what has one; the extension sees to it that it is an array."""
    if not hasattr(input, "shape"):
        raise TypeError("input: is of type %s; expected an array that DLPack hands over"
                        % type(input).__name__)
    return tuple(input.shape)


def rms_eps(eps: Optional[float]) -> float:
    """torch.nn.functional.rms_norm has the epsilon of float32 for all dtypes."""
    return 2.0 ** -23 if eps is None else eps


def zero_centered_flag(zero_centered_weight: bool) -> int:
    return _halnorm.ZERO_CENTERED_GAMMA if zero_centered_weight else 0


def forward(function: Any, input: Any, parameters: Sequence[Any], out: Any,
            statistics: Sequence[Optional[Tuple[int, ...]]], zero_centered_weight: bool) -> Any:
    """Calls function(input, *parameters, out, *statistics, flags); `statistics` are the shapes,
    None what is not wanted. Returns all that was."""
    shape_of(input)
    refuse_immutable("out", out)
    kind = kind_of(input)
    y = kind.new(input, None, False) if out is None else out
    saved = [None if shape is None else kind.new(input, shape, True) for shape in statistics]
    run(function, input, *parameters, y, *saved, zero_centered_flag(zero_centered_weight))
    y = kind.hand_over(input, y) if out is None else out
    wanted = [kind.hand_over(input, array) for array in saved if array is not None]
    return (y, *wanted) if wanted else y


def backward(function: Any, grad_output: Any, input: Any, weight: Any,
             statistics: Sequence[Any], number: Sequence[int], parameter_shape: Tuple[int, ...],
             output_mask: Sequence[bool], flags: int) -> Any:
    """Calls function(grad_output, input, weight, *statistics, *number, *gradients, flags)."""
    kind = kind_of(input)
    like = input if weight is None else weight
    gradients = [kind.new(input, None, False) if output_mask[0] else None]
    gradients += [kind_of(like).new(like, parameter_shape, False) if wanted else None
                  for wanted in output_mask[1:]]
    run(function, grad_output, input, weight, *statistics, *number, *gradients, flags)
    return tuple(None if array is None else kind.hand_over(input, array) for array in gradients)
