# SPDX-License-Identifier: MIT
"""The suite's results as files: JSON with every number, Markdown to read."""
import json
import os

import goals

GOOD = ("right", "not run", "skipped")


def write_atomically(path, text):
    """A reader sees the old file or the new one, never half of it."""
    scratch = f"{path}.part"
    with open(scratch, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(scratch, path)


def save(results, directory, name):
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, name)
    write_atomically(path + ".json", json.dumps(results, indent=1) + "\n")
    write_atomically(path + ".md", markdown(results))
    return path


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |"
                    for row in rows]


def time_text(seconds):
    micro = seconds * 1e6
    return f"{micro:.1f} us" if micro < 1000 else f"{micro / 1000:.2f} ms"


def rate_text(result, seconds):
    """What bounds the task decides: operations a second, or bytes where it does few on each."""
    if result["flop"] > 100 * result["bytes"]:
        return f"{result['flop'] / seconds / 1e12:.0f} TFLOP/s"
    return f"{result['bytes'] / seconds / 1e12:.2f} TB/s"


def median(row):
    return row["seconds"]["median"] if row.get("seconds") else None


def split_contenders(result):
    """(kgen's default, its variants, the others), those with a time, the fastest first."""
    timed = sorted(((name, row) for name, row in result.get("contenders", {}).items()
                    if median(row)), key=lambda entry: median(entry[1]))
    variants = [entry for entry in timed if entry[0].startswith("kgen ")]
    others = [entry for entry in timed if not entry[0].startswith("kgen")
              and all(check["ok"] for check in entry[1].get("checks", {}).values())]
    return result.get("contenders", {}).get("kgen"), variants, others


def error_text(row):
    """The outputs' relative errors, and a word where one is too large."""
    checks = row.get("checks", {})
    words = [f"{check['relative']:.1e}" + ("" if check["ok"] else " WRONG")
             for check in checks.values()]
    return ", ".join(words)


def costs_text(row):
    costs = row.get("costs")
    if not costs:
        return ""
    spills = f", {costs['local_bytes']} B local" if costs["local_bytes"] else ""
    return (f"{costs['registers']} regs{spills}, {costs['shared_bytes'] / 1024:.0f} KiB, "
            f"{costs['ctas_per_multiprocessor']} CTAs")


TIMING_HEAD = ("task", "kgen", "rate", "against", "ratio", "the others", "best variant", "error",
               "costs")


def timing_row(case, result):
    own, variants, others = split_contenders(result)
    if result.get("error") or not own or not median(own):
        return (case, result.get("error") or result.get("errors", {}).get("kgen", "no time"),
                "", "", "", "", "", "", "")
    mine = median(own)
    best = f"{others[0][0]} {time_text(median(others[0][1]))}" if others else ""
    ratio = f"{median(others[0][1]) / mine:.2f}" if others else ""
    rest = ", ".join(f"{name} {time_text(median(row))}" for name, row in others[1:])
    better = [entry for entry in variants if median(entry[1]) < 0.98 * mine]
    variant = f"{better[0][0][5:]}: {time_text(median(better[0][1]))}" if better else ""
    return (case, time_text(mine), rate_text(result, mine), best, ratio, rest, variant,
            error_text(own), costs_text(own))


def timing_section(stage):
    lines = ["## Timings", ""]
    if stage.get("skipped"):
        return lines + [stage["skipped"], ""]
    copied = stage.get("machine", {}).get("copy_bytes_per_second")
    if copied:
        lines += [f"A large copy moves {copied / 1e12:.2f} TB/s, bytes read and written.", ""]
    lines += ["Medians of interleaved rounds, inputs uniform in [-1, 1], buffers rotated past the "
              "cache. `ratio`: the", "fastest of the others over kgen with its default keys; above "
              "1, kgen is faster. `error`: relative", "Frobenius error against f32 or f64.", ""]
    done = [entry for entry in stage["cases"] if entry.get("result")]
    for family in dict.fromkeys(entry["family"] for entry in done):
        rows = [timing_row(entry["case"].partition(" ")[2], entry["result"]) for entry in done
                if entry["family"] == family]
        lines += [f"### {family}", "", *table(TIMING_HEAD, rows), ""]
    reached = goals.rows(done, copied)
    if reached:
        lines += ["### Goals", "", *table(goals.HEAD, reached), ""]
    if stage.get("lost"):
        lines += [f"{stage['lost']}.", ""]
    left = len(stage["cases"]) - len(done)
    if left:
        lines += [f"{left} of {len(stage['cases'])} cases were not reached:", ""]
        lines += [f"- {entry['case']}" for entry in stage["cases"] if not entry.get("result")]
        lines += [""]
    return lines


