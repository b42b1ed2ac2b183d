#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The suite's timing stage without a GPU: rounds, medians, budgets, launches, what goes wrong."""
import ctypes
import os
import sys

from fakes import FakeCuda, FakeDriver, FakeGpu
from tap import Tests

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "gpu"))
import clock  # noqa: E402
import driver  # noqa: E402
import gpu  # noqa: E402
import timings  # noqa: E402

tests = Tests()


class Clock:
    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


# ---- clock -------------------------------------------------------------------------------------
@tests.case
def a_part_of_a_budget_ends_with_it():
    now = Clock()
    whole = clock.Budget(10, now=now)
    part, longer = whole.part(4), whole.part(100)
    now.time = 3
    assert (part.left(), longer.left()) == (1, 7)
    now.time = 11
    assert part.spent() and longer.left() == 0


@tests.case
def contenders_take_turns_and_each_comes_first():
    order = []
    samples, errors = clock.interleave("abc", lambda name: order.append(name) or len(order), 3,
                                       clock.Budget(60))
    assert "".join(order) == "abc" "bca" "cab", order
    assert samples == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]} and not errors


@tests.case
def a_spent_budget_leaves_whole_rounds():
    now = Clock()
    budget = clock.Budget(5, now=now)

    def measure(name):
        now.time += 2
        return 1.0
    samples, _ = clock.interleave("ab", measure, 11, budget)
    assert [len(values) for values in samples.values()] == [2, 2]
    samples, _ = clock.interleave("ab", measure, 11, budget)  # spent: still one round
    assert [len(values) for values in samples.values()] == [1, 1]


@tests.case
def a_contender_that_raises_leaves_the_race():
    def measure(name):
        if name == "b":
            raise ValueError("no kernel\nat all")
        return 1.0
    samples, errors = clock.interleave("abc", measure, 4, clock.Budget(60))
    assert errors == {"b": "ValueError: no kernel"}
    assert [len(samples[name]) for name in "abc"] == [4, 0, 4]
    assert clock.interleave("b", measure, 4, clock.Budget(60))[0] == {"b": []}


@tests.case
def summaries_are_medians():
    found = clock.summary([5.0, 1.0, 100.0, 3.0, 4.0])
    assert (found["median"], found["min"], found["max"], found["n"]) == (4.0, 1.0, 100.0, 5)
    assert clock.summary([]) is None
    assert clock.summary([2.0]) == {"median": 2.0, "min": 2.0, "max": 2.0, "n": 1, "spread": 0.0}


@tests.case
def samples_hold_whole_turns_over_the_sets():
    assert clock.launches_for(1e-3, sets=5) == 5
    assert clock.launches_for(1e-6, sets=3) == 513
    assert clock.launches_for(1.0, sets=1) == 1
    assert clock.launches_for(0.0, sets=1) == 512


@tests.case
def sets_pass_the_cache_and_fit_the_memory():
    assert clock.sets_for(100, cache_bytes=1000, memory_bytes=10 ** 9) == 30
    assert clock.sets_for(10 ** 6, cache_bytes=1000, memory_bytes=10 ** 9) == 1
    assert clock.sets_for(1, cache_bytes=1000, memory_bytes=10 ** 9) == 64
    assert clock.sets_for(100, cache_bytes=1000, memory_bytes=250) == 2
    assert clock.sets_for(100, cache_bytes=1000, memory_bytes=0) == 1


# ---- driver ------------------------------------------------------------------------------------
@tests.case
def kernels_are_loaded_and_launched_as_planned():
    cuda = FakeCuda()
    own = driver.Driver(cuda)
    kernel = own.kernel(own.load(".version 7.0"), "matmul", [128, 1, 1], 98304)
    assert cuda.named("cuModuleLoadDataEx")[0][1].value == b".version 7.0"
    assert cuda.named("cuModuleGetFunction")[0][2].value == b"matmul"
    _, which, size = cuda.named("cuFuncSetAttribute")[0]
    assert (which.value, size.value) == (driver.MAX_DYNAMIC_SHARED, 98304)
    kernel.launch([7, 2, 1], driver.pack([("pointer", 1 << 40)]), 55)
    launch = cuda.named("cuLaunchKernel")[0]
    assert [cell.value for cell in launch[1:9]] == [7, 2, 1, 128, 1, 1, 98304, 55]
    assert kernel.costs() == {"registers": 96, "local_bytes": 0, "shared_bytes": 98304,
                              "threads": 128, "ctas_per_multiprocessor": 2}


