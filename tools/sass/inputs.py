# SPDX-License-Identifier: MIT
"""From what the command line names to machine code.

    FILE.cubin                 machine code
    FILE.ptx                   assembled, for --arch or the target that the PTX names
    FILE.sass                  what `nvdisasm -c` wrote
    FILE.kg                    compiled with the kgen of --build, and assembled
    matmul, 'matmul M=64 K=96' a shipped kernel, with the keys of `kgen run`
    all                        the configurations of the shipped kernels that the tests use
    REVISION:matmul, ...       the same three with the kgen of a git revision
    -                          PTX from the standard input

A file that is there comes before anything else of that name. What a file holds decides what it is;
only .kg and .sass go by their name.
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from sass import listing, revisions
from sass.toolkit import ROOT, resources
from sass.words import Trouble, did_you_mean

ELF_CUDA = 190


@dataclass
class Unit:
    """One piece of machine code: the functions of a cubin."""
    title: str
    arch: str
    functions: list
    resources: dict = field(default_factory=dict)  # of each function that the tools know
    warnings: list = field(default_factory=list)   # of ptxas

    def resources_of(self, function):
        known = self.resources.get(function.name)
        return known or resources(registers=function.registers)


@dataclass
class Options:
    arch: str = None
    build: str = "build"
    cache: str = None
    defines: tuple = ()
    kgen: str = None  # a command to use instead of that of `build`


def configurations(source=ROOT):
    """The lines of kernels/configurations.c of a source tree."""
    path = source / "kernels/configurations.c"
    if not path.exists():
        raise Trouble("'all' needs kernels/configurations.c, which this tree does not have")
    # Of each array the strings, those that stand side by side being one.
    text = re.sub(r'"\s*\n\s*"', "", path.read_text())
    return re.findall(r'^    "([^"]+)",$', text, re.M)


def target_of(line):
    """The one GPU that a configuration is for; None: any."""
    named = re.search(r"\btarget=(sm_\w+)", line)
    return named[1] if named else None


class Reader:
    """Makes units of names. Keeps what it writes in a scratch folder until it is closed."""

    def __init__(self, toolkit, options):
        self.toolkit, self.options = toolkit, options
        self.scratch = tempfile.TemporaryDirectory(prefix="sass-diff-")
        self.count = 0
        self.asked = False  # whether the build is up to date

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.scratch.cleanup()

    def _place(self, suffix):
        self.count += 1
        return Path(self.scratch.name, f"{self.count}{suffix}")

    # ---- machine code ----

    def from_listing(self, text, title, arch=None):
        named = re.search(r"\.target\s+(sm_\w+)", text)
        return Unit(title, arch or (named[1] if named else "?"), listing.parse(text, title))

    def from_cubin(self, path, title):
        unit = self.from_listing(self.toolkit.disassemble(path, title), title)
        if self.options.arch and self.options.arch != unit.arch:
            raise Trouble(f"{title} is machine code for {unit.arch} already: "
                          f"--arch={self.options.arch} has nothing to choose")
        unit.resources = self.toolkit.resources(path, unit.arch, title)
        return unit

    def from_ptx(self, text, title):
        target = re.search(r"^\s*\.target\s+(sm_\w+)", text, re.M)
        if not target:
            raise Trouble(f"{title} names no .target, so it is no PTX")
        arch = self.options.arch or target[1]
        ptx, cubin = self._place(".ptx"), self._place(".cubin")
        ptx.write_text(text)
        known, warnings = self.toolkit.assemble(ptx, arch, cubin, title)
        unit = self.from_listing(self.toolkit.disassemble(cubin, title), title, arch)
        unit.resources = known
        unit.warnings = [line.replace(str(ptx), title) for line in warnings]
        return unit

    # ---- kgen ----

    def _kgen(self):
        """The command of the build in --build."""
        path = Path(self.options.kgen or ROOT / self.options.build / "tools/kgen").resolve()
        if not path.exists():
            raise Trouble(f"{path} is not there: build it (`ninja -C {self.options.build} "
                          "tools/kgen`), or say --build=DIRECTORY")
        if not self.asked:
            self.asked = True
            self._warn_of_old(path.parent.parent)
        return path

    def _warn_of_old(self, build):
        """Says so where the sources are newer than the kgen that is used."""
        ninja = shutil.which("ninja")
        if ninja and (build / "build.ninja").exists():
            said = subprocess.run([ninja, "-C", str(build), "-n", "tools/kgen"],
                                  capture_output=True, text=True, check=False).stdout
            # Build files that are written anew first leave it open.
            if said and "no work to do" not in said and "Regenerating" not in said:
                print(f"sass-diff: note: {self.options.build}/tools/kgen is older than its "
                      f"sources; ninja -C {self.options.build} tools/kgen", file=sys.stderr)

    def _call(self, kgen, arguments, title):
        command = [str(kgen), *arguments]
        command += [f"-D{define}" for define in self.options.defines]
        if self.options.arch:
            command.append(f"--target={self.options.arch}")
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise Trouble(f"kgen does not compile {title}:\n{process.stderr.strip()}")
        if process.stderr.strip():
            print(process.stderr.strip(), file=sys.stderr)
        return process.stdout

    def from_program(self, kgen, path, title):
        return self.from_ptx(self._call(kgen, ["build", str(path)], title), title)

    def from_kernel(self, kgen, line, title):
        text = self._call(kgen, ["run", *line.split(), "--plan", "--json"], title)
        return self.from_ptx(json.loads(text)["ptx"], title)

    def families(self, kgen):
        process = subprocess.run([str(kgen), "list", "kernels", "--json"], capture_output=True,
                                 text=True, check=False)
        try:
            return [family["name"] for family in json.loads(process.stdout)]
        except (ValueError, KeyError, TypeError):
            raise Trouble(f"{kgen} does not list its kernels: {process.stderr.strip()}") from None

    def from_name(self, kgen, name, title, source):
        """A shipped kernel, `all`, or a .kg file (searched in `source` first): its units."""
        if name == "all":
            return [self.from_kernel(kgen, line, line) for line in configurations(source)
                    if self.options.arch in (None, target_of(line) or self.options.arch)]
        if name.endswith(".kg"):
            for folder in (source, Path(".")):
                if (folder / name).is_file():
                    return [self.from_program(kgen, folder / name, title)]
            raise Trouble(f"there is no {name}, neither in that revision nor here")
        known = self.families(kgen)
        word = name.split()[0] if name.split() else name
        if word not in known:
            raise Trouble(f"'{word}' is no shipped kernel" + (
                did_you_mean(word, known + ["all"]) or f"; there are {', '.join(known)}, and all"))
        return [self.from_kernel(kgen, name, title)]

    # ---- names ----

    def from_file(self, path, title):
        if path.is_dir():
            raise Trouble(f"{title} is a folder")
        if path.suffix == ".kg":
            return self.from_program(self._kgen(), path, title)
        data = path.read_bytes()
        if data[:4] == b"\x7fELF":
            if int.from_bytes(data[18:20], "little") != ELF_CUDA:
                raise Trouble(f"{title} is a program or library of the host; take its machine code "
                              f"out with `cuobjdump -xelf all {title}` and name one of the cubins")
            return self.from_cubin(path, title)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise Trouble(f"{title} is neither a cubin nor text") from None
        if path.suffix == ".sass":
            return self.from_listing(text, title)
        return self.from_ptx(text, title)

    def read(self, name):
        """The units that a name of the command line stands for; several only for `all`."""
        if name == "-":
            return [self.from_ptx(sys.stdin.read(), "the standard input")]
        path = Path(name)
        # A folder that is called like a kernel does not hide it.
        if path.exists() and (not path.is_dir() or "/" in name or name.startswith(".")):
            return [self.from_file(path, name)]
        revision, colon, rest = name.partition(":")
        if colon and rest:
            kgen, source = revisions.kgen_of(revision, self.options.cache
                                             or revisions.default_cache())
            return self.from_name(kgen, rest, name, source)
        if colon or "/" in name or path.suffix in (".ptx", ".cubin", ".kg", ".sass"):
            beside = [str(other) for other in path.parent.glob("*")] if not colon else []
            raise Trouble(f"there is no file {name}" + did_you_mean(name, beside))
        return self.from_kernel_name(name)

    def from_kernel_name(self, name):
        kgen = self._kgen()
        known = self.families(kgen) + ["all"]
        word = name.split()[0] if name.split() else name
        if word not in known:
            if revisions.tree_of(name):
                raise Trouble(f"'{name}' is a git revision: say which kernel of it, as in "
                              f"'{name}:matmul' or '{name}:all'")
            if Path(name).is_dir():
                raise Trouble(f"{name} is a folder")
            files = [other.name for other in Path(".").glob("*")]
            raise Trouble(f"'{name}' is no file, no shipped kernel and no git revision"
                          + did_you_mean(word, known + files))
        return self.from_name(kgen, name, name, ROOT)
