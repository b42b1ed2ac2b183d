#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times kgen's kernels beside PyTorch. The suite runs it as a process of its own, for a kernel that
faults or hangs takes its process with it.

Reads one JSON object on stdin: {"kgen": path, "cases": [...], "seconds": n, "rounds": n, "target":
name or null}. Writes one JSON object a line on stdout: {"event": "machine" | "start" | "done",
...}. Exit status 3 asks for a fresh process for the remaining cases.
"""
import hashlib
import json
import subprocess
import sys

from clock import Budget, describe, interleave, launches_for, sets_for, summary
from contenders import FAMILIES, LIMITS as OWN_LIMITS, Task
from driver import Driver, DriverError, pack

# ||result - reference|| / ||reference||, by the type of the output: twice its rounding, or what
# f32 arithmetic in another order may differ by.
LIMITS = {"bf16": 8e-3, "f16": 1e-3, "f32": 2e-4}


class Planner:
    """Asks kgen for the PTX and the launch of a task: `kgen run FAMILY key=value ... --plan`."""

    def __init__(self, kgen, target=None, seconds=60):
        self.kgen, self.target, self.seconds = kgen, target, seconds

    def __call__(self, family, keys):
        command = [self.kgen, "run", family, *(f"{name}={value}" for name, value in keys.items()),
                   "--plan", "--json"]
        if self.target:
            command.append(f"--target={self.target}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.seconds,
                              check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise RuntimeError(f"{' '.join(command)}: {words[0]}")
        return json.loads(done.stdout)


class Entry:
    """One program with its sets of tensors: kgen's with one choice of keys."""

    def __init__(self, bench, family, keys):
        self.driver = bench.driver
        self.plan = bench.planner(family, keys)
        self.task = Task(bench.gpu.torch, family, keys, self.plan)
        self.family = family
        self.kernel = bench.kernel(self.plan)
        count = sets_for(self.moved_bytes(), bench.gpu.cache_bytes(), bench.gpu.memory_for_sets())
        self.sets = [self.make_set(bench.gpu) for _ in range(count)]
        self.packed = [pack(self.values(tensors)) for tensors in self.sets]

    def tensors(self):
        return [entry for entry in self.plan["args"] if entry["kind"] == "tensor"]

    def moved_bytes(self):
        return sum(entry["bytes"] for entry in self.tensors()
                   if entry["role"] not in ("scratch", "zeroed"))

    def make_set(self, gpu):
        made = {}
        for entry in self.tensors():
            if entry.get("alias"):
                made[entry["name"]] = made[entry["alias"]]
                continue
            tensor = gpu.torch.empty(entry["dims"], dtype=self.task.dtype(entry["dtype"]),
                                     device=gpu.device)
            made[entry["name"]] = tensor
            if entry["role"] in ("input", "updated") and entry["dtype"] in LIMITS:
                tensor.uniform_(-1, 1)
            elif entry["role"] == "zeroed":
                tensor.zero_()
        FAMILIES[self.family][0](self.task, made)
        return made

    def values(self, tensors):
        out = []
        for entry in self.plan["args"]:
            if entry["kind"] == "scalar":
                out.append((entry["dtype"], entry["value"]))
            elif entry["kind"] == "map":
                address = tensors[entry["tensor"]].data_ptr()
                out.append(("map", self.driver.encode_map(entry, address)))
            else:
                out.append(("pointer", tensors[entry["name"]].data_ptr() if entry["bytes"] else 0))
        return out

    def launcher(self, gpu):
        return lambda i: self.kernel.launch(self.plan["grid"], self.packed[i], gpu.stream())

    def check(self, gpu):
        """Poisons the outputs of the first set, runs once and compares. The state that is updated
        in place serves as input here, too, so the reference comes first."""
        tensors = self.sets[0]
        expected = FAMILIES[self.family][2](self.task, tensors)
        for entry in self.tensors():
            if entry["role"] == "output":
                tensors[entry["name"]].fill_(float("nan"))
        self.kernel.launch(self.plan["grid"], self.packed[0], gpu.stream())
        gpu.synchronize()
        return {name: compare(gpu.torch, tensors[name], value, self.limit(name))
                for name, value in expected.items()}

    def limit(self, name):
        dtypes = {entry["name"]: entry["dtype"] for entry in self.tensors()}
        return OWN_LIMITS.get((self.family, name), LIMITS[dtypes[name]])

    def rivals(self):
        """The contenders by name: the same task by others."""
        return FAMILIES[self.family][1](self.task)

    def check_rivals(self, gpu):
        """What kernels from elsewhere give, on the first set and before kgen's changes a state."""
        asked = {name: function for name, function in self.rivals().items()
                 if hasattr(function, "outputs")}
        expected = FAMILIES[self.family][2](self.task, self.sets[0]) if asked else {}
        checks = {}
        for name, function in asked.items():
            try:
                made = function.outputs(self.sets[0])
            except Exception as error:  # told when it is its turn to be timed
                if getattr(error, "sticky", False):
                    raise
                continue
            # Its own roundings are not ours: what is far off is another task.
            checks[name] = {output: compare(gpu.torch, value, expected[output],
                                            4 * max(self.limit(output), LIMITS["bf16"]))
                            for output, value in made.items()}
        return checks


def compare(torch, result, expected, limit):
    """The relative Frobenius error; an infinity has to stand where one is expected."""
    result, expected = result.to(expected.dtype), expected.reshape(result.shape)
    same = result == expected  # also equal infinities
    difference = torch.where(same, torch.zeros_like(result), result - expected)
    size = torch.where(torch.isfinite(expected), expected, torch.zeros_like(expected)).norm()
    relative = float(difference.norm() / size.clamp_min(1e-30))
    return {"relative": relative, "max": float(difference.abs().max()), "limit": limit,
            "ok": relative <= limit}  # never for a NaN


