#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The machine code of the shipped kernels, in numbers, against those that were accepted.

usage: tests/sass/check-table.py [KGEN] [--update] [--beside] [--toolkit=DIRECTORY]

For each line of kernels/configurations.c, the shapes of GOALS, and Triton's kernels of triton/:
registers, spills, local memory, barriers of the kernel, and the instruction mix of an iteration of
its main loop (the loop with most tensor instructions, or else the innermost one with most
instructions). kernels.txt beside this script holds them; any other number fails, better ones too,
so that what was gained is kept. A spill, local memory, a warning of ptxas or one of its remarks
(C75xx: wgmma serialized, ...) fails in any case, but for Triton's. Reports in TAP.

  KGEN       the kgen that compiles (build/tools/kgen)
  --beside   print the main loops of kernels.txt beside Triton's, as docs/machine-code.md has them
  --update   write kernels.txt anew; read the difference (git diff) before you commit it

The table is of one version of ptxas; with another one the comparison is skipped. With another LLVM
than that of the table, registers and the other instructions of the loop are not compared: LLVM
decides about them, and about nothing else.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
from sass import flow, inputs, kinds, toolkit, words  # noqa: E402

HERE = Path(__file__).parent
TABLE = HERE / "kernels.txt"
TRITON = "triton/"  # how the rows of another compiler's PTX begin, and their folder
TARGETS = ("sm_80", "sm_90a")
# What the goals for speed are about; only compiled, so the shapes may be as large as they are.
GOALS = ("matmul M=4096 N=4096 K=4096 out=bf16 target=sm_90a",
         "matmul M=8192 N=8192 K=8192 out=bf16 b_col=true target=sm_90a",
         "attention B=2 H=16 HKV=16 SQ=4096 SK=4096 D=128 target=sm_90a",
         "attention B=2 H=16 HKV=16 SQ=4096 SK=4096 D=128 causal=true target=sm_90a",
         "attention B=2 H=32 HKV=32 SQ=4096 SK=4096 D=64 target=sm_90a")
KERNEL = ("regs", "spill", "local", "bars", "BAR", "fence")
LOOP = ("MMA", "BAR", "group", "mbar", "wait", "fence", "async", "shared", "global", "MUFU",
        "float", "int", "other", "total")
NAMES = ("registers", "spilled bytes", "local memory", "barrier ids", "BAR", "fences")
WIDTH = 3  # of a column, so that a row is a line; no kernel has a thousand of anything
# What another LLVM may change.
OF_LLVM = ("registers",) + tuple(f"main loop {name}" for name in ("MUFU", "float", "int", "other",
                                                                 "total"))
HEAD = """\
# SPDX-License-Identifier: MIT
# The machine code of the shipped kernels, for {targets}, by LLVM {llvm}, by ptxas {ptxas}.
# Written by tests/sass/check-table.py --update; what changes here, a kernel pays for.
#
# Of the kernel: registers (where roles have budgets: at the launch); bytes spilled (stores and
# loads); bytes of local memory; barriers (ids) that it takes; BAR instructions; fences.
# Of an iteration of its main loop, waiting for mbarriers once: tensor instructions (HMMA, HGMMA),
# BAR, WARPGROUP (ARRIVE, DEPBAR), SYNCS (mbarriers), other waits (LDGDEPBAR, DEPBAR), fences,
# asynchronous copies (LDGSTS, UTMALDG), accesses to shared memory (LDS, LDSM, STS) and to global
# memory, MUFU, arithmetic and conversions of floats, integers with uniform ones and moves, the
# other instructions, all of them.
"""


def measure(function, resources):
    """The numbers of a row, in the order of KERNEL + LOOP."""
    flow.find_loops(function)
    main = flow.main_loop(function)
    whole = kinds.by_kind(function.instructions)
    code = flow.body(function, main) if main else []
    mix = kinds.by_fine_kind(code)
    named = [mix[name] for name in ("tensor", "barrier", "group", "mbarrier", "wait", "fence",
                                    "async", "shared", "global", "special", "float", "integer")]
    assert len(code) < 10 ** WIDTH, f"a main loop of {len(code)} instructions: widen the table"
    return (resources["registers"], resources["spill_stores"] + resources["spill_loads"],
            resources["stack"], resources["barriers"], whole["barrier"], whole["fence"],
            *named, len(code) - sum(named), len(code))


