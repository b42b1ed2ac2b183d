#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kgen profile, and the schedules of kgen check and kgen run. Reports in TAP; each case counts.

usage: test_profile.py KGEN SCRATCH
"""
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from cases import Failed, case, main, same, usage

HERE = Path(__file__).resolve().parent
RACE = str(HERE / "race.ptx")
ARGUMENTS = ["--block=32", "--arg=buf:u32:64:iota", "--arg=buf:u32:1:zeros"]

TABLES = """\
strided.ptx, kernel strided

source lines by warps
  line  warps  share   lanes  wavefronts   sectors  contended  source
     3      5  29.4%  100.0%              8  2.00x             int x = in[2 * threadIdx.x];
     4      4  23.5%  100.0%    2  2.00x                       tile[2 * threadIdx.x] = x;
     7      2  11.8%   25.0%    1  1.00x                       x = tile[2 * threadIdx.x] + 1;
     9      2  11.8%  100.0%              1  1.00x      96.9%  atomicAdd(out, 1);
     6      2  11.8%   87.5%                                   if (threadIdx.x < 8) {
     5      1   5.9%  100.0%                                   __syncthreads();
    10      1   5.9%  100.0%                                   }

instructions by warps
  line  PTX  warps  share   lanes  wavefronts   sectors  contended  instruction
     3   19      1   5.9%  100.0%              8  2.00x             ld.global.u32 %r1, [%rd2];
     4   24      1   5.9%  100.0%    2  2.00x                       st.shared.u32 [%r3], %r1;
     7   31      1   5.9%   25.0%    1  1.00x                       ld.shared.u32 %r4, [%r3];
     9   36      1   5.9%  100.0%              1  1.00x      96.9%  red.global.add.u32 [%rd3], 1;
     3   15      1   5.9%  100.0%                                   ld.param.u64 %rd0, [in];
     3   16      1   5.9%  100.0%                                   mov.u32 %r0, %tid.x;
     3   17      1   5.9%  100.0%                                   mul.wide.u32 %rd1, %r0, 8;
     3   18      1   5.9%  100.0%                                   add.s64 %rd2, %rd0, %rd1;
     4   21      1   5.9%  100.0%                                   mov.u32 %r2, tile;
     4   22      1   5.9%  100.0%                                   shl.b32 %r3, %r0, 3;
  and 7 more

total
  instructions  17 by warps, 488 by lanes: 89.7% of the lanes take part, 17.6% are partial
  shared        2 accesses, 3 wavefronts: 1.50x of ideal, bank conflicts 1
                32 B read, 128 B written
  global        2 accesses, 9 sectors: 1.80x of ideal, 3 lines: 1.50x of ideal
                128 B read, 128 B written
  barriers      arrivals 1, waits 1
  atomics       32 by lanes, 96.9% behind another on the same address
