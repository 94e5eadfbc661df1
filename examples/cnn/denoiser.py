# SPDX-License-Identifier: Apache-2.0
"""A CNN that takes noise off crops of a photograph: the network, its data, its training.

After Zhang et al. 2017 (arXiv:1608.03981), smaller: convolutions with a norm and ReLU between them
predict the noise. Losses are in units of the noise's variance: at 1 nothing is gained.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parent.parent))
from photograph import astronaut  # noqa: E402

NOISE = 0.1  # standard deviation, where pixels are 0 to 1
CONTRAST = 0.25  # about that of the photograph's pixels, by which they are scaled
CROP, WIDTH, BLOCKS = 12, 16, 4
HELD_OUT_COLUMNS = 128  # the right quarter of the photograph
HELD_OUT_CROPS = 48
STEPS, STEPS_BETWEEN_CHECKS = 200, 10
MOMENTUM = 0.9


class ChannelsFirstLayerNorm(nn.Module):
    """LayerNorm of the channels of each pixel, of (N, C, H, W).

    halnorm takes the permuted view as it is, and its result has the order of the input in memory.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "no norm": lambda channels: nn.Identity(),
    "BatchNorm": nn.BatchNorm2d,
    "InstanceNorm": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "LayerNorm": ChannelsFirstLayerNorm,
}


def denoiser(norm: str, seed: int) -> nn.Sequential:
    """Convolutions with the same weights whatever the norm (He et al. 2015, arXiv:1502.01852)."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs in [3] + [WIDTH] * (BLOCKS - 1):
        convolution = nn.Conv2d(inputs, WIDTH, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)
        layers += [convolution, NORMS[norm](WIDTH), nn.ReLU()]
    last = nn.Conv2d(WIDTH, 3, 3, padding=1)
    nn.init.normal_(last.weight, 0.0, 0.01)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class Batch(NamedTuple):
    noisy: Tensor
    noise: Tensor  # in units of its standard deviation

    def loss(self, model: nn.Module) -> Tensor:
        return functional.mse_loss(model(self.noisy), self.noise)

    def to(self, dtype: torch.dtype) -> "Batch":
        return Batch(self.noisy.to(dtype), self.noise.to(dtype))


def noisy_crops(photograph: Tensor, count: int, generator: torch.Generator) -> Batch:
    corners = [
        torch.randint(extent - CROP + 1, (count,), generator=generator).tolist()
        for extent in photograph.shape[1:]
    ]
    crops = torch.stack(
        [photograph[:, y : y + CROP, x : x + CROP] for y, x in zip(*corners, strict=True)]
    )
    noise = torch.randn(crops.shape, generator=generator)
    return Batch((crops - 0.5 + NOISE * noise) / CONTRAST, noise)


def training_part() -> Tensor:
    return astronaut()[:, :, :-HELD_OUT_COLUMNS]


def held_out_crops() -> Batch:
    part = astronaut()[:, :, -HELD_OUT_COLUMNS:]
    return noisy_crops(part, HELD_OUT_CROPS, torch.Generator().manual_seed(2**31))


class Curves(NamedTuple):
    training: list[float]  # of each step, before it
    held_out: list[float]  # at steps 0, STEPS_BETWEEN_CHECKS ...; as at inference


def train(model: nn.Module, batch_size: int, rate: float, seed: int, steps: int = STEPS) -> Curves:
    """Descends in place. The crops and their noise depend on seed and batch_size alone."""
    dtype = next(model.parameters()).dtype
    photograph, held_out = training_part(), held_out_crops().to(dtype)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), rate, MOMENTUM)
    curves = Curves([], [])
    for step in range(steps + 1):
        if step % STEPS_BETWEEN_CHECKS == 0:
            model.eval()
            with torch.no_grad():
                curves.held_out.append(held_out.loss(model).item())
            model.train()
        if step == steps:
            break
        loss = noisy_crops(photograph, batch_size, generator).to(dtype).loss(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curves.training.append(loss.item())
    return curves
