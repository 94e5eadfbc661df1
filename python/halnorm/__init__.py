# SPDX-License-Identifier: Apache-2.0
"""Normalization for arrays in memory: layer, RMS, instance, group and batch norm, and backward.

The functions have the names and the order of arguments of torch.nn.functional, and take arrays of
any library with DLPack (numpy, PyTorch, JAX ...) without a copy. Results are new arrays of the kind
of `input`, with its order in memory, unless `out` is given. All may be float32, float16 or
bfloat16; parameters have the dtype of `input` or float32; statistics are float32. Strides may be
any. The same call gives the same bits on every processor and for any number of threads.

`weight` and `bias` may be None: 1 and 0. With `zero_centered_weight` the scale is 1 + weight, as
Gemma has it. `out` may be `input` itself. `mean` and `rstd` are those of the formula

    out = (input - mean) * rstd * weight + bias        rstd = 1 / sqrt(var + eps)

The `*_forward` functions return them besides, for the `*_backward` ones; of the gradients these
return, those that `output_mask` leaves out are None. Gradients of weight and bias have the dtype of
weight, or without weight that of input.

Arguments are checked before anything is written: ValueError for what has no meaning, TypeError for
what is no array, NotImplementedError for what this build or this machine has no kernel for.
PyTorch's autograd is in halnorm.torch.
"""
from typing import Any, Optional, Protocol, Sequence, Tuple, TypeVar, Union

from . import _calls, _halnorm
from ._calls import (get_num_threads, get_target, last_kernel, set_num_threads, set_target,
                     targets)

__version__: str = _halnorm.__version__


class SupportsDLPack(Protocol):
    @property
    def shape(self) -> Any: ...
    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> Any: ...


Array = TypeVar("Array", bound=SupportsDLPack)
Gradients = Tuple[Optional[Array], Optional[Array], Optional[Array]]
_ALL = (True, True, True)

__all__ = [
    "batch_norm", "batch_norm_backward", "batch_norm_forward", "get_num_threads", "get_target",
    "group_norm", "group_norm_backward", "group_norm_forward", "instance_norm",
    "instance_norm_backward", "instance_norm_forward", "last_kernel", "layer_norm",
    "layer_norm_backward", "layer_norm_forward", "rms_norm", "rms_norm_backward",
    "rms_norm_forward", "set_num_threads", "set_target", "targets",
]

def _split(input: Any, normalized_shape: Union[int, Sequence[int]]) -> Tuple[int, ...]:
    """The dimensions that are kept, after a check of those that are normalized."""
    shape = _calls.shape_of(input)
    normalized = ((normalized_shape,) if isinstance(normalized_shape, int)
                  else tuple(normalized_shape))
    kept = len(shape) - len(normalized)
    if not normalized or kept < 0 or shape[kept:] != normalized:
        raise ValueError("normalized_shape: is %s; expected the last dimensions of input, whose "
                         "shape is %s" % (list(normalized), list(shape)))
    return shape[:kept]


def _channels(input: Any) -> Tuple[int, ...]:
    """(C), or () where input has no channels, which the C API then refuses."""
    return _calls.shape_of(input)[1:2]


def layer_norm(input: Array, normalized_shape: Union[int, Sequence[int]],
               weight: Optional[SupportsDLPack] = None, bias: Optional[SupportsDLPack] = None,
               eps: float = 1e-5, *, zero_centered_weight: bool = False,
               out: Optional[Array] = None) -> Array:
    """Layer normalization over the last dimensions, which are `normalized_shape`.

    input, out: (*, *normalized_shape); weight, bias: normalized_shape.
    """
    axis = len(_split(input, normalized_shape))
    return _calls.forward(_halnorm.layer_norm, input, (weight, bias, axis, eps), out, (None, None),
                          zero_centered_weight)


def layer_norm_forward(input: Array, normalized_shape: Union[int, Sequence[int]],
                       weight: Optional[SupportsDLPack] = None,
                       bias: Optional[SupportsDLPack] = None, eps: float = 1e-5, *,
                       zero_centered_weight: bool = False,
                       out: Optional[Array] = None) -> Tuple[Array, Array, Array]:
    """layer_norm, as (out, mean, rstd); mean, rstd: (*), the dimensions before."""
    kept = _split(input, normalized_shape)
    return _calls.forward(_halnorm.layer_norm, input, (weight, bias, len(kept), eps), out,
                          (kept, kept), zero_centered_weight)


def layer_norm_backward(grad_output: SupportsDLPack, input: Array,
                        normalized_shape: Union[int, Sequence[int]], mean: SupportsDLPack,
                        rstd: SupportsDLPack, weight: Optional[SupportsDLPack] = None, *,
                        zero_centered_weight: bool = False,
                        output_mask: Sequence[bool] = _ALL) -> Gradients[Array]:
    """The gradients (grad_input, grad_weight, grad_bias) of layer_norm.

    grad_output, grad_input: the shape of input; grad_weight, grad_bias: normalized_shape.
    """
    kept = _split(input, normalized_shape)
    return _calls.backward(_halnorm.layer_norm_backward, grad_output, input, weight, (mean, rstd),
                           (len(kept),), _calls.shape_of(input)[len(kept):], output_mask,
                           _calls.zero_centered_flag(zero_centered_weight))