"""


def strided(kgen):
    for name in ("strided.ptx", "strided.cu"):
        shutil.copy(HERE / name, kgen.scratch)
    return ["profile", "strided.ptx", *ARGUMENTS]


def ready(kgen, *arguments):
    return json.loads(kgen(*arguments, "--json"))


# ---- profile -----------------------------------------------------------------------------------

usage("profile: no operand", "profile", err="missing NAME")
usage("profile: unknown kernel", "profile", "matmull", err="did you mean 'matmul'")
usage("profile: unknown key", "profile", "matmul", "N=64", "KK=64", err="did you mean 'K'")
usage("profile: key of a PTX file", "profile", RACE, "N=64", err="unexpected 'N=64'")
usage("profile: unknown sort", "profile", "matmul", "--sort=conflict", err="'conflicts'")
usage("profile: unknown table", "profile", "matmul", "--by=lines", err="'line'")
usage("profile: no number of rows", "profile", "matmul", "--top=x", err="--top=x: must be")
usage("profile: launch of a shipped kernel", "profile", "matmul", "--grid=2",
      err="--grid goes with")
usage("profile: argument of a shipped kernel", "profile", "matmul", "--arg=i32:1", err="--arg goes")


@case
def profile_tables(kgen):
    """profile of a PTX file: both tables and the totals, with the text of the source"""
    same(kgen(*strided(kgen)), TABLES)


@case
def profile_one_table(kgen):
    """profile --by, --top and --sort"""
    command = strided(kgen)
    text = kgen(*command, "--by=line", "--top=2")
    same(text.count("\n  and 5 more\n"), 1)
    same("instructions by" in text, False)
    text = kgen(*command, "--by=instruction", "--sort=line", "--top=0")
    places = [int(line.split()[1]) for line in text.splitlines() if re.match(r" +\d+ +\d+ ", line)]
    same(places, sorted(places))
    same(len(places), 17)
    text = kgen(*command, "--by=instruction", "--sort=conflicts")
    same((text.count("st.shared"), text.count("ld.shared")), (1, 0))
    kgen(*command, "--sort=macs", out="source lines by macs: none has any\n")


@case
def profile_no_source(kgen):
    """profile where the source is not there, or the PTX names none"""
    path = kgen.file("alone.ptx", (HERE / "strided.ptx").read_text())
    (kgen.scratch / "strided.cu").unlink(missing_ok=True)
    text = kgen("profile", path, *ARGUMENTS, "--by=line", "--top=1")
    same(bool(re.search(r"\n +3 +5 .*2\.00x\s*\n", text)), True)
    text = kgen("profile", RACE, "--kernel=nothing")
    same(("source lines" in text, "  1 " in text and "ret;" in text), (False, True))


@case
def profile_json(kgen):
    """profile as JSON: counts, rows, totals"""
    answer = ready(kgen, *strided(kgen))
    same((answer["status"], answer["kernel"], answer["formula"]), ("ok", "strided", None))
    rows = {row["line"]: row for row in answer["instructions"]}
    same(len(rows), 17)
    load, store, red = rows[19]["counts"], rows[24]["counts"], rows[36]["counts"]
    same(load["global"], {"accesses": 1, "sectors": 8, "ideal_sectors": 4, "lines": 2,
                          "ideal_lines": 1, "bytes_read": 128, "bytes_written": 0})
    same(store["shared"], {"accesses": 1, "wavefronts": 2, "ideal_wavefronts": 1, "bytes_read": 0,
                           "bytes_written": 128})
    same((red["atomics"], red["atomics_contended"]), (32, 31))
    same((rows[26]["counts"]["barrier_arrivals"], rows[26]["counts"]["barrier_waits"]), (1, 1))
    same((rows[31]["counts"]["lanes"], rows[31]["counts"]["partial"]), (8, 1))
    same((rows[19]["source_file"], rows[19]["source_line"]), ("strided.cu", 3))
    same(answer["total"]["warps"], sum(row["counts"]["warps"] for row in answer["instructions"]))
    same(answer["total"]["lanes"], sum(row["counts"]["lanes"] for row in answer["lines"]))
    answer = ready(kgen, *strided(kgen), "--by=line", "--top=2")
    same(("instructions" in answer, len(answer["lines"])), (False, 2))


@case
def profile_shipped(kgen):
    """profile of shipped kernels: FLOPs and bytes against the formula"""
    answer = ready(kgen, "profile", "matmul", "M=64", "N=64", "K=64")
    same(answer["total"]["multiply_adds"], 64 * 64 * 64)
    same(answer["formula"], {"flop": 2.0 * 64 ** 3, "bytes": 2.0 * 2 * 64 * 64 + 4 * 64 * 64})
    same(any("dot(sa, sb, acc)" in (row["text"] or "") for row in answer["lines"]), True)
    kgen("profile", "matmul", "M=65", "N=64", "K=64", out=r"FLOP .* by formula: [1-9]\.\d\dx\n")
    kgen("profile", "delta_net", "T=2", "D=64", "--unchecked", out=r"bytes .* by formula: ")


@case
def profile_program(kgen):
    """profile of a program of one's own"""
    path = kgen.file("add.kg", """kernel add(x: global f32[N], y: global f32[N], s: f32, N: i32)
  const B = 128
  grid n: ceildiv(N, B)
{
  store y[n*B..] = (load x[n*B.. + B]) * s
}
""")
    arguments = ["--arg=buf:f32:200:iota", "--arg=buf:f32:200:zeros", "--arg=f32:2.5"]
    kgen("profile", path, *arguments, "--arg=i32:200",
         out=r"\n +5 .* store y\[n\*B\.\.\] = \(load")
    kgen("profile", path, *arguments, status=2,
         err=r"takes 4 arguments in this order: x \(buffer of f32\), .*, s \(f32\), N \(i32\)")
    kgen("profile", path, *arguments, "--arg=buf:f32:1:zeros", status=2, err="takes 4 arguments")
    kgen("profile", path, *arguments, "--arg=i32:200", "-D", "B=64", out=" of ideal")
    kgen("profile", path, *arguments, "--arg=i32:201", status=1, err="reaches 804 bytes")
    kgen("profile", kgen.file("bad.kg", "kernel"), status=1, err=r"bad\.kg:1:")


