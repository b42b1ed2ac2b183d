#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kgen command as a user meets it. Reports in TAP; each case counts.

usage: test_cli.py KGEN SCRATCH MAN_PAGE COMPLETION
"""
import html.parser
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import explain_schema
from cases import CASES, Failed, Skip, case, main, same, usage

HERE = Path(__file__).resolve().parent
COPY, RACE = str(HERE / "copy.ptx"), str(HERE / "race.ptx")
COPY_ARGS = ["--grid=2", "--block=64", "--arg=buf:f32:128:iota", "--arg=buf:f32:128:zeros"]

# A whole program that compiles, for variations.
ADD = """kernel add(x: global f32[N], y: global f32[N], N: i32)
  const B = 128
  grid n: ceildiv(N, B)
{
  store y[n*B..] = (load x[n*B.. + B]) + 1.0
}
"""


# ---- words about the command line --------------------------------------------------------------

@case
def bare(kgen):
    """no command: the overview, status 2"""
    kgen(status=2, err=r"commands:\n +build ")


@case
def overview(kgen):
    """help, --help and -h"""
    text = kgen("help", out=r"commands:\n +build ")
    same(kgen("--help"), text)
    same(kgen("-h"), text)


@case
def command_help(kgen):
    """help of each command has options, examples and statuses"""
    for name in ("build", "run", "check", "profile", "explain", "sync", "list", "demo", "version",
                 "help"):
        text = kgen("help", name, out=rf"^usage: kgen {name}")
        same(kgen(name, "--help"), text)
        for word in ("options:", "--color=WHEN", "examples:", f"kgen {name}", "exit status:", "70"):
            same(word in text, True)
        same(max(map(len, text.splitlines())) <= 100, True)


@case
def version(kgen):
    """version and --version"""
    text = kgen("version", out=r"^kgen \d+\.\d+\.\d+ \(LLVM \d+\)\n$")
    same(kgen("--version"), text)


usage("unknown command", "biuld", err="unknown command 'biuld'; did you mean 'build'")
usage("unknown command, nothing near", "frobnicate", err="known are: build, run")
usage("help about an unknown command", "help", "rnu", err="did you mean 'run'")
usage("unknown long option", "build", "matmul", "--emti=ir", err="did you mean '--emit'")
usage("unknown short option", "build", "matmul", "-x", err="unknown option '-x'")
usage("option without its value", "build", "matmul", "-D", err="-D needs a value")
usage("option with a value that takes none", "build", "matmul", "--no-share=1",
      err="takes no value")
usage("option of another command", "build", "matmul", "--grid=1", err="unknown option '--grid'")
usage("no operand", "build", err="missing FILE")
usage("too many operands", "sync", "matmul", "attention", err="unexpected 'attention'")
usage("two kernels to build", "build", "matmul", "attention", err="'attention': must be KEY=VALUE")
usage("unknown target", "build", "matmul", "--target=sm_81", err="did you mean 'sm_80'")
usage("unknown pass", "build", "matmul", "--stop-after=synch", err="did you mean 'sync'")
usage("unknown pass to print", "build", "matmul", "--print-after=flod", err="did you mean 'fold'")
usage("unknown pass in a list", "build", "matmul", "--passes=fold,hoem", err="did you mean 'home'")
usage("unknown kind to emit", "build", "matmul", "--emit=sass", err="known are: ir, llvm, ptx")
usage("definition without a value", "build", "matmul", "-D", "BM", err="must be NAME=VALUE")
usage("unknown kernel to build", "build", "matmull", err="did you mean 'matmul'")
usage("unknown kernel to run", "run", "atention", err="did you mean 'attention'")
usage("unknown key", "run", "matmul", "dtpye=f16", err="did you mean 'dtype'")
usage("key without a value", "run", "matmul", "M", err="must be KEY=VALUE")
usage("unknown device", "run", "matmul", "--device=cdua", err="did you mean 'cuda'")
usage("unknown completion", "run", "matmul", "--completion=lat", err="did you mean 'late'")
usage("seed that is no number", "run", "matmul", "--seed=x", err="whole number")
usage("timing without a GPU", "run", "matmul", "--repeat=3", err="--device=cuda")
usage("unknown list", "list", "kernal", err="did you mean 'kernels'")
usage("unknown colour", "version", "--color=sometimes", err="known are: auto, always, never")
usage("grid of zero", "check", COPY, "--grid=0", err="from 1 to")
usage("grid of four numbers", "check", COPY, "--grid=1,1,1,1", err="1 to 3 numbers")
usage("grid that overflows", "check", COPY, "--grid=99999999999", err="from 1 to")
usage("block too large", "check", COPY, "--block=64,64", err="4096 threads")
usage("negative shared memory", "check", COPY, "--shared=-1", err="whole number")
usage("argument of unknown type", "check", COPY, "--arg=i33:1", err="did you mean 'i32'")
usage("argument out of range", "check", COPY, "--arg=i32:3000000000", err="not a value of type i32")
usage("negative unsigned argument", "check", COPY, "--arg=u64:-1", err="not a value of type u64")
usage("argument that is no number", "check", COPY, "--arg=f32:abc", err="not a value of type f32")
usage("buffer of no elements", "check", COPY, "--arg=buf:f32:0:zeros", err="COUNT must be 1 to")
usage("buffer of too many elements", "check", COPY, "--arg=buf:f32:99999999999999:zeros",
      err="COUNT must be 1 to")
usage("buffer and nothing else", "check", COPY, "--arg=buf", err="must be buf:TYPE:COUNT:FILL")
usage("buffer with an unknown filling", "check", COPY, "--arg=buf:f32:4:ones", err="zeros, iota")
usage("map without a box", "check", COPY, "--arg=buf:f32:64:iota", "--arg=map:1:f32:64",
      err="must be map:ARGUMENT:TYPE:SIZES:BOX")
usage("map of another rank than its box", "check", COPY, "--arg=buf:f32:64:iota",
      "--arg=map:1:f32:8,8:8", err="a box has the tensor's dimensions")
usage("map of no buffer", "check", COPY, "--arg=i32:7", "--arg=map:1:f32:64:32",
      err="argument 1 is no buffer before it")
usage("map with an unknown option", "check", COPY, "--arg=buf:f32:64:iota",
      "--arg=map:1:f32:8,8:8,8:swizle=32", err="strides= and swizzle=")
usage("several kernels, none chosen", "check", RACE, err="--kernel=neighbour")


# ---- building ----------------------------------------------------------------------------------

def bad_program(name, text, err, *arguments):
    def run(kgen):
        kgen("build", kgen.file("bad.kg", text), *arguments, status=1, err=err)
    run.__doc__ = name
    CASES.append(run)


bad_program("empty file", "", "no kernel")
bad_program("binary file", bytes(range(256)), "not a text file")
bad_program("truncated file", ADD[:-3], r"bad\.kg:\d+:\d+: error:")
bad_program("unknown op", ADD.replace("load x[n*B.. + B]", "laod(x)"), r"laod")
bad_program("unknown type", ADD.replace("y: global f32", "y: global f33"),
            r"1:\d+: error: .*f33(.|\n)*f32")
bad_program("mismatched shapes", ADD.replace("+ 1.0", "+ zeros(f32, [64])"), r"error: .*KG-T101")
bad_program("size of zero", ADD.replace("= 128", "= 0"), r"error: .*KG-")
bad_program("negative size", ADD.replace("= 128", "= -4"), r"error: .*KG-")
bad_program("overflowing size", ADD.replace("= 128", "= 4611686018427387904 * 4"),
            r"error: .*KG-")
bad_program("size beyond all memory", ADD.replace("= 128", "= 1000000000000"), r"error: .*KG-")
bad_program("unknown definition", ADD, r"-D C .*KG-P012", "-D", "C=1")
bad_program("definition of the wrong kind", ADD, r"error: .*KG-", "-D", "B=many")
bad_program("unknown kernel in the file", ADD, "did you mean 'add'", "--kernel=ad")
bad_program("two kernels, none chosen", ADD + ADD.replace("add", "more"), "several kernels")

RING = """kernel ring(x: global f32[M, K], y: global f32[M, K], M: i32, K: i32)
  grid m: ceildiv(M, 128)
{
  for k in 0 .. ceildiv(K, 128) pipeline 4 {
    shared s: f32[128, 128] = load x[m*128.., k*128..]
    store y[m*128.., k*128..] = (load s) + 1.0
  }
}
"""
bad_program("ring that cannot fit: bytes, limit and what would fit", RING,
            r"(?s)\d+ bytes.*166912.*KG-M401|KG-M401.*166912")


@case
def build_writes(kgen):
    """PTX on the standard output and in a file"""
    path = kgen.file("add.kg", ADD)
    ptx = kgen("build", path, out=r"\.visible \.entry add")
    same(kgen("build", path, "-o", "-"), ptx)
    same(kgen("build", path, "-o", "add.ptx"), "")
    same((kgen.scratch / "add.ptx").read_text(), ptx)
    same(kgen("build", "-", stdin=ADD).replace("<stdin>", path), ptx)


@case
def build_shipped(kgen):
    """each shipped kernel to PTX"""
    for family in json.loads(kgen("list", "kernels", "--json")):
        kgen("build", family["name"], out=r"\.version \d")


@case
def build_emit(kgen):
    """IR and LLVM"""
    path = kgen.file("add.kg", ADD)
    kgen("build", path, "--emit=ir", out=r"level synced")
    kgen("build", path, "--emit=llvm", out=r"target triple")


@case
def build_target(kgen):
    """another target in the PTX"""
    kgen("build", kgen.file("add.kg", ADD), "--target=sm_90", out=r"\.target sm_90")


@case
def build_define(kgen):
    """a definition changes the program"""
    kgen("build", kgen.file("add.kg", ADD), "-D", "B=256", "--stop-after=fold", out=r"256")


@case
def build_stop(kgen):
    """--stop-after leaves IR that builds on to the same PTX"""
    path = kgen.file("add.kg", ADD)
    whole = kgen("build", path)
    for name in (row["name"] for row in json.loads(kgen("list", "passes", "--json"))):
        text = kgen("build", path, f"--stop-after={name}", out="kernel add")
        on = kgen("build", "-", stdin=text)
        same(len(on.splitlines()) > 10, True)
    kgen("build", path, "--stop-after=fold", "--emit=ptx", status=2, err="needs all passes")
    same(kgen("build", path), whole)


@case
def build_print_after(kgen):
    """--print-after goes to the standard error"""
    path = kgen.file("add.kg", ADD)
    kgen("build", path, "--print-after=all", out=r"\.entry", err=r"(?s)after fold.*after sync")
    kgen("build", path, "--print-after=home", out=r"\.entry", err="after home", no_err="after sync")


@case
def build_dump(kgen):
    """--dump-dir has a file for each pass"""
    shutil.rmtree(kgen.scratch / "steps", ignore_errors=True)
    kgen("build", kgen.file("add.kg", ADD), "--dump-dir=steps", "-o", "add.ptx")
    names = sorted(path.name for path in (kgen.scratch / "steps").iterdir())
    same(names[:2], ["00-tile.kg", "01-fold.kg"])
    pipeline = Path(__file__).resolve().parents[2] / "passes/pipeline.def"
    passes = re.findall(r"(?m)^KG_PASS\((\w+)", pipeline.read_text())
    same([name.split("-")[1] for name in names[1:]], [name + ".kg" for name in passes])
    lowered = next(name for name in names if name.endswith("-lower.kg"))
    kgen("build", f"steps/{lowered}", out=r"\.entry add")


@case
def build_directory(kgen):
    """a directory as file"""
    kgen("build", "/", status=1, err="Is a directory")
    (kgen.scratch / "d.kg").mkdir(exist_ok=True)
    kgen("build", "d.kg", status=1, err="Is a directory")


@case
def build_missing(kgen):
    """a file that is not there"""
    kgen("build", "nothere.kg", status=1, err="No such file")


@case
def build_behind_directory(kgen):
    """a shipped kernel is found behind a directory of its name"""
    (kgen.scratch / "matmul").mkdir(exist_ok=True)
    kgen("build", "matmul", "--stop-after=fold", out="kernel matmul")


@case
def cubin(kgen):
    """a cubin by way of ptxas"""
    if not (shutil.which("ptxas") or os.path.exists("/usr/local/cuda/bin/ptxas")):
        raise Skip("no ptxas")
    kgen("build", kgen.file("add.kg", ADD), "--emit=cubin", "-o", "add.cubin")
    same((kgen.scratch / "add.cubin").read_bytes()[:4], b"\x7fELF")


@case
def no_ptxas(kgen):
    """a cubin without ptxas"""
    if os.path.exists("/usr/local/cuda/bin/ptxas"):
        raise Skip("the toolkit is where it is always looked for")
    kgen("build", kgen.file("add.kg", ADD), "--emit=cubin", "-o", "x.cubin", status=1,
         env={"PATH": "/usr/bin:/bin", "CUDA_HOME": "", "CUDA_PATH": ""}, err="ptxas")


# ---- where it cannot write ---------------------------------------------------------------------

@case
def full_stdout(kgen):
    """a full standard output"""
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    for arguments in (["build", kgen.file("add.kg", ADD)], ["list", "ops"], ["help"]):
        with open("/dev/full", "w") as full:
            process = subprocess.run([kgen.kgen, *arguments], stdout=full, stderr=subprocess.PIPE,
                                     cwd=kgen.scratch, check=False)
        same((process.returncode, b"No space left" in process.stderr), (1, True))


@case
def full_file(kgen):
    """-o into a full device"""
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    kgen("build", kgen.file("add.kg", ADD), "-o", "/dev/full", status=1, err="No space left")


@case
def partial_file(kgen):
    """no part of a file stays where the disk is full, and the old one is kept"""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    folder = kgen.scratch / "limited"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = kgen.file("add.kg", ADD)
    kgen("build", path, "-o", "limited/new.ptx", status=1, err="cannot write limited/new.ptx",
         preexec_fn=limit)
    same(os.listdir(folder), [])
    (folder / "old.ptx").write_text("old")
    kgen("build", path, "-o", "limited/old.ptx", status=1, err="cannot write", preexec_fn=limit)
    same((os.listdir(folder), (folder / "old.ptx").read_text()), (["old.ptx"], "old"))


@case
def read_only(kgen):
    """-o where nothing can be made"""
    path = kgen.file("add.kg", ADD)
    kgen("build", path, "-o", "/proc/kgen.ptx", status=1, err="cannot write /proc/kgen.ptx")
    kgen("build", path, "-o", "no/such/folder.ptx", status=1, err="cannot write no/such")
    kgen("build", path, "--dump-dir=/proc/kgen", status=1, err="cannot make the directory")
    if os.geteuid() != 0:
        folder = kgen.scratch / "locked"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o555)
        kgen("build", path, "-o", "locked/x.ptx", status=1, err="Permission denied")


@case
def output_directory(kgen):
    """-o that is a directory"""
    kgen("build", kgen.file("add.kg", ADD), "-o", "/", status=1, err="Is a directory")


# ---- running -----------------------------------------------------------------------------------

@case
def run_ok(kgen):
    """a kernel against its reference"""
    kgen("run", "delta_net", "T=2", "D=64", out=r"(?s)o: largest error .*: ok\n.*no findings\nok\n")


@case
def run_json(kgen):
    """the result as JSON"""
    answer = json.loads(kgen("run", "delta_net", "T=2", "D=64", "--json"))
    same((answer["status"], answer["kernel"], answer["findings"]), ("ok", "delta_net", []))
    same(sorted(out["name"] for out in answer["outputs"]), ["o", "s1"])
    same(all(out["wrong"] == 0 and out["max_ratio"] <= 1 for out in answer["outputs"]), True)


@case
def run_families(kgen):
    """every family with its defaults"""
    for family in json.loads(kgen("list", "kernels", "--json")):
        kgen("run", family["name"], out=r"ok\n$")


@case
def run_modes(kgen):
    """every completion mode, and a seed"""
    for mode in ("eager", "late", "seeded"):
        kgen("run", "attention", "SQ=40", "SK=72", f"--completion={mode}", "--seed=3", out=r"ok\n$")


@case
def run_unchecked(kgen):
    """--unchecked says nothing of findings"""
    text = kgen("run", "delta_net", "T=1", "D=64", "--unchecked", out=r"ok\n$")
    same("findings" in text, False)


@case
def run_bad_values(kgen):
    """zero, negative and overflowing sizes; values that are none"""
    for key in ("M=0", "M=-3", "M=99999999999", "splits=9", "dtype=f64", "M=1.5", "M=abc", "M=true",
                "M=", "M=12x", "M=9999999999999999999999", "bias=2", "bias=maybe", "dtype=1"):
        kgen("run", "matmul", key, status=1, err=rf"matmul: {key}: ")
    kgen("run", "matmul", "M=2147483647", "N=2147483647", "K=2147483647", status=1, err="memory")
    kgen("run", "attention", "H=3", "HKV=2", status=1, err="divide")


@case
def run_bad_define(kgen):
    """-D that names nothing"""
    kgen("run", "delta_net", "-D", "ROWZ=8", status=1, err="ROWZ.*KG-P012")
    kgen("build", "matmul", "-D", "bm=64", status=1, err="(?s)-D bm .*help: there are: .*BM, BN")


@case
def run_mismatch(kgen):
    """wrong elements: the worst, the rows, whether they stay the same"""
    # Without its bias the result is wrong in every element, the same way each time.
    arguments = ["run", "matmul", "M=16", "N=32", "K=16", "bias=true", "-D", "BIAS=false"]
    kgen(*arguments, status=1, out=r"(?s)wrong\n +worst at \[\d+,\d+\]: .* expected .*row.* of 32 "
         r"wrong.*3 reruns.*the same elements.*\nmismatch\n")
    answer = json.loads(kgen(*arguments, "--json", "--reruns=2", status=1))
    same((answer["status"], answer["reruns"]),
         ("mismatch", {"count": 2, "same_elements": True}))
    same(answer["outputs"][0]["wrong"] > 400, True)
    same(sum((int(rows["last"]) - int(rows["first"]) + 1) * rows["wrong"]
             for rows in answer["outputs"][0]["wrong_rows"]), answer["outputs"][0]["wrong"])


@case
def run_no_driver(kgen):
    """a GPU that is not there"""
    cuda = json.loads(kgen("list", "devices", "--json"))[1]
    same(cuda["name"], "cuda")
    if cuda["available"]:
        raise Skip("there is a GPU")
    kgen("run", "delta_net", "--device=cuda", status=1, err=r"(?i)driver|GPU")


# ---- checking PTX ------------------------------------------------------------------------------

@case
def check_ok(kgen):
    """PTX without findings"""
    kgen("check", COPY, *COPY_ARGS, "--arg=i32:128", out="copy: no findings")


@case
def check_fillings(kgen):
    """random and file fillings, scalars of other types refused by size"""
    raw = kgen.file("raw", bytes(512))
    kgen("check", COPY, "--block=128", "--arg=buf:f32:128:random=7", f"--arg=buf:u8:512:file={raw}",
         "--arg=u32:128", out="no findings")
    kgen("check", COPY, "--arg=buf:f32:64:random", f"--arg=buf:u8:8:file={raw}", status=1,
         err="512 bytes, the buffer 8")
    kgen("check", COPY, "--arg=buf:u8:8:file=nothere", status=1, err="No such file")
    kgen("check", COPY, *COPY_ARGS, "--arg=i64:128", status=1, err="4 bytes, 8 are given")


@case
def check_maps(kgen):
    """tensor maps as arguments"""
    ptx = str(kgen.scratch / "tile.ptx")
    kgen("build", str(HERE / "tile.kg"), "--target=sm_90a", "-o", ptx)
    arguments = ["check", ptx, "--block=128", "--shared=272", "--arg=buf:f32:96:iota",
                 "--arg=buf:f32:64:zeros", "--arg=i32:8", "--arg=i32:12"]
    kgen(*arguments, "--arg=map:1:f32:12,8:8,8:swizzle=32", out="tile: no findings")
    kgen(*arguments, "--arg=map:1:f32:8,8:8,8:strides=48:swizzle=32", out="tile: no findings")
    kgen(*arguments, "--arg=map:1:f32:12,9:8,8:swizzle=32", out="tile: no findings")
    kgen(*arguments, "--arg=map:1:f32:96:64", status=1, out="its rank is not that")
    kgen(*arguments, "--arg=map:1:f32:12,8:8,4:swizzle=32", "--steps=100000", status=1,
         out="deadlock|budget")
    kgen(*arguments, "--arg=map:1:f32:12,8:6,8", status=1, err="multiples of 16 bytes")
    kgen(*arguments, "--arg=map:1:f32:10,8:8,8", status=1, err="stride of dimension 1 of tensor")


@case
def check_bounds(kgen):
    """an access out of bounds, as JSON"""
    answer = json.loads(kgen("check", COPY, *COPY_ARGS, "--grid=3", "--arg=i32:130", "--json",
                             status=1))
    same((answer["status"], answer["kernel"]), ("findings", "copy"))
    finding = answer["findings"][0]
    same((finding["rule"], finding["count"], finding["a"]["cta"]), ("global-bounds", 2, [2, 0, 0]))
    same(all(key in finding for key in ("message", "severity", "hint", "b")), True)


@case
def check_race(kgen):
    """a race in shared memory, both places"""
    arguments = ["check", RACE, "--kernel=neighbour", "--block=64", "--shared=256",
                 "--arg=buf:u32:64:zeros"]
    kgen(*arguments, status=1, out=r"\[race\]|\[shared-uninitialised\]")
    answer = json.loads(kgen(*arguments, "--json", status=1))
    races = [finding for finding in answer["findings"] if "race" in finding["rule"]]
    same(bool(races) and races[0]["a"]["line"] > 0 and races[0]["b"]["line"] > 0, True)
    same(races[0]["where"],
         "a bar.sync between line 15 and line 18, for example in front of line 18")
    kgen(*arguments, status=1,
         out=r"(?s)first: PTX line 15, st\.shared\.u32: write of 4 bytes at shared arena\+128\n +"
         r"by thread \(32,0,0\), lane 0 of warp 1, of CTA.*where: a bar\.sync.*"
         r"replay: kgen check .*--kernel=neighbour --block=64 .*--completion=eager --order=0\n")
    kgen("check", RACE, "--kernel=nothing", out="no findings")


@case
def check_printf(kgen):
    """what a kernel prints: on stdout, beside JSON on stderr"""
    arguments = ["check", str(HERE / "print.ptx"), "--grid=2", "--block=2"]
    lines = kgen(*arguments, out="no findings").splitlines()[:-1]
    same(sorted(lines), ["0 of CTA 0", "0 of CTA 1", "1 of CTA 0", "1 of CTA 1"])
    answer = json.loads(kgen(*arguments, "--json", err="1 of CTA 1"))
    same(answer["status"], "ok")


@case
def check_endless(kgen):
    """a loop without an end: the line, after as many steps as are said"""
    text = Path(COPY).read_text()
    loop = text[:text.index("{")] + "{\nL: bra L;\n}\n"
    kgen("check", kgen.file("loop.ptx", loop), *COPY_ARGS, "--arg=i32:1", "--steps=5000",
         status=1, out=r"\[instruction-budget\]")


@case
def check_long_names(kgen):
    """findings that name a file, a variable and an instruction longer than any line"""
    name = "v" * 3000
    text = Path(RACE).read_text().replace("arena", name)
    text = text.replace(".address_size 64", f'.address_size 64\n.file 1 "{"d/" * 2000}k.cu"')
    text = text.replace("    mov.u32 %r0", "    .loc 1 7 3\n    mov.u32 %r0")
    kgen("check", kgen.file("long.ptx", text), "--kernel=neighbour", "--block=64", "--shared=256",
         "--arg=buf:u32:64:zeros", status=1, out=r"\[race\](?s:.*)vvv\+128")


@case
def check_clusters(kgen):
    """a launch with clusters: findings say which, and bad shapes are refused"""
    arguments = ["check", RACE, "--kernel=neighbour", "--block=64", "--shared=256",
                 "--arg=buf:u32:64:zeros", "--grid=4"]
    kgen(*arguments, "--cluster=2", status=1,
         out=r"of CTA \(0,0,0\) in cluster \(0,0,0\)\n(?s:.*)of CTA \(1,0,0\) in cluster \(0,0,0\)")
    answer = json.loads(kgen(*arguments, "--cluster=4", "--json", status=1))
    same(answer["findings"][0]["a"]["cluster"], [0, 0, 0])
    answer = json.loads(kgen(*arguments, "--json", status=1))
    same(answer["findings"][0]["a"]["cluster"], None)
    kgen(*arguments, "--cluster=3", status=1, err="no multiple of the cluster's 3")


@case
def check_kernel_name(kgen):
    """a kernel that the file does not have"""
    kgen("check", RACE, "--kernel=neighbor", status=1, err="did you mean 'neighbour'")


@case
def check_unsupported(kgen):
    """an instruction that is not supported: only the kernel that has it is refused"""
    text = Path(RACE).read_text() + """
