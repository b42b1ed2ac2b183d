#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: test_static.py DIRECTORY KGEN

The static build: it is made in DIRECTORY, keeps its promises, and serves the GPU suite. KGEN is one
that is linked as usual, which must not pass for it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tests

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../tools/gpu"))
import cases  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
TOOLS = os.path.join(HERE, "..", "..", "tools")
DIRECTORY, KGEN = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])

PROGRAMS = ("tools/kgen", "tools/bench/kgen-bench", "tests/ptxm/forms/kgen-instructions")

tests = Tests()


def run(*words, **options):
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


@tests.case
def it_is_small_and_needs_what_every_machine_has():
    done = run(os.path.join(TOOLS, "static-build"), f"--directory={DIRECTORY}")
    assert done.returncode == 0, done.stderr[-3000:]
    size = re.search(r"tools/kgen (\d+) bytes", done.stdout)
    print(f"# {size.group(1)} bytes")
    assert int(size.group(1)) <= 40_000_000


@tests.case
def the_suite_runs_with_it_on_the_ptx_machine():
    with tempfile.TemporaryDirectory() as folder:
        done = run(os.path.join(TOOLS, "gpu", "suite"), "--device=cpu", f"--out={folder}",
                   f"--kgen={DIRECTORY}/tools/kgen")
        assert done.returncode == 0 and f"{len(cases.DRY_CASES)} right" in done.stderr, done.stderr
        assert len(os.listdir(folder)) == 2


@tests.case
def a_program_with_more_libraries_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            shutil.copy(KGEN, os.path.join(folder, name))
        check = [os.path.join(TOOLS, "static-build"), "--check-only", f"--directory={folder}"]
        done = run(*check)
        assert done.returncode == 1 and "has its symbols still" in done.stderr, done.stderr
        for name in PROGRAMS:
            assert run("strip", os.path.join(folder, name)).returncode == 0
        done = run(*check)
        assert done.returncode == 1 and "libLLVM" in done.stderr, done.stderr


@tests.case
def usage_errors_are_told():
    for words in (["--llvm=3"], ["--dance"]):
        done = run(os.path.join(TOOLS, "static-build"), *words)
        assert done.returncode == 2 and "--help" in done.stderr, done


sys.exit(tests.run())
