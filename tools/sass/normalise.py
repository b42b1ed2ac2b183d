# SPDX-License-Identifier: MIT
"""A function without what differs for no reason: registers are named in the order of their first
use, predicates, uniform registers and convergence registers likewise; addresses and `.reuse` are
dropped; a branch names the block it goes to.

    /*0450*/  @!P5 LDGSTS.E.BYPASS.128 [R126], [R6.64], P2 ;
    @!p0 LDGSTS.E.BYPASS.128 [r7], [r4.64], p2

Each line also has a mask, the same text with the numbers of registers gone, which is what lines are
aligned by: one register more in one place renames all that are first used behind it, and that is no
change of those lines.
"""
import re
from dataclasses import dataclass

from sass import kinds

_REGISTER = re.compile(r"(?<![\w.$])(UR|UP|R|P|B)(\d+)\b")
_LABEL = re.compile(r"`\(([^)]+)\)")
_TARGET = "\0"  # where a block number goes


@dataclass(frozen=True)
class Line:
    text: str       # as it is shown
    mask: str       # without the numbers of registers and blocks
    targets: tuple  # indices of the blocks that it may go to
    kind: str
    opcode: str     # without modifiers
    front: bool     # synchronizes or touches memory


class _Names:
    def __init__(self):
        self.known = {}
        self.counts = {}

    def __call__(self, match):
        letter = match[1]
        key = match.group()
        if key not in self.known:
            number = self.counts.get(letter, 0)
            self.counts[letter] = number + 1
            self.known[key] = f"{letter.lower()}{number}"
        return self.known[key]


def _return_addresses(function):
    """Where calls come back to: code addresses that a MOV holds as a plain number."""
    return {f"{instruction.address + 16:#x}" for instruction in function.instructions
            if instruction.base == "CALL"}


def _operands(function, instruction, returns):
    """The operands with _TARGET for each block, and the blocks."""
    text = instruction.operands.replace(".reuse", "")
    targets = []

    def place(name):
        if instruction.base == "RET":
            return ""
        if name not in function.block_of:
            return name
        targets.append(function.block_of[name])
        return _TARGET

    text = _LABEL.sub(lambda match: place(match[1]), text)
    listed = [name for name in instruction.targets if f"({name})" not in instruction.operands]
    if listed:
        text = re.sub(r"\s-?0x[0-9a-f]+$", "", text)
        text = " ".join([text] + [place(name) for name in listed])
    if returns and "MOV" in instruction.opcode:
        text = re.sub(r"\b0x[0-9a-f]+\b",
                      lambda match: "return" if match.group() in returns else match.group(), text)
    return text.strip(), tuple(targets)


def _line(function, instruction, names, returns):
    operands, targets = _operands(function, instruction, returns)
    whole = " ".join(part for part in (instruction.guard.replace("@!", "@! "), instruction.opcode,
                                       operands) if part)
    whole = whole.replace("@! ", "@!")
    head, opcode, tail = whole.partition(instruction.opcode)
    text = _REGISTER.sub(names, head) + opcode + _REGISTER.sub(names, tail)
    mask = _REGISTER.sub(r"\1", head) + opcode + _REGISTER.sub(r"\1", tail)
    for target in targets:
        text = text.replace(_TARGET, f"#{target}", 1)
    return Line(text, mask, targets, kinds.kind_of(instruction), instruction.base,
                kinds.in_front(instruction))


def normalise(function):
    """A list of lines for each block, in the order of the blocks."""
    names, returns = _Names(), _return_addresses(function)
    return [[_line(function, instruction, names, returns) for instruction in block.instructions]
            for block in function.blocks]