@tests.case
def arguments_lie_where_the_driver_looks():
    cells, addresses = driver.pack([("pointer", 2 ** 40 + 8), ("i32", -5), ("i64", 2 ** 33),
                                    ("f32", 0.125), ("pointer", 0)])
    assert len(addresses) == 5
    read = [kind.from_address(address).value for kind, address in zip(
        (ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64, ctypes.c_float, ctypes.c_uint64),
        addresses)]
    assert read == [2 ** 40 + 8, -5, 2 ** 33, 0.125, 0] and len(cells) == 5


@tests.case
def driver_errors_have_words():
    try:
        driver.Driver(FakeCuda(cuLaunchKernel=700)).call("cuLaunchKernel")
        raise AssertionError("no error")
    except driver.DriverError as error:
        assert str(error) == "cuLaunchKernel: the reason (700)" and error.sticky
    cuda = FakeCuda(cuModuleLoadDataEx=218)
    cuda.log = b"ptxas fatal: line 3"
    try:
        driver.Driver(cuda).load("nonsense")
        raise AssertionError("no error")
    except driver.DriverError as error:
        assert "ptxas fatal: line 3" in str(error) and not error.sticky


# ---- gpu ---------------------------------------------------------------------------------------
class Anything:
    """A PyTorch of which every part can be called, and notes its name."""

    def __init__(self, name, calls):
        self._name, self._calls = name, calls

    def __getattr__(self, part):
        made = Anything(f"{self._name}.{part}", self._calls)
        object.__setattr__(self, part, made)
        return made

    def __call__(self, *arguments, **options):
        self._calls.append(self._name)
        return self

    def __enter__(self):
        self._calls.append(self._name + ".enter")

    def __exit__(self, *error):
        self._calls.append(self._name + ".exit")


@tests.case
def time_is_taken_by_events_around_the_work():
    calls = []
    torch = Anything("torch", calls)
    own = gpu.Gpu(torch)
    assert torch.backends.cuda.matmul.allow_tf32 is False
    torch.cuda.Event.elapsed_time = lambda end: 2.5
    calls.clear()
    assert own.seconds(lambda: calls.append("work")) == 2.5e-3
    assert calls == ["torch.cuda.Event", "torch.cuda.Event", "torch.cuda.Event.record", "work",
                     "torch.cuda.Event.record", "torch.cuda.Event.synchronize"]


@tests.case
def a_graph_is_captured_on_an_idle_gpu():
    calls = []
    own = gpu.Gpu(Anything("torch", calls))
    calls.clear()
    own.capture(lambda: calls.append("work"))()
    assert calls == ["torch.cuda.CUDAGraph", "torch.cuda.synchronize", "torch.cuda.graph",
                     "torch.cuda.graph.enter", "work", "torch.cuda.graph.exit",
                     "torch.cuda.synchronize", "torch.cuda.CUDAGraph.replay"]


# ---- bench -------------------------------------------------------------------------------------
KERNEL_COST, OTHER_COST = 4e-6, 6e-6


def planner(family, keys):
    if keys.get("stages") == "9":
        raise RuntimeError("kgen run: stages=9: must be 2 to 6")
    cheap = keys.get("stages") == "4"
    return {"ptx": "cheap" if cheap else "default", "kernel": family, "grid": [2, 1, 1],
            "block": [128, 1, 1], "shared_bytes": 2048, "shape": "8x8", "target": "sm_80",
            "flop": 1e9, "bytes": 1e6, "args": [
                {"kind": "tensor", "name": "a", "dtype": "f32", "role": "input", "dims": [10],
                 "bytes": 40},
                {"kind": "tensor", "name": "c", "dtype": "f32", "role": "output", "dims": [10],
                 "bytes": 40},
                {"kind": "tensor", "name": "d", "dtype": "f32", "role": "updated", "dims": [10],
                 "bytes": 40, "alias": "a"},
                {"kind": "tensor", "name": "none", "dtype": "f32", "role": "scratch", "dims": [0],
                 "bytes": 0},
                {"kind": "tensor", "name": "seen", "dtype": "i32", "role": "zeroed", "dims": [4],
                 "bytes": 16},
                {"kind": "scalar", "name": "N", "dtype": "i32", "value": 10}]}


def bench_of(own, others=None, right=True):
    def contenders(task):
        def other(tensors):
            own.clock += OTHER_COST

        def broken(tensors):
            raise RuntimeError("No available kernel. Aborting execution.")
        return {"torch": other, "broken": broken} if others is None else others
    timings.FAMILIES = {"fake": (lambda task, tensors: None, contenders,
                                 lambda task, tensors: {"c": None})}
    timings.compare = lambda torch, result, expected, limit: {
        "relative": 1e-6 if right else 1.0, "max": 0.0, "limit": limit, "ok": right}
    cost = {"default": KERNEL_COST, "cheap": KERNEL_COST / 2}
    return timings.Bench(own, FakeDriver(own, cost.get), planner, rounds=5)