.visible .entry sampled(.param .u64 p)
{
    .reg .b64 %d<3>; .reg .f32 %f<6>;
    ld.param.u64 %d1, [p];
    tex.1d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d1, {%f5}];
    ret;
}
"""
    path = kgen.file("two.ptx", text)
    line = text[:text.index("tex.1d")].count("\n") + 1
    arguments = ["check", path, "--block=64", "--shared=256", "--arg=buf:u32:64:zeros"]
    kgen(*arguments, "--kernel=sampled", status=1,
         err=rf"two\.ptx:{line}:1: .*textures are not supported: read the data through a pointer")
    kgen(*arguments, "--kernel=neighbour", status=1, out=r"\[race\]")


@case
def check_not_ptx(kgen):
    """PTX that is not PTX: the line"""
    kgen("check", kgen.file("words.ptx", "hello\n"), status=1, err=r"words\.ptx:1:1: ")
    kgen("check", kgen.file("none.ptx", ""), status=1, err=r"none\.ptx:1:1: ")
    kgen("check", kgen.file("elf.ptx", b"\x7fELF\0\0\0"), status=1, err=r"elf\.ptx:1:1: ")
    text = Path(COPY).read_text()
    kgen("check", kgen.file("cut.ptx", text[:400]), status=1, err=r"cut\.ptx:\d+:\d+: ")
    line = text[:text.index("ld.global")].count("\n") + 1
    kgen("check", kgen.file("odd.ptx", text.replace("ld.global", "lod.global")), status=1,
         err=rf"odd\.ptx:{line}:\d+: .*lod")


@case
def check_not_ptx_json(kgen):
    """PTX that is not PTX, as JSON"""
    answer = json.loads(kgen("check", kgen.file("words.ptx", "hello\n"), "--json", status=1))
    same((answer["status"], answer["findings"], len(answer["diagnostics"])), ("error", [], 1))


@case
def check_missing(kgen):
    """no such file, a directory"""
    kgen("check", "nothere.ptx", status=1, err="No such file")
    kgen("check", "/", status=1, err="Is a directory")


@case
def check_arguments(kgen):
    """too few arguments"""
    kgen("check", COPY, "--arg=i32:1", status=1, err="takes 3 arguments, 1 are given")


# ---- the rest ----------------------------------------------------------------------------------

@case
def explain(kgen):
    """explain: each synchronization with what it orders and what else was considered"""
    text = kgen("explain", "attention", out=r"S\d+ barrier in front of .*, in the loop at line \d+")
    same(all(words in text for words in ("pairs of accesses:", "considered instead:",
                                         "warp sync: threads", "alone: ")), True)


@case
def explain_schedule(kgen):
    """explain --schedule: the candidates, the choice, the constants; the same each time"""
    problem = ("M=4096", "N=4096", "K=4096", "target=sm_90a")
    text = kgen("explain", "matmul", *problem, "--schedule", out=r"chosen: \d+x\d+x\d+, \d stages")
    same(kgen("explain", "matmul", *problem, "--schedule").count("cycles of the tensor"), 17)
    same(kgen("explain", "matmul", *problem, "--schedule"), text)
    rule = ("explain", "delta_net_prefill", "--schedule", "H=16", "HK=16", "B=1")
    kgen(*rule, "T=32768", out=r"chosen: chunks, 64 rows a CTA, which saves more than a quarter")
    kgen(*rule, "T=64", "-t", "sm_90a", out=r"rows 64 for sm_90a[^$]*chosen: fused, 64 rows")
    kgen(*rule, "T=32768", "form=fused", out=r"chosen: fused, 64 rows")
    kgen(*rule, "T=64", "sms=8", out=r"32 CTAs that wait would leave no SM")
    kgen("explain", "matmul", "M=16", "target=sm_90a", "--schedule", out="all warps work alike")
    kgen("explain", "matmul", "--schedule", out="for any GPU\n  -D T=bf16")
    kgen("explain", "matmul", "Q=16", "--schedule", status=2, err="unknown key of matmul 'Q'")


@case
def problems(kgen):
    """build and explain take the KEY=VALUE words of a shipped kernel, as run does"""
    problem = ("matmul", "M=300", "N=256", "K=256", "target=sm_90a")
    plan = json.loads(kgen("run", *problem, "--plan", "--json"))
    same(kgen("build", *problem), plan["ptx"])
    same(kgen("build", *problem[:-1], "-t", "sm_90a"), plan["ptx"])
    kgen("build", *problem, "-D", "STAGES=2", out=r"mbarrier")
    kgen("explain", *problem, out=r"^matmul for sm_90a: \d+ synchronizations")
    # A problem may have a text of its own.
    kgen("build", "delta_net_prefill", "form=chunks", out=r"entry delta_net_prefill_chunks")
    kgen("explain", "delta_net_prefill", "form=chunks", out=r"^delta_net_prefill_chunks for sm_80")
    for command in ("build", "explain"):
        kgen(command, "matmul", "M=x", status=1, err="matmul: M=x")
        kgen(command, "matmul", "Q=1", status=2, err="unknown key of matmul 'Q'")
        kgen(command, "matmul", "M", status=2, err="'M': must be KEY=VALUE")
        kgen(command, "./mine.kg", "M=16", status=2, err="words are for shipped kernels; -D")


@case
def explain_forms(kgen):
    """explain: one form at a time"""
    for options in (["--json", "--html"], ["--json", "--memory"], ["--html", "--timeline"]):
        kgen("explain", "matmul", *options, status=2, err="exclude each other")
    kgen("explain", "matmul", "--memory", out=r"^shared memory of matmul: \d+ bytes")
    kgen("explain", "matmul", "--timeline", out=r"loop at line \d+: 5 trips shown, 3 slots")
    hopper = kgen("explain", "matmul", "M=512", "N=512", "K=512", "target=sm_90a", "sms=2",
                  "out=bf16", "--timeline", out=r"trip 2 .*\n.*\n.*fills sa, slot 2 +3 in flight")
    same(hopper.count("round 1 of the loop around it"), 2)
    assert re.search(r"wgmma_commit +2 in flight\n.*wgmma_wait 1 +1 in flight", hopper), hopper
    assert re.search(r"bulk_commit +1 in flight\n  round 1", hopper), hopper
    kgen("explain", "delta_net", "--timeline", out="no loop that synchronizes")


# Every shipped kernel, in configurations that differ in what they synchronize.
EXPLAINED = [["matmul"], ["matmul", "-DSPLITS=4", "-DBIAS=true"],
             ["matmul", "-DSTAGES=5", "-DBM=64"],
             ["attention"], ["attention", "-DCAUSAL=true", "-DSTAGES=3"],
             ["attention_decode"], ["attention_decode", "-DSPLITS=8"],
             ["delta_net"], ["delta_net", "-DROWS=8"]]


def in_split_loop(ir, line):
    """Is the line of a dump in a loop whose code is written twice?"""
    def depth(text):
        return len(text) - len(text.lstrip())

    at = depth(ir[line])
    for text in reversed(ir[:line]):
        if text.strip() and depth(text) < at:
            at = depth(text)
            if text.lstrip().startswith("for ") and "split=1" in text:
                return True
    return False


@case
def explain_json(kgen):
    """explain --json keeps its schema, and agrees with the IR and the PTX"""
    for arguments in EXPLAINED:
        report = json.loads(kgen("explain", *arguments, "--json"))
        findings = explain_schema.findings(report)
        same((arguments, findings), (arguments, []))
        ir = kgen("build", *arguments, "--emit=ir").splitlines()
        ptx = kgen("build", *arguments)
        for sync in report["syncs"]:
            number = sync["id"][1:]
            same(bool(re.search(rf"[{{ ]sync={number}[,}}]", ir[sync["ir_line"] - 1])), True)
            comments = re.findall(rf"// S{number}: (.*)", ptx)
            copies = 2 if in_split_loop(ir, sync["ir_line"] - 1) else 1
            same((sync["id"], len(comments)), (sync["id"], copies))
            same(len(set(comments)), 1)
            same(len(comments[0]) <= 95, True)
            same(comments[0].endswith("...") or "..." in comments[0]
                 or comments[0] == sync["summary"], True)
        same(sorted(set(re.findall(r"// (S\d+)", ptx))), sorted(s["id"] for s in report["syncs"]))


class Page(html.parser.HTMLParser):
    """Holds a page against the rules: elements are closed, no id twice, nothing from outside."""

    VOID = {"meta", "br", "hr", "img", "input", "link"}

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.wrong = [], [], []
        self.feed(text)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "srcset", "action", "data") or (name in ("href", "xlink:href")
                                                              and not value.startswith("#")):
                self.wrong.append(f"<{tag} {name}={value}>")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


@case
def explain_page(kgen):
    """explain --html: one file, well-formed, nothing from outside, the same each time"""
    for arguments in EXPLAINED:
        kgen("explain", *arguments, "--html", "-o", "page.html")
        text = (kgen.scratch / "page.html").read_text()
        same(kgen("explain", *arguments, "--html"), text)
        page = Page(text)
        same((page.wrong, len(page.ids)), ([], len(set(page.ids))))
        syncs = [s["id"] for s in json.loads(kgen("explain", *arguments, "--json"))["syncs"]]
        same(sorted(i for i in page.ids if re.fullmatch(r"S\d+", i)), sorted(syncs))
        same(bool(re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text)), False)
        for drawing in re.findall(r"<svg class.*?</svg>", text, re.S):
            xml.etree.ElementTree.fromstring(drawing)


# One barrier too many, and one too few.
BY_HAND = """kernel k(a: global f32[T, 512], c: global f32[T, 511], T: i32)
{
  shared s: f32[512]
  for t in 0 .. T {
    s = load a[t, 0..]
    barrier
    store c[t, 0..] = load s[1.. + 511]
  }
  barrier  // just to be sure
}
"""


@case
def sync(kgen):
    """sync judges what stands there by hand"""
    path = kgen.file("by_hand.kg", BY_HAND)
    kgen("sync", path, out=r"left to the compiler \(by hand: put `barrier` at the end of the block",
         err=r"by_hand.kg:9:3: warning: this barrier orders nothing: .* \[KG-S506\]")
    kgen("sync", path, "--by-hand", status=1,
         err=r"by_hand.kg:5:5: error: nothing orders the read at line 7, one trip of the loop at "
             r"line 4 earlier, before this write of 's' \[KG-S505\]")
    kgen("sync", path, "--by-hand", status=1,
         err=r"thread \d+ here and thread \d+ above meet at byte")
    told = json.loads(kgen("sync", path, "--json"))
    same([item["kind"] for item in told["items"]], ["missing", "redundant"])
    same(told["by_hand"], 2)
    same(told["program"], None)
    kgen("sync", "nowhere.kg", status=1)
    kgen("sync", path, "--by-hnd", status=2, err=r"did you mean")


@case
def sync_minimize(kgen):
    """sync --minimize changes the lines that it has to, and nothing else"""
    path = kgen.file("by_hand.kg", BY_HAND)
    expected = BY_HAND.replace("  barrier  // just to be sure\n", "").replace(
        "511]\n  }", "511]\n    barrier\n  }")
    same(kgen("sync", path, "--minimize"), expected)
    kgen("sync", path, "--minimize", "-o", "less.kg")
    same((kgen.scratch / "less.kg").read_text(), expected)
    kgen("sync", "less.kg", "--by-hand",
         out=r"2 by hand, 0 not needed, 0 stricter .*, 0 pairs left")
    kgen("sync", "-", "--minimize", stdin=expected, out=r"barrier\n  }")


@case
def lists(kgen):
    """every list, in words and as JSON"""
    for what in ("kernels", "passes", "ops", "targets", "devices"):
        words = kgen("list", what)
        rows = json.loads(kgen("list", what, "--json"))
        same(bool(rows) and all(re.search(rf"^{re.escape(row['name'])}\b", words, re.M)
                                for row in rows), True)


@case
def demo(kgen):
    """the demonstration: a table, and PTX"""
    shutil.rmtree(kgen.scratch / "ptx", ignore_errors=True)
    text = kgen("demo", "--ptx-dir=ptx", out=r"^kernel +shape +target")
    rows = [line for line in text.splitlines() if line.endswith("  ok")]
    same(len(list((kgen.scratch / "ptx").iterdir())), len(rows))
    answer = json.loads(kgen("demo", "--ptx-dir=ptx", "--json"))
    same((answer["failed"], answer["count"]), (0, len(rows)))
    same(all((kgen.scratch / row["ptx"]).is_file() for row in answer["rows"]), True)


@case
def colours(kgen):
    """colours only where wanted"""
    escape = "\033"
    kgen("build", "nothere.kg", status=1, no_err=escape)
    kgen("build", "nothere.kg", "--color=always", status=1, err=escape)
    kgen("--color=always", "build", "nothere.kg", status=1, err=escape)
    kgen("build", kgen.file("empty.kg", ""), "--color=always", status=1, err=escape)


@case
def man_page(kgen):
    """the man page has every command and option"""
    text = Path(MAN_PAGE).read_text().replace("\\-", "-")
    for name in ("build", "run", "check", "profile", "explain", "sync", "list", "demo"):
        same(f"kgen {name}" in text, True)
        for option in re.findall(r"--[a-z-]+", kgen("help", name)):
            same(option in text, True)


@case
def completion(kgen):
    """completion of commands, options, values and kernels"""
    if not shutil.which("bash"):
        raise Skip("no bash")

    def complete(*words):
        script = (f'source {COMPLETION}; COMP_WORDS=({" ".join(repr(w) for w in words)}); '
                  f'COMP_CWORD={len(words) - 1}; compopt() {{ :; }}; _kgen; '
                  'echo "${COMPREPLY[@]}"')
        process = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=kgen.scratch,
            env=dict(os.environ, PATH=f"{Path(kgen.kgen).parent}:{os.environ['PATH']}"))
        same(process.stderr, "")
        return process.stdout.split()
    same(complete("kgen", "bu"), ["build"])
    same(complete("kgen", "build", "--em"), ["--emit="])
    same(complete("kgen", "build", "--emit", "=", "p"), ["ptx"])
    same("sm_80" in complete("kgen", "build", "-t", "sm_8"), True)
    same(complete("kgen", "run", "delta"), ["delta_net", "delta_net_decode", "delta_net_prefill"])
    same(complete("kgen", "help", "ex"), ["explain"])
    same(complete("kgen", "list", "ta"), ["targets"])
    same(complete("kgen", "build", "--stop-after", "=", "fo"), ["fold"])


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    MAN_PAGE, COMPLETION = map(os.path.abspath, sys.argv[3:])
    sys.exit(main(sys.argv[1:]))
