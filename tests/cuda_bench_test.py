# SPDX-License-Identifier: Apache-2.0
"""bench/cuda on the driver that the loader finds, which is the interpreter of tests/ptx where there is
no GPU: results, checks, table and JSON."""
import ctypes
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(SOURCE, "bench", "cuda"), os.path.join(SOURCE, "bench")]
import contenders  # noqa: E402
import run  # noqa: E402
from arrays import NumpyArrays, Tensor  # noqa: E402
from baselines import Guarded  # noqa: E402
from driver import Device  # noqa: E402
from library import Call, Library  # noqa: E402
from problem import DEFAULT_LIST, BadProblem, parse, read_list  # noqa: E402
from report_benchmarks import read_benchmarks  # noqa: E402
from workload import Workload  # noqa: E402

LIBRARY = os.environ["HALNORM_CUDA_BENCH_LIBRARY"]
BASELINES = os.environ.get("HALNORM_CUDA_BENCH_BASELINES")
PROGRAM = os.path.join(SOURCE, "bench", "cuda", "run.py")
PROBLEMS = [
    "layer_norm_forward:f32:3x64:gamma,beta,statistics",
    "layer_norm_backward:bf16:70x64:gamma,dgamma,dbeta,narrow_parameters",
    "rms_norm_forward:bf16:3x1032:gamma,statistics,narrow_parameters",
    "rms_norm_backward:f32:5x33:gamma,dgamma",
    "instance_norm_forward:f16:2x4x5x6:gamma,beta,statistics",
    "instance_norm_backward:f32:2x4x5x6:gamma,dgamma,dbeta,layout=channels_last",
    "group_norm_forward:bf16:2x8x5x6:gamma,beta,statistics,groups=4,layout=channels_last",
    "group_norm_backward:f32:2x8x5x6:gamma,dgamma,dbeta,groups=4",
    "batch_norm_inference:bf16:2x8x5x6:gamma,beta",
    "batch_norm_training:f32:3x4x5x6:gamma,beta,statistics,running,layout=channels_last",
    "batch_norm_backward:f32:3x4x5x6:gamma,dgamma,dbeta",
]


@pytest.fixture(scope="module", name="device")
def device_fixture():
    return Device()


@pytest.fixture(scope="module", name="library")
def library_fixture(device):
    return Library(LIBRARY, device)


@pytest.fixture(name="fail_next")
def fail_next_fixture():
    """Makes the next call of a driver function fail."""
    driver = ctypes.CDLL("libcuda.so.1")
    if not hasattr(driver, "halnorm_ptx_fail"):
        pytest.skip("the driver of a GPU does not fail on demand")
    return lambda call, error: driver.halnorm_ptx_fail(call.encode(), 1, error)


def main(monkeypatch, capsys, *arguments):
    """(exit status, what is printed) of run.py in this process."""
    monkeypatch.setattr(sys, "argv", ["run.py", "--library", LIBRARY, *arguments])
    status = run.main()
    return status, capsys.readouterr().out


