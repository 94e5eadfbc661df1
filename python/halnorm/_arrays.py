# SPDX-License-Identifier: Apache-2.0
"""How arrays of each framework are made, so that a result is of the kind of its input."""
import functools
import sys
from typing import Any, Callable, NamedTuple, Optional, Tuple

from . import _halnorm


class Kind(NamedTuple):
    # (like, shape, float32): a new array to write to; shape None is the shape of `like`, with its
    # order in memory; its dtype is that of `like`, or float32.
    new: Callable[[Any, Optional[Tuple[int, ...]], bool], Any]
    # (like, array): the array as the caller gets it.
    hand_over: Callable[[Any, Any], Any]
    # What is passed to the extension in place of the array; None: the array.
    lend: Optional[Callable[[Any], Any]] = None
    # Its arrays never change, although DLPack hands over their memory.
    immutable: bool = False


def _new_numpy(like: Any, shape: Optional[Tuple[int, ...]], float32: bool) -> Any:
    numpy = sys.modules["numpy"]
    if shape is None:
        return numpy.empty_like(like, subok=False)
    return numpy.empty(shape, "float32" if float32 else like.dtype)


def _new_torch(like: Any, shape: Optional[Tuple[int, ...]], float32: bool) -> Any:
    torch = sys.modules["torch"]
    if shape is None:
        return torch.empty_like(like)
    return like.new_empty(shape, dtype=torch.float32 if float32 else like.dtype)


def _lend_torch(tensor: Any) -> Any:
    # A tenth of the time of Tensor.__dlpack__(), which also refuses what requires grad.
    if tensor.is_neg():
        raise TypeError("a tensor has its sign elsewhere; expected tensor.resolve_neg()")
    return sys.modules["torch"].utils.dlpack.to_dlpack(tensor)


def _new_buffer(like: Any, shape: Optional[Tuple[int, ...]], float32: bool) -> Any:
    return _halnorm.empty(like, list(like.shape if shape is None else shape), float32)


def _from_dlpack(like: Any, array: Any) -> Any:
    # Of the array API standard; an array without it gets one that has DLPack and a buffer.
    namespace = getattr(like, "__array_namespace__", None)
    return namespace().from_dlpack(array) if namespace else array


def _as_it_is(_: Any, array: Any) -> Any:
    return array


_KINDS = {
    "numpy": Kind(_new_numpy, _as_it_is),
    "torch": Kind(_new_torch, _as_it_is, _lend_torch),
    "jaxlib": Kind(_new_buffer, _from_dlpack, immutable=True),
}
_OTHER = Kind(_new_buffer, _from_dlpack)


@functools.lru_cache(maxsize=64)
def _framework(array_type: type) -> str:
    """The first module of a type or its bases that is a framework's, or ""."""
    roots = (base.__module__.partition(".")[0] for base in array_type.__mro__)
    return next((root for root in roots if root in _KINDS), "")


def kind_of(array: Any) -> Kind:
    return _KINDS.get(_framework(type(array)), _OTHER)


def lend(argument: Any) -> Any:
    kind = kind_of(argument)
    return argument if kind.lend is None else kind.lend(argument)


def refuse_immutable(name: str, array: Any) -> None:
    if kind_of(array).immutable:
        raise TypeError("%s: is of type %s, which never changes; expected an array that may be "
                        "written to" % (name, type(array).__name__))


def refuse_gradients(arrays: Tuple[Any, ...]) -> None:
    """Autograd would not see what is done here to the tensors' memory."""
    for array in arrays:
        if getattr(array, "requires_grad", False) and sys.modules["torch"].is_grad_enabled():
            raise ValueError("a tensor requires grad, which the functions of halnorm do not "
                             "track; use those of halnorm.torch, torch.no_grad() or detach()")
