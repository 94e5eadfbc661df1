#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the CNN on halnorm with each norm, batch size and learning rate, and draws the losses.

The curves go to a file as they are done. Run again, the script goes on from there; a change of the
network wants a new file.

    pip install -r ../requirements.txt
    python train.py
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from denoiser import NORMS, STEPS_BETWEEN_CHECKS, Curves, denoiser, train

EXAMPLES = Path(__file__).resolve().parent.parent
sys.path.append(str(EXAMPLES))
from compare import use_one_thread, with_halnorm  # noqa: E402

CURVES = EXAMPLES.parent / "build" / "cnn_curves.json"
FIGURE = EXAMPLES / "cnn" / "curves.png"
BATCH_SIZES = (1, 2, 32)
RATES = (0.1,)
SEEDS = range(3)
LAST_STEPS = 30
COLORS = {"no norm": "0.4", "BatchNorm": "C0", "InstanceNorm": "C1", "LayerNorm": "C2"}
SHOWN = (0.1, 5.0)  # of losses in the figure


def train_all(path: Path) -> dict[str, Curves]:
    done = {}
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        done = {key: Curves(**curves) for key, curves in stored.items()}
    for rate, seed, batch_size, norm in itertools.product(RATES, SEEDS, BATCH_SIZES, NORMS):
        key = key_of(norm, batch_size, rate, seed)
        if key not in done:
            model, _ = with_halnorm(denoiser(norm, seed))
            done[key] = train(model, batch_size, rate, seed)
            print(f"{key}: {done[key].held_out[-1]:.3f}", flush=True)
            stored = {key: curves._asdict() for key, curves in done.items()}
            path.write_text(json.dumps(stored), encoding="utf-8")
    return done


def key_of(norm: str, batch_size: int, rate: float, seed: int) -> str:
    return f"{norm}, batch size {batch_size}, learning rate {rate}, seed {seed}"


def of_all_seeds(
    done: dict[str, Curves], norm: str, batch_size: int, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """The losses on training crops and those held out, (seeds, steps)."""
    runs = [done[key_of(norm, batch_size, rate, seed)] for seed in SEEDS]
    # Where a run diverged, its losses are NaN from there on.
    training, held_out = (np.nan_to_num(losses, nan=np.inf) for losses in zip(*runs, strict=True))
    return training, held_out


def print_table(
    title: str, done: dict[str, Curves], quantity: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    """In Markdown: `quantity` of the losses, one for each seed."""
    print(f"\n{title}, median (least to greatest) of {len(SEEDS)} seeds:\n")
    print("| learning rate | | " + " | ".join(f"batch size {n}" for n in BATCH_SIZES) + " |")
    print("| --- | --- |" + " --- |" * len(BATCH_SIZES))
    for rate, norm in itertools.product(RATES, NORMS):
        cells = []
        for batch_size in BATCH_SIZES:
            values = quantity(*of_all_seeds(done, norm, batch_size, rate))
            cells.append(f"{np.median(values):.2f} ({values.min():.2f} to {values.max():.2f})")
        print(f"| {rate} | {norm} | " + " | ".join(cells) + " |")


def last_training_loss(training: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    return training[:, -LAST_STEPS:].mean(axis=1)


def last_held_out_loss(training: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    return held_out[:, -1]


def greatest_rise(training: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Of the held-out loss, over the least before it."""
    return (held_out[:, 1:] / np.minimum.accumulate(held_out, axis=1)[:, :-1]).max(axis=1)


def draw(done: dict[str, Curves], path: Path) -> None:
    figure = Figure(figsize=(9, 1 + 2.4 * len(RATES)), layout="constrained")
    axes = figure.subplots(len(RATES), len(BATCH_SIZES), sharex=True, sharey=True, squeeze=False)
    for (row, rate), (column, batch_size) in itertools.product(
        enumerate(RATES), enumerate(BATCH_SIZES)
    ):
        panel = axes[row, column]
        panel.set(yscale="log", ylim=SHOWN, title=f"batch size {batch_size}, rate {rate}")
        panel.axhline(1.0, color="black", linewidth=0.5, linestyle=":")
        for norm in NORMS:
            held_out = of_all_seeds(done, norm, batch_size, rate)[1].clip(max=10 * SHOWN[1])
            steps = STEPS_BETWEEN_CHECKS * np.arange(held_out.shape[1])
            color = COLORS[norm]
            panel.plot(steps, np.median(held_out, axis=0), color=color, label=norm, linewidth=1.2)
            panel.fill_between(
                steps, held_out.min(axis=0), held_out.max(axis=0), color=color, alpha=0.2, lw=0
            )
    ticks = (0.1, 0.2, 0.5, 1, 2, 5)
    axes[0, 0].set_yticks(ticks, [str(tick) for tick in ticks])
    axes[0, 0].minorticks_off()
    for panel in axes[-1]:
        panel.set_xlabel("step")
    for panel in axes[:, 0]:
        panel.set_ylabel("held-out loss / noise")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--figure", type=Path, default=FIGURE)
    arguments = parser.parse_args()
    arguments.curves.parent.mkdir(parents=True, exist_ok=True)
    use_one_thread()
    done = train_all(arguments.curves)
    print_table(f"Training loss of the last {LAST_STEPS} steps", done, last_training_loss)
    print_table("Held-out loss at the end", done, last_held_out_loss)
    print_table("Greatest rise of the held-out loss", done, greatest_rise)
    draw(done, arguments.figure)


if __name__ == "__main__":
    main()
