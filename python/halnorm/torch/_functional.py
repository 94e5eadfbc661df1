# SPDX-License-Identifier: Apache-2.0
"""The functions of torch.nn.functional on halnorm's operators."""
from typing import Optional, Sequence

from torch import Tensor

from halnorm._calls import rms_eps

from . import _batch_norm, _operators


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None, eps: float = 1e-5) -> Tensor:
    """input, result: (*, *normalized_shape); weight, bias: normalized_shape."""
    return _operators.layer_norm(input, normalized_shape, weight, bias, eps)[0]


def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Optional[Tensor] = None,
             eps: Optional[float] = None) -> Tensor:
    """input, result: (*, *normalized_shape); weight: normalized_shape."""
    return _operators.rms_norm(input, normalized_shape, weight, rms_eps(eps))[0]


def group_norm(input: Tensor, num_groups: int, weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None, eps: float = 1e-5) -> Tensor:
    """input, result: (N, C, *); weight, bias: (C)."""
    return _operators.group_norm(input, num_groups, weight, bias, eps)[0]


def instance_norm(input: Tensor, running_mean: Optional[Tensor] = None,
                  running_var: Optional[Tensor] = None, weight: Optional[Tensor] = None,
                  bias: Optional[Tensor] = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """input, result: (N, C, d1, ...); all others: (C). Running statistics cannot be updated: they
    are for use_input_stats=False."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    if running_mean is not None or running_var is not None:
        raise NotImplementedError("running_mean, running_var: are given with "
                                  "use_input_stats=True, which would update them; expected None")
    return _operators.instance_norm(input, weight, bias, eps)[0]


def batch_norm(input: Tensor, running_mean: Optional[Tensor], running_var: Optional[Tensor],
               weight: Optional[Tensor] = None, bias: Optional[Tensor] = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """input, result: (N, C, *); all others: (C). In training the running statistics, float32, are
    updated in place."""
    if not training:
        return _batch_norm.batch_norm_inference(input, running_mean, running_var, weight, bias,
                                                eps)
    result, _, _, new_mean, new_var = _batch_norm.batch_norm_training(
        input, running_mean, running_var, weight, bias, momentum, eps)
    if running_mean is not None and running_var is not None:
        running_mean.copy_(new_mean)
        running_var.copy_(new_var)
    return result
