#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: test_plans.py KGEN

kgen plans what the suite asks for, a plan can be launched as it stands, and a few tiny shapes go
through the suite on the PTX machine."""
import json
import os
import subprocess
import sys
import tempfile

from tap import Tests

HERE = os.path.dirname(os.path.realpath(__file__))
GPU = os.path.join(HERE, "..", "..", "tools", "gpu")
sys.path.insert(0, GPU)
import cases  # noqa: E402
import timings  # noqa: E402

KGEN = os.path.abspath(sys.argv[1])
EVERY = 23  # of the suite's cases, so many are left out for one that is planned here

tests = Tests()
planner = timings.Planner(KGEN)


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


@tests.case
def the_suite_runs_on_the_ptx_machine():
    with tempfile.TemporaryDirectory() as folder:
        done = run(os.path.join(GPU, "suite"), "--device=cpu", f"--kgen={KGEN}", f"--out={folder}")
        assert done.returncode == 0, done.stderr
        name = next(name for name in os.listdir(folder) if name.endswith(".json"))
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            counts = json.load(file)["stages"]["correctness"]["counts"]
        assert counts == {"right": len(cases.DRY_CASES)}, counts


@tests.case
def cases_of_all_kinds_can_be_planned():
    variants = [cases.case(item["family"], **{**item["keys"], **more})
                for capability in (None, "9.0") for item in cases.timing_cases(False, capability)
                for more in item["variants"]]
    items = (cases.correctness_cases() + cases.timing_cases() + cases.timing_cases(False, "9.0")
             + variants)
    for item in items[::EVERY]:
        plan = planner(item["family"], item["keys"])
        assert ".entry " + plan["kernel"] in plan["ptx"] and plan["block"][0] % 32 == 0
        most = 227 if item["keys"].get("target") == cases.HOPPER else 163
        assert min(plan["grid"]) >= 1 and plan["shared_bytes"] <= most * 1024, cases.label(item)


@tests.case
def a_grid_follows_the_sizes():
    for m, n, splits in ((100, 300, 1), (16, 64, 4)):
        plan = planner("matmul", {"M": str(m), "N": str(n), "splits": str(splits),
                                  "tile_m": "32", "tile_n": "64"})
        assert plan["grid"] == [-(-n // 64), -(-m // 32), splits], plan["grid"]


def argument(arguments, entry):
    """An argument of a plan as `kgen check` takes it."""
    if entry["kind"] == "scalar":
        return f"--arg={entry['dtype']}:{entry['value']}"
    if entry["kind"] == "map":
        lists = [",".join(map(str, entry[name])) for name in ("sizes", "box", "strides")]
        strides = "," in lists[2] and ":strides=" + lists[2].split(",", 1)[1] or ""
        number = 1 + [other.get("name") for other in arguments].index(entry["tensor"])
        return (f"--arg=map:{number}:u{8 * entry['element_bytes']}:{lists[0]}:{lists[1]}{strides}"
                f":swizzle={entry['swizzle']}")
    count = 1
    for extent in entry["dims"]:
        count *= extent
    fill = "random" if entry["role"] in ("input", "updated") else "zeros"
    if entry["dtype"] == "i32":
        fill = "zeros"  # page tables and counters: zero is a page
    return f"--arg=buf:{entry['dtype']}:{count}:{fill}" if count else "--arg=u64:0"


@tests.case
def a_plan_can_be_launched_as_it_stands():
    for item in cases.DRY_CASES:
        plan = planner(item["family"], item["keys"])
        with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
            file.write(plan["ptx"])
            file.flush()
            words = [f"--{name}=" + ",".join(map(str, plan[name])) for name in ("grid", "block")]
            done = run(KGEN, "check", file.name, *words, f"--shared={plan['shared_bytes']}",
                       *(argument(plan["args"], entry) for entry in plan["args"]))
        assert done.returncode == 0, (cases.label(item), done.stdout, done.stderr)


@tests.case
def a_plan_needs_no_memory_for_the_task():
    plan = planner("matmul", {"M": "65536", "N": "65536", "K": "65536", "dtype": "bf16"})
    assert plan["args"][0]["bytes"] == 2 * 65536 ** 2
    assert abs(plan["flop"] / (2 * 65536 ** 3) - 1) < 1e-6


@tests.case
def a_plan_can_be_read():
    done = run(KGEN, "run", "delta_net", "T=3", "D=64", "--plan")
    assert done.returncode == 0 and "grid 2,2,1, block 128,1,1" in done.stdout, done.stdout
    assert "s1       f32[1, 2, 64, 64] updated, may be s0" in done.stdout, done.stdout


@tests.case
def what_cannot_be_planned_is_refused():
    for words, code in ((["K=0"], 1), (["dance=1"], 2), (["--target=sm_1"], 2)):
        done = run(KGEN, "run", "matmul", *words, "--plan", "--json")
        assert done.returncode == code and not done.stdout and "error" in done.stderr, done


sys.exit(tests.run())
