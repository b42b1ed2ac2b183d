# SPDX-License-Identifier: MIT
"""NVIDIA's cuobjdump, nvdisasm and ptxas: where they are, and what they say, as data.

Each is searched in the folder of --toolkit, $PATH, the CUDA prefix ($CUDA_HOME, $CUDA_PATH,
/usr/local/cuda), and build/toolkit/bin, which tools/get-cuobjdump fills. Each is asked for only
where it is needed: ptxas for PTX, cuobjdump for a cubin from elsewhere, nvdisasm always.
"""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from sass.words import Missing, Trouble

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_SHARED = 1024  # bytes of shared memory of each CTA
FETCHED = ("cuobjdump", "nvdisasm")  # what tools/get-cuobjdump brings


def places(option=None):
    """The folders that are searched, $PATH apart, in their order."""
    if option:
        yield Path(option)
        yield Path(option) / "bin"
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            yield Path(os.environ[variable]) / "bin"
    yield Path("/usr/local/cuda/bin")
    yield ROOT / "build/toolkit/bin"


def number_of(arch):
    """90 of sm_90a; 0 of what is no target."""
    digits = re.search(r"\d+", arch)
    return int(digits[0]) if digits else 0


class Toolkit:
    def __init__(self, option=None):
        self.option = option

    def find(self, name):
        """The path of a tool; Missing where there is none."""
        candidates = [folder / name for folder in places(self.option)]
        first = 2 if self.option else 0
        on_path = shutil.which(name)
        if on_path:
            candidates.insert(first, Path(on_path))
        for candidate in candidates:
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return str(candidate)
        way = ("`tools/get-cuobjdump` fetches it, or say --toolkit=DIRECTORY" if name in FETCHED
               else "it is part of the CUDA toolkit; say --toolkit=DIRECTORY where that is")
        raise Missing(f"no {name} in $PATH, $CUDA_HOME, /usr/local/cuda or build/toolkit: {way}")

    def version(self, name):
        """`13.0`, of what --version says last."""
        said = subprocess.run([self.find(name), "--version"], capture_output=True, text=True,
                              check=False).stdout
        found = re.findall(r"release (\d+\.\d+)", said)
        return found[-1] if found else "of unknown version"

    def assemble(self, ptx, arch, cubin, title):
        """Writes the cubin. Gives {function: resources} and the warnings."""
        command = [self.find("ptxas"), "-v", f"-arch={arch}", "-o", str(cubin), str(ptx)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        said = process.stdout + process.stderr
        if process.returncode != 0:
            lines = [line.replace(str(ptx), title) for line in said.splitlines()
                     if "info" not in line]
            raise Trouble(f"ptxas refuses {title} for {arch}:\n" + "\n".join(lines[:12]))
        return read_ptxas(said)

    def disassemble(self, cubin, title):
        """What nvdisasm -c prints."""
        process = subprocess.run([self.find("nvdisasm"), "-c", str(cubin)], capture_output=True,
                                 text=True, check=False)
        if process.returncode != 0:
            raise Trouble(f"nvdisasm cannot read the machine code of {title}; is it older than the "
                          f"ptxas that wrote it?\n{process.stderr.strip()}")
        return process.stdout

    def resources(self, cubin, arch, title):
        """{function: resources} of a cubin, as cuobjdump --dump-resource-usage has them."""
        # cuobjdump goes by the suffix.
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch, "code.cubin")
            shutil.copyfile(cubin, copy)
            process = subprocess.run([self.find("cuobjdump"), "--dump-resource-usage", str(copy)],
                                     capture_output=True, text=True, check=False)
        if process.returncode != 0:
            raise Trouble(f"cuobjdump cannot read {title}:\n{process.stderr.strip()}")
        found = read_cuobjdump(process.stdout)
        for taken in found.values():
            # From sm_90 on it counts what the system keeps for itself; ptxas does not.
            if number_of(arch) >= 90 and taken["shared"]:
                taken["shared"] = max(0, taken["shared"] - SYSTEM_SHARED)
        return found


def resources(registers=None, stack=None, spill_stores=None, spill_loads=None, shared=None,
              barriers=None):
    """What a function takes; None is what the tool that was asked does not say. Bytes; `stack` is
    local memory, of which spills are a part; `shared` what is known before the launch."""
    return {"registers": registers, "stack": stack, "spill_stores": spill_stores,
            "spill_loads": spill_loads, "shared": shared, "barriers": barriers}


def read_ptxas(said):
    """({function: resources}, warnings) of what ptxas -v prints."""
    found, warnings, name, frame = {}, [], None, {}
    for line in said.splitlines():
        if (match := re.search(r"Function properties for (\S+)", line)):
            name, frame = match[1], {}
        elif (match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
                                 r"spill loads", line)) and name:
            frame = {"stack": int(match[1]), "spill_stores": int(match[2]),
                     "spill_loads": int(match[3])}
            found[name] = resources(**frame)
        elif (match := re.search(r"Used (\d+) registers", line)) and name:
            barriers = re.search(r"used (\d+) barriers", line)
            shared = re.search(r"(\d+) bytes smem", line)
            found[name] = resources(registers=int(match[1]),
                                    barriers=int(barriers[1]) if barriers else 0,
                                    shared=int(shared[1]) if shared else 0, **frame)
        elif "warning" in line.lower() or re.search(r"\(C7\d\d\d\)", line):
            warnings.append(line.strip())
    return found, warnings


def read_cuobjdump(said):
    """{function: resources} of what cuobjdump --dump-resource-usage prints."""
    found, name = {}, None
    for line in said.splitlines():
        if (match := re.match(r"\s*Function (\S+):\s*$", line)):
            name = match[1]
        elif name and "REG:" in line:
            value = {key: int(number) for key, number in re.findall(r"(\w+):(\d+)", line)}
            found[name] = resources(registers=value.get("REG"), shared=value.get("SHARED"),
                                    stack=value.get("STACK", 0) + value.get("LOCAL", 0))
            name = None
    return found
