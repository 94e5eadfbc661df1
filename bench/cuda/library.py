# SPDX-License-Identifier: Apache-2.0
"""halnorm, through ctypes: the shared object of bench/exports.cpp, on tensors of a device."""
import ctypes
import os
import re
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_size_t, c_uint32, c_void_p

TARGET = "cuda_sm80"
_CUDA = 2  # HALNORM_CUDA
_OUT_OF_MEMORY = 3
_DTYPES = {"f32": (2, 32), "f16": (2, 16), "bf16": (4, 16)}
# Operation: the function and its arguments after the context.
_CALLS = {
    "layer_norm_forward": ("layer_norm", "x gamma beta axis eps y mean rstd flags"),
    "layer_norm_backward": ("layer_norm_backward",
                            "dy x gamma mean rstd axis dx dgamma dbeta flags"),
    "rms_norm_forward": ("rms_norm", "x gamma axis eps y rstd flags"),
    "rms_norm_backward": ("rms_norm_backward", "dy x gamma rstd axis dx dgamma flags"),
    "instance_norm_forward": ("instance_norm", "x gamma beta eps y mean rstd flags"),
    "instance_norm_backward": ("instance_norm_backward",
                               "dy x gamma mean rstd dx dgamma dbeta flags"),
    "group_norm_forward": ("group_norm", "x gamma beta groups eps y mean rstd flags"),
    "group_norm_backward": ("group_norm_backward",
                            "dy x gamma mean rstd groups dx dgamma dbeta flags"),
    "batch_norm_inference": ("batch_norm_inference",
                             "x gamma beta running_mean running_var eps y flags"),
    "batch_norm_training": ("batch_norm_training", "x gamma beta eps momentum running_mean "
                            "running_var y mean rstd flags"),
    "batch_norm_backward": ("batch_norm_backward", "dy x gamma mean rstd dx dgamma dbeta flags"),
}
_NUMBERS = {"axis": c_int32, "groups": c_int32, "eps": c_double, "momentum": c_double,
            "flags": c_uint32}


class DeviceStruct(ctypes.Structure):
    _fields_ = [("device_type", c_int32), ("device_id", c_int32)]


class DtypeStruct(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class HalnormTensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("device", DeviceStruct), ("ndim", c_int32), ("dtype", DtypeStruct),
                ("shape", POINTER(ctypes.c_int64)), ("strides", POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


_PROTOTYPES = {
    "context_create": (c_int, [POINTER(c_void_p)]),
    "context_destroy": (None, [c_void_p]),
    "context_prepare": (c_int, [c_void_p, DeviceStruct]),
    "context_set_cuda_stream": (c_int, [c_void_p, c_void_p]),
    "context_set_kernel": (c_int, [c_void_p, c_char_p]),
    "context_set_target": (c_int, [c_void_p, c_char_p]),
    "context_set_workspace": (c_int, [c_void_p, DeviceStruct, c_void_p, c_size_t]),
    "cuda_load_seconds": (c_double, []),
    "kernel_count": (c_int32, []),
    "kernel_name": (c_char_p, [c_int32]),
    "last_error": (c_char_p, []),
    "last_kernel": (c_char_p, []),
    "version": (c_char_p, []),
}
for _function, _arguments in _CALLS.values():
    _PROTOTYPES[_function] = (c_int, [c_void_p, *(_NUMBERS.get(name, POINTER(HalnormTensor))
                                                  for name in _arguments.split())])


class HalnormError(RuntimeError):
    """A call that failed, with halnorm_last_error()."""


class Library:
    def __init__(self, path, device):
        self._library = ctypes.CDLL(os.path.abspath(path))
        for name, (result, arguments) in _PROTOTYPES.items():
            address = c_void_p.in_dll(self._library, "halnorm_bench_" + name).value
            setattr(self, name, ctypes.CFUNCTYPE(result, *arguments)(address))
        self._device = device
        self.workspace = device.allocate(1 << 20)

    @property
    def device_struct(self):
        return DeviceStruct(_CUDA, self._device.ordinal)

    def check(self, status):
        if status != 0:
            raise HalnormError(self.last_error().decode())

    def kernels(self):
        """Names of the target's kernels, in the order of preference."""
        names = [self.kernel_name(i).decode() for i in range(self.kernel_count())]
        return [name for name in names if Symbol(name).target == TARGET]

    def struct(self, tensor):
        code, bits = _DTYPES[tensor.dtype]
        extents = ctypes.c_int64 * len(tensor.shape)
        return HalnormTensor(tensor.memory.address, self.device_struct, len(tensor.shape),
                             DtypeStruct(code, bits, 1), extents(*tensor.shape),
                             extents(*tensor.strides), 0)


class Symbol:
    """halnorm_<operation>_<part>_<dtype>[_n<N>][_bytes<N>]__<target>[__<schedule>], taken apart."""
    _FORM = re.compile(r"(.*_(f32|f16|bf16))((?:_n\d+|_bytes\d+)*)__(.*?)(?:__(.*))?")

    def __init__(self, name):
        match = self._FORM.fullmatch(name)
        # Rows of the same choice can replace each other.
        self.choice, self.dtype, self.bounds, self.target, schedule = match.groups()
        self.schedule = schedule or "no knobs"
        self.part = self.choice[:-len(self.dtype) - 1].removeprefix("halnorm_")

    def description(self):
        return self.schedule + (" (%s)" % self.bounds[1:] if self.bounds else "")


class Call:
    """A problem on its tensors, by name, with a context of its own. `kernel`: the one to prefer."""

    def __init__(self, library, device, problem, tensors, kernel=None):
        self._library = library
        self._context = c_void_p()
        library.check(library.context_create(byref(self._context)))
        library.check(library.context_set_target(self._context, TARGET.encode()))
        library.check(library.context_set_cuda_stream(self._context, device.stream))
        if kernel is not None:
            library.check(library.context_set_kernel(self._context, kernel.encode()))
        self._device, self._memory = device, None
        name, arguments = _CALLS[problem.operation]
        numbers = {"axis": -1, "groups": problem.groups, "eps": problem.eps,
                   "momentum": problem.momentum, "flags": 0}
        self._structs = {name: library.struct(tensor) for name, tensor in tensors.items()}
        self._function = getattr(library, name)
        self._arguments = [
            numbers[argument] if argument in numbers
            else byref(self._structs[argument]) if argument in self._structs else None
            for argument in arguments.split()]
        self._use_workspace()

    def __del__(self):
        self._library.context_destroy(self._context)

    def _use_workspace(self):
        memory = self._memory = self._library.workspace
        self._library.check(self._library.context_set_workspace(
            self._context, self._library.device_struct, memory.address, memory.size))

    def run(self):
        self._library.check(self._function(self._context, *self._arguments))

    def run_first(self):
        """With as large a workspace as it takes. Returns the kernel that ran last."""
        while True:
            status = self._function(self._context, *self._arguments)
            if status != _OUT_OF_MEMORY or self._library.workspace.size >= 1 << 34:
                self._library.check(status)
                return self._library.last_kernel().decode()
            self._device.synchronize()
            self._library.workspace = self._device.allocate(2 * self._library.workspace.size)
            self._use_workspace()