def compile_one(tools, kgen, line, target):
    """{(kernel, target): numbers}, warnings of ptxas."""
    options = inputs.Options(arch=target, kgen=kgen)
    with inputs.Reader(tools, options) as reader:
        unit = (reader.from_ptx((HERE / line).read_text(), line) if line.startswith(TRITON)
                else reader.from_kernel(kgen, line, line))
    rows = {}
    for function in unit.functions:
        resources = unit.resources_of(function)
        # A subroutine is counted in what calls it, except for its instructions.
        if resources["registers"] is not None and resources["barriers"] is not None:
            kernels = sum(function.entry for function in unit.functions)
            name = line if kernels == 1 else f"{line} : {function.name}"
            rows[name, target] = measure(function, resources)
    return rows, [] if line.startswith(TRITON) else unit.warnings


def all_jobs():
    """(line, target), in the order of the table. A line that names its target has only that."""
    lines = [*inputs.configurations(), *GOALS]
    jobs = [(line, target) for line in lines
            for target in ([inputs.target_of(line)] if inputs.target_of(line) else TARGETS)]
    return jobs + [(f"{TRITON}{path.name}", TARGETS[-1])
                   for path in sorted((HERE / TRITON).glob("*.ptx"))]


def compile_all(tools, kgen, jobs):
    """In the order of the jobs: (line, target, rows, warnings) or an exception."""
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(compile_one, tools, kgen, *job) for job in jobs]
        for (line, target), future in zip(jobs, futures):
            try:
                yield line, target, *future.result()
            except words.Trouble as what:
                yield line, target, {}, [str(what)]


def read_table(text):
    """((version of LLVM, of ptxas), {(kernel, target): numbers})"""
    versions = re.search(r"by LLVM (\S+), by ptxas (\S+)\.$", text, re.M)
    rows, name = {}, None
    for line in text.replace(" \\\n", " ").splitlines():
        if line.startswith(" "):
            target, *cells = line.replace("|", " ").split()
            rows[name, target] = tuple(int(cell) for cell in cells)
        elif line and not line.startswith("#"):
            name = line
    return versions.groups() if versions else ("?", "?"), rows


def row_text(target, cells):
    cut = [f"{str(cell)[:WIDTH]:>{WIDTH}}" for cell in cells]
    kernel, loop = " ".join(cut[:len(KERNEL)]), " ".join(cut[len(KERNEL):])
    return f"{target:8} {kernel} | {loop}"


def table_text(versions, rows):
    text = HEAD.format(targets=", ".join(TARGETS), llvm=versions[0], ptxas=versions[1])
    text += "#   " + row_text("", KERNEL + LOOP) + "\n"
    last = None
    for (name, target), cells in rows.items():
        named = name if len(name) <= 100 else " \\\n".join(textwrap.wrap(name, 98))
        text += ("" if name == last else named + "\n") + "    " + row_text(target, cells) + "\n"
        last = name
    return text


# Ours of GOALS, and what is closest of Triton's.
BESIDE = tuple(zip(GOALS, (("matmul_roles", "matmul"), ("matmul_roles_b_col",),
                           ("attention_128_roles", "attention_128"), ("attention_128_causal",),
                           ("attention_64_roles", "attention_64"))))


def beside(rows):
    """A table in Markdown: the main loop of each kernel of GOALS, and of Triton's."""
    head = ("kernel", "regs", *LOOP, "per MMA")
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    for ours, others in BESIDE:
        for name in (ours, *(f"{TRITON}{other}.ptx" for other in others)):
            cells = rows[name, TARGETS[-1]]
            loop = cells[len(KERNEL):]
            shown = name.replace(" target=sm_90a", "")
            row = (shown, cells[0], *loop, f"{loop[-1] / loop[0]:.1f}")
            lines.append("| " + " | ".join(str(cell) for cell in row) + " |")
    return "\n".join(lines) + "\n"


def differences(expected, found, same_llvm=True):
    """`main loop BAR 1 -> 2 (+1)` for each number that is another one."""
    names = NAMES + tuple(f"main loop {name}" for name in LOOP)
    return [f"{name} {a} -> {b} ({b - a:+d})" for name, a, b in zip(names, expected, found)
            if a != b and (same_llvm or name not in OF_LLVM)]


