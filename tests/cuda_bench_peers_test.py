# SPDX-License-Identifier: Apache-2.0
"""The peers of bench/cuda on tensors of the host, where PyTorch has most of their operators and the
interpreter of Triton runs its kernel: the same calls and checks as on a GPU."""
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"  # is read when Triton is imported

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make test-torch does it",
                            exc_type=ImportError)
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(SOURCE, "bench", "cuda"))
import reference  # noqa: E402
import torch_peers  # noqa: E402
from arrays import NumpyArrays, Tensor  # noqa: E402
from peers import Peers  # noqa: E402
from problem import parse  # noqa: E402
from workload import Workload  # noqa: E402

PROBLEMS = [
    "layer_norm_forward:f32:6x70:gamma,beta,statistics",
    "layer_norm_forward:bf16:6x70:gamma,beta,narrow_parameters",
    "layer_norm_forward:f32:6x70:",
    "layer_norm_backward:f32:6x70:gamma,dgamma,dbeta",
    "rms_norm_forward:f32:6x70:gamma,statistics",
    "rms_norm_forward:bf16:6x70:gamma,narrow_parameters",
    "group_norm_forward:f32:2x8x5x6:gamma,beta,statistics,groups=4",
    "group_norm_forward:f32:2x8x5x6:gamma,beta,groups=4,layout=channels_last",
    "group_norm_backward:f32:2x8x5x6:gamma,dgamma,dbeta,groups=4",
    "instance_norm_forward:f32:2x8x5x6:gamma,beta,statistics",
    "batch_norm_inference:f32:2x8x5x6:gamma,beta",
    "batch_norm_training:f32:2x8x5x6:gamma,beta,statistics,running",
    "batch_norm_training:bf16:2x8x5x6:gamma,beta,running,layout=channels_last",
    "batch_norm_backward:f32:2x8x5x6:gamma,dgamma,dbeta,layout=channels_last",
]


class HostMemory:
    def __init__(self, size):
        self.size, self.data = size, np.zeros(size, "uint8")

    def fill(self, byte):
        self.data[:] = byte

    def upload(self, data):
        self.data[:] = data.reshape(-1).view("uint8")

    def download(self, data):
        data[:] = self.data


class Host:
    """What stands for the device."""
    is_interpreter = True  # so that nothing looks for a GPU

    def allocate(self, size):
        return HostMemory(size)

    def synchronize(self):
        pass


@pytest.fixture(name="peers")
def peers_fixture():
    torch.set_num_threads(1)
    peers = Peers(Host())
    peers.use(torch, "cpu", lambda memory: torch.from_numpy(memory.data))
    return peers


def contenders_of(peers, text, *names):
    workload = Workload(parse(text), Host(), peers.arrays)
    found = []
    peers.append(found, workload, lambda name: name in names)
    return {contender.name: contender for contender in found}


@pytest.mark.parametrize("text", PROBLEMS)
def test_pytorch_is_right(peers, text):
    assert contenders_of(peers, text, "PyTorch")["PyTorch"].trouble == ""


def test_what_pytorch_lacks_is_said(peers):
    instance = contenders_of(peers, "instance_norm_backward:f32:2x8x5x6:gamma", "PyTorch")
    assert instance["PyTorch"].trouble.startswith("absent: its backward is that of a batch norm")
    on_gpus = contenders_of(peers, "rms_norm_backward:f32:6x70:gamma,dgamma", "PyTorch")
    assert on_gpus["PyTorch"].trouble.startswith("failed: NotImplementedError: Could not run "
                                                 "'aten::_fused_rms_norm_backward'")


@pytest.mark.parametrize("text", [text for text in PROBLEMS
                                  if text.startswith("layer_norm_forward:f32")])
def test_triton_is_right(peers, text):
    # Its interpreter cuts f32 to bf16 where a GPU rounds.
    pytest.importorskip("triton", reason="Triton is not installed: make test-torch does it")
    assert contenders_of(peers, text, "Triton's tutorial")["Triton's tutorial"].trouble == ""


def test_peers_that_are_not_installed_are_said_once(peers):
    for name in ("Liger-Kernel", "quack", "FlashInfer"):
        if not peers.versions[name].startswith("absent: "):
            pytest.skip("%s is installed" % name)
        assert "ModuleNotFoundError" in peers.versions[name]
        assert contenders_of(peers, PROBLEMS[0], name) == {}


@pytest.mark.parametrize("output", [0, 1, 2])
def test_a_wrong_peer_is_not_timed(peers, monkeypatch, output):
    right = torch_peers._OPERATORS["layer"]

    def damaged(*arguments):
        function, inputs, names = right(*arguments)

        def run(*tensors):
            results = list(function(*tensors))
            results[output] = results[output] * 1.01
            return results
        return run, inputs, names
    monkeypatch.setitem(torch_peers._OPERATORS, "layer", damaged)
    contender = contenders_of(peers, PROBLEMS[0], "PyTorch")["PyTorch"]
    assert contender.trouble.startswith("wrong: %s element" % ["y", "mean", "rstd"][output])


@pytest.mark.parametrize("text", PROBLEMS)
def test_both_kinds_of_arrays_have_one_reference(text):
    problem, random = parse(text), np.random.default_rng(1)
    read, written = problem.tensors()
    inputs = {name: random.uniform(0.5, 2, shape) for name, (shape, _) in {**read, **written}.items()}
    formula = reference.backward if problem.is_backward else reference.forward
    ours = formula(problem, inputs)
    theirs = formula(problem, {name: torch.from_numpy(values) for name, values in inputs.items()})
    assert set(written) <= set(ours) == set(theirs)
    for name, expected in ours.items():
        for part in ("values", "error", "rounding"):
            np.testing.assert_allclose(getattr(theirs[name], part).numpy(), getattr(expected, part),
                                       rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16"])
def test_both_kinds_of_arrays_are_one_memory(peers, dtype, channels_last):
    tensor = Tensor(Host(), (2, 3, 4, 5), dtype, channels_last)
    values = np.random.default_rng(1).standard_normal(tensor.shape)
    NumpyArrays().write(tensor, values)
    written = tensor.memory.data.copy()
    assert (peers.arrays.read(tensor).numpy() == NumpyArrays().read(tensor)).all()
    tensor.memory.fill(0)
    # In two steps, as NumPy's: to f32, then to 16 bits.
    peers.arrays.write(tensor, torch.from_numpy(values).float())
    assert (tensor.memory.data == written).all()