def test_table_and_json(tmp_path):
    path = tmp_path / "bench.json"
    done = subprocess.run(
        [sys.executable, "-B", PROGRAM, "--library", LIBRARY, "--rounds", "1",
         "--problems", " ".join(PROBLEMS[:2]), "--json", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for text in (*PROBLEMS[:2], "tuned rows", "in stages", "copy", "seconds to load all kernels",
                 "Time over that of the tuned rows"):
        assert text in done.stdout
    found = read_benchmarks([str(path)])
    assert [problem.text for _, problem in found.cases] == PROBLEMS[:2]
    for (condition, problem), case in found.cases.items():
        assert (condition.target, condition.cache) == ("cuda_sm80", "cold")
        own = case.quickest("tuned_rows")
        assert own.timed and "_cuda_norm" in own.detail and problem.dtype in own.detail
        assert case.limit().timed
        rows = [c for c in case.contenders.values() if c.kind == "other_row"]
        assert len(rows) >= 2 and all(row.timed for row in rows)
        assert len({row.detail for row in rows} | {own.detail}) == len(rows) + 1


@pytest.mark.parametrize("text", PROBLEMS)
def test_results_are_checked(device, library, text):
    problem = parse(text)
    workload = Workload(problem, device, NumpyArrays())
    assert not set(workload.written) - set(workload.expected)
    call = Call(library, device, problem, workload.tensors)
    workload.forget_results()
    assert "_cuda_" in call.run_first()
    results = workload.results()
    assert workload.check(results, any_order=False) == ""
    # As if nothing had been written since.
    workload.forget_results()
    for name, values in workload.results().items():
        assert workload.check({name: values}, any_order=True).startswith("wrong: " + name)
    for name, values in results.items():
        for factor, any_order in ((1.02, False), (1.2, True), (np.nan, True)):
            damaged = np.array(values)
            at = np.unravel_index(np.abs(damaged).argmax(), damaged.shape)
            damaged[at] *= factor
            wrong = workload.check({**results, name: damaged}, any_order)
            assert wrong.startswith("wrong: %s element %d " % (name, np.ravel_multi_index(at, damaged.shape)))


def test_a_wrong_result_is_a_failure(monkeypatch, capsys):
    class Damaging(Call):
        def run_first(self):
            kernel = super().run_first()
            damaged = self.tensors["y"]
            arrays = NumpyArrays()
            arrays.write(damaged, arrays.read(damaged) * 1.001)
            return kernel

        def __init__(self, library, device, problem, tensors, kernel=None):
            self.tensors = tensors
            super().__init__(library, device, problem, tensors, kernel)
    monkeypatch.setattr(contenders, "Call", Damaging)
    status, output = main(monkeypatch, capsys, "--rounds", "1", "--problems", PROBLEMS[0])
    assert status == 1
    assert re.search("tuned rows +wrong: y element", output)
    assert "halnorm was wrong or failed 1 times" in output


def test_rows_give_the_same_bits(monkeypatch, capsys):
    class Damaging(Call):
        def run_first(self):
            kernel = super().run_first()
            if self.is_row:
                arrays, y = NumpyArrays(), self.tensors["y"]
                data = arrays.bits(y)
                data[0] ^= 1
                y.memory.upload(data)
            return kernel

        def __init__(self, library, device, problem, tensors, kernel=None):
            self.tensors, self.is_row = tensors, kernel is not None
            super().__init__(library, device, problem, tensors, kernel)
    monkeypatch.setattr(contenders, "Call", Damaging)
    status, output = main(monkeypatch, capsys, "--check", "--problems", PROBLEMS[0])
    assert status == 1
    assert "wrong: y has other bits than that of the tuned rows" in output
    assert "tuned rows " in output and "   right" in output


def test_a_failing_launch_is_a_failure(monkeypatch, capsys, fail_next):
    fail_next("cuLaunchKernel", 701)
    status, output = main(monkeypatch, capsys, "--rounds", "1", "--problems", PROBLEMS[0])
    assert status == 1
    assert "failed: cuLaunchKernel: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES" in output


def test_a_broken_context_ends_it(monkeypatch, capsys, fail_next, tmp_path):
    path = tmp_path / "bench.json"
    monkeypatch.setattr(run, "measure", failing_second(run.measure, fail_next))
    status, output = main(monkeypatch, capsys, "--rounds", "1", "--problems", " ".join(PROBLEMS[:3]),
                          "--json", str(path))
    assert status == 1
    assert ("nothing more is compared after %s: cuEventRecord: CUDA_ERROR_LAUNCH_FAILED"
            % PROBLEMS[1]) in output
    assert [problem.text for _, problem in read_benchmarks([str(path)]).cases] == PROBLEMS[:1]


def failing_second(measure, fail_next):
    def wrapped(problem, *arguments):
        if problem.text == PROBLEMS[1]:
            fail_next("cuEventRecord", 719)
        return measure(problem, *arguments)
    return wrapped


def test_no_device_is_no_failure(monkeypatch, capsys, fail_next):
    fail_next("cuInit", 100)
    status, output = main(monkeypatch, capsys)
    assert status == 0
    assert output == ("nothing is compared: there is no CUDA device: cuInit: CUDA_ERROR_NO_DEVICE\n")


@pytest.fixture(name="kit")
def kit_fixture(tmp_path):
    """Writes the kit with changes, and with a directory of its own; returns its path."""
    if not BASELINES:
        pytest.skip("the generators are those of another build, which has no plain norms")
    with open(BASELINES, encoding="utf-8") as file:
        kit = json.load(file)

    def write(**changes):
        path = tmp_path / "kit.json"
        path.write_text(json.dumps({**kit, "directory": str(tmp_path / "baselines"), **changes}))
        return str(path)
    return write


def test_autoschedulers(monkeypatch, capsys, kit):
    problems = [PROBLEMS[0], PROBLEMS[1], PROBLEMS[3]]
    status, output = main(monkeypatch, capsys, "--check", "--contenders", "Anderson2021|Li2018",
                          "--baselines", kit(), "--problems", " ".join(problems))
    assert status == 0
    for scheduler in ("Anderson2021   right", "Li2018         right"):
        assert output.count(scheduler) == len(problems), output


def test_autoschedulers_that_fail_are_absent(monkeypatch, capsys, kit):
    arguments = ["--check", "--contenders", "Li2018", "--problems", PROBLEMS[0], "--baselines"]
    status, output = main(monkeypatch, capsys, *arguments, kit(generator="/bin/false"))
    assert status == 0
    assert "Li2018       absent: it fails to schedule: status 1" in output
    status, output = main(monkeypatch, capsys, *arguments[:-1])
    assert status == 0
    assert "Li2018       absent: the target halnorm_cuda_baselines" in output


def test_a_baseline_that_writes_elsewhere_is_absent(monkeypatch, capsys, kit):
    # What Anderson2021 of Halide 21 makes of this writes before y.
    status, output = main(monkeypatch, capsys, "--check", "--contenders", "Anderson2021",
                          "--baselines", kit(), "--problems",
                          PROBLEMS[0] + " batch_norm_inference:bf16:2x8x5x6:gamma,beta")
    assert status == 0
    assert "Anderson2021   right" in output
    assert "Anderson2021   absent: it fails to run alone: " in output


def test_margins_are_watched(device):
    for offset, expected in ((0, True), (63, True), (-1, False), (64, False)):
        guarded = Guarded(device, 64)
        device._call("cuMemsetD8Async", guarded.address + offset, 0, 1, device.stream)
        assert guarded.are_margins_unchanged() == expected


def test_what_no_time_is_left_for_is_said(monkeypatch, capsys):
    status, output = main(monkeypatch, capsys, "--rounds", "1", "--seconds", "0",
                          "--problems", " ".join(PROBLEMS[:2]))
    assert status == 0
    assert "no time was left for 2 of 2 problems:\n  " + "\n  ".join(PROBLEMS[:2]) in output


def test_sixteen_bits_are_rounded_to_nearest_even(device):
    arrays = NumpyArrays()
    for dtype, bits in (("bf16", 7), ("f16", 10)):
        ulp = 2.0 ** -bits
        values = np.array([1, 1 + ulp, 1 + ulp / 2, 1 + 1.5 * ulp, 1 + 0.51 * ulp, -2.5])
        tensor = Tensor(device, values.shape, dtype)
        arrays.write(tensor, values)
        assert arrays.read(tensor).tolist() == [1, 1 + ulp, 1, 1 + 2 * ulp, 1 + ulp, -2.5]


def test_channels_lie_last(device):
    arrays, values = NumpyArrays(), np.arange(24.0).reshape(1, 2, 3, 4)
    tensor = Tensor(device, values.shape, "f32", channels_last=True)
    arrays.write(tensor, values)
    assert tensor.strides == [24, 1, 8, 2]
    assert arrays.bits(tensor).view("float32")[:4].tolist() == [0, 12, 1, 13]
    assert (arrays.read(tensor) == values).all()


def test_problems_are_read():
    problems = read_list(DEFAULT_LIST)
    assert len({problem.text for problem in problems}) == len(problems) > 20
    assert {problem.norm for problem in problems} == {"layer", "rms", "instance", "group", "batch"}
    assert max(problem.traffic for problem in problems) >= 64 << 20
    for text, what in (("layer_norm:f32:2x3:", "operation 'layer_norm'"),
                       ("layer_norm_forward:f64:2x3:", "dtype 'f64'"),
                       ("layer_norm_forward:f32:2x0:", "shape '2x0'"),
                       ("layer_norm_forward:f32:2x3:gama", "option 'gama'"),
                       ("layer_norm_forward:f32:2x3:layout=channels_last", "with channels"),
                       ("group_norm_forward:f32:2x6x3:groups=4", "whose channels the groups divide"),
                       ("no_such_list", "neither a problem nor a file")):
        with pytest.raises(BadProblem, match=what):
            read_list(text)
