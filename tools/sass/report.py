# SPDX-License-Identifier: MIT
"""What a comparison found, for a terminal: all of it, or one row a kernel."""
from sass import kinds

CONTEXT = 3  # lines around a change
SAYS = {"same": "the same", "registers": "the same instructions, other registers or resources",
        "order": "the same instructions in another order", "differs": "other instructions"}
FACTS = (("registers", "registers"), ("stack", "local memory, bytes"),
         ("spill_stores", "spill stores, bytes"), ("spill_loads", "spill loads, bytes"),
         ("shared", "static shared memory, bytes"), ("barriers", "barriers"))


class Paint:
    """Colours, or nothing."""
    CODES = {"-": "31", "+": "32", "@": "36", "head": "1"}

    def __init__(self, on):
        self.on = on

    def __call__(self, what, text):
        return f"\033[{self.CODES[what]}m{text}\033[0m" if self.on and what in self.CODES else text


def number(value):
    return "-" if value is None else str(value)


def delta(a, b):
    """`+3`, or nothing where nothing changed or one side is unknown."""
    return f"{b - a:+d}" if a is not None and b is not None and a != b else ""


def table(rows):
    """Lines of `name  A  B  delta`, aligned; rows: (name, a, b), or (name, None, None, heading)."""
    cells = [(row[0], number(row[1]), number(row[2]), delta(row[1], row[2])) for row in rows]
    width = max((len(cell[0]) for cell in cells), default=0)
    for name, a, b, change in cells:
        yield f"  {name:<{width}}  {a:>6}  {b:>6}  {change:>6}".rstrip()


def fact_rows(function):
    a, b = function["resources"]["a"], function["resources"]["b"]
    rows = [(label, a[key], b[key]) for key, label in FACTS
            if a[key] is not None or b[key] is not None]
    rows.append(("instructions", function["a"]["instructions"], function["b"]["instructions"]))
    return rows


def loop_rows(loop):
    """(name, a, b): the kinds that occur, the total, then the opcodes whose number changed."""
    a, b = loop["a"], loop["b"]
    before, after = (a or {}).get("kinds", {}), (b or {}).get("kinds", {})
    rows = [(name, before.get(name, 0), after.get(name, 0)) for name in kinds.NAMES
            if before.get(name) or after.get(name)]
    rows.append(("total", a["total"] if a else 0, b["total"] if b else 0))
    if a and b:
        names = sorted(set(a["opcodes"]) | set(b["opcodes"]))
        rows += [("  " + name, a["opcodes"].get(name, 0), b["opcodes"].get(name, 0))
                 for name in names if a["opcodes"].get(name, 0) != b["opcodes"].get(name, 0)]
    return rows


def place(a, b):
    """`block 3`, `block 3 -> 4`, `block 3 (gone)`, `block 4 (new)`."""
    if a is None:
        return f"block {b} (new)"
    if b is None:
        return f"block {a} (gone)"
    return f"block {a}" if a == b else f"block {a} -> {b}"


def loop_title(loop):
    a, b = loop["a"], loop["b"]
    known = b or a
    words = [place(a and a["head"], b and b["head"]), f"depth {known['depth']}"]
    words.append("innermost" if known["innermost"] else "without the loops inside")
    if known["main"]:
        words.append("the main loop")
    return ", ".join(words)


def hunks(rows):
    """(header, rows) of the changes with their context, as in a unified diff."""
    changed = [i for i, row in enumerate(rows) if row[0] != "="]
    groups = []
    for i in changed:
        low, high = max(0, i - CONTEXT), min(len(rows), i + CONTEXT + 1)
        if groups and low <= groups[-1][1]:
            groups[-1][1] = high
        else:
            groups.append([low, high])
    for low, high in groups:
        at = [1 + sum(row[side] is not None for row in rows[:low]) for side in (1, 2)]
        size = [sum(row[side] is not None for row in rows[low:high]) for side in (1, 2)]
        yield f"@@ -{at[0]},{size[0]} +{at[1]},{size[1]} @@", rows[low:high]


def mix_words(mix):
    """`IADD3 8 -> 5, VIADD 0 -> 3` of the opcodes whose number changed."""
    return ", ".join(f"{name} {a} -> {b}" for name, (a, b) in mix.items() if a != b)


def block_title(block):
    words = [place(block["a"], block["b"])]
    depth = block["depth"][1] if block["depth"][1] is not None else block["depth"][0]
    if depth:
        words.append(f"loop depth {depth}")
    if block["moved"]:
        words.append("moved")
    return ", ".join(words)


def _diff_lines(rows, paint):
    for header, part in hunks(rows):
        yield paint("@", header)
        for tag, a, b in part:
            sign = " " if tag == "=" else tag
            yield paint(tag, f"{sign}{a if a is not None else b}")


def _block_lines(block, paint, front_only):
    title = block_title(block)
    front = list(_diff_lines(block["front"], paint))
    rest = list(_diff_lines(block["rest"], paint))
    if block["verdict"] == "registers":
        return
    yield ""
    yield paint("head", f"{title}: {SAYS[block['verdict']]}")
    if front:
        yield "synchronization and memory:"
        yield from front
    if block["rest_is_reordered"]:
        yield "the rest: the same instructions in another order"
    elif rest and not front_only:
        yield "the rest:"
        yield from rest
    if not front and not rest:
        yield "synchronization and memory moved among the rest"
    words = mix_words(block["mix"])
    if words:
        yield f"mix: {words}"


