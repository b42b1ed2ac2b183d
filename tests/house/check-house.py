#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that a compiler does not hold, checked on the source tree. Reports in TAP.

usage: check-house.py ROOT

Each check yields findings, "file:line: what". Rules and exceptions stand in the tables below; an
exception says why.
"""
import os
import re
import sys
from pathlib import Path

# Who may include whom: a folder's files may include headers of the folders listed, and of itself.
# The longest folder that fits a file counts, for the file that includes and the one included.
MAY_INCLUDE = {
    "ir": [],
    "passes": ["ir"],
    "codegen": ["ir"],
    "runtime": ["ir", "passes", "codegen", "runtime/cpu", "runtime/cuda"],
    "runtime/cpu": [],   # the second opinion: it must not share a mistake with the compiler
    "runtime/cuda": [],  # can be lifted out as it is
    "runtime/drop_in": ["runtime/cpu/ptxm.h"],  # a driver of its own, on the machine's interface
    "kernels": ["runtime/kgen.h"],
    "tools": ["runtime/kgen.h", "kernels/kernels.h"],
    "tests": ["ir", "passes", "codegen", "runtime", "runtime/cpu", "runtime/cuda",
              "runtime/drop_in", "kernels", "tools"],
    "docs": ["runtime/kgen.h", "kernels/kernels.h"],
}
LLVM_FILE = "codegen/llvm.h"  # the only one that includes llvm-c/
LLVM_USERS = re.compile(r"codegen/llvm_[^/]*\.c")  # and those that include it

# The library never ends, prints or reads the environment. What is not the library: generators, and
# the drop-in driver, which has no other way to hear from its user and to tell what it found.
LIBRARY = ("ir", "passes", "codegen", "runtime")
NOT_LIBRARY = re.compile(r"(^|/)(gen_|generate_|main)[^/]*\.c$|^runtime/drop_in/[^/]*\.c$")
FORBIDDEN_CALL = re.compile(
    r"(?<![\w.>])(exit|_exit|_Exit|quick_exit|abort|atexit|printf|vprintf|puts|putchar|perror|"
    r"getenv|secure_getenv|setenv|setlocale|signal|assert)\s*\(|"
    r"(?<![\w.>])v?fprintf\s*\(\s*(stdout|stderr)\b")

# What only makes sense on one machine. Put together from pieces, or this file would find itself.
FOREIGN = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "home/", r"\.\./" + "shared",
                               "shared/" + "(design|style|hazards|ptx-ordering)"]))

WIDTH = 100
LONG_FILE = 600  # lines; .def and .py are not held to it: tables may be long
SOURCE = (".c", ".h", ".def")
SCRIPT_FOLDERS = ("tools", ".ci", "tests")


def walk(root):
    """Every file of the project: not the builds, not what hides, except .ci."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f != "__pycache__"
                            and not (f.startswith(".") and f != ".ci")
                            and not (Path(folder) == root and f.startswith("build")))
        for name in sorted(names):
            path = Path(folder, name)
            # .git is a file in a second work tree, and says where the first one is.
            if not path.is_symlink() and name != ".git":
                yield path.relative_to(root)


def read(root, path):
    """The text, or None for what is not text."""
    data = (root / path).read_bytes()
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def area_of(path, areas):
    """The longest of the areas that the path lies in, or is."""
    fitting = [area for area in areas if path == area or path.startswith(area + "/")]
    return max(fitting, key=len, default=None)


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
        if match:
            yield number, match.group(1), match.group(2)


def included_path(root, path, name):
    """Where an include leads, relative to the root; None for a header that is generated."""
    for base in (root / path.parent, root):
        target = Path(os.path.normpath(base / name))
        if target.is_file() and root in target.parents:
            return str(target.relative_to(root))
    return name if area_of(name, MAY_INCLUDE) else None


def may_include(source, target):
    own = area_of(source, MAY_INCLUDE)
    if own is None:
        return True
    if area_of(target, MAY_INCLUDE) == own:
        return True
    return any(target == entry or (area_of(target, MAY_INCLUDE) == entry)
               for entry in MAY_INCLUDE[own])


def check_includes(root, files):
    """folders include only what the layout allows"""
    for path, text in files.items():
        if path.suffix not in SOURCE:
            continue
        for number, quote, name in includes(text):
            target = included_path(root, path, name) if quote == '"' else None
            if target and not may_include(str(path), target):
                yield f"{path}:{number}: may not include {target}"


