# SPDX-License-Identifier: Apache-2.0
"""halnorm in PyTorch: operators with autograd, and modules that take the place of torch.nn's.

The functions have the names and arguments of torch.nn.functional; torch.compile takes them without
breaking the graph. `replace_norms` puts them into a model. CPU tensors only.
"""
import torch

if not hasattr(torch.library, "custom_op"):
    raise ImportError("halnorm.torch needs PyTorch 2.4 or newer; this is %s" % torch.__version__)

from ._functional import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from ._modules import Replacement, replace_norms

__all__ = ["Replacement", "batch_norm", "group_norm", "instance_norm", "layer_norm",
           "replace_norms", "rms_norm"]
