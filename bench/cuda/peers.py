# SPDX-License-Identifier: Apache-2.0
"""Which peers there are, and all of them on a workload."""
import importlib

from arrays import NumpyArrays, TorchArrays
from contenders import Contender, check_peer


def _version(name):
    """(version, why it is absent)."""
    try:
        module = importlib.import_module(name)
    except Exception as error:  # of whatever library
        return "", "absent: %s: %s" % (type(error).__name__, str(error).split("\n")[0][:120])
    return getattr(module, "__version__", "installed"), ""


class OnDevice:
    """Memory as PyTorch takes it without a copy: the CUDA Array Interface."""

    def __init__(self, memory):
        self._memory = memory
        self.__cuda_array_interface__ = {"version": 3, "typestr": "|u1", "strides": None,
                                         "shape": (memory.size,), "data": (memory.address, False)}


class Peers:
    """`versions`: of each, or why it is absent."""

    def __init__(self, device):
        self.torch, self.versions = None, {}
        self._arrays = NumpyArrays()
        why_none = self._open(device)
        if why_none:
            self.versions["PyTorch and all that takes its tensors"] = why_none

    def _open(self, device):
        if device.is_interpreter:
            return "absent: the driver is the interpreter of tests/ptx, and no time means anything"
        version, absent = _version("torch")
        if absent:
            return absent
        import torch
        if not torch.cuda.is_available():
            return "absent: PyTorch %s finds no CUDA device" % version
        self.use(torch, "cuda:%d" % device.ordinal,
                 lambda memory: torch.as_tensor(OnDevice(memory), device="cuda:%d" % device.ordinal))
        torch.cuda.set_stream(torch.cuda.ExternalStream(device.stream))
        return ""

    def use(self, torch, where, wrap):
        """The tensors of `wrap`, which makes them of Memory, are on the device `where`."""
        from gpu_peers import PEERS
        self.torch, self._arrays = torch, TorchArrays(torch, where, wrap)
        self.versions = {"PyTorch": torch.__version__}
        for name, (module, _) in PEERS.items():
            version, absent = _version(module)
            self.versions[name] = absent or version

    def release(self):
        """What PyTorch keeps of the memory of the problems before."""
        if self.torch is not None:
            self.torch.cuda.empty_cache()

    @property
    def arrays(self):
        """What the reference computes with."""
        return self._arrays

    def append(self, contenders, workload, wanted):
        """`wanted`: whether a contender of this name is."""
        if self.torch is None:
            return
        from gpu_peers import PEERS
        from torch_peers import calls
        views = {name: self._arrays.view(tensor) for name, tensor in workload.tensors.items()}
        makers = calls(self.torch, workload, views)
        makers += [(name, lambda make=make: make(workload.problem, views, workload))
                   for name, (_, make) in PEERS.items()]
        for name, make in makers:
            version = self.versions[name.split(",")[0]]
            if wanted(name) and not version.startswith("absent"):
                contenders.append(self._contender(name, version, make, workload))

    @staticmethod
    def _contender(name, version, make, workload):
        from torch_peers import Unsupported
        contender = Contender("peer", name, version)
        try:
            call = make()
        except Unsupported as error:
            contender.trouble = "absent: %s" % error
        except Exception as error:  # of whatever library
            contender.trouble = "failed: %s: %s" % (type(error).__name__, str(error)[:160])
        else:
            contender.run, contender.results = call.run, call.results
            check_peer(contender, workload)
        return contender