def rms_norm(input: Array, normalized_shape: Union[int, Sequence[int]],
             weight: Optional[SupportsDLPack] = None, eps: Optional[float] = None, *,
             zero_centered_weight: bool = False, out: Optional[Array] = None) -> Array:
    """Root mean square normalization: mean is 0, and there is no bias.

    input, out: (*, *normalized_shape); weight: normalized_shape. An eps of None is the distance
    from 1 to the next float32.
    """
    axis = len(_split(input, normalized_shape))
    return _calls.forward(_halnorm.rms_norm, input, (weight, axis, _calls.rms_eps(eps)), out,
                          (None,), zero_centered_weight)


def rms_norm_forward(input: Array, normalized_shape: Union[int, Sequence[int]],
                     weight: Optional[SupportsDLPack] = None, eps: Optional[float] = None, *,
                     zero_centered_weight: bool = False,
                     out: Optional[Array] = None) -> Tuple[Array, Array]:
    """rms_norm, as (out, rstd); rstd: (*), the dimensions before."""
    kept = _split(input, normalized_shape)
    return _calls.forward(_halnorm.rms_norm, input, (weight, len(kept), _calls.rms_eps(eps)), out,
                          (kept,), zero_centered_weight)


def rms_norm_backward(grad_output: SupportsDLPack, input: Array,
                      normalized_shape: Union[int, Sequence[int]], rstd: SupportsDLPack,
                      weight: Optional[SupportsDLPack] = None, *,
                      zero_centered_weight: bool = False,
                      output_mask: Sequence[bool] = (True, True),
                      ) -> Tuple[Optional[Array], Optional[Array]]:
    """The gradients (grad_input, grad_weight) of rms_norm.

    grad_output, grad_input: the shape of input; grad_weight: normalized_shape.
    """
    kept = _split(input, normalized_shape)
    return _calls.backward(_halnorm.rms_norm_backward, grad_output, input, weight, (rstd,),
                           (len(kept),), _calls.shape_of(input)[len(kept):], output_mask,
                           _calls.zero_centered_flag(zero_centered_weight))


def instance_norm(input: Array, running_mean: Optional[SupportsDLPack] = None,
                  running_var: Optional[SupportsDLPack] = None,
                  weight: Optional[SupportsDLPack] = None,
                  bias: Optional[SupportsDLPack] = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5, *,
                  zero_centered_weight: bool = False, out: Optional[Array] = None) -> Array:
    """Instance normalization: a channel of a sample has its own statistics.

    input, out: (N, C, d1, ...); weight, bias, running_mean, running_var: (C). With
    use_input_stats=False the running statistics take the place of the input's, as in batch_norm.
    Updating them is not supported, and momentum of no effect.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps,
                          zero_centered_weight=zero_centered_weight, out=out)
    if running_mean is not None or running_var is not None:
        raise NotImplementedError("running_mean, running_var: are given with "
                                  "use_input_stats=True, which would update them; expected None")
    return _calls.forward(_halnorm.instance_norm, input, (weight, bias, eps), out, (None, None),
                          zero_centered_weight)


def instance_norm_forward(input: Array, weight: Optional[SupportsDLPack] = None,
                          bias: Optional[SupportsDLPack] = None, eps: float = 1e-5, *,
                          zero_centered_weight: bool = False,
                          out: Optional[Array] = None) -> Tuple[Array, Array, Array]:
    """instance_norm of the input's statistics, as (out, mean, rstd); mean, rstd: (N, C)."""
    shape = _calls.shape_of(input)[:2]
    return _calls.forward(_halnorm.instance_norm, input, (weight, bias, eps), out, (shape, shape),
                          zero_centered_weight)


def instance_norm_backward(grad_output: SupportsDLPack, input: Array, mean: SupportsDLPack,
                           rstd: SupportsDLPack, weight: Optional[SupportsDLPack] = None, *,
                           zero_centered_weight: bool = False,
                           output_mask: Sequence[bool] = _ALL) -> Gradients[Array]:
    """The gradients (grad_input, grad_weight, grad_bias) of instance_norm.

    grad_output, grad_input: the shape of input; grad_weight, grad_bias: (C).
    """
    return _calls.backward(_halnorm.instance_norm_backward, grad_output, input, weight,
                           (mean, rstd), (), _channels(input), output_mask,
                           _calls.zero_centered_flag(zero_centered_weight))


