# SPDX-License-Identifier: Apache-2.0
"""The norms of bench/plain_norms.cpp as Halide's autoschedulers for GPUs schedule them: compiled for
each problem, with its extents as estimates, and tried in a process of their own, since some write
where they must not, which may break a context for all."""
import ctypes
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import numpy as np

from arrays import NumpyArrays, Tensor
from contenders import Contender, check_peer
from driver import Device
from problem import parse

SCHEDULERS = ("Anderson2021", "Li2018")
_MULTIPROCESSORS = 128  # that they plan for
_MOST_SECONDS = 60      # of one of them on one problem
_STORAGE = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_TYPES = {"f32": (2, 32), "f16": (2, 16), "bf16": (1, 16)}  # as the kernels have them
_MOST_ELEMENTS = 1 << 31


class _Dimension(ctypes.Structure):
    _fields_ = [("min", c_int32), ("extent", c_int32), ("stride", c_int32), ("flags", c_uint32)]


class _Buffer(ctypes.Structure):
    """halide_buffer_t"""
    _fields_ = [("device", c_uint64), ("device_interface", c_void_p), ("host", c_void_p),
                ("flags", c_uint64), ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16),
                ("dimensions", c_int32), ("dim", POINTER(_Dimension)), ("padding", c_void_p)]


class Form:
    """A problem as plain_norms.cpp has it: dimensions are letters, neighbours in memory first."""

    def __init__(self, problem):
        shape, rest = problem.shape, math.prod(problem.shape[2:])
        self.columns = problem.channels_last or (problem.has_channels and len(shape) == 2)
        if not problem.has_channels:
            self.all, self.parameter, self.statistic = "ir", "i", "r"
            self.extents = {"i": shape[-1], "r": math.prod(shape[:-1])}
        elif problem.norm == "group":
            self.all, self.parameter, self.statistic = "kgin" if self.columns else "ikgn", "kg", "gn"
            self.extents = {"i": rest, "k": shape[1] // problem.groups, "g": problem.groups,
                            "n": shape[0]}
        else:
            self.all, self.parameter = "cin" if self.columns else "icn", "c"
            self.statistic = "c" if problem.norm == "batch" else "cn"
            self.extents = {"i": rest, "c": shape[1], "n": shape[0]}

    def of(self, letters):
        return [self.extents[letter] for letter in letters]


class Baselines:
    """`kit`: what the CMake target halnorm_cuda_baselines wrote; without one there are none."""

    def __init__(self, kit):
        self._kit = None
        if kit:
            with open(kit, encoding="utf-8") as file:
                self._kit = json.load(file)

    def _name(self, problem, scheduler):
        extents = "x".join(map(str, Form(problem).of(Form(problem).all)))
        return "_".join([problem.operation, problem.dtype, problem.parameter_dtype, extents,
                         "columns" if Form(problem).columns else "rows", scheduler])

    def _path(self, name):
        return os.path.join(self._kit["directory"], name)

    def prepare(self, problems, wanted):
        """Compiles and tries what is not there, on all processors."""
        if self._kit is None:
            return
        os.makedirs(self._kit["directory"], exist_ok=True)
        tasks = {self._name(problem, scheduler): (problem, scheduler)
                 for problem in problems for scheduler in SCHEDULERS if wanted(scheduler)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda name: self._compile(name, *tasks[name]), tasks))

    def _compile(self, name, problem, scheduler):
        """To a shared object, or to a text that says why not."""
        path = self._path(name)
        if os.path.exists(path + ".so") or os.path.exists(path + ".txt"):
            return
        form, (norm, operation) = Form(problem), problem.operation.split("_norm_")
        generate = [self._kit["generator"], "-g", "plain_norm", "-f", name, "-n", name,
                    "-o", self._kit["directory"], "-e", "object",
                    "-p", self._kit["plugins"][scheduler], "target=" + self._kit["target"],
                    "autoscheduler=" + scheduler, "autoscheduler.parallelism=%d" % _MULTIPROCESSORS,
                    "norm=" + norm, "pass=" + operation, "columns=%s" % str(form.columns).lower(),
                    "storage=" + _STORAGE[problem.dtype],
                    "parameters=" + _STORAGE[problem.parameter_dtype],
                    "extents=" + "x".join(map(str, form.of(form.all)))]
        link = [self._kit["compiler"], "-shared", "-Wl,-Bsymbolic", "-o", path + ".part", path + ".o",
                *self._kit["objects"], "-ldl", "-lpthread"]
        attempt = [sys.executable, "-B", __file__, path + ".part", name, problem.text]
        for what, command in (("schedule", generate), ("link", link), ("run alone", attempt)):
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, errors="replace", timeout=_MOST_SECONDS, check=False)
                trouble = "" if done.returncode == 0 else "status %d: %s" % (
                    done.returncode, " ".join(done.stdout.split())[-160:])
            except subprocess.TimeoutExpired:
                trouble = "not done after %d s" % _MOST_SECONDS
            if trouble:
                with open(path + ".txt", "w", encoding="utf-8") as file:
                    file.write("it fails to %s: %s" % (what, trouble))
                return
        os.rename(path + ".part", path + ".so")

    def append(self, contenders, device, workload, wanted):
        for scheduler in SCHEDULERS:
            if not wanted(scheduler):
                continue
            contender = Contender("autoscheduler", scheduler, "plain formulas")
            contenders.append(contender)
            name = self._name(workload.problem, scheduler)
            if self._kit is None:
                contender.trouble = "absent: the target halnorm_cuda_baselines builds what it takes"
            elif math.prod(workload.problem.shape) >= _MOST_ELEMENTS:
                contender.trouble = "absent: Halide counts elements in 31 bits"
            elif not os.path.exists(self._path(name) + ".so"):
                with open(self._path(name) + ".txt", encoding="utf-8") as file:
                    contender.trouble = "absent: " + file.read()
            else:
                call = HalideCall(self._path(name) + ".so", name, device, workload)
                contender.run, contender.results = call.run, call.results
                check_peer(contender, workload)


