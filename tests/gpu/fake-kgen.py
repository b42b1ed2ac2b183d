#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A kgen for the suite's tests: K decides how `run` ends, as its cases are written down below."""
import json
import sys
import time

command, keys = sys.argv[1], dict(word.split("=", 1) for word in sys.argv[3:] if "=" in word)
if command == "version":
    print("kgen 9.9.9")
    sys.exit(0)
how = keys.get("K", "0")
outputs = [{"name": "c", "elements": 4, "wrong": 0}]
if how == "1":  # a wrong result
    outputs[0].update(wrong=2, worst={"index": [1, 3], "result": 7.0, "expected": 1.5},
                      wrong_rows=[{"first": "1", "last": "1", "wrong": 2}])
    print(json.dumps({"status": "mismatch", "outputs": outputs,
                      "reruns": {"count": 3, "same_elements": False}}))
    sys.exit(1)
if how == "2":  # a key that it does not take
    print("kgen: error: unknown key", file=sys.stderr)
    sys.exit(2)
if how == "3":  # a crash
    print("kgen: error: a bug in kgen", file=sys.stderr)
    sys.exit(70)
if how == "4":  # a hang
    time.sleep(60)
if how == "5":  # the launch failed
    print(json.dumps({"status": "error", "outputs": []}))
    sys.exit(1)
print("words in front" if how == "6" else "", json.dumps({"status": "ok", "outputs": outputs}))
