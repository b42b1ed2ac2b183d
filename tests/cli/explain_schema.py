# SPDX-License-Identifier: MIT
"""The schema of `kgen explain --json`, as docs/explain.md describes it: keys, types, and that what
refers to something refers to something that is there."""
import re

TEXT, NUMBER, REAL, TRUTH = str, int, (int, float), bool


def maybe(kind):
    return ("maybe", kind)


def each(kind):
    return ("each", kind)


def among(*words):
    return ("among", words)


SYNC_ID = ("sync id",)
ACCESS = {"line": maybe(NUMBER), "op": TEXT, "does": TEXT, "buffer": TEXT, "thread": maybe(NUMBER)}
OBLIGATION = {
    "number": NUMBER, "first": ACCESS, "second": ACCESS, "distance": NUMBER,
    "loop_line": maybe(NUMBER), "byte": maybe(NUMBER), "meet": among("thread", "warp", "cta"),
    "completion": TRUTH, "other_buffer": TRUTH, "sync": maybe(SYNC_ID), "wait": maybe(SYNC_ID),
    "needs_sync": TRUTH, "by_hand": TRUTH, "by_author": TRUTH, "choices": NUMBER,
    "alone": maybe(TEXT), "alone_runs": maybe(REAL)}
REPAIR = {"repair": TEXT, "verdict": among("chosen", "rejected", "equal", "not tried"),
          "runs": maybe(REAL), "text": TEXT}
SYNC = {
    "id": SYNC_ID,
    "kind": among("barrier", "arrive", "warp_sync", "commit", "wait", "fence", "proxy_fence",
                  "mbarrier_init", "mbarrier_expect", "mbarrier_arrive", "mbarrier_wait",
                  "bulk_commit", "bulk_wait", "wgmma_fence", "wgmma_commit", "wgmma_wait"),
    "name": TEXT,
    "count": maybe(NUMBER), "line": maybe(NUMBER), "after_line": NUMBER, "ir_line": NUMBER,
    "where": TEXT, "summary": TEXT, "loops": NUMBER, "runs": maybe(REAL), "by_hand": TRUTH,
    "sharing_only": TRUTH, "obligations": each(NUMBER), "repairs": each(REPAIR),
    "copy_lines": each(NUMBER)}
BUFFER = {"name": TEXT, "type": TEXT, "line": maybe(NUMBER), "offset": NUMBER, "bytes": NUMBER,
          "slot_bytes": NUMBER, "slots": NUMBER, "first_point": maybe(NUMBER),
          "last_point": maybe(NUMBER)}
OVERLAP = {"buffers": each(NUMBER), "bytes": NUMBER, "syncs": each(SYNC_ID)}
POINT = {"op": TEXT, "line": maybe(NUMBER), "loops": NUMBER, "loop": maybe(NUMBER),
         "sync": maybe(SYNC_ID)}
EVENT = {
    "kind": among("copy", "commit", "wait", "meet", "write", "read"), "step": NUMBER,
    "phase": among("before", "trip", "after"), "trip": maybe(NUMBER), "round": NUMBER,
    "op": TEXT, "role": maybe(TEXT), "line": maybe(NUMBER), "sync": maybe(SYNC_ID),
    "buffer": maybe(NUMBER), "slot": maybe(NUMBER), "group": maybe(NUMBER), "in_flight": NUMBER}
TIMELINE = {"line": maybe(NUMBER), "trips": NUMBER, "rounds": NUMBER, "ring": NUMBER,
            "cut": TRUTH, "events": each(EVENT)}
CHANGE = {"line": maybe(NUMBER), "what": TEXT, "text": TEXT, "taken": TRUTH, "fits": TRUTH,
          "cost_before": NUMBER, "cost_after": NUMBER}
PROOF = {"verdict": among("proved", "unknown"), "reason": maybe(TEXT), "states": NUMBER,
         "cells": NUMBER}
REPORT = {
    "schema": NUMBER, "kernel": TEXT, "target": TEXT, "source": TEXT, "threads": NUMBER,
    "syncs": each(SYNC), "obligations": each(OBLIGATION),
    "needs_nothing": {"same_thread": NUMBER, "by_ring": NUMBER, "apart": NUMBER},
    "shared": {"bytes": NUMBER, "limit": NUMBER, "bytes_apart": NUMBER, "buffers": each(BUFFER),
               "overlaps": each(OVERLAP)},
    "points": each(POINT), "timelines": each(TIMELINE), "changes": each(CHANGE),
    "fewest": maybe(TEXT), "proxies": each(TEXT), "proof": maybe(PROOF)}


def check(value, kind, path):
    """What does not fit, one text each."""
    if isinstance(kind, dict):
        if not isinstance(value, dict) or set(value) != set(kind):
            return [f"{path}: keys {sorted(value) if isinstance(value, dict) else value}"]
        return [f for key in kind for f in check(value[key], kind[key], f"{path}.{key}")]
    if isinstance(kind, tuple) and kind[0] == "maybe":
        return [] if value is None else check(value, kind[1], path)
    if isinstance(kind, tuple) and kind[0] == "each":
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [f for i, v in enumerate(value) for f in check(v, kind[1], f"{path}[{i}]")]
    if isinstance(kind, tuple) and kind[0] == "among":
        return [] if value in kind[1] else [f"{path}: {value!r}"]
    if kind is SYNC_ID:
        fits = isinstance(value, str) and re.fullmatch(r"S[1-9]\d*", value)
        return [] if fits else [f"{path}: {value!r}"]
    fits = isinstance(value, kind) and (kind is TRUTH or not isinstance(value, bool))
    return [] if fits else [f"{path}: {value!r}"]


def references(report):
    """Ids, numbers and indices that lead nowhere."""
    wrong = []
    syncs = {s["id"]: s for s in report["syncs"]}
    numbers = {o["number"]: o for o in report["obligations"]}
    if list(syncs) != [f"S{i + 1}" for i in range(len(syncs))]:
        wrong.append("ids are not S1, S2, ...")
    for sync in report["syncs"]:
        wrong += [f"{sync['id']}: obligation {n}" for n in sync["obligations"]
                  if n not in numbers or sync["id"] not in (numbers[n]["sync"], numbers[n]["wait"])]
    for o in report["obligations"]:
        wrong += [f"obligation {o['number']}: {i}" for i in (o["sync"], o["wait"])
                  if i is not None and (i not in syncs or o["number"] not in
                                        syncs[i]["obligations"])]
        waited = o["completion"] and o["meet"] == "thread"  # by several waits together
        if not (o["sync"] or o["by_hand"] or o["by_author"] or waited):
            wrong.append(f"obligation {o['number']}: nothing orders it")
    shared = report["shared"]
    for b in shared["buffers"]:
        if b["offset"] + b["bytes"] > shared["bytes"] or b["slots"] * b["slot_bytes"] != b["bytes"]:
            wrong.append(f"buffer {b['name']}: bytes")
    for t in report["timelines"]:
        steps = [e["step"] for e in t["events"]]
        if steps != sorted(steps):
            wrong.append("steps are not in order")
        wrong += [f"event: buffer {e['buffer']}" for e in t["events"]
                  if e["buffer"] is not None and e["buffer"] >= len(shared["buffers"])]
    return wrong


def findings(report):
    wrong = check(report, REPORT, "report")
    return wrong or references(report)