def _function_lines(function, paint, front_only):
    a, b = function["a"]["name"], function["b"]["name"]
    name = b if a == b else f"{a} -> {b}"
    yield paint("head", f"{name}: {SAYS[function['verdict']]}")
    yield from table(fact_rows(function))
    for loop in function["loops"]:
        yield ""
        yield paint("head", f"loop at {loop_title(loop)}: instructions an iteration")
        yield from table(loop_rows(loop))
    if function["verdict"] == "same":
        return
    for block in function["blocks"]:
        if block["verdict"] != "same" or block["moved"]:
            yield from _block_lines(block, paint, front_only)


def text_lines(result, paint, front_only=False):
    """The whole report."""
    several = len(result["units"]) > 1
    for unit in result["units"]:
        if several and unit["verdict"] == "same":
            yield f"{unit['title']['b']}: {SAYS['same']}"
            continue
        yield paint("-", f"--- {unit['title']['a']} ({unit['arch']['a']})")
        yield paint("+", f"+++ {unit['title']['b']} ({unit['arch']['b']})")
        for side, sign in (("a", "-"), ("b", "+")):
            for warning in unit["warnings"][side]:
                yield paint(sign, f"{sign} {warning}")
        for function in unit["functions"]:
            yield ""
            yield from _function_lines(function, paint, front_only)
        for side, sign in (("a", "-"), ("b", "+")):
            for function in unit[f"only_{side}"]:
                yield ""
                yield paint(sign, f"{sign} {function['name']} is in {side.upper()} only, "
                                  f"{function['instructions']} instructions")
        if several:
            yield ""


# ---- the table ---------------------------------------------------------------------------------

def main_of(loops, side):
    """The main loop of a side, or None."""
    for loop in loops:
        if loop[side] and loop[side]["main"]:
            return loop[side]
    return None


def spilled(resources):
    if resources["spill_stores"] is None:
        return None
    return resources["spill_stores"] + resources["spill_loads"]


def stat_values(function, side):
    """{column: number or None} of one side of a function."""
    resources, loop = function["resources"][side], main_of(function["loops"], side)
    values = {"registers": resources["registers"], "spills": spilled(resources),
              "local": resources["stack"], "instructions": function[side]["instructions"]}
    for name in kinds.NAMES:
        values[f"loop {name}"] = loop["kinds"][name] if loop else None
    values["loop total"] = loop["total"] if loop else None
    return values


def stat_rows(result):
    """(name, verdict, values of A, values of B) for each kernel, and for each subroutine that is
    not the same; what a subroutine takes is counted in the kernels that call it."""
    several = len(result["units"]) > 1
    for unit in result["units"]:
        kernels = sum(function["b"]["kernel"] for function in unit["functions"])
        for function in unit["functions"]:
            name = function["name"]
            if not function["b"]["kernel"]:
                if function["verdict"] == "same":
                    continue
            elif several and kernels == 1:
                name = unit["title"]["b"]
            elif several:
                name = f"{unit['title']['b']} : {name}"
            yield name, function["verdict"], stat_values(function, "a"), stat_values(function, "b")


def stat_columns(rows):
    """The columns in which anything stands; those of kinds without any are left out."""
    first = list(rows[0][2]) if rows else []
    return [name for name in first
            if not name.startswith("loop ") or any(a[name] or b[name] for _, _, a, b in rows)]


def cell(a, b):
    return number(b) + (f" ({delta(a, b)})" if delta(a, b) else "")


def stat_lines(result, paint):
    rows = list(stat_rows(result))
    columns = stat_columns(rows)
    of_loop = [column.startswith("loop ") for column in columns]
    cut = of_loop.index(True) if True in of_loop else len(columns)

    def line_of(first, cells, bar, last):
        return [first, *cells[:cut], bar, *cells[cut:], last]

    lines = [line_of("kernel", [name.removeprefix("loop ") for name in columns], "| main loop:",
                     "")]
    lines += [line_of(name, [cell(a[column], b[column]) for column in columns], "|",
                      "" if verdict == "same" else verdict) for name, verdict, a, b in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for i, line in enumerate(lines):
        cells = [c.ljust(w) if j in (0, cut + 1, len(line) - 1) else c.rjust(w)
                 for j, (c, w) in enumerate(zip(line, widths))]
        text = "  ".join(cells).rstrip()
        yield paint("head", text) if i == 0 else text
    for unit in result["units"]:
        for side in ("a", "b"):
            for function in unit[f"only_{side}"]:
                yield f"{function['name']}: in {side.upper()} only"
    counts = [sum(row[1] == verdict for row in rows) for verdict in SAYS]
    yield (f"{len(rows)} row{'s' * (len(rows) != 1)}: {counts[0]} the same, {counts[1]} with other "
           f"registers, {counts[2]} in another order, {counts[3]} with other instructions")
