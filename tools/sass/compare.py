# SPDX-License-Identifier: MIT
"""Two functions against each other: which block is which, and what changed inside.

Blocks are aligned in their order, so that the instructions they have in common weigh most; what is
left over and alike has moved. Inside a pair, what synchronizes or touches memory is compared first
and by itself, then the rest. What a pair of blocks is, from best to worst:

    same       the normalised texts are equal
    registers  other registers, the same instructions
    order      the same instructions, in another order
    differs    other instructions

The result is made of dictionaries, lists, strings and numbers only: it is the JSON of sass-diff.
"""
import difflib
from collections import Counter

from sass import flow, kinds
from sass.normalise import normalise
from sass.words import Trouble, did_you_mean

VERDICTS = ("same", "registers", "order", "differs")
ALIKE = 0.4  # blocks with less in common than this part are different blocks
MOVED = 0.7  # and to be the same one at another place takes this much
ELSEWHERE = 0.6  # what a pair counts whose halves are in different depths of loops


class Side:
    """A function with what the comparison asks of it again and again."""

    def __init__(self, function):
        flow.find_loops(function)
        self.function = function
        self.lines = normalise(function)
        self.bags = [Counter(line.mask.partition(" ")[0] if not line.mask.startswith("@")
                             else line.mask.split(" ", 2)[1] for line in block)
                     for block in self.lines]
        self.masks = [tuple(line.mask for line in block) for block in self.lines]

    def depth(self, index):
        return self.function.blocks[index].depth

    def texts(self):
        return [[line.text for line in block] for block in self.lines]


def likeness(a, i, b, j):
    """(instructions in common, which part that is of both) of block i of a and block j of b."""
    total = len(a.lines[i]) + len(b.lines[j])
    if a.masks[i] == b.masks[j]:
        return len(a.lines[i]), 1.0
    if 2 * min(len(a.lines[i]), len(b.lines[j])) < ALIKE * total:
        return 0, 0.0
    small, large = sorted((a.bags[i], b.bags[j]), key=len)
    common = sum(min(count, large[opcode]) for opcode, count in small.items())
    return common, 2 * common / total


def _weight(a, i, b, j):
    common, part = likeness(a, i, b, j)
    if part < ALIKE:
        return 0.0
    return (common + 0.5) * part * (1.0 if a.depth(i) == b.depth(j) else ELSEWHERE)


