# SPDX-License-Identifier: MIT
"""Stand-ins for what the suite touches on a machine with a GPU: a driver library, a PyTorch, a GPU
with scripted times. They note what is done to them."""
import ctypes


class FakeCuda:
    """libcuda: every call is noted; those in `fails` return an error code."""

    def __init__(self, **fails):
        self.calls, self.fails, self.log = [], fails, b""

    def __getattr__(self, name):
        def function(*arguments):
            self.calls.append((name, arguments))
            return self.answer(name, arguments)
        return function

    def answer(self, name, arguments):
        if name == "cuGetErrorString":
            arguments[1]._obj.value = b"the reason"
        elif name == "cuFuncGetAttribute":
            arguments[0]._obj.value = {3: 0, 4: 96}[arguments[1].value]
        elif name == "cuOccupancyMaxActiveBlocksPerMultiprocessor":
            arguments[0]._obj.value = 2
        elif name == "cuModuleLoadDataEx" and self.log:
            ctypes.memmove(arguments[4][0], self.log, len(self.log))
        return self.fails.get(name, 0)

    def named(self, name):
        return [arguments for called, arguments in self.calls if called == name]


class FakeTensor:
    made = 0

    def __init__(self, dims, dtype):
        FakeTensor.made += 1
        self.dims, self.dtype, self.done = list(dims), dtype, []
        self.address = 4096 * FakeTensor.made

    def data_ptr(self):
        return self.address

    def uniform_(self, low, high):
        self.done.append(("uniform", low, high))

    def zero_(self):
        self.done.append("zero")

    def fill_(self, value):
        self.done.append(("fill", value))


class FakeTorch:
    float32, float16, bfloat16, int32, int64 = "f32", "f16", "bf16", "i32", "i64"

    @staticmethod
    def empty(dims, dtype, device):
        return FakeTensor(dims, dtype)


class FakeGpu:
    """A clock that contenders move: `work` that they do is added up and read as time."""
    device = "cuda"

    def __init__(self, capturable=True, cache=1000, memory=1 << 30):
        self.torch, self.clock, self.captured = FakeTorch, 0.0, 0
        self.capturable, self.cache, self.memory = capturable, cache, memory

    def cache_bytes(self):
        return self.cache

    def memory_for_sets(self):
        return self.memory

    def stream(self):
        return 77

    def synchronize(self):
        pass

    def release(self):
        pass

    def seconds(self, work):
        before = self.clock
        work()
        return self.clock - before

    def capture(self, work):
        if not self.capturable:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.captured += 1
        return work


class FakeDriver:
    """Kernels that take `cost(plan)` seconds on the fake GPU."""

    def __init__(self, gpu, cost):
        self.gpu, self.cost, self.launches, self.loads = gpu, cost, [], 0

    def load(self, ptx):
        self.loads += 1
        return ptx

    def kernel(self, module, name, block, shared_bytes):
        return FakeKernel(self, module)


class FakeKernel:
    def __init__(self, driver, ptx):
        self.driver, self.ptx = driver, ptx

    def costs(self):
        return {"registers": 90, "local_bytes": 0, "shared_bytes": 2048, "threads": 128,
                "ctas_per_multiprocessor": 3}

    def launch(self, grid, arguments, stream):
        self.driver.launches.append([cell.value for cell in arguments[0]])
        self.driver.gpu.clock += self.driver.cost(self.ptx)
