# SPDX-License-Identifier: Apache-2.0
"""A model with PyTorch's norms beside the same model with those of halnorm, in numbers."""

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import halnorm
import halnorm.torch

ROUNDS = 15


def use_one_thread() -> None:
    torch.set_num_threads(1)
    halnorm.set_num_threads(1)


def with_halnorm(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy that runs its norms on halnorm, and the names of those norms."""
    replica = copy.deepcopy(model)
    done = halnorm.torch.replace_norms(replica)
    for name, reason in done.left.items():
        print(f"left as it was: {name}: {reason}")
    return replica, done.replaced


def fastest(calls: Sequence[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """The least time of each call in seconds. The calls take turns, so that they share the noise."""
    for call in calls:
        call()
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def inputs_of(model: nn.Module, names: list[str], x: Tensor) -> list[Tensor]:
    """What the modules of these names are given while the model runs on x."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, arguments: seen.update({name: arguments[0].detach()})

    hooks = [model.get_submodule(n).register_forward_pre_hook(keep(n)) for n in names]
    model(x)
    for hook in hooks:
        hook.remove()
    return [seen[name] for name in names]


def greatest_difference(a: Tensor, b: Tensor) -> float:
    """As a share of the greatest element of b."""
    return ((a.double() - b.double()).abs().max() / b.double().abs().max()).item()


@torch.no_grad()
def compare_forward(title: str, model: nn.Module, x: Tensor) -> None:
    replica, names = with_halnorm(model)
    reference_model = copy.deepcopy(model).double()
    reference = reference_model(x.double() if x.is_floating_point() else x)
    original, replaced = model(x), replica(x)

    inputs = inputs_of(model, names, x)
    before = [model.get_submodule(name) for name in names]
    after = [replica.get_submodule(name) for name in names]
    calls: list[Callable[[], object]] = [
        lambda: [norm(i) for norm, i in zip(before, inputs, strict=True)],
        lambda: [norm(i) for norm, i in zip(after, inputs, strict=True)],
        lambda: model(x),
        lambda: replica(x),
    ]
    norms_before, norms_after, model_before, model_after = fastest(calls)

    shapes = sorted({"x".join(str(n) for n in i.shape) for i in inputs})
    print(f"{title}: {len(names)} norms, inputs {', '.join(shapes)}")
    print("  greatest difference of the outputs, as a share of the greatest output")
    print(f"    halnorm from PyTorch {greatest_difference(replaced, original):.1e}")
    print(f"    from float64: halnorm {greatest_difference(replaced, reference):.1e},", end="")
    print(f" PyTorch {greatest_difference(original, reference):.1e}")
    print(f"  time, PyTorch's over halnorm's, minima of {ROUNDS} rounds, one thread")
    print(f"    the norms alone {norms_before / norms_after:.2f}", end="")
    print(f" ({1e3 * norms_before:.2f} ms, {1e3 * norms_after:.2f} ms)")
    print(f"    the whole model {model_before / model_after:.2f}", end="")
    print(f" ({1e3 * model_before:.1f} ms, {1e3 * model_after:.1f} ms)")
