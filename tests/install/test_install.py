# SPDX-License-Identifier: MIT
"""Installs a build into a folder of its own and uses what lies there.

usage: test_install.py BUILD PREFIX EXAMPLES -- COMPILER [FLAG ...]
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD, PREFIX, EXAMPLES = (Path(argument) for argument in sys.argv[1:4])
COMPILER = sys.argv[5:]
ROOT = BUILD  # where DESTDIR is, once there is one


class Skipped(Exception):
    """What this machine misses."""


def run(*command, **environment):
    """The standard output of a command that has to succeed."""
    process = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                             check=False, cwd=ROOT, env=dict(os.environ, **environment))
    if process.returncode:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"{words} ended with {process.returncode}:\n"
                             f"{process.stdout}{process.stderr}")
    return process.stdout


def need(tool):
    if not shutil.which(tool):
        raise Skipped(f"there is no {tool}")


def installed(pattern):
    """The one installed file of that pattern below the prefix."""
    found = sorted((ROOT / PREFIX.relative_to("/")).glob(pattern))
    assert found, f"no {pattern} in {[str(path) for path in ROOT.rglob('*')]}"
    return found[0]


def libraries():
    """Where programs find the library: this folder is none that the loader knows."""
    rest = os.environ.get("LD_LIBRARY_PATH")
    return str(installed("**/libkgen.so").parent) + (":" + rest if rest else "")


def build(source):
    """Compiled as the comment on top of docs/examples/saxpy.c says, with pkg-config's flags."""
    need("pkg-config")
    found = installed("**/pkgconfig/kgen.pc")
    flags = run("pkg-config", "--cflags", "--libs", "kgen", PKG_CONFIG_SYSROOT_DIR=str(ROOT),
                PKG_CONFIG_LIBDIR=str(found.parent)).split()
    program = ROOT / source.stem
    run(*COMPILER, source, "-o", program, *flags)
    return program


# ---- the tests ----------------------------------------------------------------------------------
def the_command_runs_from_there():
    kernels = run(installed("bin/kgen"), "list", "kernels")
    for name in ("matmul", "attention", "delta_net"):
        assert name in kernels, kernels
    assert "usage" in run(installed("bin/kgen"), "--help").lower()


def the_command_compiles_by_itself():
    ptx = run(installed("bin/kgen"), "build", "matmul", "-o", "-")
    assert ".entry matmul" in ptx, ptx[:400]


def man_page_and_completion_are_there():
    assert ".TH" in installed("share/man/man1/kgen.1").read_text()[:200]
    completion = installed("share/bash-completion/completions/kgen*")
    assert "complete" in completion.read_text()
    need("bash")
    run("bash", "-n", completion)


def the_header_stands_alone():
    header = installed("include/kgen.h")
    source = ROOT / "alone.c"
    source.write_text("#include <kgen.h>\n#include <kgen.h>\n")
    run(*COMPILER, "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
        f"-I{header.parent}", source)


def saxpy_builds_with_pkg_config_and_runs():
    words = run(build(EXAMPLES / "saxpy.c"), LD_LIBRARY_PATH=libraries())
    assert words == "y[999] = 1999\n", words


def to_ptx_builds_with_pkg_config_and_runs():
    text = EXAMPLES.parent.parent / "kernels/delta_net/delta_net.kg"
    ptx = run(build(EXAMPLES / "to_ptx.c"), text, "sm_86", "D=64", LD_LIBRARY_PATH=libraries())
    assert ".target sm_86" in ptx, ptx[:400]


def a_kernel_built_by_calls_compiles():
    ptx = run(build(Path(__file__).resolve().parent / "builder.c"), LD_LIBRARY_PATH=libraries())
    assert ".entry scale" in ptx, ptx[:400]


def the_drop_in_driver_runs_a_kernel():
    found = sorted(ROOT.glob("**/kgen/libcuda.so.1"))
    if not found:
        raise Skipped("there is no drop-in driver in this build")
    for folder in ("lib", "lib64"):
        assert not list(ROOT.glob(f"**/{folder}/libcuda.so*")), "it shadows a real driver"
    rest = os.environ.get("LD_LIBRARY_PATH")
    words = run(installed("bin/kgen"), "run", "matmul", "--device=cuda",
                LD_LIBRARY_PATH=str(found[0].parent) + (":" + rest if rest else ""))
    assert "on kgen PTX machine (sm_90)" in words and words.endswith("ok\n"), words


TESTS = [the_command_runs_from_there, the_command_compiles_by_itself,
         man_page_and_completion_are_there, the_header_stands_alone,
         saxpy_builds_with_pkg_config_and_runs, to_ptx_builds_with_pkg_config_and_runs,
         a_kernel_built_by_calls_compiles, the_drop_in_driver_runs_a_kernel]


def report(number, test):
    """True unless the test failed."""
    name = test.__name__.replace("_", " ")
    try:
        test()
    except Skipped as reason:
        print(f"ok {number} - {name} # SKIP {reason}")
    except Exception as error:  # whatever it is, the others still count
        print(f"not ok {number} - {name}")
        print("\n".join("# " + line for line in str(error).splitlines()))
        return False
    else:
        print(f"ok {number} - {name}")
    return True


def main():
    global ROOT
    if not shutil.which("meson"):
        print("1..0 # SKIP there is no meson to install with")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", scratch)
        ROOT = Path(scratch)
        print(f"1..{len(TESTS)}")
        passed = [report(i + 1, test) for i, test in enumerate(TESTS)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    if len(sys.argv) < 6 or sys.argv[4] != "--":
        sys.exit(__doc__)
    sys.exit(main())