@case
def profile_findings(kgen):
    """profile of a kernel with findings: the table, then these, status 1"""
    arguments = ["profile", RACE, "--kernel=neighbour", "--block=64", "--shared=256",
                 "--arg=buf:u32:64:zeros"]
    kgen(*arguments, status=1, out=r"(?s)instructions by warps.*total.*\[race\].*findings\n$")
    answer = json.loads(kgen(*arguments, "--json", status=1))
    same((answer["status"], len(answer["findings"])), ("findings", 2))
    kgen(*arguments, "--unchecked", out="total")


@case
def profile_errors(kgen):
    """profile of what is no kernel"""
    kgen("profile", "nothere.ptx", status=1, err="No such file")
    kgen("profile", kgen.file("words.ptx", "hello\n"), status=1, err=r"words\.ptx:1:1: ")
    answer = json.loads(kgen("profile", "words.ptx", "--json", status=1))
    same((answer["status"], len(answer["diagnostics"])), ("error", 1))
    kgen("profile", RACE, "--kernel=neighbor", status=1, err="did you mean 'neighbour'")


# ---- schedules ---------------------------------------------------------------------------------

# Right where the warp that comes last to the barrier goes on first, as in the order of numbers.
LATE_WARP = (HERE / "late_warp.ptx").read_text()

usage("schedules: not a number", "check", RACE, "--schedules=many", err="--schedules=many: must be")
usage("schedules: none", "run", "matmul", "--schedules=0", err="from 1 to 1000000")
usage("schedules: of a GPU", "run", "matmul", "--device=cuda", "--schedules=3",
      err="of the cpu device")
usage("schedules: of profile", "profile", "matmul", "--schedules=3", err="unknown option")


def replayed(kgen, line):
    """Runs a command line that kgen printed."""
    words = shlex.split(line)
    same(words[0], "kgen")
    return kgen(*words[1:], status=1)


@case
def schedules_first(kgen):
    """check --schedules: stops at the first schedule with a finding, and that replays"""
    path = kgen.file("late warp.ptx", LATE_WARP)
    arguments = ["check", path, "--block=64", "--arg=buf:u32:64:iota"]
    kgen(*arguments, out="no findings")
    text = kgen(*arguments, "--schedules=60", status=1,
                out=r"\[global-bounds\](?s:.*) in schedule \d+ of 60 \(\w+, order \d+\)")
    replay = re.search(r"^replay: (.*)$", text, re.M).group(1)
    findings = text[:text.index("late: ")]
    same(replayed(kgen, replay)[:len(findings)], findings)
    answer = json.loads(kgen(*arguments, "--schedules=60", "--json", status=1))
    same((answer["replay"], answer["status"]), (replay, "findings"))
    same((answer["schedule"]["of"], answer["schedule"]["number"] > 2), (60, True))


