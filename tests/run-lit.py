#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs lit over the golden files and reports in TAP, so that each golden counts as a test.

usage: run-lit.py LIT LLVM_BIN KGEN SCRATCH FOLDER
"""
import json
import subprocess
import sys
from pathlib import Path

PASSED = ("PASS", "FLAKYPASS", "XFAIL")


def report(number, test):
    name = test["name"].split(" :: ", 1)[-1]
    output = test.get("output", "")
    if test["code"] in ("UNSUPPORTED", "SKIPPED", "EXCLUDED"):
        print(f"ok {number} - {name} # SKIP {' '.join(output.split()) or test['code'].lower()}")
        return False
    passed = test["code"] in PASSED
    print(f"{'ok' if passed else 'not ok'} {number} - {name}")
    if not passed:
        for line in output.splitlines():
            print(f"# {line}")
        print("# If the new output is right: tools/bless "
              f"tests/{name}, and read what changed with git diff.")
    return not passed


def main(lit, llvm_bin, kgen, scratch, folder):
    folder, scratch = Path(folder), Path(scratch)
    if not folder.is_dir():
        print(f"1..0 # SKIP there is no {folder.name}")
        return 0
    if not Path(llvm_bin, "FileCheck").exists():
        print(f"1..0 # SKIP no FileCheck in {llvm_bin}: install LLVM's tools (llvm-22-tools)")
        return 0
    scratch.mkdir(parents=True, exist_ok=True)
    answers = scratch / "lit.json"
    answers.unlink(missing_ok=True)
    process = subprocess.run(
        [lit, "-q", "--ignore-fail", "-o", str(answers), "--param", f"kgen={Path(kgen).resolve()}",
         "--param", f"llvm_bin={llvm_bin}", "--param", f"scratch={scratch}", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not answers.exists():
        print("1..1\nnot ok 1 - lit did not run")
        for line in process.stdout.splitlines():
            print(f"# {line}")
        return 1
    tests = sorted(json.loads(answers.read_text())["tests"], key=lambda test: test["name"])
    print(f"1..{len(tests)}" if tests else "1..0 # SKIP there are no golden files")
    return 1 if sum([report(i + 1, test) for i, test in enumerate(tests)]) else 0


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