def _in_order(a, b):
    """Pairs (i, j), ascending in both, of the greatest weight together."""
    rows, columns = len(a.lines), len(b.lines)
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    weights = [[_weight(a, i, b, j) for j in range(columns)] for i in range(rows)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            paired = weights[i][j] + best[i + 1][j + 1] if weights[i][j] else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        if weights[i][j] and best[i][j] == weights[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _moved(a, b, pairs):
    """Pairs among the blocks that are left, the likest first."""
    left_a = [i for i in range(len(a.lines)) if i not in {pair[0] for pair in pairs}]
    left_b = [j for j in range(len(b.lines)) if j not in {pair[1] for pair in pairs}]
    offers = []
    for i in left_a:
        for j in left_b:
            common, part = likeness(a, i, b, j)
            if part >= MOVED:
                offers.append((-common * part, i, j))
    found, used_a, used_b = [], set(), set()
    for _, i, j in sorted(offers):
        if i not in used_a and j not in used_b:
            found.append((i, j))
            used_a.add(i)
            used_b.add(j)
    return found


def align(a, b):
    """(i, j, moved) for each block of both: i is None where b has it alone, j where a has it.
    In the order of b, what only a has at its place."""
    pairs = _in_order(a, b)
    moved = _moved(a, b, pairs)
    of_b = {j: (i, False) for i, j in pairs} | {j: (i, True) for i, j in moved}
    taken = {i for i, _ in of_b.values()}
    rows, next_a = [], 0
    for j in range(len(b.lines)):
        i, was_moved = of_b.get(j, (None, False))
        if i is not None and not was_moved:
            rows += [(gone, None, False) for gone in range(next_a, i) if gone not in taken]
            next_a = i + 1
        rows.append((i, j, was_moved))
    rows += [(gone, None, False) for gone in range(next_a, len(a.lines)) if gone not in taken]
    return rows


def edit(before, after, keys_before, keys_after):
    """[tag, text before or None, text after or None]: tag '=', '-' or '+'."""
    head = 0
    while head < min(len(before), len(after)) and keys_before[head] == keys_after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head \
            and keys_before[-1 - tail] == keys_after[-1 - tail]:
        tail += 1
    end_before, end_after = len(before) - tail, len(after) - tail
    rows = [["=", x.text, y.text] for x, y in zip(before[:head], after[:head])]
    matcher = difflib.SequenceMatcher(None, keys_before[head:end_before],
                                      keys_after[head:end_after], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            rows += [["=", x.text, y.text] for x, y in
                     zip(before[head + i1:head + i2], after[head + j1:head + j2])]
        else:
            rows += [["-", x.text, None] for x in before[head + i1:head + i2]]
            rows += [["+", None, y.text] for y in after[head + j1:head + j2]]
    rows += [["=", x.text, y.text] for x, y in zip(before[end_before:], after[end_after:])]
    return rows


def _mix(before, after):
    """opcode: [count before, count after], what changed most first."""
    a, b = Counter(line.opcode for line in before), Counter(line.opcode for line in after)
    names = sorted(set(a) | set(b), key=lambda name: (-abs(a[name] - b[name]),
                                                      -max(a[name], b[name]), name))
    return {name: [a[name], b[name]] for name in names}


def _compare_blocks(before, after, target_of):
    """target_of says which block of b is which of a, for branches."""
    def keys(lines, mapped):
        return [(line.mask, tuple(mapped(target) for target in line.targets)) for line in lines]

    def part(front):
        x = [line for line in before if line.front == front]
        y = [line for line in after if line.front == front]
        return edit(x, y, keys(x, lambda target: target), keys(y, target_of))

    keys_before, keys_after = keys(before, lambda target: target), keys(after, target_of)
    rows_front, rows_rest = part(True), part(False)
    rest = [Counter(key for key, line in zip(keys_of, lines) if not line.front)
            for keys_of, lines in ((keys_before, before), (keys_after, after))]
    if keys_before == keys_after:
        equal = [line.text for line in before] == [line.text for line in after]
        verdict = "same" if equal else "registers"
    else:
        verdict = "order" if Counter(keys_before) == Counter(keys_after) else "differs"
    return {"verdict": verdict, "front": rows_front, "rest": rows_rest,
            "rest_is_reordered": rest[0] == rest[1] and any(row[0] != "=" for row in rows_rest),
            "mix": _mix(before, after)}


def _blocks(a, b, rows):
    known = {j: i for i, j, _ in rows if i is not None and j is not None}
    found = []
    for i, j, moved in rows:
        before = a.lines[i] if i is not None else []
        after = b.lines[j] if j is not None else []
        entry = {"a": i, "b": j, "moved": moved,
                 "depth": [a.depth(i) if i is not None else None,
                           b.depth(j) if j is not None else None],
                 "size": [len(before), len(after)]}
        entry.update(_compare_blocks(before, after, lambda target: known.get(target, -1 - target)))
        found.append(entry)
    return found


def describe_loop(function, loop):
    code = flow.body(function, loop)
    return {"head": loop.head, "blocks": list(loop.blocks), "depth": loop.depth,
            "innermost": not loop.inner, "main": loop.main, "kinds": kinds.by_kind(code),
            "total": len(code), "opcodes": kinds.by_opcode(code)}


def _loops(a, b, rows):
    """Loops with the same head are the same; then those that are left, depth by depth."""
    before = {loop.head: loop for loop in a.function.loops}
    after = {loop.head: loop for loop in b.function.loops}
    pairs = [(i, j) for i, j, _ in rows if i in before and j in after]
    left_a = [head for head in before if head not in {i for i, _ in pairs}]
    left_b = [head for head in after if head not in {j for _, j in pairs}]
    for i in list(left_a):
        j = next((j for j in left_b if after[j].depth == before[i].depth), None)
        if j is not None:
            pairs.append((i, j))
            left_a.remove(i)
            left_b.remove(j)
    pairs += [(i, None) for i in left_a] + [(None, j) for j in left_b]

    def order(pair):
        i, j = pair
        return (-(after[j] if j is not None else before[i]).depth,
                j if j is not None else i, j is None)

    return [{"a": describe_loop(a.function, before[i]) if i is not None else None,
             "b": describe_loop(b.function, after[j]) if j is not None else None}
            for i, j in sorted(pairs, key=order)]


def _worst(blocks, equal):
    verdicts = {block["verdict"] for block in blocks} | {"same" if equal else "registers"}
    if any(block["moved"] for block in blocks):
        verdicts.add("order")
    return max(verdicts, key=VERDICTS.index)


def _one(function):
    code = function.instructions
    return {"name": function.name, "kernel": function.entry, "instructions": len(code),
            "blocks": len(function.blocks), "kinds": kinds.by_kind(code),
            "opcodes": kinds.by_opcode(code)}


def compare_functions(first, second):
    """Everything that the reports show of a pair of functions."""
    a, b = Side(first), Side(second)
    rows = align(a, b)
    blocks = _blocks(a, b, rows)
    return {"name": second.name, "verdict": _worst(blocks, a.texts() == b.texts()),
            "a": _one(first), "b": _one(second), "loops": _loops(a, b, rows), "blocks": blocks}


def _pair_names(first, second, kernels):
    """Pairs of functions, and what is left on both sides. `kernels`: the names asked for, or ()."""
    if kernels:
        names = [kernels[0]], [kernels[-1]]
        for functions, wanted in zip((first, second), names):
            known = [function.name for function in functions]
            if wanted[0] not in known:
                near = did_you_mean(wanted[0], known) or f"; there is {', '.join(known)}"
                raise Trouble(f"there is no kernel '{wanted[0]}'{near}")
        first = [function for function in first if function.name == kernels[0]]
        second = [function for function in second if function.name == kernels[-1]]
    by_name = {function.name: function for function in first}
    pairs = [(by_name[function.name], function) for function in second if function.name in by_name]
    names = {before.name for before, _ in pairs}
    left_a = [function for function in first if function.name not in names]
    left_b = [function for function in second if function.name not in names]
    kernels_a, kernels_b = ([function for function in left if function.entry]
                            for left in (left_a, left_b))
    if len(kernels_a) == 1 and len(kernels_b) == 1:  # whatever another compiler calls it
        pairs.append((kernels_a[0], kernels_b[0]))
        left_a.remove(kernels_a[0])
        left_b.remove(kernels_b[0])
    return pairs, left_a, left_b


def _alone(unit, functions):
    found = []
    for function in functions:
        side = Side(function)
        found.append(_one(function) | {"resources": unit.resources_of(function), "loops": [
            describe_loop(side.function, loop) for loop in side.function.loops]})
    return found


def _resources_differ(a, b):
    return any(a[key] != b[key] for key in a if a[key] is not None and b[key] is not None)


def compare_units(first, second, kernels=()):
    """Two units (inputs.Unit), function by function."""
    pairs, left_a, left_b = _pair_names(first.functions, second.functions, kernels)
    functions = []
    for before, after in pairs:
        entry = compare_functions(before, after)
        entry["resources"] = {"a": first.resources_of(before), "b": second.resources_of(after)}
        if entry["verdict"] == "same" and _resources_differ(*entry["resources"].values()):
            entry["verdict"] = "registers"
        functions.append(entry)
    verdict = max((entry["verdict"] for entry in functions), key=VERDICTS.index, default="same")
    if left_a or left_b:
        verdict = "differs"
    return {"title": {"a": first.title, "b": second.title},
            "arch": {"a": first.arch, "b": second.arch},
            "warnings": {"a": first.warnings, "b": second.warnings},
            "verdict": verdict, "functions": functions,
            "only_a": _alone(first, left_a), "only_b": _alone(second, left_b)}
