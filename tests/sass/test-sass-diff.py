#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/sass-diff as a command: inputs, forms, errors, exit statuses. Listings and stand-ins for
NVIDIA's tools and for kgen make it run everywhere; with the real ones, and KGEN, it compiles a
shipped kernel too.

usage: test-sass-diff.py [KGEN]
"""
import contextlib
import html.parser
import importlib.machinery
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from support import ROOT, listing_text, run, same

from sass import inputs, toolkit, words

LOOP = """
    S2R R0, SR_TID.X
    HEAD:
    LDS R8, [R0+0x400]
    FADD R5, R5, R8
    @!P0 BRA (HEAD)
    STG.E.128 [R2.64], R5
    EXIT
"""
BARRIER = LOOP.replace("    FADD", "    BAR.SYNC 0x0\n    FADD")
KGEN = sys.argv[1] if len(sys.argv) > 1 else None

# What stands in for the tools. A "cubin" is an ELF header and the listing; PTX carries it too.
NVDISASM = """#!/bin/sh
for file; do :; done
if grep -aq broken "$file"; then echo "cannot read it" >&2; exit 1; fi
sed -n '/\\.target/,$p' "$file"
"""
PTXAS = """#!/bin/sh
for argument; do
    case "$argument" in -arch=*) arch=${argument#-arch=} ;; --version) echo "release 1.2, V1.2.3" ;;
    esac
done
while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
[ -n "$out" ] || exit 0
if grep -q refuse "$1"; then echo "ptxas $1, line 7; error : bad" >&2; exit 1; fi
sed -e "s/sm_80/$arch/" "$1" > "$out"
echo "ptxas info    : Function properties for kernel"
echo "    8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads"
echo "ptxas info    : Used 33 registers, used 1 barriers"
grep -q slow "$1" && echo "ptxas warning : slow"
exit 0
"""
CUOBJDUMP = """#!/bin/sh
echo " Function kernel:"; echo "  REG:40 STACK:16 SHARED:1088 LOCAL:0"
"""
FAKE_KGEN = """#!/bin/sh
case "$1" in
list) echo '[{"name": "matmul"}, {"name": "attention"}]' ;;
run) printf '{"ptx": "%s"}' "$(sed 's/$/\\\\n/; s/\\t/ /g; s/"/\\\\"/g' CODE | tr -d '\\n')" ;;
build) cat CODE ;;
esac
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Place:
    """A folder with the stand-ins, and a command that uses them."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="sass-diff-test-")).resolve()
        for name, text in (("nvdisasm", NVDISASM), ("ptxas", PTXAS), ("cuobjdump", CUOBJDUMP)):
            executable(self.root / "tools" / name, text)
        for name, code in (("a", LOOP), ("b", BARRIER)):
            text = listing_text(code)
            (self.root / f"{name}.sass").write_text(text)
            (self.root / f"{name}.ptx").write_text(f".version 7.0\n{text}")
            (self.root / f"{name}.cubin").write_bytes(
                b"\x7fELF" + bytes(14) + (190).to_bytes(2, "little") + b"\n" + text.encode())
            executable(self.root / f"build-{name}/tools/kgen",
                       FAKE_KGEN.replace("CODE", str(self.root / f"{name}.ptx")))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root)

    def diff(self, *arguments, stdin=None, script=ROOT / "tools/sass-diff"):
        process = subprocess.run(
            [sys.executable, str(script), f"--toolkit={self.root / 'tools'}", *arguments],
            capture_output=True, text=True, check=False, cwd=self.root, input=stdin,
            env=dict(os.environ, NO_COLOR="", XDG_CACHE_HOME=str(self.root / "cache")))
        return process.returncode, process.stdout, process.stderr


def listings():
    """0 for the same code, 1 for other code, which is shown"""
    with Place() as place:
        same(place.diff("a.sass", "a.sass")[0], 0)
        status, text, errors = place.diff("a.sass", "b.sass")
        same((status, errors), (1, ""))
        assert "synchronization and memory:\n" in text and "\n+BAR.SYNC 0x0\n" in text, text
        assert "\nmix: BAR 0 -> 1\n" in text, text
        assert re.search(r"^  barrier +0 +1 +\+1$", text, re.M), text


def assembled():
    """PTX is assembled for its own target or --arch, and what ptxas says is shown"""
    with Place() as place:
        status, text, _ = place.diff("a.ptx", "a.ptx", "--json")
        (unit,) = json.loads(text)["units"]
        same((status, unit["arch"]["a"]), (0, "sm_80"))
        same(unit["functions"][0]["resources"]["a"], toolkit.resources(33, 8, 4, 4, 0, 1))
        status, text, _ = place.diff("a.ptx", "-", "--arch=sm_90a", "--json",
                                     stdin=(place.root / "a.ptx").read_text() + "// slow\n")
        (unit,) = json.loads(text)["units"]
        same((status, unit["arch"]["b"], unit["warnings"]["b"]),
             (0, "sm_90a", ["ptxas warning : slow"]))


def cubins():
    """a cubin is disassembled, and cuobjdump asked for what it takes"""
    with Place() as place:
        status, text, _ = place.diff("a.cubin", "b.cubin", "--json")
        (unit,) = json.loads(text)["units"]
        same((status, unit["functions"][0]["resources"]["b"]),
             (1, toolkit.resources(registers=40, stack=16, shared=1088)))
        # What the system keeps of shared memory does not count.
        hopper = (place.root / "b.cubin").read_bytes().replace(b"sm_80", b"sm_90a")
        (place.root / "c.cubin").write_bytes(hopper)
        (unit,) = json.loads(place.diff("a.cubin", "c.cubin", "--json")[1])["units"]
        same(unit["functions"][0]["resources"]["b"]["shared"], 64)


def stat():
    """the table has the numbers of B with their changes"""
    with Place() as place:
        status, text, _ = place.diff("a.ptx", "b.ptx", "--stat")
        head, row, last = text.splitlines()
        same(status, 1)
        same(head.split("  ")[0], "kernel")
        assert " | main loop:  barrier " in head and "tensor" not in head, head
        assert re.match(r"kernel +33 +8 +8 +7 \(\+1\) +\| +1 \(\+1\) +1 .* differs$", row), row
        assert last.startswith("1 row: 0 the same, "), last


class Checker(html.parser.HTMLParser):
    """Elements close in the order in which they opened; nothing is fetched."""
    VOID = ("meta",)

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], set()

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        assert not {"src"} & {name for name, _ in attributes}, attributes
        assert all(value.startswith("#") for name, value in attributes if name == "href")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        same(self.open.pop(), tag)


def page():
    """the page is well formed, the same each time, fetches nothing and marks what changed"""
    with Place() as place:
        shutil.copy(place.root / "a.ptx", place.root / "<a>&.ptx")
        same(place.diff("<a>&.ptx", "b.ptx", "--html=z.html")[:2], (1, ""))
        assert "<h1>&lt;a&gt;&amp;.ptx" in (place.root / "z.html").read_text()
        same(place.diff("a.ptx", "b.ptx", "--html=x.html")[:2], (1, ""))
        same(place.diff("a.ptx", "b.ptx", "--html", "y.html")[0], 1)
        text = (place.root / "x.html").read_text()
        same(text, (place.root / "y.html").read_text())
        checker = Checker()
        checker.feed(text)
        same(checker.open, [])
        assert {"details", "table", "style"} <= checker.seen and "script" not in checker.seen
        assert '<td class="none"></td><td class="come">BAR.SYNC 0x0</td>' in text
        assert "url(" not in text and "@import" not in text


def colours():
    """colours come with --color=always only, where there is no terminal"""
    with Place() as place:
        assert "\033[" not in place.diff("a.sass", "b.sass")[1]
        assert "\033[32m+BAR" in place.diff("a.sass", "b.sass", "--color=always")[1]


def kernels():
    """a shipped kernel is compiled by the kgen of --build, a .kg file too"""
    with Place() as place:
        (place.root / "mine.kg").write_text("kernel mine\n")
        a = f"--build={place.root / 'build-a'}"
        same(place.diff("matmul", "a.ptx", a)[0], 0)
        same(place.diff("matmul M=64 K=3", "b.ptx", a)[0], 1)
        same(place.diff("mine.kg", "a.sass", a, "-D", "BM=4")[0], 1)  # other resources
        status, text, errors = place.diff("all", "all", a, "--stat")
        count = len(inputs.configurations())
        same((status, errors), (0, ""))
        assert text.splitlines()[-1].startswith(f"{count} rows: {count} the same"), text


def old_build():
    """a kgen older than its sources is used, and told"""
    if not shutil.which("ninja"):
        return "no ninja"
    with Place() as place:
        build = place.root / "build-a"
        (build / "source").write_text("newer\n")
        (build / "build.ninja").write_text(
            "rule copy\n  command = cp $in $out\nbuild tools/kgen: copy source\n")
        status, _, said = place.diff("matmul", "attention", f"--build={build}")
        same((status, said.count("older than its sources")), (0, 1))  # once for both inputs
        (build / "build.ninja").write_text("build tools/kgen: phony\n")
        same(place.diff("matmul", "a.ptx", f"--build={build}")[::2], (0, ""))
    return None


def folders():
    """a folder that is called like a kernel does not hide it, another one is refused"""
    with Place() as place:
        (place.root / "matmul").mkdir()
        build = f"--build={place.root / 'build-a'}"
        same(place.diff("matmul", "a.ptx", build)[0], 0)
        status, _, said = place.diff("tools", "a.ptx", build)
        same((status, said), (2, "sass-diff: error: tools is a folder\n"))


def errors():
    """what is wrong is said in one line, with the way out, and the status is 2"""
    with Place() as place:
        (place.root / "bad.ptx").write_text(".target sm_80\nrefuse\n")
        (place.root / "text.txt").write_text("hello\n")
        (place.root / "broken.cubin").write_bytes((place.root / "a.cubin").read_bytes() + b"broken")
        (place.root / "host").write_bytes(b"\x7fELF" + bytes(60))
        build = f"--build={place.root / 'build-a'}"
        for arguments, words_of_it in (
                (["a.sass"], "two inputs are compared"),
                (["a.sass", "a.sass", "--stta"], "did you mean '--stat'"),
                (["a.sass", "a.sass", "--stat", "--json"], "one form at a time"),
                (["a.sass", "a.sass", "--json=x"], "--json takes no value"),
                (["a.sass", "a.sass", "--arch"], "--arch needs a value"),
                (["a.sass", "a.sass", "--color=allways"], "did you mean 'always'"),
                (["a.sass", "a.sass", "--kernel=kernal"], "did you mean 'kernel'"),
                (["-", "-"], "only one of the two"),
                (["a.sas", "./a.sass"], "did you mean 'a.sass'"),
                (["a.pxt", "a.sass", build], "did you mean 'a.ptx'"),
                (["./c.ptx", "a.sass"], "there is no file ./c.ptx"),
                (["matmull", "a.sass", build], "did you mean 'matmul'"),
                (["matmul", "a.sass", "--build=nowhere"], "build it"),
                (["HEADD:matmul", "a.sass", build], "no git revision 'HEADD'"),
                (["all", "a.sass", build], "'all' compares with 'all'"),
                (["a.cubin", "a.cubin", "--arch=sm_90"], "machine code for sm_80 already"),
                (["bad.ptx", "a.sass"], "ptxas refuses bad.ptx for sm_80"),
                (["broken.cubin", "a.sass"], "cannot read the machine code of broken.cubin"),
                (["text.txt", "a.sass"], "no .target"),
                (["host", "a.sass"], "cuobjdump -xelf"),
                ([".", "a.sass"], ". is a folder"),
                (["a.sass", "b.sass", "--html=nowhere/x"], "nowhere/x")):
            status, text, said = place.diff(*arguments)
            same((arguments, status, text), (arguments, 2, ""))
            assert words_of_it in said and "Traceback" not in said, f"{arguments}: {said}"


def load_script():
    loader = importlib.machinery.SourceFileLoader("sass_diff", str(ROOT / "tools/sass-diff"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("sass_diff", loader))
    loader.exec_module(module)
    return module


def missing():
    """77 and a line that says how to get it where a tool is missing"""
    script, places, path = load_script(), toolkit.places, os.environ["PATH"]
    with Place() as place:
        try:
            toolkit.places = lambda option: iter(())
            os.environ["PATH"] = str(place.root)
            same(script.main([str(place.root / "a.sass"), str(place.root / "a.sass"),
                              "--html=/dev/null"]), 0)
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                same(script.main([str(place.root / "a.cubin")] * 2), words.MISSING)
            same(said.getvalue().count("\n"), 1)
            for name, way in (("nvdisasm", "tools/get-cuobjdump"), ("ptxas", "CUDA toolkit")):
                try:
                    toolkit.Toolkit().find(name)
                    raise AssertionError(f"{name} was found")
                except words.Missing as what:
                    assert f"no {name} in " in str(what) and way in str(what), what
        finally:
            toolkit.places, os.environ["PATH"] = places, path


def sub(command, place):
    subprocess.run(command, cwd=place, check=True, capture_output=True)


def revisions():
    """kgen of a revision is built once, and used again for the same content"""
    if not all(shutil.which(name) for name in ("git", "meson", "ninja")):
        return "no git, meson or ninja"
    with Place() as place:
        tree = place.root / "tree"
        shutil.copytree(ROOT / "tools/sass", tree / "tools/sass")
        shutil.copy(ROOT / "tools/sass-diff", tree / "tools/sass-diff")
        (tree / "meson.build").write_text("project('x')\nsubdir('tools')\n")
        (tree / "meson_options.txt").write_text("option('tests', type: 'feature')\n")
        (tree / "tools/meson.build").write_text(
            "custom_target('kgen', output: 'kgen', input: 'kgen.sh', "
            "command: ['cp', '-p', '@INPUT@', '@OUTPUT@'])\n")
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
        sub([*git, "init", "-q", "-b", "trunk"], tree)
        for name in ("a", "b"):
            executable(tree / "tools/kgen.sh",
                       (place.root / f"build-{name}/tools/kgen").read_text())
            sub([*git, "add", "-A"], tree)
            sub([*git, "commit", "-q", "-m", name], tree)
        script = tree / "tools/sass-diff"
        status, text, said = place.diff("HEAD~1:matmul", "trunk:matmul", script=script)
        same((status, said.count("building kgen of")), (1, 2))
        assert "+BAR.SYNC 0x0" in text and "--- HEAD~1:matmul (sm_80)" in text, text
        same(place.diff("trunk:matmul", "HEAD:matmul", script=script)[::2], (0, ""))
        status, _, said = place.diff("trank:matmul", "HEAD:matmul", script=script)
        assert status == 2 and "did you mean 'trunk'?" in said, said
        status, _, said = place.diff("trunk", "HEAD:matmul", script=script)
        assert status == 2 and "--build" in said, said
        status, _, said = place.diff("trunk:matmal", "HEAD:matmul", script=script)
        assert status == 2 and "did you mean 'matmul'?" in said, said
        (tree / "tools/meson.build").write_text("error('no')\n")
        sub([*git, "commit", "-q", "-a", "-m", "broken"], tree)
        status, _, said = place.diff("trunk:matmul", "HEAD:matmul", script=script)
        assert status == 2 and "does not build" in said and "/log" in said, said
    return None


def real_tools():
    """a shipped kernel through the real tools: the same as itself, other than with other stages"""
    try:
        for name in ("ptxas", "nvdisasm"):
            toolkit.Toolkit().find(name)
    except words.Missing as what:
        return str(what)
    if not KGEN:
        return "no kgen was named"
    folder = Path(KGEN).resolve().parent.parent
    command = [sys.executable, str(ROOT / "tools/sass-diff"), f"--build={folder}", "--json"]
    results = []
    for other in ("matmul", "matmul stages=2"):
        process = subprocess.run([*command, "matmul", other], capture_output=True, text=True,
                                 check=False)
        results.append((process.returncode, json.loads(process.stdout)))
    same([status for status, _ in results], [0, 1])
    function = results[1][1]["units"][0]["functions"][0]
    main = next(loop for loop in function["loops"] if loop["a"] and loop["a"]["main"])
    assert main["a"]["kinds"]["tensor"] > 0 and main["b"]["kinds"]["tensor"] > 0, main
    return None


CASES = (listings, assembled, cubins, stat, page, colours, kernels, old_build, folders,
         errors, missing, revisions, real_tools)

if __name__ == "__main__":
    sys.exit(run(CASES))
