# SPDX-License-Identifier: MIT
"""Listings for the tests: written short, made to look like what nvdisasm -c prints."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
from sass import compare, listing  # noqa: E402


def listing_text(code, name="kernel", target="sm_80"):
    """A listing of one kernel. In `code`, `LOOP:` is a label and `(LOOP)` names it; names that
    begin with a dollar are those of subroutines."""
    lines = [f"\t.target\t{target}", f'\t.section\t.text.{name},"ax",@progbits',
             '\t.sectioninfo\t@"SHI_REGISTERS=40"', f"        .type           {name},@function",
             f'        .other          {name},@"STO_CUDA_ENTRY STV_DEFAULT"', f"{name}:",
             f".text.{name}:"]
    address = 0
    for line in (line.strip() for line in code.strip().splitlines()):
        if re.fullmatch(r"\$\w+:", line):
            lines += [f"        .type           {line[:-1]},@function", line]
        elif re.fullmatch(r"\w+:", line):
            lines.append(f".L_{line}")
        elif line:
            line = re.sub(r"\((\w+)\)", r"`(.L_\1)", line)
            line = re.sub(r"\((\$\w+)\)", r"`(\1)", line)
            lines.append(f"        /*{address:04x}*/         {line} ;")
            address += 16
    return "\n".join(lines) + "\n"


def functions(code, **more):
    return listing.parse(listing_text(code, **more))


def function(code, **more):
    return functions(code, **more)[0]


def compared(before, after):
    return compare.compare_functions(function(before), function(after))


def run(cases):
    """Runs functions as TAP: the name is the docstring, an AssertionError the failure. A case that
    returns text is skipped for that reason. Gives the exit status."""
    print(f"1..{len(cases)}")
    bad = 0
    for number, case in enumerate(cases, 1):
        try:
            reason = case()
            print(f"ok {number} - {case.__doc__}" + (f" # SKIP {reason}" if reason else ""))
        except Exception as what:  # whatever breaks is a failure of this case
            bad += 1
            print(f"not ok {number} - {case.__doc__}")
            for line in f"{type(what).__name__}: {what}".splitlines():
                print(f"# {line}")
    return 1 if bad else 0


def same(found, expected):
    assert found == expected, f"\n{found}\nis not\n{expected}"
