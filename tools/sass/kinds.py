# SPDX-License-Identifier: MIT
"""What an opcode is for. Synchronization and memory stand in front in every report; the rest counts
as tensor, control or other. An opcode that is in no row is `other`: a new one is shown, not lost.

The rows are regular expressions over the opcode without its modifiers, the first that fits counts.
"""
import re
from collections import Counter

# kind, in the order of the reports; what it is called in a heading; its opcodes
KINDS = (
    ("tensor", r"[A-Z]*MMA"),
    ("barrier", r"BAR|B2R|UCGABAR\w*|CGABAR\w*"),
    ("wait", r"DEPBAR|LDGDEPBAR|ARRIVES|SYNCS|WARPGROUP|WARPGROUPSET|WARPSYNC|UTMACMDFLUSH|"
             r"ACQBULK|ACQSHMINIT|UTCBAR|NANOSLEEP|USETMAXREG"),
    ("fence", r"MEMBAR|FENCE|ERRBAR|CCTL|CCTLL|CCTLT|UTMACCTL"),
    ("async", r"LDGSTS|UTMA\w+|UBLK\w+|UTCCP"),
    ("shared", r"LDSM?|STSM?|ATOMS"),
    ("global", r"LDG|STG|LD|ST|ATOMG?|REDG?"),
    ("local", r"LDL|STL"),
    ("control", r"BRA|BRX|BRXU|JMP|JMX|JMXU|CALL|RET|EXIT|KILL|BSSY|BSYNC|BREAK|BMOV|BPT|YIELD|"
                r"NOP|PREEXIT"),
)
NAMES = tuple(name for name, _ in KINDS) + ("other",)
FRONT = ("barrier", "wait", "fence", "async", "shared", "global", "local")
_TABLE = tuple((name, re.compile(f"(?:{pattern})$")) for name, pattern in KINDS)


def kind_of(instruction):
    """The kind of an instruction. One that is never executed (`@!PT`) holds a slot, no more."""
    if instruction.guard in ("@!PT", "@!UPT"):
        return "other"
    for name, pattern in _TABLE:
        if pattern.match(instruction.base):
            return name
    return "other"


def in_front(instruction):
    return kind_of(instruction) in FRONT


def by_kind(instructions):
    """How many of each kind, with zeros, in the order of NAMES."""
    counts = Counter(kind_of(instruction) for instruction in instructions)
    return {name: counts[name] for name in NAMES}


def by_opcode(instructions):
    """How many of each opcode, modifiers dropped, most frequent first."""
    counts = Counter(instruction.base for instruction in instructions)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
