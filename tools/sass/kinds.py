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

# What `other` consists of, and what `wait` has of its own: for tables of main loops.
FINE = (
    ("group", r"WARPGROUP"),
    ("mbarrier", r"SYNCS"),
    ("special", r"MUFU"),
    ("float", r"F(ADD|MUL|FMA|MNMX3?|SEL|SETP?|SWZADD|CHK)(32I)?|(ADD|MUL|FMA|MNMX)2|H(ADD|MUL|FMA|"
              r"MNMX|SET|SETP)2?(_\w+)?|F2FP?|F2F|I2FP?|F2I|D\w+"),
    ("integer", r"I\w+|U(?!TMA)\w+|LOP3?|LEA|SHF|SHL|SHR|SEL|SGXT|BFE|BFI|BMSK|FLO|POPC|PRMT|MOV|"
                r"MOVM|CS2R|S2U?R|R2UR|R2P|P2R|LDC|PLOP3|VOTEU?|VIADD\w*|VIMNMX\w*|VABSDIFF\w*"),
)
_FINE = tuple((name, re.compile(f"(?:{pattern})$")) for name, pattern in FINE)


def fine_kind_of(instruction):
    """The kind; for waits and what is `other`, the name in FINE if there is one."""
    kind = kind_of(instruction)
    if kind in ("wait", "other") and instruction.guard not in ("@!PT", "@!UPT"):
        for name, pattern in _FINE:
            if pattern.match(instruction.base) and (kind == "wait") == (name in FINE_WAITS):
                return name
    return kind


FINE_WAITS = ("group", "mbarrier")


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


def by_fine_kind(instructions):
    """How many of each kind, `wait` and `other` taken apart as FINE has it."""
    return Counter(fine_kind_of(instruction) for instruction in instructions)


def by_opcode(instructions):
    """How many of each opcode, modifiers dropped, most frequent first."""
    counts = Counter(instruction.base for instruction in instructions)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
