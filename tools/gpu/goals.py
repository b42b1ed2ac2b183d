# SPDX-License-Identifier: MIT
"""What kgen is meant to reach, as ratios of what was timed beside it; above 1 is faster."""


def median(row):
    return row["seconds"]["median"] if row.get("seconds") else None


def numbers(case):
    """The keys of `family key=value ...`."""
    return dict(word.split("=", 1) for word in case.split()[1:])


def large_square(keys):
    sizes = {keys.get(name) for name in "MNK"}
    return sizes in ({"4096"}, {"8192"})


def long_attention(keys):
    return int(keys.get("SK", 0)) >= 4096


def enough_heads(keys):
    return int(keys.get("B", 0)) * int(keys.get("H", 0)) >= 512


def always(keys):
    return True


# family, which of its cases, against contenders that begin so (None: a copy's bandwidth), ratio
GOALS = (("matmul", large_square, "torch.mm", 0.95),
         ("attention", long_attention, "SDPA", 0.9),
         ("delta_net_prefill", always, "FLA", 1.5),
         ("delta_net_decode", enough_heads, None, 0.85))
HEAD = ("task", "against", "goal", "ratio", "")


def against(result, name, copied):
    """(what, seconds that it takes or would take), or None where nothing was measured."""
    if name is None:
        return ("a copy's bandwidth", result["bytes"] / copied) if copied else None
    timed = [(median(row), other) for other, row in result["contenders"].items()
             if other.startswith(name) and median(row)
             and all(check["ok"] for check in row.get("checks", {}).values())]
    return (min(timed)[1], min(timed)[0]) if timed else None


def rows(done, copied):
    """A row for each timed case that a goal speaks of, as far as its rival was there."""
    out = []
    for family, fits, name, goal in GOALS:
        for entry in done:
            result = entry["result"]
            own = result.get("contenders", {}).get("kgen", {})
            if entry["family"] != family or not median(own) or not fits(numbers(entry["case"])):
                continue
            other = against(result, name, copied)
            if other:
                ratio = other[1] / median(own)
                out.append((entry["case"], other[0], f"{goal:.2f}", f"{ratio:.2f}",
                            "reached" if ratio >= goal else "missed"))
    return out