ITEM = {"family": "fake", "keys": {"M": "8"}, "variants": [{"stages": "4"}, {"stages": "9"}]}


@tests.case
def kernels_variants_and_contenders_are_timed():
    own = FakeGpu()
    found = bench_of(own).run(ITEM, clock.Budget(60))
    times = {name: row["seconds"]["median"] for name, row in found["contenders"].items()}
    assert set(times) == {"kgen", "kgen stages=4", "torch"}
    for name, cost in (("kgen", KERNEL_COST), ("kgen stages=4", KERNEL_COST / 2),
                       ("torch", OTHER_COST)):
        assert abs(times[name] / cost - 1) < 1e-6, name
        assert found["contenders"][name]["how"] == "graph"
        assert len(found["contenders"][name]["samples"]) == 5
    assert found["errors"] == {"broken": "RuntimeError: No available kernel. Aborting execution.",
                               "kgen stages=9": "RuntimeError: kgen run: stages=9: must be 2 to 6"}
    assert found["contenders"]["kgen"]["checks"]["c"]["ok"] and own.captured == 3


@tests.case
def buffers_rotate_and_arguments_follow_them():
    own = FakeGpu(cache=1000)
    bench = bench_of(own, others={})
    found = bench.run(dict(ITEM, variants=[]), clock.Budget(60))
    assert found["sets"] == 25  # 3000 bytes of cache over 120 a set
    launched = bench.driver.launches
    assert len({arguments[0] for arguments in launched}) == 25
    for a, c, d, none, seen, size in launched:
        assert a == d and a != c and none == 0 and seen and size == 10
    tail = [arguments[0] for arguments in launched[-50:]]
    assert tail[:25] == tail[25:]


@tests.case
def tensors_start_as_their_roles_say():
    own = FakeGpu()
    entry = timings.Entry(bench_of(own), "fake", {})
    made = entry.sets[0]
    assert made["a"].done == [("uniform", -1, 1)] and made["d"] is made["a"]
    assert made["seen"].done == ["zero"] and not made["c"].done
    entry.check(own)
    assert made["c"].done[0][0] == "fill" and not made["a"].done[1:]  # only outputs are poisoned


@tests.case
def what_cannot_be_captured_is_launched_one_by_one():
    own = FakeGpu(capturable=False)
    bench, events = bench_of(own), []
    items = [dict(ITEM, variants=[])] * 2
    assert not timings.run_cases(bench, items, clock.Budget(60), events.append)
    found = events[1]["result"]
    assert {row["how"] for row in found["contenders"].values()} == {"stream"}
    assert found["eager"] == ["kgen", "torch"] and len(events) == 2  # the rest: another process


@tests.case
def what_is_known_not_to_be_captured_is_not_tried():
    own = FakeGpu()
    bench = bench_of(own)
    bench.eager = {"torch"}
    found = bench.run(dict(ITEM, variants=[]), clock.Budget(60))
    assert found["contenders"]["torch"]["how"] == "stream" and own.captured == 1
    assert not bench.tainted


@tests.case
def the_same_text_is_loaded_once():
    own = FakeGpu()
    bench = bench_of(own)
    bench.run(ITEM, clock.Budget(60))
    bench.run(ITEM, clock.Budget(60))
    assert bench.driver.loads == 2  # the default and one variant


@tests.case
def a_broken_case_does_not_stop_the_next():
    own = FakeGpu()
    bench, events = bench_of(own), []
    items = [dict(ITEM, keys={"stages": "9"}), ITEM]
    assert timings.run_cases(bench, items, clock.Budget(60), events.append)
    assert [event["event"] for event in events] == ["start", "done"] * 2
    assert "must be 2 to 6" in events[1]["result"]["error"]
    assert events[3]["result"]["contenders"]["kgen"]


@tests.case
def a_lost_context_asks_for_another_process():
    own = FakeGpu()
    bench, events = bench_of(own), []

    def fault(ptx):
        raise driver.DriverError("cuLaunchKernel", 700, "an illegal memory access")
    bench.driver.cost = fault
    assert not timings.run_cases(bench, [ITEM, ITEM], clock.Budget(60), events.append)
    assert len(events) == 2 and "illegal" in events[1]["result"]["error"]


@tests.case
def nothing_starts_after_the_budget():
    now, events = Clock(), []
    budget = clock.Budget(1, now=now)
    now.time = 2
    assert timings.run_cases(bench_of(FakeGpu()), [ITEM], budget, events.append)
    assert not events


sys.exit(tests.run())
