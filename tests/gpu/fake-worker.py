#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A timings.py for the suite's tests: the keys of a case say what becomes of the process."""
import json
import os
import sys
import time

job = json.load(sys.stdin)


def emit(**event):
    print(json.dumps(event), flush=True)


if job["machine"]:
    emit(event="machine", result={"copy_bytes_per_second": 4.3e12})
for number, item in enumerate(job["cases"]):
    what = item["keys"].get("do", "work")
    if what == "refuse":
        print("cannot import torch", file=sys.stderr)
        sys.exit(1)
    emit(event="start", case=number)
    if what == "die":
        print("Segmentation fault", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9)
    if what == "hang":
        time.sleep(60)
    if what == "fault":
        emit(event="done", case=number, result={"error": "an illegal memory access"})
        sys.exit(3)
    emit(event="done", case=number, result={"contenders": {}, "process": os.getpid()})
