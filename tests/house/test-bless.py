#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/bless and run-lit.py together: what bless writes passes, and a changed output fails.

usage: test-bless.py LIT LLVM_BIN
A small script stands in for kgen: it prints the file without its comments, decorated with what
FileCheck would misunderstand.
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KGEN = """#!/bin/sh
echo; echo "from $2"; grep -v '^//' "$2" | sed 's/a/[[a]] {{x}} [b]/'
"""
GOLDEN = """// RUN: %kgen build %s -o - | %check
kernel a {
  b

  c
}
// ---- output, written by tools/bless ----
"""


def copy_tree(root):
    for name in ("tests/run-lit.py", "tests/lit.cfg.py", "tests/substitutions.py",
                 "tests/sync-lines", "tools/bless"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    kgen = root / "build/tools/kgen"
    kgen.parent.mkdir(parents=True)
    kgen.write_text(KGEN)
    kgen.chmod(0o755)
    golden = root / "tests/golden/demo/a.kg"
    golden.parent.mkdir(parents=True)
    golden.write_text(GOLDEN)
    return golden


def run(*command):
    process = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True,
                             check=False)
    return process.returncode, process.stdout + process.stderr


def steps(root, golden, lit, llvm_bin):
    """(what is tested, whether it holds, what was printed)"""
    bless = root / "tools/bless"
    lit_command = (root / "tests/run-lit.py", lit, llvm_bin, root / "build/tools/kgen",
                   root / "scratch", root / "tests/golden")
    status, text = run(*lit_command)
    yield "an empty golden fails", status == 1 and "not ok 1 - golden/demo/a.kg" in text, text
    yield "and says how to bless", "tools/bless tests/golden/demo/a.kg" in text, text
    status, text = run(bless, "--check")
    yield "--check tells", status == 1 and golden.read_text() == GOLDEN, text
    status, text = run(bless)
    yield "bless writes", status == 0 and "blessed: tests/golden/demo/a.kg" in text, text
    status, text = run(*lit_command)
    yield "a blessed golden passes", status == 0 and "ok 1 - golden/demo/a.kg" in text, text
    status, text = run(bless, "--check")
    yield "and needs no blessing", status == 0 and not text, text
    blessed = golden.read_text()
    golden.write_text(blessed.replace("  c\n", "  cc\n", 1))
    status, text = run(*lit_command)
    yield "a longer line fails", status == 1, text
    golden.write_text(blessed.replace("}\n", "}\nmore\n", 1))
    status, text = run(*lit_command)
    yield "a line more fails", status == 1, text
    golden.write_text(blessed.replace("\n\n", "\n", 1))
    status, text = run(*lit_command)
    yield "an empty line less fails", status == 1, text
    golden.write_text(GOLDEN.replace("| %check", "| %FileCheck %s"))
    status, text = run(bless)
    yield "a hand-written RUN line is refused", status == 1 and "does not end in" in text, text
    golden.write_text(GOLDEN.replace("%kgen", "false"))
    status, text = run(bless)
    yield "a failing command is refused", status == 1 and "ends with 1" in text, text


def main(lit, llvm_bin):
    bad = 0
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve()
        number = 0
        golden = copy_tree(root)
        for number, (title, good, text) in enumerate(steps(root, golden, lit, llvm_bin), 1):
            bad += not good
            print(f"{'ok' if good else 'not ok'} {number} - {title}")
            if not good:
                print("".join(f"# {line}\n" for line in text.splitlines()), end="")
        print(f"1..{number}")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
