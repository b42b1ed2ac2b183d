#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: test_driver.py KGEN

tools/gpu/driver.py, which knows nothing of our driver, on the libcuda.so.1 that the loader finds:
that of runtime/drop_in. A planned kernel is loaded, asked what it costs, launched and compared."""
import ctypes
import os
import subprocess
import sys
import tempfile
from ctypes import byref, c_size_t, c_uint, c_uint64, c_void_p

from tap import Tests

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "gpu"))
import timings  # noqa: E402
from driver import Driver, DriverError, pack  # noqa: E402

# One tile by the copy engine, all synchronization by hand.
TILE = os.path.join(HERE, "..", "cli", "tile.kg")
ONE = {"bf16": (0x3F80, 2), "f32": (0x3F800000, 4)}  # the bits of 1.0, and its bytes

tests = Tests()
planner = timings.Planner(os.path.abspath(sys.argv[1]))


def start():
    driver, context = Driver(), c_void_p()
    driver.call("cuInit", c_uint(0))
    driver.call("cuDevicePrimaryCtxRetain", byref(context), 0)
    driver.call("cuCtxSetCurrent", context)
    return driver


def allocate(driver, entry):
    """A buffer of the plan's, filled with ones."""
    count, address = 1, c_uint64()
    for extent in entry["dims"]:
        count *= extent
    if not count:
        return 0, 0
    bits, size = ONE[entry["dtype"]]
    driver.call("cuMemAlloc_v2", byref(address), c_size_t(count * size))
    fill = "cuMemsetD16_v2" if size == 2 else "cuMemsetD32_v2"
    driver.call(fill, address, c_uint(bits), c_size_t(count))
    return address.value, count


@tests.case
def a_plan_is_launched_and_right():
    driver = start()
    plan = planner("matmul", {"M": "20", "N": "40", "K": "64"})
    kernel = driver.kernel(driver.load(plan["ptx"]), plan["kernel"], plan["block"],
                           plan["shared_bytes"])
    costs = kernel.costs()
    assert costs["ctas_per_multiprocessor"] >= 1 and costs["threads"] == plan["block"][0], costs
    values, buffers = [], {}
    for entry in plan["args"]:
        if entry["kind"] == "scalar":
            values.append((entry["dtype"], entry["value"]))
        else:
            buffers[entry["name"]] = allocate(driver, entry)
            values.append(("pointer", buffers[entry["name"]][0]))
    kernel.launch(plan["grid"], pack(values), None)
    address, count = buffers["c"]
    result = (ctypes.c_float * count)()
    driver.call("cuMemcpyDtoH_v2", result, c_uint64(address), c_size_t(4 * count))
    assert set(result) == {64.0}, set(result)


def compiled(source):
    with tempfile.TemporaryDirectory() as folder:
        ptx = os.path.join(folder, "k.ptx")
        subprocess.run([planner.kgen, "build", source, "--target=sm_90a", "-o", ptx], check=True,
                       capture_output=True)
        with open(ptx, encoding="utf-8") as file:
            return file.read()


@tests.case
def a_tensor_map_is_encoded():
    driver = start()
    tensor = {"dtype": "f32", "dims": [6, 12]}
    (x, _), (y, _) = allocate(driver, tensor), allocate(driver, {"dtype": "f32", "dims": [8, 8]})
    entry = {"element_bytes": 4, "sizes": [5, 6], "strides": [4, 48], "box": [8, 8], "swizzle": 32}
    kernel = driver.kernel(driver.load(compiled(TILE)), "tile", [128, 1, 1], 272)
    values = [("pointer", x), ("pointer", y), ("i32", 6), ("i32", 12),
              ("map", driver.encode_map(entry, x))]
    kernel.launch([1, 1, 1], pack(values), None)
    result = (ctypes.c_float * 64)()
    driver.call("cuMemcpyDtoH_v2", result, c_uint64(y), c_size_t(256))
    inside = [float(i // 8 < 6 and i % 8 < 5) for i in range(64)]
    assert list(result) == inside, list(result)
    try:
        driver.encode_map({**entry, "strides": [4, 44]}, x)
    except DriverError as error:
        assert error.code == 1, error
    else:
        raise AssertionError("a stride of 44 bytes is encoded")


@tests.case
def what_is_wrong_has_a_line():
    try:
        start().load(".version 7.0\n.target sm_80\n.address_size 64\nnonsense\n")
    except DriverError as error:
        assert "line 4" in str(error) and error.code == 218 and not error.sticky, error
    else:
        raise AssertionError("it loads")


sys.exit(tests.run())
