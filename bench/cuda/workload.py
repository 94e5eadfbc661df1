# SPDX-License-Identifier: Apache-2.0
"""The tensors of a problem, which all contenders work on, and what its results should be."""
import reference
from arrays import Tensor

_NOTHING_WRITTEN = 0xff  # in every byte: a NaN of each dtype


class Workload:
    def __init__(self, problem, device, arrays):
        self.problem, self.arrays = problem, arrays
        self._device = device
        self.read, self.written = (
            {name: Tensor(device, shape, dtype, problem.channels_last)
             for name, (shape, dtype) in tensors.items()} for tensors in problem.tensors())
        self._running = {name: tensor for name, tensor in self.written.items()
                         if name.startswith("running_")}
        inputs = self._fill()
        self.expected = (reference.backward if problem.is_backward else reference.forward)(
            problem, inputs)
        self._running_before = {name: inputs[name] for name in self._running}

    @property
    def tensors(self):
        return {**self.read, **self.written}

    def _fill(self):
        """Returns the inputs as they were rounded."""
        values = {"x": (0.5, 1.5), "dy": (0.25, 1), "gamma": (1, 0.25), "beta": (0, 0.5),
                  "running_mean": (0.5, 0.5), "running_var": (2, 0.25)}
        inputs = {}
        for name, tensor in {**self.read, **self._running}.items():
            if name not in values:
                continue
            self.arrays.write(tensor, self.arrays.normal(tensor.shape, *values[name]))
            inputs[name] = self.arrays.read(tensor)
        if self.problem.is_backward:
            saved = reference.statistics(self.problem, inputs["x"])
            for name in ("mean", "rstd"):
                if name in self.read:
                    self.arrays.write(self.read[name], getattr(saved, name))
                    inputs[name] = self.arrays.read(self.read[name])
        return inputs

    def forget_results(self):
        for name, tensor in self.written.items():
            if name in self._running:
                self.arrays.write(tensor, self._running_before[name])
            else:
                tensor.memory.fill(_NOTHING_WRITTEN)
        self._device.synchronize()

    def results(self):
        self._device.synchronize()
        return {name: self.arrays.read(tensor) for name, tensor in self.written.items()}

    def bits(self):
        self._device.synchronize()
        return {name: self.arrays.bits(tensor) for name, tensor in self.written.items()}

    def check(self, results, any_order):
        """What is wrong with results, by name, or nothing."""
        for name, actual in results.items():
            wrong = reference.wrong(name, actual, self.expected[name], any_order)
            if wrong:
                return "wrong: " + wrong
        return ""