def counts_text(stage):
    return ", ".join(f"{count} {status}" for status, count in sorted(stage["counts"].items()))


def stage_words(stage):
    """One line on how a stage went."""
    if stage.get("skipped"):
        return stage["skipped"]
    if "cases" in stage:
        done = sum("result" in entry for entry in stage["cases"])
        return f"{done} of {len(stage['cases'])} cases" + (
            "; " + stage["lost"] if stage.get("lost") else "")
    return counts_text(stage)


def mismatch_lines(made):
    """What `kgen run --json` says about a wrong output: where it is worst, and its pattern."""
    lines = []
    for output in (made.get("result") or {}).get("outputs", []):
        if not output.get("wrong"):
            continue
        worst = output.get("worst", {})
        lines.append(f"  {output.get('name')}: {output['wrong']} of {output.get('elements')} "
                     f"wrong, worst at {worst.get('index')}: {worst.get('result')} instead of "
                     f"{worst.get('expected')}")
        rows = [f"[{row['first']}] to [{row['last']}]: {row['wrong']}"
                for row in output.get("wrong_rows", [])[:4]]
        if rows:
            lines.append("  wrong in each of the rows " + "; ".join(rows))
    reruns = (made.get("result") or {}).get("reruns")
    if reruns:
        how = ("the same elements each time: an index" if reruns["same_elements"]
               else "other elements: a race")
        lines.append(f"  {reruns['count']} reruns, {how}")
    return lines


def failure_lines(made):
    head = f"{made['status']}: {made['case']}"
    if "seed" in made:
        head += f" seed={made['seed']}"
    if made.get("tool"):
        head = f"{made['tool']}: {head}"
    lines = [head] + mismatch_lines(made)
    if len(lines) == 1 and made.get("words"):
        words = made["words"].splitlines()
        first = next((i for i, line in enumerate(words) if "error" in line), 0)
        lines += ["  " + line for line in words[first:first + 5]]
    return lines


def failures(stage):
    order = {"wrong": 0, "findings": 1}
    bad = [made for made in stage.get("records", []) if made["status"] not in GOOD]
    return sorted(bad, key=lambda made: order.get(made["status"], 2))


def runs_section(title, stage):
    lines = [f"## {title}", ""]
    if stage.get("skipped"):
        return lines + [stage["skipped"], ""]
    lines += [f"{stage['jobs']} runs: {counts_text(stage)}.", ""]
    bad = failures(stage)
    if bad:
        lines += ["```"]
        for made in bad[:40]:
            lines += failure_lines(made)
        lines += ([f"and {len(bad) - 40} more"] if len(bad) > 40 else []) + ["```", ""]
    return lines


TITLES = {"correctness": "Correctness", "instructions": "Single instructions",
          "sanitizer": "compute-sanitizer"}


def markdown(results):
    facts = results["facts"]
    lines = [f"# kgen on {facts.get('gpu') or facts.get('device')}", ""]
    lines += table(("fact", "value"), [(name, value) for name, value in facts.items()]) + [""]
    for name, stage in results["stages"].items():
        lines += timing_section(stage) if name == "timings" else runs_section(TITLES[name], stage)
    if results.get("unfinished"):
        lines += [f"Unfinished: {results['unfinished']}.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def verdict(results):
    """(exit status, one line)."""
    words, bad, right = [], 0, 0
    for name, stage in results["stages"].items():
        if name == "timings":
            bad += 1 if stage.get("lost") else 0
            wrong = [entry["case"] for entry in stage.get("cases", []) if is_bad(entry)]
            bad += len(wrong)
            right += sum(1 for entry in stage.get("cases", []) if entry.get("result"))
            if wrong:
                words.append(f"timings: {len(wrong)} wrong or broken")
        elif not stage.get("skipped"):
            bad += len(failures(stage))
            right += stage["counts"].get("right", 0)
            words.append(f"{name}: {counts_text(stage)}")
    if results.get("unfinished"):
        bad += 1
    return (1 if bad else 0 if right else 77), "; ".join(words) or "nothing ran"


def is_bad(entry):
    result = entry.get("result")
    if not result:
        return False
    return bool(result.get("error")) or any(
        not check["ok"] for name, row in result.get("contenders", {}).items()
        if name.partition(" ")[0] == "kgen"  # a rival that is wrong is out of the race, no more
        for check in row.get("checks", {}).values())
