# SPDX-License-Identifier: Apache-2.0
"""The operators torch.ops.halnorm: pure functions with fake tensors and autograd."""
from typing import Optional, Sequence, Tuple

from torch import Tensor

import halnorm

from ._define import Three, all_tensors, fake_forward, fake_gradients, mask, operator, wanted


@operator("layer_norm")
def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Optional[Tensor],
               bias: Optional[Tensor], eps: float) -> Three:
    return halnorm.layer_norm_forward(input, normalized_shape, weight, bias, eps)


@layer_norm.register_fake
def _(input, normalized_shape, weight, bias, eps):
    kept = input.shape[:input.dim() - len(normalized_shape)]
    return fake_forward(input, kept, kept)


@operator("layer_norm_backward")
def layer_norm_backward(grad_output: Tensor, input: Tensor, normalized_shape: Sequence[int],
                        mean: Tensor, rstd: Tensor, weight: Optional[Tensor],
                        output_mask: Sequence[bool]) -> Three:
    return all_tensors(halnorm.layer_norm_backward(
        grad_output, input, normalized_shape, mean, rstd, weight, output_mask=output_mask), input)


@layer_norm_backward.register_fake
def _(grad_output, input, normalized_shape, mean, rstd, weight, output_mask):
    return fake_gradients(input, weight, normalized_shape, output_mask)


def _save_layer_norm(ctx, inputs, output):
    input, ctx.normalized_shape, weight, _, _ = inputs
    _, mean, rstd = output
    ctx.mark_non_differentiable(mean, rstd)
    ctx.save_for_backward(input, weight, mean, rstd)


def _differentiate_layer_norm(ctx, grad_output, *_):
    input, weight, mean, rstd = ctx.saved_tensors
    return wanted(ctx, layer_norm_backward(
        grad_output, input, ctx.normalized_shape, mean, rstd, weight,
        mask(ctx, 0, 2, 3)), 0, 2, 3)


layer_norm.register_autograd(_differentiate_layer_norm, setup_context=_save_layer_norm)


@operator("rms_norm")
def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Optional[Tensor],
             eps: float) -> Tuple[Tensor, Tensor]:
    return halnorm.rms_norm_forward(input, normalized_shape, weight, eps)


@rms_norm.register_fake
def _(input, normalized_shape, weight, eps):
    return fake_forward(input, input.shape[:input.dim() - len(normalized_shape)])


@operator("rms_norm_backward")
def rms_norm_backward(grad_output: Tensor, input: Tensor, normalized_shape: Sequence[int],
                      rstd: Tensor, weight: Optional[Tensor],
                      output_mask: Sequence[bool]) -> Tuple[Tensor, Tensor]:
    return all_tensors(halnorm.rms_norm_backward(
        grad_output, input, normalized_shape, rstd, weight, output_mask=output_mask), input)


@rms_norm_backward.register_fake
def _(grad_output, input, normalized_shape, rstd, weight, output_mask):
    return fake_gradients(input, weight, normalized_shape, output_mask)


def _save_rms_norm(ctx, inputs, output):
    input, ctx.normalized_shape, weight, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(input, weight, output[1])


def _differentiate_rms_norm(ctx, grad_output, _):
    input, weight, rstd = ctx.saved_tensors
    return wanted(ctx, rms_norm_backward(
        grad_output, input, ctx.normalized_shape, rstd, weight, mask(ctx, 0, 2)), 0, 2)


rms_norm.register_autograd(_differentiate_rms_norm, setup_context=_save_rms_norm)


@operator("instance_norm")
def instance_norm(input: Tensor, weight: Optional[Tensor], bias: Optional[Tensor],
                  eps: float) -> Three:
    return halnorm.instance_norm_forward(input, weight, bias, eps)


@instance_norm.register_fake
def _(input, weight, bias, eps):
    return fake_forward(input, input.shape[:2], input.shape[:2])


@operator("instance_norm_backward")
def instance_norm_backward(grad_output: Tensor, input: Tensor, mean: Tensor, rstd: Tensor,
                           weight: Optional[Tensor], output_mask: Sequence[bool]) -> Three:
    return all_tensors(halnorm.instance_norm_backward(
        grad_output, input, mean, rstd, weight, output_mask=output_mask), input)


@instance_norm_backward.register_fake
def _(grad_output, input, mean, rstd, weight, output_mask):
    return fake_gradients(input, weight, input.shape[1:2], output_mask)


def _save_instance_norm(ctx, inputs, output):
    input, weight, _, _ = inputs
    _, mean, rstd = output
    ctx.mark_non_differentiable(mean, rstd)
    ctx.save_for_backward(input, weight, mean, rstd)


def _differentiate_instance_norm(ctx, grad_output, *_):
    input, weight, mean, rstd = ctx.saved_tensors
    return wanted(ctx, instance_norm_backward(
        grad_output, input, mean, rstd, weight, mask(ctx, 0, 1, 2)), 0, 1, 2)


instance_norm.register_autograd(_differentiate_instance_norm, setup_context=_save_instance_norm)


@operator("group_norm")
def group_norm(input: Tensor, num_groups: int, weight: Optional[Tensor], bias: Optional[Tensor],
               eps: float) -> Three:
    return halnorm.group_norm_forward(input, num_groups, weight, bias, eps)


@group_norm.register_fake
def _(input, num_groups, weight, bias, eps):
    shape = (input.shape[0], num_groups)
    return fake_forward(input, shape, shape)


@operator("group_norm_backward")
def group_norm_backward(grad_output: Tensor, input: Tensor, num_groups: int, mean: Tensor,
                        rstd: Tensor, weight: Optional[Tensor],
                        output_mask: Sequence[bool]) -> Three:
    return all_tensors(halnorm.group_norm_backward(
        grad_output, input, num_groups, mean, rstd, weight, output_mask=output_mask), input)


@group_norm_backward.register_fake
def _(grad_output, input, num_groups, mean, rstd, weight, output_mask):
    return fake_gradients(input, weight, input.shape[1:2], output_mask)


def _save_group_norm(ctx, inputs, output):
    input, ctx.num_groups, weight, _, _ = inputs
    _, mean, rstd = output
    ctx.mark_non_differentiable(mean, rstd)
    ctx.save_for_backward(input, weight, mean, rstd)


def _differentiate_group_norm(ctx, grad_output, *_):
    input, weight, mean, rstd = ctx.saved_tensors
    return wanted(ctx, group_norm_backward(
        grad_output, input, ctx.num_groups, mean, rstd, weight,
        mask(ctx, 0, 2, 3)), 0, 2, 3)


group_norm.register_autograd(_differentiate_group_norm, setup_context=_save_group_norm)
