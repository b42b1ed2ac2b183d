# SPDX-License-Identifier: MIT
"""Stages made of `kgen run` processes: correctness, and compute-sanitizer around it.

One process a case: whatever breaks in one spoils no other. Several run at a time, since most of
each is the host's reference. A stage works through its list until its budget is spent; what it
did not reach is counted, never passed over.
"""
import json
import subprocess
import threading
import time

from cases import label

RERUNS = 3  # of a wrong result, by kgen: do the same elements stay wrong?


def command(kgen, item, device, seed=1, target=None, reruns=RERUNS):
    words = [kgen, "run", item["family"],
             *(f"{name}={value}" for name, value in item["keys"].items()),
             f"--device={device}", f"--seed={seed}", f"--reruns={reruns}", "--json"]
    return words + ([f"--target={target}"] if target else [])


def parse(text):
    """The JSON object in a program's stdout, or None; a sanitizer may print around it."""
    start, end = text.find("{"), text.rfind("}")
    try:
        return json.loads(text[start:end + 1]) if start >= 0 else None
    except ValueError:
        return None


def run(words, seconds):
    """(exit status or "timeout", stdout, stderr, seconds)."""
    begun = time.monotonic()
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace",
                              timeout=seconds, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr, time.monotonic() - begun
    except subprocess.TimeoutExpired as late:
        words = [(text or b"").decode(errors="replace") for text in (late.stdout, late.stderr)]
        return "timeout", *words, time.monotonic() - begun
    except OSError as error:
        return "error", "", str(error), time.monotonic() - begun


def status_of(code, result):
    """What an exit status and the JSON beside it mean. Right is only what says so twice."""
    if code == "timeout":
        return "timeout"
    word = (result or {}).get("status")
    if code == 0:
        return "right" if word == "ok" else "error"
    if code == 1 and word in ("mismatch", "findings"):
        return "wrong"
    return "refused" if code == 2 else "error"


def shorten(result):
    """The result without what is long and told elsewhere."""
    kept = ("status", "device", "program", "outputs", "findings", "reruns", "diagnostics")
    short = {name: result[name] for name in kept if result.get(name)}
    for output in short.get("outputs", []):
        output["wrong_rows"] = output.get("wrong_rows", [])[:20]
    return short


def record(job, seconds):
    """Runs a job and says what came of it."""
    code, out, words, took = run(job["command"], seconds)
    result = parse(out)
    status = status_of(code, result)
    made = {"case": label(job["item"]), "seed": job["seed"], "status": status, "exit": code,
            "seconds": round(took, 3), "result": shorten(result) if result else None}
    if status != "right":
        made["words"] = words.strip()[:2000]
        made["command"] = " ".join(job["command"])
    return made


def correctness_jobs(items, kgen, device, seeds, targets):
    """The first seed of every case comes before the second of any."""
    return [{"item": item, "seed": seed,
             "command": command(kgen, item, device, seed, target)}
            for seed in seeds for target in targets for item in items]


def sanitizer_jobs(items, kgen, sanitizer, tools, target):
    """Under the sanitizer one run is enough. Its own exit status for findings is 9."""
    return [{"item": item, "seed": 1, "tool": tool,
             "command": [sanitizer, "--tool", tool, "--error-exitcode", "9", "--print-limit", "5",
                         *command(kgen, item, "cuda", 1, target, reruns=1)]}
            for item in items for tool in tools]


def sanitizer_record(job, seconds):
    code, out, words, took = run(job["command"], seconds)
    result = parse(out)
    made = {"case": label(job["item"]), "seed": job["seed"], "tool": job["tool"], "exit": code,
            "status": "findings" if code == 9 else status_of(code, result),
            "seconds": round(took, 3), "result": shorten(result) if result else None}
    if made["status"] != "right":
        told = [line for line in (out + words).splitlines() if line.startswith("=========")]
        made["words"] = "\n".join(told or words.splitlines()[-8:])[:4000]
        made["command"] = " ".join(job["command"])
    return made


class Stage:
    """Works through jobs with some threads. `note(made)` is called for each record in turn."""

    def __init__(self, jobs, budget, workers, seconds_each=60, run_job=record, note=None):
        self.jobs, self.budget, self.workers = list(jobs), budget, workers
        self.seconds_each, self.run_job = seconds_each, run_job
        self.note = note or (lambda made: None)
        self.records, self.next, self.lock = [], 0, threading.Lock()

    def take(self):
        with self.lock:
            if self.next >= len(self.jobs) or self.budget.spent():
                return None
            self.next += 1
            return self.jobs[self.next - 1]

    def work(self):
        while (job := self.take()) is not None:
            # A run that the deadline cuts short has failed nothing: it does not count.
            seconds = min(self.seconds_each, self.budget.left())
            made = self.run_job(job, max(0.05, seconds))
            if made["status"] == "timeout" and seconds < self.seconds_each:
                made["status"] = "not run"
            with self.lock:
                self.records.append(made)
                self.note(made)

    def run(self):
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.result()

    def result(self):
        counts = {}
        for made in self.records:
            counts[made["status"]] = counts.get(made["status"], 0) + 1
        left = len(self.jobs) - len(self.records)
        if left:
            counts["not run"] = counts.get("not run", 0) + left
        return {"jobs": len(self.jobs), "counts": counts, "records": list(self.records)}


# ---- single instructions -----------------------------------------------------------------------
def instruction_record(entry, target):
    """A form whose bits differ: wrong only where the reference forbids what the GPU gave."""
    made = {"case": f"{entry['group']}: {entry['form']}", **entry}
    if "refused" in entry:
        missing = entry["refused"] == "gpu" and target != "sm_90a"
        return {**made, "status": "skipped" if missing else "refused",
                "words": f"refused by {entry['refused']}"}
    lines = [f"{e['gpu']} instead of {e['machine']} (reference {e['reference']}) for a={e['a']} "
             f"b={e['b']} c={e['c']}" for e in entry["examples"]]
    return {**made, "status": "wrong" if entry["wrong"] else "right",
            "words": "\n".join([f"{entry['wrong']} of {entry['operands']} wrong"] + lines)}


def instructions(program, budget):
    """The stage that `program`, kgen-instructions, makes: every form on the GPU."""
    code, out, words, seconds = run([program], max(0.05, budget.left()))
    made = parse(out)
    if code == 77:
        return {"skipped": "Skipped: " + (words.strip().splitlines() or ["no GPU"])[-1]}
    if not made or "counts" not in made:
        status = "not run" if code == "timeout" else "error"
        return {"jobs": 1, "counts": {status: 1}, "seconds": seconds,
                "records": [{"case": "kgen-instructions", "status": status, "words": words}]}
    records = [instruction_record(entry, made["target"]) for entry in made["differing"]]
    counts = {"right": made["counts"]["forms"] - sum(r["status"] == "wrong" for r in records)}
    for record_ in records:
        if record_["status"] != "right":
            counts[record_["status"]] = counts.get(record_["status"], 0) + 1
    return {"jobs": made["counts"]["forms"], "target": made["target"], "counts": counts,
            "records": records}
