#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The CNN with halnorm's norms beside the same with PyTorch's: outputs, gradients, loss curves.

Then what a sample's norm depends on: the same sample is normalized alone and in a batch.

    pip install -r ../requirements.txt
    python compare_norms.py
"""

import copy
import sys
from pathlib import Path

import torch
from torch import nn

from denoiser import NORMS, WIDTH, denoiser, noisy_crops, train, training_part

sys.path.append(str(Path(__file__).resolve().parent.parent))
from compare import (  # noqa: E402
    compare,
    gradients,
    greatest_difference,
    inputs_of,
    outputs,
    use_one_thread,
    with_halnorm,
)

BATCH_SIZES = (1, 2, 32)
RATE, SEED = 0.1, 0
STEPS = (10, 100)


def relative_difference(a: list[float], b: list[float]) -> float:
    x, y = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    return ((x - y).abs() / y.abs()).max().item()


def compare_curves(norm: str, batch_size: int) -> None:
    """Training losses of the same crops from the same weights, and what rounding alone changes."""
    original = denoiser(norm, SEED)
    replica, _ = with_halnorm(original)
    reference = copy.deepcopy(original).double()
    of_halnorm, of_pytorch, of_float64 = (
        train(model, batch_size, RATE, SEED, max(STEPS)).training
        for model in (replica, original, reference)
    )
    for steps in STEPS:
        halnorm, pytorch, float64 = (c[:steps] for c in (of_halnorm, of_pytorch, of_float64))
        print(f"  {norm}, batch size {batch_size}, {steps} steps:", end="")
        print(f" halnorm from PyTorch {relative_difference(halnorm, pytorch):.1e},", end="")
        print(f" from float64 {relative_difference(halnorm, float64):.1e}", end="")
        print(f" (PyTorch {relative_difference(pytorch, float64):.1e})")


def main() -> None:
    use_one_thread()
    kinds = [norm for norm in NORMS if norm != "no norm"]
    crops = noisy_crops(training_part(), max(BATCH_SIZES), torch.Generator().manual_seed(SEED))
    for norm in kinds:
        for run in outputs, gradients:
            compare(norm, denoiser(norm, SEED), crops.noisy, run)

    print("a sample alone and in a batch: greatest difference, as a share of the greatest element")
    features = inputs_of(denoiser("no norm", SEED), ["1"], crops.noisy)[0]
    alone = {}
    for norm in kinds:
        layer, _ = with_halnorm(nn.Sequential(NORMS[norm](WIDTH)))
        alone[norm] = outputs(layer, features[:1])
        in_batch = [y[:1] for y in outputs(layer, features)]
        print(f"  {norm}: {greatest_difference(in_batch, alone[norm]):.1e}")
    difference = greatest_difference(alone["BatchNorm"], alone["InstanceNorm"])
    print(f"BatchNorm of one sample from InstanceNorm: {difference:.1e}")

    print("loss curves: greatest relative difference")
    for norm in kinds:
        for batch_size in BATCH_SIZES:
            compare_curves(norm, batch_size)


if __name__ == "__main__":
    main()
