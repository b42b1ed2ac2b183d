# SPDX-License-Identifier: MIT
"""What `nvdisasm -c` writes, read: functions of basic blocks of instructions.

A kernel and each subroutine behind it in its section is a function by itself. Dropped: the padding
behind the last instruction (a branch to itself and NOPs), directives, encodings, line numbers. Of
the directives only the register count is kept, which is there in listings of some versions.

A block begins at the head of the function, where a branch goes, and behind whatever may go
elsewhere. Labels that no branch of the function names begin none, so that a block is the same
however many labels the disassembler puts.
"""
import re
from dataclasses import dataclass, field

from sass.words import Trouble

_INSTRUCTION = re.compile(
    r"\s*/\*(?P<address>[0-9a-f]{4,})\*/\s+(?:(?P<guard>@!?U?P\w+)\s+)?(?P<opcode>[A-Z][\w.]*)"
    r"\s*(?P<operands>.*)$")
_LABEL = re.compile(r"([\w.$@]+):\s*$")
_SECTION = re.compile(r'\s*\.section\s+\.text\.([^,\s]+),')
_ANY_SECTION = re.compile(r"\s*\.section\s+(\S+)")
_FUNCTION = re.compile(r"\s*\.type\s+([^,\s]+),@function")
_REGISTERS = re.compile(r'SHI_REGISTERS=(\d+)')
_TARGET = re.compile(r"`\(([^)]+)\)")
_LISTED = re.compile(r'\(\*"BRANCH_TARGETS ([^"]*)"\*\)')
# Scoreboards, as they are printed for sm_100 and later.
_SCHEDULE = re.compile(r"(?:^|\s+)(?:&\w+=\S*|\?\w+)(?=[\s;]|$)")

ENDS = ("BRA", "BRX", "BRXU", "JMP", "JMX", "JMXU", "EXIT", "RET", "KILL", "BSYNC")


@dataclass
class Instruction:
    address: int
    guard: str       # "@!P0", or empty
    opcode: str      # with its modifiers
    operands: str    # as they were printed
    targets: tuple = ()  # labels, in their order

    @property
    def base(self):
        return self.opcode.split(".", 1)[0]


@dataclass
class Block:
    index: int
    instructions: list
    next: list = field(default_factory=list)  # indices of the blocks that may follow
    depth: int = 0                            # in how many loops it lies


@dataclass
class Function:
    name: str
    entry: bool = True     # a kernel; False: a subroutine
    registers: int = None  # None: the listing does not say
    instructions: list = field(default_factory=list)
    labels: dict = field(default_factory=dict)  # label: index of the instruction behind it
    blocks: list = field(default_factory=list)
    block_of: dict = field(default_factory=dict)  # label: index of its block
    loops: list = field(default_factory=list)     # flow.Loop, innermost first


def _instruction(match):
    text = match["operands"]
    text = re.sub(r"\s*/\*.*?\*/\s*$", "", text)
    text = _SCHEDULE.sub("", text)
    listed = _LISTED.search(text)
    targets = tuple(_TARGET.findall(text))
    if listed:
        targets += tuple(name.strip() for name in listed[1].split(","))
        text = text[:listed.start()] + text[listed.end():]
    text = " ".join(text.rstrip().rstrip(";").split())
    return Instruction(int(match["address"], 16), match["guard"] or "", match["opcode"], text,
                       targets)


def _read(text):
    """Functions with instructions and labels; names of functions must be known before labels."""
    functions, named, current = [], set(_FUNCTION.findall(text)), None
    for line in text.splitlines():
        if (section := _ANY_SECTION.match(line)):
            current = None
            if (code := _SECTION.match(line)):
                current = Function(code[1])
                functions.append(current)
        elif (said := _REGISTERS.search(line)) and current:
            current.registers = int(said[1])
        elif (label := _LABEL.match(line.strip())) and current:
            name = label[1]
            if name in named and name != current.name and current.instructions:
                current = Function(name, entry=False)
                functions.append(current)
            current.labels[name] = len(current.instructions)
        elif (match := _INSTRUCTION.match(line)) and current:
            current.instructions.append(_instruction(match))
    return [function for function in functions if function.instructions]


def _drop_padding(function):
    """The branch to itself behind the last instruction, and NOPs behind everything."""
    code = function.instructions
    while code and code[-1].base == "NOP":
        code.pop()
    while len(code) > 1 and code[-1].base == "BRA" and not code[-1].guard \
            and function.labels.get((code[-1].targets or ("",))[0]) == len(code) - 1 \
            and code[-2].base in ENDS and not code[-2].guard:
        code.pop()


def _leaves(function, instruction):
    """Whether a block ends here. A CALL does where it goes to a place of its own function: that is
    how ptxas writes some branches."""
    return instruction.base in ENDS or (instruction.base == "CALL"
                                        and any(name in function.labels and name != function.name
                                                for name in instruction.targets))


def _split(function):
    code = function.instructions
    leaders = {0} | {i + 1 for i, instruction in enumerate(code) if _leaves(function, instruction)}
    leaders |= {function.labels[name] for instruction in code for name in instruction.targets
                if name in function.labels}
    starts = sorted(i for i in leaders if i < len(code))
    for index, start in enumerate(starts):
        end = starts[index + 1] if index + 1 < len(starts) else len(code)
        function.blocks.append(Block(index, code[start:end]))
    place = {start: index for index, start in enumerate(starts)}
    function.block_of = {name: place[at] for name, at in function.labels.items() if at in place}


def _connect_branches(function):
    """Edges of everything but BSYNC."""
    for block in function.blocks:
        last = block.instructions[-1]
        follows = {function.block_of[name] for name in last.targets
                   if name in function.block_of and _leaves(function, last)}
        goes_on = last.base not in ENDS or last.guard \
            or (last.base in ("BRA", "JMP") and _has_condition(last))
        if goes_on and block.index + 1 < len(function.blocks):
            follows.add(block.index + 1)
        block.next = sorted(follows)


def _connect_meetings(function):
    """Edges of BSYNC, which goes where the BSSY said that was executed last for its register. What
    may be in a register at the head of a block grows until nothing changes."""
    heads = [{} for _ in function.blocks]
    work, seen = [0], {0}
    while work:
        block = function.blocks[work.pop()]
        held = dict(heads[block.index])
        for instruction in block.instructions:
            if instruction.base == "BSSY":
                held[instruction.operands.split(",")[0]] = frozenset(
                    function.block_of[name] for name in instruction.targets
                    if name in function.block_of)
        last = block.instructions[-1]
        if last.base == "BSYNC":
            meet = held.get(last.operands.split(",")[0])
            behind = {block.index + 1} if block.index + 1 < len(function.blocks) else set()
            block.next = sorted(set(block.next) | (behind if meet is None else meet))
        for target in block.next:
            before = dict(heads[target])
            for register, places in held.items():
                heads[target][register] = heads[target].get(register, frozenset()) | places
            if heads[target] != before or target not in seen:
                seen.add(target)
                work.append(target)


def _has_condition(branch):
    """`BRA P0, ...`, `BRA.DIV UR4, ...`: a branch whose condition is an operand."""
    return branch.operands.split(",")[0].strip().lstrip("!~").startswith(("P", "UP", "UR"))


def parse(text, where="the listing"):
    """The functions of a listing, with blocks and the edges between them."""
    functions = _read(text)
    if not functions:
        raise Trouble(f"{where} holds no machine code that nvdisasm -c would print")
    for function in functions:
        _drop_padding(function)
        _split(function)
        _connect_branches(function)
        _connect_meetings(function)
    return functions
