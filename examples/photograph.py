# SPDX-License-Identifier: Apache-2.0
"""The photograph that the examples run on."""

import skimage.data
import torch
from torch import Tensor


def astronaut() -> Tensor:
    """By NASA, in the public domain, carried by scikit-image: (3, 512, 512), 0 to 1."""
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