class Bench:
    """Times cases; `gpu`, `driver` and `planner` are what touches the machine. `eager` names
    contenders that cannot be captured in a graph. Trying spoils PyTorch's random numbers for the
    rest of the process: the bench is `tainted`, and wants to be replaced after the case."""

    def __init__(self, gpu, driver, planner, rounds=11, eager=()):
        self.gpu, self.driver, self.planner, self.rounds = gpu, driver, planner, rounds
        self.loaded, self.eager, self.tainted = {}, set(eager), False

    def kernel(self, plan):
        """Loaded once for each text: other shapes often share it."""
        key = (hashlib.sha256(plan["ptx"].encode()).hexdigest(), plan["shared_bytes"])
        if key not in self.loaded:
            module = self.driver.load(plan["ptx"])
            self.loaded[key] = self.driver.kernel(module, plan["kernel"], plan["block"],
                                                  plan["shared_bytes"])
        return self.loaded[key]

    def ready(self, name, launch, sets):
        """Warms up, then gives (replay, launches in it, how): a graph where one can be made."""
        launch(0)
        self.gpu.synchronize()
        once = min(self.gpu.seconds(lambda: launch(0)) for _ in range(3))
        count = launches_for(once, sets)

        def work():
            for i in range(count):
                launch(i % sets)
        if once > 0.02 or name in self.eager:
            return work, count, "stream"
        try:
            return self.gpu.capture(work), count, "graph"
        except DriverError:
            raise
        except Exception:  # whatever may not be captured is launched one by one
            self.gpu.synchronize()
            self.eager.add(name)
            self.tainted = True
            return work, count, "stream"

    def entries(self, item):
        """kgen with the default keys, then with each of the variants that can be built."""
        made, errors = {"kgen": Entry(self, item["family"], item["keys"])}, {}
        for more in item.get("variants", ()):
            name = "kgen " + " ".join(f"{key}={value}" for key, value in more.items())
            try:
                made[name] = Entry(self, item["family"], {**item["keys"], **more})
            except Exception as error:
                if getattr(error, "sticky", False):
                    raise
                errors[name] = describe(error)
        return made, errors

    def launchers(self, entries):
        """(launch of set i, how many sets) by the contender's name."""
        first = entries["kgen"]
        out = {name: (entry.launcher(self.gpu), len(entry.sets)) for name, entry in entries.items()}
        for name, function in first.rivals().items():
            out[name] = (lambda i, function=function: function(first.sets[i]), len(first.sets))
        return out

    def run(self, item, budget):
        entries, errors = self.entries(item)
        checks = entries["kgen"].check_rivals(self.gpu)
        checks.update((name, entry.check(self.gpu)) for name, entry in entries.items())
        replays = {}
        for name, (launch, sets) in self.launchers(entries).items():
            try:
                replays[name] = self.ready(name, launch, sets)
            except Exception as error:
                if name in entries or getattr(error, "sticky", False):
                    raise
                errors[name] = describe(error)  # a backend that cannot do this task

        def measure(name):
            replay, count, _ = replays[name]
            return self.gpu.seconds(replay) / count
        for name in replays:
            measure(name)
        samples, late = interleave(list(replays), measure, self.rounds, budget)
        return self.result(entries, checks, replays, samples, {**errors, **late})

    def result(self, entries, checks, replays, samples, errors):
        plan = entries["kgen"].plan
        out = {"shape": plan["shape"], "target": plan["target"], "flop": plan["flop"],
               "bytes": plan["bytes"], "sets": len(entries["kgen"].sets), "errors": errors,
               "eager": sorted(self.eager), "contenders": {}}
        for name, values in samples.items():
            row = {"seconds": summary(values), "samples": values, "launches": replays[name][1],
                   "how": replays[name][2]}
            if name in checks:
                row["checks"] = checks[name]
            if name in entries:
                row.update(costs=entries[name].kernel.costs(), grid=entries[name].plan["grid"])
            out["contenders"][name] = row
        return out


def machine(gpu):
    return {"copy_bytes_per_second": gpu.copy_bytes_per_second()}


def run_cases(bench, items, budget, emit):
    """Emits a start and a result for each case until the budget is spent. False: this process
    is not good for the rest."""
    for number, item in enumerate(items):
        if budget.spent():
            break
        emit({"event": "start", "case": number})
        alive = True
        try:
            result = bench.run(item, budget)
        except Exception as error:  # whatever a framework raises
            result = {"error": describe(error)}
            alive = not getattr(error, "sticky", False)
        emit({"event": "done", "case": number, "result": result})
        try:
            bench.gpu.synchronize()
            bench.gpu.release()
        except Exception:
            alive = False
        if not alive or bench.tainted:
            return False
    return True


def main():
    job = json.load(sys.stdin)
    budget = Budget(job["seconds"])

    def emit(event):
        print(json.dumps(event), flush=True)
    import torch
    import torch.nn.attention
    from gpu import Gpu
    torch.manual_seed(job.get("seed", 1))
    gpu = Gpu(torch)
    if job.get("machine"):
        emit({"event": "machine", "result": machine(gpu)})
    bench = Bench(gpu, Driver(), Planner(job["kgen"], job.get("target")), job.get("rounds", 11),
                  job.get("eager", ()))
    return 0 if run_cases(bench, job["cases"], budget, emit) else 3


if __name__ == "__main__":
    sys.exit(main())
