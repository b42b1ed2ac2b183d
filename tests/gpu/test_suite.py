#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The suite as a whole, with a kgen and a timing process that are made up: what it runs, what it
makes of failures, hangs and deadlines, what it writes."""
import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import types
import zipfile

from tap import Tests

HERE = os.path.dirname(os.path.realpath(__file__))
GPU = os.path.join(HERE, "..", "..", "tools", "gpu")
SUITE = os.path.join(GPU, "suite")
sys.path.insert(0, GPU)
import cases  # noqa: E402
import clock  # noqa: E402
import goals  # noqa: E402
import report  # noqa: E402
import runs  # noqa: E402

loader = importlib.machinery.SourceFileLoader("suite", SUITE)
suite = importlib.util.module_from_spec(importlib.util.spec_from_loader("suite", loader))
loader.exec_module(suite)
suite.say = lambda text: None

tests = Tests()
KGEN = os.path.join(HERE, "fake-kgen.py")


def command_for(how):
    return [sys.executable, KGEN, "run", "matmul", f"K={how}"]


def job(how):
    return {"item": cases.case("matmul", K=how), "seed": 1, "command": command_for(how)}


def stage(jobs, seconds=30, **more):
    return runs.Stage(jobs, clock.Budget(seconds), 4, **more).run()


# ---- cases -------------------------------------------------------------------------------------
@tests.case
def every_case_is_written_once():
    for items in (cases.correctness_cases(), cases.timing_cases(), cases.SANITIZER_CASES,
                  cases.timing_cases(capability="9.0")):
        labels = [cases.label(item) for item in items]
        twice = {label for label in labels if labels.count(label) > 1}
        assert not twice, twice
        assert {item["family"] for item in items} == {"matmul", "attention", "attention_decode",
                                                      "delta_net", "delta_net_decode",
                                                      "delta_net_prefill"}


@tests.case
def a_gpu_gets_the_schedules_that_it_runs():
    plain = cases.case("matmul", M=64)
    own = cases.case("matmul", M=64, target=cases.HOPPER)
    assert [cases.fits(item, capability) for capability in ("9.0", "8.0", "unknown", None)
            for item in (plain, own)] == [True, True, True, False, True, False, True, True]
    for capability, wanted in (("9.0", {cases.HOPPER}), ("8.0", {None}), (None, {None})):
        for family in ("matmul", "attention"):
            assert {item["keys"].get("target") for item in cases.timing_cases(False, capability)
                    if item["family"] == family} == wanted, capability
    hopper = cases.timing_cases(False, "9.0")
    squares = {item["keys"]["M"] for item in hopper if item["family"] == "matmul"
               and len({item["keys"][name] for name in "MNK"}) == 1}
    assert {"512", "1024", "2048", "4096", "8192", "16384"} <= squares
    assert {"1", "16", "8192"} <= {item["keys"]["M"] for item in hopper
                                   if item["family"] == "matmul" and "b_col" in item["keys"]}
    seen = {tuple(item["keys"][name] for name in ("SQ", "D", "causal")) for item in hopper
            if item["family"] == "attention"}
    assert {(str(length), d, causal) for length in (512, 1024, 2048, 4096, 8192, 16384)
            for d in ("64", "128") for causal in ("true", "false")} <= seen


def timed_entry(case, seconds, **others):
    rows = {name: {"seconds": {"median": value}}
            for name, value in {"kgen": seconds, **others}.items()}
    return {"family": case.split()[0], "case": case, "result": {"bytes": 1e9, "contenders": rows}}


@tests.case
def goals_are_measured_against_the_best_rival_that_is_right():
    square = "matmul M=4096 N=4096 K=4096"
    done = [timed_entry(square, 1.0, **{"torch.mm": 0.96}),
            timed_entry("matmul M=64 N=64 K=64", 1.0, **{"torch.mm": 0.5}),
            timed_entry("attention SQ=4096 SK=4096", 1.0, **{"SDPA flash": 2.0, "SDPA cuDNN": 0.8}),
            timed_entry("delta_net_prefill B=1", 1.0, **{"FLA chunks": 1.6}),
            timed_entry("delta_net_decode B=16 H=32", 1e-3),
            timed_entry("delta_net_decode B=1 H=32", 1e-3)]
    assert [row[1:] for row in goals.rows(done, 1e12)] == [
        ("torch.mm", "0.95", "0.96", "reached"), ("SDPA cuDNN", "0.90", "0.80", "missed"),
        ("FLA chunks", "1.50", "1.60", "reached"),
        ("a copy's bandwidth", "0.85", "1.00", "reached")]
    wrong = timed_entry(square, 1.0, **{"torch.mm": 0.5})
    wrong["result"]["contenders"]["torch.mm"]["checks"] = {"c": {"ok": False}}
    assert not goals.rows([wrong], 1e12) and not report.is_bad(wrong)
    assert not report.split_contenders(wrong["result"])[2]
    wrong["result"]["contenders"]["kgen"]["checks"] = {"c": {"ok": False}}
    assert report.is_bad(wrong)


@tests.case
def wheels_are_unpacked_for_the_timings():
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(os.path.join(folder, "x-1.whl"), "w") as wheel:
            wheel.writestr("x/__init__.py", "VALUE = 7\n")
        options, environment = types.SimpleNamespace(wheels=folder, tutorials="there"), {}
        loader = importlib.machinery.SourceFileLoader("suite_command", SUITE)
        spec = importlib.util.spec_from_loader("suite_command", loader)
        suite = importlib.util.module_from_spec(spec)
        loader.exec_module(suite)
        with suite.carry(options, environment):
            said = subprocess.run([sys.executable, "-c", "import x; print(x.VALUE)"],
                                  env={**os.environ, **environment}, capture_output=True, text=True,
                                  check=False)
            assert said.stdout == "7\n", said
        assert environment["KGEN_TRITON_TUTORIALS"].endswith("there")


@tests.case
def what_was_cut_is_named():
    stage = {"cases": [{"family": "matmul", "case": "matmul M=1"}]}
    assert "- matmul M=1" in report.timing_section(stage)


@tests.case
def every_value_that_is_shipped_occurs():
    seen = {}
    for item in cases.correctness_cases():
        for name, value in item["keys"].items():
            seen.setdefault((item["family"], name), set()).add(value)
    matmul = {"dtype": "f16 bf16", "out": "f32 f16 bf16", "stages": "2 3 4 5",
              "splits": "1 2 3 4 5 6 7 8", "activation": "none relu gelu silu",
              "bias": "true false", "a_col": "true false", "b_col": "true false", "M": "1",
              "N": "1", "K": "1"}
    for name, values in matmul.items():
        assert set(values.split()) <= seen["matmul", name], name
    for family in ("attention", "attention_decode", "delta_net"):
        assert seen[family, "D"] == {"64", "128"}
    assert {"1", "2", "3", "4"} == seen["attention", "stages"]
    assert {"8", "16", "32", "64"} == seen["delta_net", "rows"]
    assert {"1", "2048"} <= seen["delta_net", "T"]


@tests.case
def a_tenth_of_the_list_has_a_tenth_of_each_family():
    items = cases.correctness_cases()
    for family in ("matmul", "attention", "attention_decode", "delta_net"):
        count = sum(item["family"] == family for item in items)
        early = sum(item["family"] == family for item in items[:len(items) // 10])
        assert abs(early - count / 10) <= 2, (family, early, count)
    assert len(cases.correctness_cases(quick=True)) < len(items) / 8


# ---- runs --------------------------------------------------------------------------------------
@tests.case
def endings_are_told_apart():
    found = stage([job(how) for how in "0123456"], seconds_each=0.8)
    by_case = {made["case"][-1]: made["status"] for made in found["records"]}
    assert by_case == {"0": "right", "1": "wrong", "2": "refused", "3": "error", "4": "timeout",
                       "5": "error", "6": "right"}, by_case
    assert found["counts"]["right"] == 2


@tests.case
def a_missing_program_is_an_error():
    made = runs.record({"item": cases.case("matmul"), "seed": 1, "command": ["/nowhere/kgen"]}, 5)
    assert made["status"] == "error" and "No such file" in made["words"]


@tests.case
def what_the_deadline_cuts_off_is_counted_as_not_run():
    found = stage([job("4") for _ in range(9)], seconds=0.4)
    assert found["counts"] == {"not run": 9}, found["counts"]


@tests.case
def wrong_results_come_first_and_say_where():
    found = stage([job(how) for how in "3512"])
    bad = report.failures(found)
    assert [made["status"] for made in bad][0] == "wrong" and len(bad) == 4
    text = "\n".join(report.failure_lines(bad[0]))
    assert "worst at [1, 3]: 7.0 instead of 1.5" in text and "a race" in text, text


@tests.case
def sanitizer_findings_are_failures():
    script = "print('========= Race reported between'); raise SystemExit(9)"
    made = runs.sanitizer_record({"item": cases.SANITIZER_CASES[0], "seed": 1, "tool": "racecheck",
                                  "command": [sys.executable, "-c", script]}, 10)
    assert made["status"] == "findings" and "Race reported" in made["words"]
    jobs = runs.sanitizer_jobs(cases.SANITIZER_CASES[:2], "kgen", "sanitizer", ("a", "b"), None)
    assert len(jobs) == 4 and jobs[0]["command"][:4] == ["sanitizer", "--tool", "a",
                                                        "--error-exitcode"]


# ---- single instructions -----------------------------------------------------------------------
def instructions(folder, script):
    program = os.path.join(folder, "instructions")
    with open(program, "w", encoding="utf-8") as file:
        file.write(f"#!{sys.executable}\n{script}\n")
    os.chmod(program, 0o755)
    return runs.instructions(program, clock.Budget(20))


EXAMPLE = {"a": "1", "b": "2", "c": "0", "machine": "3", "gpu": "4", "reference": "3"}


@tests.case
def forms_that_differ_are_told_apart():
    made = {"target": "sm_80", "counts": {"forms": 9}, "differing": [
        {"group": "real", "form": "f", "operands": 8, "differ": 2, "wrong": 0,
         "examples": [EXAMPLE]},
        {"group": "real", "form": "g", "operands": 8, "differ": 2, "wrong": 1,
         "examples": [EXAMPLE]},
        {"group": "half", "form": "h", "refused": "gpu"},
        {"group": "half", "form": "i", "refused": "machine"}]}
    with tempfile.TemporaryDirectory() as folder:
        found = instructions(folder, f"print({json.dumps(json.dumps(made))}); raise SystemExit(1)")
    assert found["counts"] == {"right": 8, "wrong": 1, "skipped": 1, "refused": 1}, found["counts"]
    bad = report.failures(found)
    assert [made["case"] for made in bad] == ["real: g", "half: i"]
    assert "4 instead of 3" in "\n".join(report.failure_lines(bad[0]))


@tests.case
def a_program_without_results_is_an_error():
    with tempfile.TemporaryDirectory() as folder:
        assert "no device" in instructions(folder, "import sys; print('no device', file=sys.stderr)"
                                           "; sys.exit(77)")["skipped"]
        assert instructions(folder, "print('{')")["counts"] == {"error": 1}


# ---- the timing process ------------------------------------------------------------------------
def timed(*what, seconds=30, hang=10):
    items = [cases.case("matmul", n=i, do=do) for i, do in enumerate(what)]
    made = {"cases": [{"family": "matmul", "case": cases.label(item)} for item in items]}
    suite.Timings(items, {}, clock.Budget(seconds), made, lambda: None, hang=hang,
                  worker=[sys.executable, os.path.join(HERE, "fake-worker.py")]).run()
    return made, [entry.get("result") for entry in made["cases"]]


@tests.case
def cases_are_timed_in_one_process():
    made, results = timed("work", "work", "work")
    assert len({result["process"] for result in results}) == 1
    assert made["machine"]["copy_bytes_per_second"] == 4.3e12


@tests.case
def a_case_that_kills_its_process_is_left_behind():
    made, results = timed("work", "die", "work", "fault", "work")
    assert "died" in results[1]["error"] and "Segmentation fault" in results[1]["error"]
    assert results[3]["error"] == "an illegal memory access"
    assert len({results[i]["process"] for i in (0, 2, 4)}) == 3 and "lost" not in made


@tests.case
def a_case_that_hangs_is_left_behind():
    _, results = timed("work", "hang", "work", hang=1.5)
    assert "no word for 1.5 s" in results[1]["error"] and results[2]["process"]


@tests.case
def a_process_that_cannot_start_is_tried_twice():
    made, results = timed("refuse", "work")
    assert results == [None, None] and "cannot import torch" in made["lost"]


@tests.case
def the_deadline_ends_a_hang_and_blames_no_case():
    begun = time.monotonic()
    _, results = timed("work", "hang", seconds=1)
    assert time.monotonic() - begun < 5 and results[0]["process"] and results[1] is None


# ---- report ------------------------------------------------------------------------------------
def timing_result(**more):
    def row(seconds, **extra):
        return {"seconds": clock.summary([seconds]), "samples": [seconds], **extra}
    costs = {"registers": 128, "local_bytes": 0, "shared_bytes": 65536, "threads": 128,
             "ctas_per_multiprocessor": 2}
    checks = {"c": {"relative": 2e-3, "max": 0.1, "limit": 8e-3, "ok": True}}
    return {"shape": "4096x4096x4096 bf16", "target": "sm_80", "flop": 1.37e11, "bytes": 1e8,
            "errors": {}, "contenders": {
                "kgen": row(300e-6, costs=costs, checks=checks),
                "kgen stages=4": row(250e-6, costs=costs, checks=checks),
                "slow": row(2.5e-3), "torch.mm": row(150e-6)}, **more}


def results_of(*results):
    return {"facts": {"gpu": "NVIDIA H200", "date": "2026-11-20 20:00 UTC", "device": "cuda"},
            "stages": {"timings": {"machine": {"copy_bytes_per_second": 4.3e12}, "cases": [
                {"family": "matmul", "case": "matmul M=1", "result": result} if result else
                {"family": "matmul", "case": "matmul M=2"} for result in results]}}}


@tests.case
def the_table_compares_with_the_fastest():
    text = report.markdown(results_of(timing_result(), None))
    row = next(line for line in text.splitlines() if line.startswith("| M=1 "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "M=1", "300.0 us", "457 TFLOP/s", "torch.mm 150.0 us", "0.50", "slow 2.50 ms",
        "stages=4: 250.0 us", "2.0e-03", "128 regs, 64 KiB, 2 CTAs"], row
    assert "1 of 2 cases were not reached" in text and "4.30 TB/s" in text


@tests.case
def few_operations_a_byte_are_told_as_bandwidth():
    assert report.rate_text({"flop": 1e6, "bytes": 1e6}, 1e-6) == "1.00 TB/s"
    assert report.rate_text({"flop": 1e9, "bytes": 1e6}, 1e-6) == "1000 TFLOP/s"


@tests.case
def what_is_wrong_shows_in_the_verdict():
    good, wrong = timing_result(), timing_result()
    wrong["contenders"]["kgen stages=4"]["checks"] = {"c": {"relative": 1.0, "ok": False}}
    assert report.verdict(results_of(good))[0] == 0
    assert report.verdict(results_of(good, wrong))[0] == 1
    assert report.verdict(results_of({"error": "a fault"}))[0] == 1
    assert report.verdict(results_of())[0] == 77
    assert "| M=1 | a fault |" in report.markdown(results_of({"error": "a fault"}))


# ---- the program -------------------------------------------------------------------------------
def make_executable(folder, name, target):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec "{sys.executable}" "{target}" "$@"\n')
    os.chmod(path, 0o755)
    return path


def run_suite(folder, *words, **options):
    kgen = make_executable(folder, "kgen", KGEN)
    return subprocess.run([sys.executable, SUITE, f"--kgen={kgen}", f"--out={folder}/out", *words],
                          capture_output=True, text=True, check=False, timeout=120, **options)


def saved(folder):
    names = sorted(os.listdir(os.path.join(folder, "out")))
    assert len(names) == 2, names
    with open(os.path.join(folder, "out", names[0]), encoding="utf-8") as file:
        return names, json.load(file)


@tests.case
def a_dry_run_writes_json_and_a_table():
    with tempfile.TemporaryDirectory() as folder:
        done = run_suite(folder, "--device=cpu", "--commit=abc")
        assert done.returncode == 0, done.stderr
        names, results = saved(folder)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-cpu\.json", names[0]), names
        assert results["facts"]["commit"] == "abc" and results["facts"]["kgen"] == "kgen 9.9.9"
        assert results["stages"]["correctness"]["counts"] == {"right": len(cases.DRY_CASES)}
        assert "unfinished" not in results and "# kgen on cpu" in done.stdout


@tests.case
def a_wrong_result_is_exit_status_1():
    with tempfile.TemporaryDirectory() as folder:
        wrong = make_executable(folder, "wrong", os.path.join(folder, "wrong.py"))
        with open(os.path.join(folder, "wrong.py"), "w", encoding="utf-8") as file:
            file.write(f"import sys\nsys.argv[3:] = ['K=1']\nexec(open({KGEN!r}).read())\n")
        done = run_suite(folder, "--device=cpu", f"--kgen={wrong}", "--only=delta_net")
        assert done.returncode == 1, done
        assert "wrong: delta_net" in done.stderr and "worst at [1, 3]" in done.stdout


@tests.case
def usage_errors_are_exit_status_2():
    with tempfile.TemporaryDirectory() as folder:
        for words in (["--stages=dance"], ["--minutes=0"], ["--kgen=/nowhere"], ["--device=tpu"]):
            done = run_suite(folder, *words)
            assert done.returncode == 2 and "error" in done.stderr, (words, done)


@tests.case
def no_gpu_is_exit_status_77():
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, PATH="", CUDA_VISIBLE_DEVICES="")
        done = run_suite(folder, env=environment)
        assert done.returncode == 77 and "no NVIDIA GPU" in done.stderr, done
        assert "no NVIDIA GPU" in saved(folder)[1]["unfinished"]


@tests.case
def results_outlive_a_suite_that_is_killed():
    with tempfile.TemporaryDirectory() as folder:
        slow = make_executable(folder, "slow", os.path.join(folder, "slow.py"))
        with open(os.path.join(folder, "slow.py"), "w", encoding="utf-8") as file:
            file.write("import sys, time\ntime.sleep(0 if sys.argv[1] == 'version' else 30)\n")
        process = subprocess.Popen([sys.executable, SUITE, f"--kgen={slow}", "--device=cpu",
                                    f"--out={folder}/out"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: os.path.exists(f"{folder}/out") and len(os.listdir(f"{folder}/out")) == 2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert "ended from outside" in saved(folder)[1]["unfinished"]


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@tests.case
def a_deadline_still_leaves_results():
    with tempfile.TemporaryDirectory() as folder:
        slow = make_executable(folder, "slow", os.path.join(folder, "slow.py"))
        with open(os.path.join(folder, "slow.py"), "w", encoding="utf-8") as file:
            file.write("import sys, time\ntime.sleep(0 if sys.argv[1] == 'version' else 30)\n")
        begun = time.monotonic()
        done = run_suite(folder, f"--kgen={slow}", "--device=cpu", "--minutes=0.05")
        assert time.monotonic() - begun < 10 and done.returncode == 77, done
        counts = saved(folder)[1]["stages"]["correctness"]["counts"]
        assert counts == {"not run": len(cases.DRY_CASES)}


sys.exit(tests.run())