def judge(expected, rows, warnings, same_llvm=True):
    """What is wrong with the rows of a configuration."""
    for key, cells in rows.items():
        if key not in expected:
            yield f"{' '.join(key)}: it is not in the table"
        elif (changes := differences(expected[key], cells, same_llvm)):
            yield f"{' '.join(key)}: {', '.join(changes)}"
        if any(cells[1:3]) and not key[0].startswith(TRITON):
            yield f"{' '.join(key)}: a shipped kernel neither spills nor has local memory"
    yield from (f"ptxas: {line}" for warning in warnings for line in warning.splitlines())


def check(tools, kgen, expected, same_llvm):
    jobs = all_jobs()
    print(f"1..{len(jobs) + 1}")
    bad, seen = 0, set()
    for number, (line, target, rows, warnings) in enumerate(compile_all(tools, kgen, jobs), 1):
        wrong = list(judge(expected, rows, warnings, same_llvm))
        seen.update(rows)
        bad += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {line} {target}", flush=True)
        for text in wrong:
            print(f"# {text}")
    stale = [key for key in expected if key not in seen]
    print(f"{'not ok' if stale else 'ok'} {len(jobs) + 1} - each row has its kernel")
    for key in stale:
        print(f"# {' '.join(key)}: no kernel of this name is compiled any more")
    if bad or stale:
        print("# If it has to be so: tests/sass/check-table.py --update, and read git diff. "
              "`tools/sass-diff main:NAME NAME` shows the instructions.")
    return 1 if bad or stale else 0


def update(tools, kgen, versions, known):
    if known and known[0] != versions[0]:
        print(f"check-table: the table is of LLVM {known[0]}, and {kgen} has LLVM {versions[0]}; "
              f"to change that, remove {TABLE.relative_to(ROOT)} first", file=sys.stderr)
        return 2
    table = {}
    for line, _, rows, warnings in compile_all(tools, kgen, all_jobs()):
        bad = warnings + [words for words in judge(rows, rows, [])]
        if bad:
            print(f"{line}:", *bad, sep="\n", file=sys.stderr)
            return 1
        table.update(rows)
    text = table_text(versions, table)
    if TABLE.exists() and TABLE.read_text() == text:
        return 0
    TABLE.write_text(text)
    print(f"written: {TABLE.relative_to(ROOT)}")
    return 0


def llvm_of(kgen):
    """`22`, of what `kgen version` prints."""
    said = subprocess.run([str(kgen), "version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(LLVM (\S+)\)", said.stdout)
    return found[1] if found else "?"


def main(arguments):
    options = {argument.partition("=")[0]: argument.partition("=")[2] for argument in arguments
               if argument.startswith("-")}
    names = [argument for argument in arguments if not argument.startswith("-")]
    if "--help" in options or "-h" in options:
        print(__doc__)
        return 0
    unknown = [name for name in options if name not in ("--update", "--beside",
                                                           "--toolkit")]
    if unknown or len(names) > 1:
        print(f"check-table: unknown argument '{(unknown or names[1:])[0]}'; try --help",
              file=sys.stderr)
        return 2
    if "--beside" in options:
        print(beside(read_table(TABLE.read_text())[1]), end="")
        return 0
    kgen = Path(names[0] if names else ROOT / "build/tools/kgen").resolve()
    if not kgen.exists():
        print(f"check-table: {kgen} is not there: build first", file=sys.stderr)
        return 2
    tools = toolkit.Toolkit(options.get("--toolkit"))
    try:
        tools.find("nvdisasm")
        versions = llvm_of(kgen), tools.version("ptxas")
    except words.Missing as what:
        if "--update" in options:
            print(f"check-table: {what}", file=sys.stderr)
            return words.MISSING
        print(f"1..0 # SKIP {what}")
        return 0  # meson takes 77 in TAP for an error
    known, expected = read_table(TABLE.read_text()) if TABLE.exists() else (None, {})
    if "--update" in options:
        return update(tools, kgen, versions, known)
    if known and known[1] != versions[1]:
        print(f"1..0 # SKIP the table is of ptxas {known[1]}, and this is ptxas {versions[1]}: "
              "tests/sass/check-table.py --update")
        return 0
    return check(tools, kgen, expected, not known or known[0] == versions[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
