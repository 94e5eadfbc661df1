#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A block of a vision transformer on patches of a photograph, its LayerNorms replaced by halnorm's.

The size is that of ViT-B/16 (Dosovitskiy et al. 2020, arXiv:2010.11929, equations 1 to 4 and table
1): patches of 16 x 16 pixels and a class token, 768 wide. The weights are drawn from a seed and not
trained, those of the norms too, so that scale and shift matter.

    pip install -r ../requirements.txt
    python vision_transformer_block.py
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parent.parent))
from compare import compare, use_one_thread  # noqa: E402
from photograph import astronaut  # noqa: E402

IMAGE, PATCH, WIDTH, HEADS, INNER = 224, 16, 768, 12, 3072
EPS = 1e-6  # of the authors' code


class PatchTokens(nn.Module):
    """Images (N, 3, IMAGE, IMAGE) to tokens (N, 1 + patches, WIDTH): equation 1."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
        self.class_token = nn.Parameter(0.02 * torch.randn(WIDTH))
        self.positions = nn.Parameter(0.02 * torch.randn(1 + (IMAGE // PATCH) ** 2, WIDTH))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.projection(images).flatten(2).transpose(1, 2)
        class_tokens = self.class_token.expand(len(images), 1, WIDTH)
        return torch.cat((class_tokens, patches), dim=1) + self.positions


class Block(nn.Module):
    """Equations 2 and 3: the norms come before attention and MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, EPS)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.projection = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, EPS)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, INNER), nn.GELU(), nn.Linear(INNER, WIDTH))

    def attention(self, x: Tensor) -> Tensor:
        heads = self.query_key_value(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        context = functional.scaled_dot_product_attention(*heads)
        return self.projection(context.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def vision_transformer_block() -> nn.Sequential:
    """From images to all tokens, through the norm of equation 4."""
    model = nn.Sequential(PatchTokens(), Block(), nn.LayerNorm(WIDTH, EPS))
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1.0, 0.1)
            nn.init.normal_(module.bias, 0.0, 0.1)
    return model.eval()


def main() -> None:
    use_one_thread()
    torch.manual_seed(0)
    model = vision_transformer_block()
    photograph = 2 * astronaut() - 1  # -1 to 1, as the authors train
    whole = functional.interpolate(photograph[None], IMAGE, mode="bilinear", antialias=True)
    corners = [
        photograph[:, y, x]
        for y in (slice(IMAGE), slice(-IMAGE, None))
        for x in (slice(IMAGE), slice(-IMAGE, None))
    ]
    compare("the whole photograph", model, whole)
    compare("its four corners", model, torch.stack(corners))


if __name__ == "__main__":
    main()
