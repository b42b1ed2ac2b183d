# SPDX-License-Identifier: MIT
"""The CUDA driver through ctypes: load PTX, ask what it costs, launch it on a stream.

The context is the one that PyTorch made current, so kernels and PyTorch share memory and streams.
"""
import ctypes
from ctypes import byref, c_char_p, c_float, c_int, c_int8, c_int16, c_int32, c_int64, c_uint
from ctypes import c_uint64, c_void_p

SCALARS = {"i8": c_int8, "i16": c_int16, "i32": c_int32, "i64": c_int64, "f32": c_float,
           "f64": ctypes.c_double}
# CUfunction_attribute and CUjit_option, by the driver's header.
LOCAL_BYTES, REGISTERS, MAX_DYNAMIC_SHARED = 3, 4, 8
JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES = 5, 6
LOG_BYTES = 8192


class DriverError(RuntimeError):
    """A driver call failed. From an error in a running kernel the context does not recover."""

    def __init__(self, call, code, text):
        super().__init__(f"{call}: {text} ({code})")
        self.code = code
        self.sticky = 700 <= code < 800


# Of a tensor map, by the size of an element and of a swizzled row.
MAP_TYPES = {1: 0, 2: 1, 4: 3, 8: 5}
MAP_FLOATS = {"f16": 6, "f32": 7, "f64": 8, "bf16": 9}
MAP_SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}
MAP_BYTES, MAP_ALIGN, MAP_L2_128B = 128, 64, 2


class Driver:
    def __init__(self, library=None):
        self.cuda = library or ctypes.CDLL("libcuda.so.1")

    def call(self, name, *arguments):
        code = getattr(self.cuda, name)(*arguments)
        if code:
            text = c_char_p()
            self.cuda.cuGetErrorString(c_int(code), byref(text))
            raise DriverError(name, code, (text.value or b"unknown error").decode())

    def load(self, ptx):
        module, log = c_void_p(), ctypes.create_string_buffer(LOG_BYTES)
        options = (c_int * 2)(JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES)
        values = (c_void_p * 2)(ctypes.addressof(log), LOG_BYTES)
        try:
            self.call("cuModuleLoadDataEx", byref(module), c_char_p(ptx.encode()), c_uint(2),
                      options, values)
        except DriverError as error:
            words = log.value.decode(errors="replace").strip()
            raise DriverError(words or "cuModuleLoadDataEx", error.code, "not loaded") from None
        return module

    def encode_map(self, entry, address):
        """The tensor map that a plan's argument asks for, of a tensor at this address."""
        room = (c_int8 * (MAP_BYTES + MAP_ALIGN))()
        cell = (c_int8 * MAP_BYTES).from_buffer(room, -ctypes.addressof(room) % MAP_ALIGN)
        rank = len(entry["sizes"])
        kind = MAP_FLOATS.get(entry.get("dtype"), MAP_TYPES[entry["element_bytes"]])
        self.call("cuTensorMapEncodeTiled", byref(cell), c_int(kind), c_uint(rank),
                  c_void_p(address), (c_uint64 * rank)(*entry["sizes"]),
                  (c_uint64 * rank)(*entry["strides"][1:]), (c_uint * rank)(*entry["box"]),
                  (c_uint * rank)(*[1] * rank), c_int(0),
                  c_int(MAP_SWIZZLES[entry["swizzle"]]), c_int(MAP_L2_128B), c_int(0))
        return cell

    def kernel(self, module, name, block, shared_bytes):
        return Kernel(self, module, name, block, shared_bytes)


class Kernel:
    """One kernel of a loaded module, with its block and dynamic shared memory."""

    def __init__(self, driver, module, name, block, shared_bytes):
        self.driver, self.block, self.shared_bytes = driver, block, shared_bytes
        self.function = c_void_p()
        driver.call("cuModuleGetFunction", byref(self.function), module, c_char_p(name.encode()))
        driver.call("cuFuncSetAttribute", self.function, c_int(MAX_DYNAMIC_SHARED),
                    c_int(shared_bytes))

    def attribute(self, which):
        value = c_int()
        self.driver.call("cuFuncGetAttribute", byref(value), c_int(which), self.function)
        return value.value

    def costs(self):
        ctas = c_int()
        threads = self.block[0] * self.block[1] * self.block[2]
        self.driver.call("cuOccupancyMaxActiveBlocksPerMultiprocessor", byref(ctas), self.function,
                         c_int(threads), ctypes.c_size_t(self.shared_bytes))
        return {"registers": self.attribute(REGISTERS), "local_bytes": self.attribute(LOCAL_BYTES),
                "shared_bytes": self.shared_bytes, "threads": threads,
                "ctas_per_multiprocessor": ctas.value}

    def launch(self, grid, arguments, stream):
        """`arguments`: what pack() made. Asynchronous."""
        self.driver.call("cuLaunchKernel", self.function, *map(c_uint, grid),
                         *map(c_uint, self.block), c_uint(self.shared_bytes), c_void_p(stream),
                         arguments[1], None)


def pack(values):
    """Kernel arguments from (type, value) pairs, in launch order: type "pointer", "map" (what
    encode_map() made) or a scalar's. The result keeps alive what the driver reads."""
    cells = [value if kind == "map" else c_uint64(value) if kind == "pointer"
             else SCALARS[kind](value) for kind, value in values]
    return cells, (c_void_p * max(1, len(cells)))(*[ctypes.addressof(cell) for cell in cells])
