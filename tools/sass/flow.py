# SPDX-License-Identifier: MIT
"""Loops of a function: back edges of its flow graph, and what they bring around.

A back edge goes to a block that dominates the one it leaves. The loops of one head are one loop.
Blocks that only a subroutine call reaches are in no loop, and neither is a cycle with two heads
(irreducible): the compilers that we read do not write those.
"""
from dataclasses import dataclass

from sass import kinds

WAITING = 8  # instructions of a loop that only waits, at most


@dataclass
class Loop:
    head: int
    blocks: tuple       # indices, ascending
    depth: int = 0      # 1: in no other loop
    inner: tuple = ()   # heads of the loops directly inside
    own: tuple = ()     # blocks that are in no inner loop
    main: bool = False  # the loop that the function is about


def dominators(blocks):
    """For each block that the first one reaches, the set of blocks that dominate it."""
    order, seen, stack = [], {0}, [(0, iter(blocks[0].next))]
    while stack:
        index, follows = stack[-1]
        for target in follows:
            if target not in seen:
                seen.add(target)
                stack.append((target, iter(blocks[target].next)))
                break
        else:
            order.append(index)
            stack.pop()
    order.reverse()
    before = {index: [] for index in order}
    for index in order:
        for target in blocks[index].next:
            before[target].append(index)
    found = {0: {0}}
    changed = True
    while changed:
        changed = False
        for index in order[1:]:
            known = [found[other] for other in before[index] if other in found]
            new = set.intersection(*known) | {index}
            if found.get(index) != new:
                found[index], changed = new, True
    return found, before


def _bodies(blocks):
    """head: the blocks of its loop"""
    found, before = dominators(blocks)
    bodies = {}
    for index, over in sorted(found.items()):
        for head in blocks[index].next:
            if head not in over:
                continue
            body, work = bodies.setdefault(head, {head}), [index]
            while work:
                block = work.pop()
                if block not in body:
                    body.add(block)
                    work.extend(before[block])
    return bodies


def find_loops(function):
    """Fills function.loops, innermost first, and the depth of each block."""
    bodies = _bodies(function.blocks)
    loops = {head: Loop(head, tuple(sorted(body))) for head, body in bodies.items()}
    for block in function.blocks:
        block.depth = sum(block.index in body for body in bodies.values())
    for head, loop in loops.items():
        loop.depth = function.blocks[head].depth
        inside = [other for other in loops if other != head and other in bodies[head]]
        loop.inner = tuple(sorted(other for other in inside
                                  if loops[other].blocks and
                                  function.blocks[other].depth == loop.depth + 1))
        loop.own = tuple(index for index in loop.blocks
                         if not any(index in bodies[other] for other in inside))
    function.loops = sorted(loops.values(), key=lambda loop: (-loop.depth, loop.head))
    main = main_loop(function)
    if main:
        main.main = True
    return function.loops


def body(function, loop):
    """The instructions of one trip, without those of loops inside."""
    return [instruction for index in loop.own
            for instruction in function.blocks[index].instructions]


def waits_only(function, loop):
    """A loop that asks until something has come: `SYNCS.PHASECHK` and a branch back, no work."""
    code = body(function, loop)
    mix = kinds.by_kind(code)
    return not loop.inner and mix["wait"] > 0 and len(code) <= WAITING \
        and mix["wait"] + mix["control"] + mix["other"] == len(code)


def main_loop(function):
    """The loop of most tensor instructions, where no loop inside has any; of those that have as
    many the one of fewest instructions: a loop may be written twice, and what its last trips need
    besides stands in the second copy. Without tensor instructions the innermost one of most
    instructions. A loop that only waits is none, and what it stands in is as good as innermost.
    None: no loop."""
    loops = {loop.head: loop for loop in function.loops if not waits_only(function, loop)}
    own = {head: kinds.by_kind(body(function, loop))["tensor"] for head, loop in loops.items()}

    def inside(loop):
        for head in loop.inner:
            if head in loops:
                yield head
                yield from inside(loops[head])

    def weight(loop):
        length = len(body(function, loop))
        return own[loop.head], -length if own[loop.head] else length, -loop.head
    with_tensor = [loop for loop in loops.values()
                   if own[loop.head] and not any(own[head] for head in inside(loop))]
    innermost = [loop for loop in loops.values() if not any(True for _ in inside(loop))]
    return max(with_tensor or innermost, key=weight, default=None)
