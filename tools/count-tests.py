#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the results of `meson test`.

usage: count-tests.py MESON-LOGS [--forbid-skip=WORD]

Prints `N passed, N failed, N skipped` to stdout, and to stderr which tests failed and which were
skipped and why, and lines `# summary: ...` of tests. A test that reports its parts (TAP) counts by
its parts. With --forbid-skip, a test that was skipped with WORD in its reason has failed. Exit
status 1 if anything failed or nothing ran.
"""
import json
import re
import sys
import xml.etree.ElementTree
from pathlib import Path

FAILED = ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS")
TAP_LINE = re.compile(r"^(not )?ok\b\s*(\d*)\s*(?:- )?(.*?)(?:\s*# *(SKIP|TODO)\S*\s*(.*))?$", re.I)


def tap_suites(logs):
    """The names of the tests that meson read as TAP: it lists the parts of no others."""
    path = logs / "testlog.junit.xml"
    if not path.exists():
        return set()
    suites = xml.etree.ElementTree.parse(path).getroot().iter("testsuite")
    return {suite.get("name").split(".", 1)[-1] for suite in suites
            if any(re.match(r"\d+\b", case.get("name") or "") for case in suite.iter("testcase"))}


def last_line(text):
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def parts(stdout):
    """[name, verdict, reason] for each TAP line. The comments after a failure are its reason."""
    found = []
    for line in (stdout or "").splitlines():
        match = TAP_LINE.match(line)
        if match:
            failed, number, title, directive, reason = match.groups()
            skipped = (directive or "").upper() == "SKIP"
            tolerated = (directive or "").upper() == "TODO"
            verdict = "skipped" if skipped else "failed" if failed and not tolerated else "passed"
            found.append([title or number, verdict, reason or ""])
        elif line.startswith("#") and found and found[-1][1] == "failed":
            found[-1][2] += f"\n    {line[1:].strip()}"
    return found


def logged(logs):
    path = logs / "testlog.json"
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        yield json.loads(line)


def summaries(logs):
    """What tests want to be known beside their results."""
    for test in logged(logs):
        for line in (test.get("stdout") or "").splitlines():
            if line.startswith("# summary: "):
                yield f"{test['name'].rsplit(' / ', 1)[-1]}: {line[len('# summary: '):]}"


def results(logs):
    """(name, verdict, reason) for everything that ran."""
    suites = tap_suites(logs)
    for test in logged(logs):
        # "project:suite / name" where the test has a suite.
        name = test["name"].rsplit(" / ", 1)[-1]
        reason = last_line(test.get("stdout") or test.get("stderr"))
        whole = ("failed" if test["result"] in FAILED else
                 "skipped" if test["result"] == "SKIP" else "passed")
        found = parts(test.get("stdout")) if test["name"] in suites else []
        for part in found:
            yield f"{name}: {part[0]}", part[1], part[2] or "no reason given"
        # A test that broke off between its parts shows only in its own result.
        if not found or (whole == "failed" and all(part[1] != "failed" for part in found)):
            yield name, whole, test["result"] if whole == "failed" else reason


def main(arguments):
    options = [argument for argument in arguments if argument.startswith("--forbid-skip=")]
    places = [argument for argument in arguments if argument not in options]
    if len(places) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    forbidden = [option.split("=", 1)[1] for option in options]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, verdict, reason in results(Path(places[0])):
        if verdict == "skipped" and any(word in reason for word in forbidden):
            verdict, reason = "failed", f"skipped, which is not allowed here: {reason}"
        counts[verdict] += 1
        if verdict != "passed":
            print(f"{verdict}: {name}: {reason}", file=sys.stderr)
    for text in summaries(Path(places[0])):
        print(text, file=sys.stderr)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