@case
def repairs_tried(kgen):
    """check --try-repairs: what is gone, what stays, what else there is then"""
    text = """.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 p)
{
    .reg .b32 %r<10>;
    .reg .pred %p<3>;
    .shared .align 16 .b8 s[512];
    mov.u32 %r1, %tid.x;
    shl.b32 %r2, %r1, 2;
    mov.u32 %r3, s;
    add.s32 %r4, %r3, %r2;
    xor.b32 %r5, %r2, 128;
    add.s32 %r5, %r3, %r5;
    st.shared.u32 [%r4], %r1;
    bar.sync 0;
    ld.shared.u32 %r6, [%r5];
    EXIT
    st.shared.u32 [%r4], %r6;
    ret;
}
"""
    plain = kgen.file("repair.ptx", text.replace("EXIT", "add.u32 %r6, %r6, 1;"))
    arguments = ["--block=64", "--arg=u64:0", "--try-repairs"]
    kgen("check", plain, *arguments, status=1,
         out=r"\ntried: bar\.sync 0; in front of line 19: race of lines 17 and 19 is gone\n$")
    answer = json.loads(kgen("check", plain, *arguments, "--json", status=1))
    same(answer["repairs"], [{"rule": "race", "lines": [17, 19], "repair": "bar.sync 0;",
                              "line": 19, "outcome": "gone", "other": None}])
    # A store ahead of the proposed barrier, by the warp that came first, shows only then.
    loop = "setp.lt.u32 %p1, %r1, 32; @!%p1 st.shared.u32 [%r4], %r6;"
    hidden = kgen.file("hidden.ptx", text.replace("EXIT", loop))
    answer = json.loads(kgen("check", hidden, *arguments, "--json", status=1))
    same(answer["repairs"], [{"rule": "race", "lines": [17, 19], "repair": "bar.sync 0;",
                              "line": 19, "outcome": "others",
                              "other": "race of lines 17 and 18"}])
    kgen("check", hidden, *arguments, status=1,
         out=r"race of lines 17 and 19 is gone, but there is race of lines 17 and 18 instead\n$")
    kgen("check", RACE, "--kernel=nothing", "--try-repairs", out="no findings")
    text = kgen("check", plain, *arguments[:-1], status=1)
    same("tried:" in text, False)


@case
def schedules_silent(kgen):
    """check and run --schedules without findings"""
    kgen("check", RACE, "--kernel=nothing", "--schedules=7", out="no findings in 7 schedules")
    kgen("run", "matmul", "M=40", "N=40", "K=40", "--schedules=5",
         out=r"5 schedules: all is well under each\n  no findings\nok\n")
    answer = ready(kgen, "run", "matmul", "M=40", "N=40", "K=40", "--schedules=2")
    same(answer["schedule"], {"completion": "late", "order": 0, "number": 2, "of": 2})
    same(answer["replay"], "kgen run matmul M=40 N=40 K=40 --completion=late --order=0")


@case
def schedules_given(kgen):
    """--completion and --order choose one schedule; --seed stays the seed of the inputs"""
    arguments = ["check", RACE, "--kernel=nothing", "--seed=9", "--completion=seeded", "--order=4"]
    answer = ready(kgen, *arguments)
    same(answer["schedule"], {"completion": "seeded", "order": 4, "number": 1, "of": 1})
    answer = ready(kgen, *arguments, "--schedules=3")
    same(answer["schedule"], {"completion": "seeded", "order": 6, "number": 3, "of": 3})
    same(answer["replay"].endswith("--seed=9 --completion=seeded --order=6"), True)


@case
def schedules_mismatch(kgen):
    """run --schedules: a wrong result stops it, and says how to see it again"""
    text = kgen("run", "matmul", "M=16", "N=32", "K=16", "bias=true", "-D", "BIAS=false",
                "--reruns=0", "--schedules=4", status=1)
    replay = re.search(r"^replay: (.*)$", text, re.M)
    same((bool(replay), text.splitlines()[-1]), (True, "mismatch"))
    same(replayed(kgen, replay.group(1)).splitlines()[-1], "mismatch")


@case
def schedules_progress(kgen):
    """progress stands on a terminal only, and is wiped"""
    ours, theirs = pty.openpty()
    command = [kgen.kgen, "run", "attention", "SQ=256", "SK=256", "--schedules=40"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs,
                          cwd=kgen.scratch) as process:
        os.close(theirs)
        output = process.stdout.read().decode()
    words = b""
    try:
        while chunk := os.read(ours, 65536):
            words += chunk
    except OSError:  # how a terminal says that nobody is there
        pass
    os.close(ours)
    if not re.search(rb"kgen: schedule \d+ of 40 \(", words) or not words.endswith(b"\r\033[K"):
        raise Failed(f"{words!r} with {output!r}")
    same("schedule 3 of 40" in output, False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
