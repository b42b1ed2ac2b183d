#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/count-tests.py on made-up results of meson."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools/count-tests.py"
TAP = "1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP no ptxas\n"
CLEAN = TAP.replace("not ok", "ok")


def row(name, result, stdout=""):
    return {"name": name, "result": result, "stdout": stdout}


# (what is tested, rows, names of the TAP tests, options, the line, exit status)
CASES = (
    ("plain results", [row("x", "OK"), row("y", "FAIL"), row("z", "SKIP", "no GPU\n")], (), [],
     "1 passed, 1 failed, 1 skipped", 1),
    ("parts", [row("t", "FAIL", TAP)], ("t",), [], "1 passed, 1 failed, 1 skipped", 1),
    ("good parts", [row("t", "OK", CLEAN)], ("t",), [], "2 passed, 0 failed, 1 skipped", 0),
    ("a forbidden skip", [row("t", "OK", CLEAN)], ("t",), ["--forbid-skip=ptxas"],
     "2 passed, 1 failed, 0 skipped", 1),
    ("a crash between parts", [row("t", "ERROR", "1..3\nok 1 - a\n")], ("t",), [],
     "1 passed, 1 failed, 0 skipped", 1),
    ("all skipped in one", [row("t", "SKIP", "1..0 # SKIP no lit\n")], ("t",), [],
     "0 passed, 0 failed, 1 skipped", 1),
    ("output that looks like TAP", [row("x", "OK", "ok 1\nok 2\n")], (), [],
     "1 passed, 0 failed, 0 skipped", 0),
    ("timeouts and surprises", [row("x", "TIMEOUT"), row("y", "UNEXPECTEDPASS")], (), [],
     "0 passed, 2 failed, 0 skipped", 1),
    ("expected failure", [row("x", "EXPECTEDFAIL")], (), [], "1 passed, 0 failed, 0 skipped", 0),
    ("a name with its suite", [row("kgen:x / t", "OK", CLEAN)], ("kgen:x / t",), [],
     "2 passed, 0 failed, 1 skipped", 0),
    ("nothing ran", [], (), [], "0 passed, 0 failed, 0 skipped", 1),
)


def run(rows, tap, options):
    with tempfile.TemporaryDirectory() as scratch:
        logs = Path(scratch)
        (logs / "testlog.json").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
        suites = "".join(f'<testsuite name="kgen.{name}"><testcase name="1 - a"/></testsuite>'
                         for name in tap)
        (logs / "testlog.junit.xml").write_text(f"<testsuites>{suites}</testsuites>")
        process = subprocess.run([sys.executable, str(SCRIPT), str(logs), *options],
                                 capture_output=True, text=True, check=False)
    return process


def count(rows, tap, options):
    process = run(rows, tap, options)
    return process.stdout.strip(), process.returncode


def summary_is_shown():
    process = run([row("t", "OK", "ok 1 - a\n# summary: 3 of 3\n")], ("t",), [])
    return "t: 3 of 3\n" in process.stderr and "summary" not in process.stdout


def main():
    print(f"1..{len(CASES) + 1}")
    bad = 0
    for number, (title, rows, tap, options, line, status) in enumerate(CASES, 1):
        answer = count(rows, tap, options)
        good = answer == (line, status)
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {title}")
        if not good:
            print(f"# {answer}, not {(line, status)}")
    bad += not summary_is_shown()
    print(f"{'ok' if summary_is_shown() else 'not ok'} {len(CASES) + 1} - a summary is shown")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
