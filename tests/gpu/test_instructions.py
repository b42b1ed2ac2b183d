#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: test_instructions.py KGEN-INSTRUCTIONS AWAKE-DRIVER [DROP-IN-DRIVER]

kgen-instructions with a driver that runs nothing: every form whose results are not all 0 has to
be told as wrong. With the driver of runtime/drop_in the machine is compared with itself, by way of
the driver."""
import json
import subprocess
import sys

from tap import Tests

PROGRAM, DRIVER = sys.argv[1:3]
DROP_IN = sys.argv[3] if len(sys.argv) > 3 else None

tests = Tests()


def run(*words):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False,
                          timeout=100)


@tests.case
def a_device_that_computes_nothing_is_found_out():
    done = run(f"--driver={DRIVER}", "--only=atomic")
    assert done.returncode == 1, done.stderr
    made = json.loads(done.stdout)
    counts = made["counts"]
    assert counts["forms"] == counts["differing"] == counts["wrong"] > 40, counts
    assert counts["refused"] == 0 and len(made["differing"]) == counts["differing"]
    for form in made["differing"]:
        assert form["group"] == "atomic" and form["wrong"] <= form["differ"] <= form["operands"]
        assert form["examples"] and all(int(e["gpu"], 16) == 0 for e in form["examples"])


@tests.case
def the_machine_gives_what_the_reference_asks_for():
    made = json.loads(run(f"--driver={DRIVER}", "--only=mad.lo.").stdout)
    examples = [e for form in made["differing"] for e in form["examples"]]
    assert examples and all(e["machine"] == e["reference"][-len(e["machine"]):] for e in examples)


@tests.case
def the_machine_by_way_of_the_driver_agrees_with_itself():
    if not DROP_IN:
        return
    done = run(f"--driver={DROP_IN}", "--only=half")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["forms"] > 100 and counts["differing"] == counts["refused"] == 0, counts


@tests.case
def no_driver_is_exit_status_77():
    done = run("--driver=/nowhere/libcuda.so")
    assert done.returncode == 77 and "no GPU" in done.stderr and not done.stdout, done


@tests.case
def usage_errors_are_exit_status_2():
    done = run("--dance")
    assert done.returncode == 2 and "usage" in done.stderr, done


sys.exit(tests.run())
