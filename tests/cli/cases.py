#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the tests of the command have in common: cases, how kgen is started, TAP."""
import os
import re
import subprocess
import sys
from pathlib import Path


class Failed(Exception):
    """What a case found wrong."""


class Skip(Exception):
    """Why a case cannot run here."""


CASES = []


def case(function):
    CASES.append(function)
    return function


class Kgen:
    """Starts the command in the scratch folder."""

    def __init__(self, kgen, scratch):
        self.kgen, self.scratch = kgen, scratch

    def __call__(self, *arguments, status=0, out=None, err=None, no_err=None, stdin="", **more):
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
        environment.update(more.pop("env", {}))
        process = subprocess.run(
            [self.kgen, *arguments], cwd=self.scratch, capture_output=True, check=False,
            input=stdin if isinstance(stdin, bytes) else stdin.encode(), env=environment,
            timeout=120, **more)
        output, words = process.stdout.decode(errors="replace"), process.stderr.decode(
            errors="replace")
        told = f"$ kgen {' '.join(arguments)}\n{output[-2000:]}{words[-2000:]}"
        if process.returncode != status:
            raise Failed(f"{told}status {process.returncode}, expected {status}")
        for pattern, text in ((out, output), (err, words)):
            if pattern is not None and not re.search(pattern, text):
                raise Failed(f"{told}nothing matches {pattern!r}")
        if no_err and re.search(no_err, words):
            raise Failed(f"{told}{no_err!r} is there")
        return output

    def file(self, name, text):
        path = self.scratch / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


def same(found, expected):
    if found != expected:
        raise Failed(f"{found!r} is not {expected!r}")


def usage(name, *arguments, err):
    def run(kgen):
        same(kgen(*arguments, status=2, err=err), "")
    run.__doc__ = name
    CASES.append(run)


def main(arguments):
    """Runs all cases with KGEN in SCRATCH; the exit status."""
    kgen = Kgen(os.path.abspath(arguments[0]), Path(arguments[1]).resolve())
    kgen.scratch.mkdir(parents=True, exist_ok=True)
    print(f"1..{len(CASES)}", flush=True)
    failed = 0
    for number, function in enumerate(CASES, 1):
        name, note, ok = function.__doc__, "", True
        try:
            function(kgen)
        except Skip as reason:
            note = f" # SKIP {reason}"
        except (Failed, subprocess.TimeoutExpired, ValueError, KeyError, OSError) as reason:
            ok = False
            for line in (str(reason) or repr(reason)).splitlines():
                print(f"# {line}")
        failed += not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {name}{note}", flush=True)
    return 1 if failed else 0
