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
from pathlib import Path

import numpy as np

from denoiser import NORMS, STEPS_BETWEEN_CHECKS, Curves, denoiser, train

EXAMPLES = Path(__file__).resolve().parent.parent
sys.path.append(str(EXAMPLES))
from compare import use_one_thread, with_halnorm  # noqa: E402

CURVES = EXAMPLES.parent / "build" / "cnn_curves.json"
FIGURE = EXAMPLES / "cnn" / "curves.png"
BATCH_SIZES = (1, 2, 32)
RATES = (0.1, 0.03)
SEEDS = range(3)
LAST_STEPS = 30
COLORS = {"no norm": "0.4", "BatchNorm": "C0", "InstanceNorm": "C1", "LayerNorm": "C2"}
SHOWN = (0.2, 5.0)  # of losses in the figure


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
    # A run that diverged stays so.
    training, held_out = (np.nan_to_num(losses, nan=np.inf) for losses in zip(*runs, strict=True))
    return training, held_out


def print_table(done: dict[str, Curves]) -> None:
    print(f"losses over the noise's variance, median (least, greatest) of {len(SEEDS)} seeds")
    for rate, norm, batch_size in itertools.product(RATES, NORMS, BATCH_SIZES):
        training, held_out = of_all_seeds(done, norm, batch_size, rate)
        last = held_out[:, -1]
        rise = (held_out[:, 1:] / np.minimum.accumulate(held_out, axis=1)[:, :-1]).max(axis=1)
        print(f"learning rate {rate}, {norm}, batch size {batch_size}: held out", end="")
        print(f" {np.median(last):.2f} ({last.min():.2f}, {last.max():.2f}),", end="")
        print(f" last {LAST_STEPS} training steps", end="")
        print(f" {np.median(training[:, -LAST_STEPS:].mean(axis=1)):.2f},", end="")
        print(f" greatest rise {np.median(rise):.2f} ({rise.min():.2f}, {rise.max():.2f})")


def draw(done: dict[str, Curves], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(RATES), len(BATCH_SIZES), figsize=(9, 5), sharex=True, sharey=True, layout="constrained"
    )
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
    ticks = (0.2, 0.5, 1, 2, 5)
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
    print_table(done)
    draw(done, arguments.figure)


if __name__ == "__main__":
    main()
