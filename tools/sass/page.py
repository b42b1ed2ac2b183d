# SPDX-License-Identifier: MIT
"""What a comparison found, as one page: no network, no script, the same bytes for the same input.
Side by side, in blocks that fold; what is the same is folded at first."""
import difflib
import re
from html import escape
from pathlib import Path

from sass import report
from sass.report import SAYS

FOLD = 8  # so many lines without a change are folded
STYLE = Path(__file__).with_name("page.css")
# More of these is no judgement: instructions of a loop may be fewer and slower.
MORE_IS_WORSE = ("registers", "local memory", "spill", "barrier", "total", "instructions", "local",
                 "loop total", "loop barrier")


def _delta(name, a, b):
    change = report.delta(a, b)
    if not change:
        return ""
    judged = name.strip().startswith(MORE_IS_WORSE)
    kind = ("worse" if b > a else "better") if judged else ""
    return f'<span class="{kind}">{change}</span>' if kind else change


def _facts(heading, rows):
    yield f'<div><h3>{escape(heading)}</h3><table class="facts">'
    yield "<tr><th></th><th>A</th><th>B</th><th></th></tr>"
    for name, a, b in rows:
        yield (f"<tr><td>{escape(name)}</td><td>{report.number(a)}</td><td>{report.number(b)}</td>"
               f"<td>{_delta(name, a, b)}</td></tr>")
    yield "</table></div>"


def _marked(text, other):
    """The text with what the other one lacks marked; words and numbers are marked as a whole, the
    numbers of registers are not."""
    words, others = (re.findall(r"[\w.]+|\s+|.", line) for line in (text, other))
    matcher = difflib.SequenceMatcher(None, *([re.sub(r"^(ur|up|r|p|b)\d+", r"\1", word)
                                               for word in line] for line in (words, others)),
                                      autojunk=False)
    found = []
    for tag, i1, i2, _, _ in matcher.get_opcodes():
        part = escape("".join(words[i1:i2]))
        found.append(part if tag == "equal" or not part else f"<mark>{part}</mark>")
    return "".join(found)


def _opcode(text):
    return re.sub(r"^@\S+ ", "", text).split(" ")[0].split(".")[0]


def _changed(gone, come):
    """Rows of one change: what was there on the left, what is there now on the right."""
    for i in range(max(len(gone), len(come))):
        a = gone[i] if i < len(gone) else None
        b = come[i] if i < len(come) else None
        if a is not None and b is not None and _opcode(a) == _opcode(b):
            yield (f'<tr><td class="gone">{_marked(a, b)}</td>'
                   f'<td class="come">{_marked(b, a)}</td></tr>')
            continue
        left = f'<td class="gone">{escape(a)}</td>' if a is not None else '<td class="none"></td>'
        right = f'<td class="come">{escape(b)}</td>' if b is not None else '<td class="none"></td>'
        yield f"<tr>{left}{right}</tr>"


def _rows(rows):
    gone, come = [], []
    for tag, a, b in rows + [["=", None, None]]:
        if tag == "-":
            gone.append(a)
        elif tag == "+":
            come.append(b)
        else:
            yield from _changed(gone, come)
            gone, come = [], []
            if a is not None:
                yield f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>"


def _stretches(rows):
    """(folded, rows): what is the same over many lines is folded, but for some lines around."""
    changed = [i for i, row in enumerate(rows) if row[0] != "="]
    shown = {i + j for i in changed for j in range(-report.CONTEXT, report.CONTEXT + 1)}
    start = 0
    for i in range(1, len(rows) + 1):
        if i == len(rows) or (i in shown) != (start in shown):
            yield start not in shown and i - start > FOLD, rows[start:i]
            start = i


def _code(rows):
    for folded, part in _stretches(rows):
        table = '<table class="code">' + "\n".join(_rows(part)) + "</table>"
        if folded:
            yield (f'<details class="fold"><summary>{len(part)} instructions, the same</summary>'
                   f"{table}</details>")
        else:
            yield table


def _block(block):
    moves = block["verdict"] in ("order", "differs") or block["moved"]
    note = report.mix_words(block["mix"]) or SAYS[block["verdict"]]
    size = block["size"][1] if block["b"] is not None else block["size"][0]
    yield f'<details{" open" if moves else ""}><summary><b>{escape(report.block_title(block))}</b>'
    yield (f' <span class="badge {block["verdict"]}">{block["verdict"]}</span>'
           f"<small>{size} instructions; {escape(note)}</small></summary>")
    for heading, rows in (("synchronization and memory", block["front"]),
                          ("the rest", block["rest"])):
        if rows:
            yield f'<p class="part">{heading}</p>'
            yield from _code(rows)
    yield "</details>"


def _function(function, anchor):
    a, b = function["a"]["name"], function["b"]["name"]
    name = b if a == b else f"{a} → {b}"
    yield (f'<h2 id="{anchor}">{escape(name)} <span class="badge {function["verdict"]}">'
           f"{SAYS[function['verdict']]}</span></h2>")
    yield '<div class="tables">'
    yield from _facts("takes", report.fact_rows(function))
    for loop in function["loops"]:
        yield from _facts(f"an iteration of the loop at {report.loop_title(loop)}",
                          report.loop_rows(loop))
    yield "</div>"
    if function["verdict"] != "same":
        for block in function["blocks"]:
            yield from _block(block)


def _overview(result):
    rows = list(report.stat_rows(result))
    columns = report.stat_columns(rows)
    loop = [column for column in columns if column.startswith("loop ")]
    yield '<div class="scroll"><table class="facts">'
    if loop:
        yield (f'<tr><th colspan="{1 + len(columns) - len(loop)}"></th>'
               f'<th class="over" colspan="{len(loop)}">an iteration of the main loop</th></tr>')
    yield "<tr><th>kernel</th>"
    yield "".join(f"<th>{escape(column.removeprefix('loop '))}</th>" for column in columns)
    yield "<th></th></tr>"
    for i, (name, verdict, a, b) in enumerate(rows):
        yield f'<tr><td><a href="#k{i}">{escape(name)}</a></td>'
        for column in columns:
            change = _delta(column, a[column], b[column])
            yield f"<td>{report.number(b[column])}{' (' + change + ')' if change else ''}</td>"
        yield f'<td><span class="badge {verdict}">{verdict}</span></td></tr>'
    yield "</table></div>"


def _body(result):
    yield f"<h1>{escape(result['a'])} → {escape(result['b'])}</h1>"
    yield ("<p>Machine code with the registers renamed in the order of their first use, addresses "
           "dropped, branches going to numbered blocks (#3). A is on the left, B on the right; "
           "what synchronizes or touches memory stands in front.</p>")
    yield from _overview(result)
    count = 0
    for unit in result["units"]:
        for side in ("a", "b"):
            for warning in unit["warnings"][side]:
                yield f"<p class=\"worse\">{side.upper()}: {escape(warning)}</p>"
            for function in unit[f"only_{side}"]:
                yield (f"<p>{escape(function['name'])} is in {side.upper()} only, "
                       f"{function['instructions']} instructions.</p>")
        for function in unit["functions"]:
            if len(result["units"]) > 1:
                yield f"<p>{escape(unit['title']['b'])}</p>"
            yield from _function(function, f"k{count}")
            count += 1


def page(result):
    """The text of the page."""
    title = escape(f"{result['a']} → {result['b']}")
    head = ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n"
            "</head>\n<body>\n")
    return head + "\n".join(_body(result)) + "\n</body>\n</html>\n"
