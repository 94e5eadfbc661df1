# SPDX-License-Identifier: Apache-2.0
"""The operators of batch norm. An operator that autograd knows changes none of its arguments: that
of training returns the new running statistics, which the caller puts into place."""
from typing import Optional, Sequence, Tuple

import torch
from torch import Tensor

import halnorm

from ._define import Three, all_tensors, fake_forward, fake_gradients, mask, operator, wanted


@operator("batch_norm_training")
def batch_norm_training(input: Tensor, running_mean: Optional[Tensor],
                        running_var: Optional[Tensor], weight: Optional[Tensor],
                        bias: Optional[Tensor], momentum: float, eps: float,
                        ) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(out, mean, rstd, new running_mean, new running_var); the last of no elements where there are
    none."""
    new_mean = None if running_mean is None else running_mean.clone()
    new_var = None if running_var is None else running_var.clone()
    results = halnorm.batch_norm_forward(input, new_mean, new_var, weight, bias, momentum, eps)
    return (*results, *all_tensors((new_mean, new_var), input))


@batch_norm_training.register_fake
def _(input, running_mean, running_var, weight, bias, momentum, eps):
    channels = input.shape[1:2]
    running = [None if old is None else torch.empty_like(old)
               for old in (running_mean, running_var)]
    return (*fake_forward(input, channels, channels), *all_tensors(running, input))


@operator("batch_norm_backward")
def batch_norm_backward(grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor,
                        weight: Optional[Tensor], fixed_statistics: bool,
                        output_mask: Sequence[bool]) -> Three:
    return all_tensors(halnorm.batch_norm_backward(
        grad_output, input, mean, rstd, weight, fixed_statistics=fixed_statistics,
        output_mask=output_mask), input)


@batch_norm_backward.register_fake
def _(grad_output, input, mean, rstd, weight, fixed_statistics, output_mask):
    return fake_gradients(input, weight, input.shape[1:2], output_mask)


def _save_training(ctx, inputs, output):
    input, _, _, weight, _, _, _ = inputs
    _, mean, rstd, _, _ = output
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(input, weight, mean, rstd)


def _differentiate_training(ctx, grad_output, *_):
    input, weight, mean, rstd = ctx.saved_tensors
    return wanted(ctx, batch_norm_backward(
        grad_output, input, mean, rstd, weight, False, mask(ctx, 0, 3, 4)), 0, 3, 4)


batch_norm_training.register_autograd(_differentiate_training, setup_context=_save_training)


@operator("batch_norm_inference")
def batch_norm_inference(input: Tensor, running_mean: Tensor, running_var: Tensor,
                         weight: Optional[Tensor], bias: Optional[Tensor], eps: float) -> Tensor:
    return halnorm.batch_norm(input, running_mean, running_var, weight, bias, eps=eps)


@batch_norm_inference.register_fake
def _(input, running_mean, running_var, weight, bias, eps):
    return torch.empty_like(input)


def _save_inference(ctx, inputs, output):
    input, running_mean, running_var, weight, _, ctx.eps = inputs
    ctx.save_for_backward(input, running_mean, running_var, weight)


def _differentiate_inference(ctx, grad_output):
    input, running_mean, running_var, weight = ctx.saved_tensors
    rstd = 1 / (running_var + ctx.eps).sqrt()
    return wanted(ctx, batch_norm_backward(
        grad_output, input, running_mean, rstd, weight, True, mask(ctx, 0, 3, 4)), 0, 3, 4)


batch_norm_inference.register_autograd(_differentiate_inference, setup_context=_save_inference)