def check_llvm(root, files):
    """one header touches LLVM, for the files named after it"""
    for path, text in files.items():
        if path.suffix not in SOURCE or str(path) == LLVM_FILE:
            continue
        for number, quote, name in includes(text):
            if name.startswith(("llvm-c/", "llvm/")):
                yield f"{path}:{number}: only {LLVM_FILE} includes {name}"
            target = included_path(root, path, name) if quote == '"' else None
            if target == LLVM_FILE and not LLVM_USERS.fullmatch(str(path)):
                yield f"{path}:{number}: may not include {target}"


def code_only(text):
    """Comments and strings blanked, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def check_silence(root, files):
    """the library does not print, exit, abort or read the environment"""
    for path, text in files.items():
        if path.suffix not in SOURCE or path.parts[0] not in LIBRARY:
            continue
        if NOT_LIBRARY.search(str(path)):
            continue
        for number, line in enumerate(code_only(text).splitlines(), 1):
            match = FORBIDDEN_CALL.search(line)
            if match and not line.lstrip().startswith("#"):
                yield f"{path}:{number}: the library does not call {match.group().rstrip('( ')}"


def wants_licence(path, text):
    if path.suffix in SOURCE + (".py", ".sh") or path.name in ("meson.build", "lit.cfg.py"):
        return True
    return path.parts[0] in SCRIPT_FOLDERS and text.startswith("#!")


def check_licence(root, files):
    """every source names its licence on its first line"""
    for path, text in files.items():
        if not wants_licence(path, text):
            continue
        lines = text.splitlines()[:2] + ["", ""]
        first = lines[1] if lines[0].startswith("#!") else lines[0]
        if "SPDX-License-Identifier: MIT" not in first:
            yield f"{path}:1: no SPDX-License-Identifier"


def is_table_or_link(path, line):
    return path.suffix == ".md" and (line.lstrip().startswith(("|", "[")) or "](" in line)


def check_width(root, files):
    """lines stay within 100 columns"""
    for path, text in files.items():
        if path.suffix in (".ptx", ".json") or path.name == "LICENSE" or "corpus" in path.parts:
            continue
        if path.parts[:2] == ("tests", "golden"):
            text = text.partition("---- output, written by tools/bless ----")[0]
        wide = [number for number, line in enumerate(text.splitlines(), 1)
                if len(line) > WIDTH and not is_table_or_link(path, line)]
        if wide:
            yield f"{path}: wider than {WIDTH} columns: {', '.join(map(str, wide))}"


def check_length(root, files):
    """no file of C has more than 600 lines"""
    for path, text in files.items():
        lines = len(text.splitlines())
        if path.suffix in (".c", ".h") and lines > LONG_FILE:
            yield f"{path}: {lines} lines, more than {LONG_FILE}"


def check_alone(root, files):
    """nothing points outside of the project"""
    for path, text in files.items():
        for number, line in enumerate(text.splitlines(), 1):
            match = FOREIGN.search(line)
            if match:
                yield f"{path}:{number}: mentions {match.group()}"


def check_readmes(root, files):
    """every folder with sources says what it is"""
    folders = {path.parent for path in files if path.suffix in SOURCE or path.suffix == ".kg"}
    folders |= {Path(name) for name in MAY_INCLUDE if (root / name).is_dir()}
    for folder in sorted(folders):
        inputs = {"golden", "corpus", "programs", "inputs", "examples"} & set(folder.parts)
        if folder != Path(".") and not inputs and not (root / folder / "README.md").is_file():
            yield f"{folder}: no README.md"


def check_text(root, files):
    """text files end in a newline and carry no spaces at line ends"""
    for path, text in files.items():
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at its end"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip() and path.suffix in SOURCE + (".py", ".build"):
                yield f"{path}:{number}: space at the end of the line"


def check_goldens(root, files):
    """goldens of passes are about the pass: no syntax error has been blessed into one"""
    for path, text in files.items():
        if path.parts[:2] != ("tests", "golden") or path.parts[2] == "text":
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("// CHECK") and re.search(r"\[KG-P\d", line):
                yield f"{path}:{number}: expects a syntax error"


CHECKS = (check_includes, check_llvm, check_silence, check_licence, check_width, check_length,
          check_alone, check_readmes, check_text, check_goldens)


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(arguments[0]).resolve()
    files = {path: text for path in walk(root) if (text := read(root, path)) is not None}
    print(f"1..{len(CHECKS)}")
    bad = 0
    for number, check in enumerate(CHECKS, 1):
        findings = list(check(root, files))
        bad += bool(findings)
        print(f"{'not ok' if findings else 'ok'} {number} - {check.__doc__}")
        for finding in findings:
            print(f"# {finding}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