class HalideCall:
    """A compiled norm on the tensors of a workload."""

    def __init__(self, path, name, device, workload):
        self._library = ctypes.CDLL(path)
        self._library.halnorm_baseline_use(c_void_p(device.stream))
        self._library.halnorm_baseline_trouble.restype = c_char_p
        self._function = getattr(self._library, name + "_argv")
        self._workload, self._device = workload, device
        self._eps, self._kept, self._arguments = c_float(workload.problem.eps), [], []
        problem, form = workload.problem, Form(workload.problem)
        centered = problem.norm != "rms"
        inference = problem.operation == "batch_norm_inference"

        def add(name, letters, dtype, value=0.0):
            tensor = workload.tensors.get(name)
            if tensor is None:  # the kernel insists on it
                tensor = Tensor(device, form.of(letters), dtype)
                workload.arrays.write(tensor, workload.arrays.normal(tensor.shape, value, 0))
            self._add(tensor, form.of(letters))
        if problem.is_backward:
            add("dy", form.all, problem.dtype)
        add("x", form.all, problem.dtype)
        add("gamma", form.parameter, problem.parameter_dtype, 1.0)
        if not problem.is_backward and centered:
            add("beta", form.parameter, problem.parameter_dtype)
        if problem.is_backward or inference:
            if centered:
                add("running_mean" if inference else "mean", form.statistic, "f32")
            add("running_var" if inference else "rstd", form.statistic, "f32")
        if not problem.is_backward:
            self._arguments.append(ctypes.cast(byref(self._eps), c_void_p))
        add("dx" if problem.is_backward else "y", form.all, problem.dtype)
        if problem.is_backward:
            add("dgamma", form.parameter, problem.parameter_dtype)
            if centered:
                add("dbeta", form.parameter, problem.parameter_dtype)
        elif not inference:
            if centered:
                add("mean", form.statistic, "f32")
            add("rstd", form.statistic, "f32")
        self._list = (c_void_p * len(self._arguments))(*self._arguments)

    def _add(self, tensor, extents):
        dimensions, stride = (_Dimension * len(extents))(), 1
        for dimension, extent in zip(dimensions, extents):
            dimension.extent, dimension.stride = extent, stride
            stride *= extent
        code, bits = _TYPES[tensor.dtype]
        buffer = _Buffer(tensor.memory.address, None, None, 0, code, bits, 1, len(extents), dimensions)
        self._kept += [tensor, dimensions, buffer]
        self._arguments.append(ctypes.cast(byref(buffer), c_void_p))

    def run(self):
        if self._function(self._list) != 0:
            raise RuntimeError(self._library.halnorm_baseline_trouble().decode(errors="replace"))

    def results(self):
        """Running statistics are not in the formulas."""
        return {name: values for name, values in self._workload.results().items()
                if not name.startswith("running_")}


class Guarded:
    """Memory of a tensor between margins. All bytes are those of a NaN that no kernel makes."""
    _MARGIN, _BYTE = 1 << 12, 0xff

    def __init__(self, device, size):
        self._whole, self.size = device.allocate(size + 2 * self._MARGIN), size
        self._whole.fill(self._BYTE)
        self.address = self._whole.address + self._MARGIN

    def are_margins_unchanged(self):
        data = np.empty(self._whole.size, "uint8")
        self._whole.download(data)
        return all((margin == self._BYTE).all()
                   for margin in (data[:self._MARGIN], data[-self._MARGIN:]))


class _Trial:
    """The tensors of a problem, in place of a workload."""

    def __init__(self, problem, device):
        self.problem, self.arrays, self.tensors = problem, NumpyArrays(), {}
        for name, (shape, dtype) in {**problem.tensors()[0], **problem.tensors()[1]}.items():
            tensor = self.tensors[name] = Tensor(device, shape, dtype, problem.channels_last)
            tensor.memory = Guarded(device, tensor.memory.size)


def main(path, name, text):
    try:
        device, problem = Device(), parse(text)
        trial = _Trial(problem, device)
        HalideCall(path, name, device, trial).run()
        device.synchronize()
    except Exception as error:  # of the kernel or of the driver
        return str(error)
    return next(("it writes beyond " + name for name, tensor in trial.tensors.items()
                 if not tensor.memory.are_margins_unchanged()), 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