def group_norm(input: Array, num_groups: int, weight: Optional[SupportsDLPack] = None,
               bias: Optional[SupportsDLPack] = None, eps: float = 1e-5, *,
               zero_centered_weight: bool = False, out: Optional[Array] = None) -> Array:
    """Group normalization: C / num_groups adjacent channels of a sample have common statistics.

    input, out: (N, C, *); weight, bias: (C).
    """
    return _calls.forward(_halnorm.group_norm, input, (weight, bias, num_groups, eps), out,
                          (None, None), zero_centered_weight)


def group_norm_forward(input: Array, num_groups: int, weight: Optional[SupportsDLPack] = None,
                       bias: Optional[SupportsDLPack] = None, eps: float = 1e-5, *,
                       zero_centered_weight: bool = False,
                       out: Optional[Array] = None) -> Tuple[Array, Array, Array]:
    """group_norm, as (out, mean, rstd); mean, rstd: (N, num_groups)."""
    shape = (*_calls.shape_of(input)[:1], max(num_groups, 0))
    return _calls.forward(_halnorm.group_norm, input, (weight, bias, num_groups, eps), out,
                          (shape, shape), zero_centered_weight)


def group_norm_backward(grad_output: SupportsDLPack, input: Array, num_groups: int,
                        mean: SupportsDLPack, rstd: SupportsDLPack,
                        weight: Optional[SupportsDLPack] = None, *,
                        zero_centered_weight: bool = False,
                        output_mask: Sequence[bool] = _ALL) -> Gradients[Array]:
    """The gradients (grad_input, grad_weight, grad_bias) of group_norm.

    grad_output, grad_input: the shape of input; grad_weight, grad_bias: (C).
    """
    return _calls.backward(_halnorm.group_norm_backward, grad_output, input, weight,
                           (mean, rstd), (num_groups,), _channels(input), output_mask,
                           _calls.zero_centered_flag(zero_centered_weight))


def batch_norm(input: Array, running_mean: Optional[SupportsDLPack],
               running_var: Optional[SupportsDLPack], weight: Optional[SupportsDLPack] = None,
               bias: Optional[SupportsDLPack] = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5, *, zero_centered_weight: bool = False,
               out: Optional[Array] = None) -> Array:
    """Batch normalization: a channel of all samples has its statistics.

    input, out: (N, C, *); weight, bias: (C); running_mean, running_var: (C), float32. Without
    training, the running statistics are those that normalize. In training, those of the input do,
    and the running ones, if there are any, are updated in place to
    (1 - momentum) * running + momentum * new, where the new variance is the unbiased one.
    """
    if training:
        return _train(input, running_mean, running_var, weight, bias, momentum, eps, out,
                      (None, None), zero_centered_weight)
    return _calls.forward(_halnorm.batch_norm_inference, input,
                          (weight, bias, running_mean, running_var, eps), out, (),
                          zero_centered_weight)


def batch_norm_forward(input: Array, running_mean: Optional[SupportsDLPack] = None,
                       running_var: Optional[SupportsDLPack] = None,
                       weight: Optional[SupportsDLPack] = None,
                       bias: Optional[SupportsDLPack] = None, momentum: float = 0.1,
                       eps: float = 1e-5, *, zero_centered_weight: bool = False,
                       out: Optional[Array] = None) -> Tuple[Array, Array, Array]:
    """batch_norm in training, as (out, mean, rstd); mean, rstd: (C)."""
    shape = _channels(input)
    return _train(input, running_mean, running_var, weight, bias, momentum, eps, out,
                  (shape, shape), zero_centered_weight)


def _train(input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
           momentum: float, eps: float, out: Any,
           statistics: Sequence[Optional[Tuple[int, ...]]], zero_centered_weight: bool) -> Any:
    _calls.refuse_immutable("running_mean", running_mean)
    _calls.refuse_immutable("running_var", running_var)
    return _calls.forward(_halnorm.batch_norm_training, input,
                          (weight, bias, eps, momentum, running_mean, running_var), out,
                          statistics, zero_centered_weight)


def batch_norm_backward(grad_output: SupportsDLPack, input: Array, mean: SupportsDLPack,
                        rstd: SupportsDLPack, weight: Optional[SupportsDLPack] = None, *,
                        fixed_statistics: bool = False, zero_centered_weight: bool = False,
                        output_mask: Sequence[bool] = _ALL) -> Gradients[Array]:
    """The gradients (grad_input, grad_weight, grad_bias) of batch_norm.

    grad_output, grad_input: the shape of input; grad_weight, grad_bias: (C). With
    fixed_statistics, those of batch_norm without training: mean is running_mean and rstd
    1 / sqrt(running_var + eps), and neither depends on input.
    """
    flags = _calls.zero_centered_flag(zero_centered_weight)
    if fixed_statistics:
        flags |= _halnorm.FIXED_STATISTICS
    return _calls.backward(_halnorm.batch_norm_backward, grad_output, input, weight,
                           (mean, rstd), (), _channels(input), output_mask, flags)
