# SPDX-License-Identifier: MIT
"""What stands for what in the RUN lines of golden files: for lit (lit.cfg.py) and for tools/bless.

    %kgen       the kgen command of this build
    %s          the golden file itself
    %check      FileCheck with the golden's own CHECK lines, each of which is a whole line of output
    %FileCheck  FileCheck, for lines that are written by hand: `| %FileCheck %s`
    %not        turns an expected failure into success: `%not %kgen build %s 2>&1 | %check`
    %sync-lines keeps the barriers, waits, fences, asynchronous and tensor instructions of PTX,
                without register numbers: those differ between versions of LLVM
    %ptxas      NVIDIA's assembler; say `REQUIRES: ptxas`
    %cuobjdump  NVIDIA's disassembler; say `REQUIRES: cuobjdump`
    %t          a scratch file of this golden's own
"""
import os
import shutil
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def find_tool(name, *places):
    """The tool in $PATH, or in one of the places."""
    found = shutil.which(name)
    for place in places:
        candidate = Path(place) / name
        if not found and os.access(candidate, os.X_OK):
            found = str(candidate)
    return found


def find_ptxas():
    return find_tool("ptxas", os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/bin",
                     "/usr/local/cuda/bin")


def find_cuobjdump():
    return find_tool("cuobjdump", TESTS.parent / "build/toolkit/bin", "/usr/local/cuda/bin")


def table(kgen, llvm_bin):
    """(pattern, replacement) pairs. Longer names come first: the first that fits is taken."""
    rows = [("%check", f"{llvm_bin}/FileCheck --match-full-lines %s"),
            ("%FileCheck", f"{llvm_bin}/FileCheck"),
            ("%not", f"{llvm_bin}/not"),
            ("%sync-lines", str(TESTS / "sync-lines")),
            ("%kgen", str(kgen))]
    for name, path in (("%ptxas", find_ptxas()), ("%cuobjdump", find_cuobjdump())):
        if path:
            rows.append((name, path))
    return rows
