# SPDX-License-Identifier: Apache-2.0
"""The CUDA driver, through ctypes: the first device, its memory, a stream and events."""
import ctypes
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_ubyte, c_uint, c_uint64, c_void_p

_PROTOTYPES = {
    "cuInit": [c_uint],
    "cuDriverGetVersion": [POINTER(c_int)],
    "cuGetErrorName": [c_int, POINTER(c_char_p)],
    "cuDeviceGet": [POINTER(c_int), c_int],
    "cuDeviceGetName": [c_char_p, c_int, c_int],
    "cuDeviceGetAttribute": [POINTER(c_int), c_int, c_int],
    "cuDevicePrimaryCtxRetain": [POINTER(c_void_p), c_int],
    "cuCtxSetCurrent": [c_void_p],
    "cuMemAlloc_v2": [POINTER(c_uint64), c_size_t],
    "cuMemFree_v2": [c_uint64],
    "cuMemcpyHtoD_v2": [c_uint64, c_void_p, c_size_t],
    "cuMemcpyDtoH_v2": [c_void_p, c_uint64, c_size_t],
    "cuMemcpyDtoDAsync_v2": [c_uint64, c_uint64, c_size_t, c_void_p],
    "cuMemsetD8Async": [c_uint64, c_ubyte, c_size_t, c_void_p],
    "cuStreamCreate": [POINTER(c_void_p), c_uint],
    "cuStreamSynchronize": [c_void_p],
    "cuEventCreate": [POINTER(c_void_p), c_uint],
    "cuEventRecord": [c_void_p, c_void_p],
    "cuEventElapsedTime": [POINTER(c_float), c_void_p, c_void_p],
}
_L2_CACHE_SIZE = 38  # CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE


class DriverError(RuntimeError):
    """A call of the driver that failed, by its name and that of its error."""


class NoDevice(Exception):
    """There is no CUDA device; the message says why."""


class Device:
    """The first device, in its primary context, which is that of PyTorch, too. All work goes to one
    stream, which waits for the default one and is waited for by it."""

    def __init__(self):
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise NoDevice(str(error)) from None
        for name, types in _PROTOTYPES.items():
            function = getattr(self._library, name)
            function.argtypes, function.restype = types, c_int
        device, context, stream = c_int(), c_void_p(), c_void_p()
        try:
            self._call("cuInit", 0)
            self._call("cuDeviceGet", byref(device), 0)
        except DriverError as error:
            raise NoDevice(str(error)) from None
        self._call("cuDevicePrimaryCtxRetain", byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", byref(stream), 0)
        self.ordinal, self.stream = device.value, stream.value
        # Of tests/ptx.
        self.is_interpreter = hasattr(self._library, "halnorm_ptx_last_fault")

    def _call(self, name, *arguments):
        result = getattr(self._library, name)(*arguments)
        if result == 0:
            return
        text = c_char_p()
        self._library.cuGetErrorName(result, byref(text))
        raise DriverError("%s: %s" % (name, text.value.decode() if text.value else result))

    @property
    def name(self):
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, len(text), self.ordinal)
        return text.value.decode()

    @property
    def driver_version(self):
        version = c_int()
        self._call("cuDriverGetVersion", byref(version))
        return "%d.%d" % (version.value // 1000, version.value % 1000 // 10)

    @property
    def l2_bytes(self):
        size = c_int()
        self._call("cuDeviceGetAttribute", byref(size), _L2_CACHE_SIZE, self.ordinal)
        return size.value

    def allocate(self, size):
        return Memory(self, size)

    def synchronize(self):
        self._call("cuStreamSynchronize", self.stream)

    def event(self):
        event = c_void_p()
        self._call("cuEventCreate", byref(event), 0)
        return event

    def record(self, event):
        self._call("cuEventRecord", event, self.stream)

    def seconds_between(self, begin, end):
        milliseconds = c_float()
        self._call("cuEventElapsedTime", byref(milliseconds), begin, end)
        return milliseconds.value * 1e-3


class Memory:
    """Bytes of the device, which are freed with the last reference to them."""

    def __init__(self, device, size):
        address = c_uint64()
        device._call("cuMemAlloc_v2", byref(address), size)
        self._device, self.address, self.size = device, address.value, size

    def __del__(self):
        if hasattr(self, "address"):
            self._device._library.cuMemFree_v2(self.address)

    def upload(self, data):
        """The bytes of an array of NumPy, which is C-contiguous."""
        self._device._call("cuMemcpyHtoD_v2", self.address, data.ctypes.data, data.nbytes)

    def download(self, data):
        self._device.synchronize()
        self._device._call("cuMemcpyDtoH_v2", data.ctypes.data, self.address, data.nbytes)

    def fill(self, byte):
        self._device._call("cuMemsetD8Async", self.address, byte, self.size, self._device.stream)

    def copy_from(self, other):
        self._device._call("cuMemcpyDtoDAsync_v2", self.address, other.address, self.size,
                           self._device.stream)
