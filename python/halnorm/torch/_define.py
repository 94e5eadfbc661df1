# SPDX-License-Identifier: Apache-2.0
"""What the definitions of the operators have in common."""
from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

Three = Tuple[Tensor, Tensor, Tensor]


def operator(name: str) -> Any:
    return torch.library.custom_op("halnorm::" + name, mutates_args=(), device_types="cpu")


def all_tensors(gradients: Sequence[Optional[Tensor]], input: Tensor) -> Any:
    """With a tensor of no elements for each None, which an operator cannot return."""
    return tuple(input.new_empty(0) if gradient is None else gradient for gradient in gradients)


def fake_forward(input: Tensor, *statistics: Sequence[int]) -> Any:
    return (torch.empty_like(input),
            *(input.new_empty(shape, dtype=torch.float32) for shape in statistics))


def fake_gradients(input: Tensor, weight: Optional[Tensor], parameter_shape: Sequence[int],
                    output_mask: Sequence[bool]) -> Any:
    like = input if weight is None else weight
    gradients = [torch.empty_like(input) if output_mask[0] else None]
    gradients += [like.new_empty(parameter_shape) if wanted else None
                  for wanted in output_mask[1:]]
    return all_tensors(gradients, input)


def wanted(ctx: Any, gradients: Sequence[Tensor], *places: int) -> Any:
    """The gradients at their places among all inputs of the forward, None at the others."""
    result: List[Optional[Tensor]] = [None] * len(ctx.needs_input_grad)
    for place, gradient in zip(places, gradients):
        if ctx.needs_input_grad[place]:
            result[place] = gradient
    return tuple(result)


def mask(ctx: Any, *places: int) -> Any:
    return [ctx.needs_input_grad[place] for place in places]
