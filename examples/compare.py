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
# Of float32, as a share of the greatest element; rounding gives a hundredth of it.
GREATEST_DIFFERENCE = 1e-4


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
    """The least CPU time of each call in seconds, which a program beside it does not add to.

    The calls take turns, so that they share what caches and clock do to them.
    """
    for call in calls:
        call()
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.process_time()
            call()
            best[i] = min(best[i], time.process_time() - start)
    return best


def outputs(model: nn.Module, x: Tensor) -> Sequence[Tensor]:
    with torch.no_grad():
        return [model(x)]


def gradients(model: nn.Module, x: Tensor) -> Sequence[Tensor]:
    """Of half the sum of the squared outputs, with respect to input and parameters."""
    variables = list(model.parameters())
    if x.is_floating_point():
        x = x.detach().requires_grad_()
        variables.append(x)
    y = model(x)
    return torch.autograd.grad(y, variables, y.detach())


def inputs_of(model: nn.Module, names: list[str], x: Tensor) -> list[Tensor]:
    """What the modules of these names are given while the model runs on x."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, arguments: seen.update({name: arguments[0].detach()})

    hooks = [model.get_submodule(n).register_forward_pre_hook(keep(n)) for n in names]
    outputs(model, x)
    for hook in hooks:
        hook.remove()
    return [seen[name] for name in names]


def greatest_difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """As a share of the greatest element of b."""
    x, y = (torch.cat([t.double().flatten() for t in tensors]) for tensors in (a, b))
    return ((x - y).abs().max() / y.abs().max()).item()


def compare(
    title: str,
    model: nn.Module,
    x: Tensor,
    run: Callable[[nn.Module, Tensor], Sequence[Tensor]] = outputs,
) -> None:
    """What `run` (outputs or gradients) gives with either norms, and how long it takes."""
    replica, names = with_halnorm(model)
    reference_model = copy.deepcopy(model).double()
    reference = run(reference_model, x.double() if x.is_floating_point() else x)
    original, replaced = run(model, x), run(replica, x)
    from_original = greatest_difference(replaced, original)

    inputs = inputs_of(model, names, x)
    before = [model.get_submodule(name) for name in names]
    after = [replica.get_submodule(name) for name in names]
    calls: list[Callable[[], object]] = [
        lambda: [run(norm, i) for norm, i in zip(before, inputs, strict=True)],
        lambda: [run(norm, i) for norm, i in zip(after, inputs, strict=True)],
        lambda: run(model, x),
        lambda: run(replica, x),
    ]
    norms_before, norms_after, model_before, model_after = fastest(calls)

    shapes = sorted({"x".join(str(n) for n in i.shape) for i in inputs})
    print(f"{title}, {run.__name__}: {len(names)} norms, inputs {', '.join(shapes)}")
    print("  greatest difference, as a share of the greatest element")
    print(f"    halnorm from PyTorch {from_original:.1e}")
    print(f"    from float64: halnorm {greatest_difference(replaced, reference):.1e},", end="")
    print(f" PyTorch {greatest_difference(original, reference):.1e}")
    print(f"  CPU time, PyTorch's over halnorm's, minima of {ROUNDS} rounds, one thread")
    print(f"    the norms alone {norms_before / norms_after:.2f}", end="")
    print(f" ({1e3 * norms_before:.2f} ms, {1e3 * norms_after:.2f} ms)")
    print(f"    the whole model {model_before / model_after:.2f}", end="")
    print(f" ({1e3 * model_before:.1f} ms, {1e3 * model_after:.1f} ms)")
    if not from_original < GREATEST_DIFFERENCE:
        raise SystemExit(f"{title}: the difference is expected to be below {GREATEST_DIFFERENCE}")
