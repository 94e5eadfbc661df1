# SPDX-License-Identifier: Apache-2.0
"""Modules that compute what those of torch.nn do, and the exchange of one for the other."""
from typing import Any, Dict, List, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ._functional import batch_norm, group_norm, instance_norm, layer_norm, rms_norm


class LayerNorm(nn.LayerNorm):
    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(nn.RMSNorm):
    def forward(self, input: Tensor) -> Tensor:
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(nn.GroupNorm):
    def forward(self, input: Tensor) -> Tensor:
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _InstanceNorm:
    def forward(self: Any, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        if input.dim() == self._get_no_batch_dim():
            return self.forward(input.unsqueeze(0)).squeeze(0)
        return instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)


class InstanceNorm1d(_InstanceNorm, nn.InstanceNorm1d):
    pass


class InstanceNorm2d(_InstanceNorm, nn.InstanceNorm2d):
    pass


class InstanceNorm3d(_InstanceNorm, nn.InstanceNorm3d):
    pass


class _BatchNorm:
    def forward(self: Any, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                # The mean of all batches.
                momentum = 1 / float(self.num_batches_tracked)
        running = self.running_mean, self.running_var
        if self.training and not self.track_running_stats:
            running = None, None
        return batch_norm(input, *running, self.weight, self.bias,
                          self.training or running[0] is None,
                          0.0 if momentum is None else momentum, self.eps)


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    pass


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    pass


class BatchNorm3d(_BatchNorm, nn.BatchNorm3d):
    pass


_REPLACEMENTS = {
    nn.LayerNorm: LayerNorm, nn.RMSNorm: RMSNorm, nn.GroupNorm: GroupNorm,
    nn.InstanceNorm1d: InstanceNorm1d, nn.InstanceNorm2d: InstanceNorm2d,
    nn.InstanceNorm3d: InstanceNorm3d, nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d,
    nn.BatchNorm3d: BatchNorm3d,
}
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class Replacement(NamedTuple):
    replaced: List[str]   # names of modules in the model, "" for the model itself
    left: Dict[str, str]  # name: why


def replace_norms(model: nn.Module) -> Replacement:
    """Makes the norms of a model run on halnorm, in place.

    Modules of torch.nn (LayerNorm, RMSNorm, GroupNorm, InstanceNorm1d to 3d, BatchNorm1d to 3d)
    keep their parameters, buffers, names, hooks and mode, and so the model its state_dict. What
    cannot be replaced exactly is left as it is, and listed with the reason.
    """
    done = Replacement([], {})
    for name, module in model.named_modules():
        replacement = _REPLACEMENTS.get(type(module))
        reason = _reason_to_leave(module)
        if reason is not None:
            done.left[name] = reason
        elif replacement is not None:
            module.__class__ = replacement
            done.replaced.append(name)
    return done


def _reason_to_leave(module: nn.Module) -> Optional[str]:
    """None for what can be replaced, and for what is no norm or replaced already."""
    kind = type(module)
    if kind not in _REPLACEMENTS:
        return None if kind in _REPLACEMENTS.values() else _reason_to_leave_class(module)
    if "forward" in vars(module):
        return "has a forward of its own"
    tensors = [*module.parameters(), *module.buffers()]
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.dtype not in _DTYPES:
            return "has parameters of %s; halnorm has float32, float16 and bfloat16" % tensor.dtype
        if tensor.device.type != "cpu":
            return "is on the device %s; this build has kernels for the CPU" % tensor.device
    if isinstance(module, _NORM_BASE):
        if module.running_var is not None and module.running_var.dtype != torch.float32:
            return ("has running statistics of %s; halnorm keeps them in float32"
                    % module.running_var.dtype)
        if isinstance(module, _INSTANCE_BASE) and module.running_mean is not None:
            return "tracks running statistics, which halnorm does for batch norm alone"
        if module.momentum is not None and not 0 <= module.momentum <= 1:
            return "has a momentum of %g; expected 0 to 1" % module.momentum
    return None


_NORM_BASE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.BatchNorm1d,
              nn.BatchNorm2d, nn.BatchNorm3d)
_INSTANCE_BASE = _NORM_BASE[:3]


def _reason_to_leave_class(module: nn.Module) -> Optional[str]:
    if isinstance(module, nn.SyncBatchNorm):
        return "SyncBatchNorm has its statistics from all processes"
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        return ("%s is not initialized; run the model once before" % type(module).__name__
                if "Norm" in type(module).__name__ else None)
    for base in _REPLACEMENTS:
        if isinstance(module, base):
            return "is a subclass of %s, which may compute something else" % base.__name__
    if "Norm" in type(module).__name__ and not any(module.children()):
        return "%s is no class that halnorm knows" % type(module).__name__
    return None
