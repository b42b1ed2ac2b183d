#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/sass on small listings: blocks, loops, names of registers, alignment, what NVIDIA's tools
say. Needs none of them."""
import importlib.util
import sys
import tempfile
from pathlib import Path

from support import compared, function, functions, run, same

from sass import flow, inputs, kinds, listing, report, toolkit, words
from sass.compare import Side, align
from sass.normalise import normalise

LOOP = """
    S2R R0, SR_TID.X
    IMAD.MOV.U32 R5, RZ, RZ, RZ
    HEAD:
    DEPBAR.LE SB0, 0x1
    BAR.SYNC.DEFER_BLOCKING 0x0
    LDSM.16.M88.4 R8, [R0.reuse+0x400]
    HMMA.16816.F32 R12, R8, R16, R12
    IADD3 R5, R5, 0x1, RZ
    ISETP.GE.AND P0, PT, R5, R3, PT
    @!P0 BRA (HEAD)
    STG.E.128 [R2.64], R12
    EXIT
    SELF:
    BRA (SELF)
    NOP
    NOP
"""
NEST = """
    MOV R0, RZ
    OUTER:
    MOV R1, RZ
    INNER:
    HMMA.16816.F32 R12, R8, R16, R12
    @P0 BRA (INNER)
    BAR.SYNC 0x0
    SECOND:
    FADD R1, R1, R2
    FADD R1, R1, R2
    FADD R1, R1, R2
    @P1 BRA (SECOND)
    @P2 BRA (OUTER)
    EXIT
"""


def texts(code):
    return [[line.text for line in block] for block in normalise(function(code))]


def summary(result):
    return [(block["a"], block["b"], block["verdict"]) for block in result["blocks"]]


def changes(rows):
    return [tag + (a or b) for tag, a, b in rows if tag != "="]


def blocks_and_padding():
    """blocks end at branches, padding is dropped"""
    code = function(LOOP)
    same([len(block.instructions) for block in code.blocks], [2, 7, 2])
    same([block.next for block in code.blocks], [[1], [1, 2], []])


def unused_labels():
    """a label that no branch names begins no block"""
    same(len(function("MOV R0, RZ\nHERE:\nMOV R1, RZ\nEXIT").blocks), 1)


def conditional_operand():
    """a branch whose condition is an operand goes on behind itself too"""
    code = function("BRA.DIV UR4, (FAR)\nMOV R0, RZ\nEXIT\nFAR:\nEXIT")
    same(code.blocks[0].next, [1, 2])
    code = function("BRA (FAR)\nMOV R0, RZ\nEXIT\nFAR:\nEXIT")
    same(code.blocks[0].next, [2])


def meeting_points():
    """BSYNC goes where the last BSSY of its register said, also where the register comes again"""
    code = function("""
        BSSY B0, (ONE)
        @P0 BRA (IN)
        MOV R0, RZ
        IN:
        BSYNC B0
        ONE:
        BSSY B0, (TWO)
        @P0 BRA (AGAIN)
        MOV R0, RZ
        AGAIN:
        BSYNC B0
        TWO:
        EXIT""")
    same([block.next for block in code.blocks], [[1, 2], [2], [3], [4, 5], [5], [6], []])
    same(flow.find_loops(code), [])
    code = function("BSSY B0, (FAR)\n@P0 BREAK B0\nBSYNC B0\nMOV R0, RZ\nEXIT\nFAR:\nEXIT")
    same([block.next for block in code.blocks], [[2], [], []])


def calls():
    """a CALL to a place of the function itself is a branch, one to a subroutine is none"""
    code = function("HEAD:\nMOV R0, RZ\n@P1 CALL.REL.NOINC (OUT)\nBRA (HEAD)\nOUT:\nEXIT")
    same([block.next for block in code.blocks], [[1, 2], [0], []])
    found = functions("MOV R4, 0x20\nCALL.REL.NOINC ($sub)\nEXIT\n$sub:\nRET.REL.NODEC R4 (kernel)")
    same([(each.name, each.entry) for each in found], [("kernel", True), ("$sub", False)])
    same([len(each.blocks) for each in found], [1, 1])
    same(normalise(found[1])[0][0].text, "RET.REL.NODEC r0")
    same(function("MOV R0, RZ\nCALL.REL.NOINC (kernel)\nEXIT").blocks[0].next, [])


def computed_branch():
    """a BRX goes to all of its targets, and its offset is dropped"""
    code = function("""
        BRX R2 -0x1390 (*"BRANCH_TARGETS .L_ONE,.L_TWO"*)
        ONE:
        MOV R0, RZ
        EXIT
        TWO:
        EXIT""")
    same(code.blocks[0].next, [1, 2])
    same(normalise(code)[0][0].text, "BRX r0 #1 #2")


def scheduling():
    """scoreboards, encodings and comments behind an instruction are not part of it"""
    code = function("LDC R1, c[0x0][0x37c] &wr=0x0 ?trans1\nEXIT ?trans5")
    same([line.text for line in normalise(code)[0]], ["LDC r0, c[0x0][0x37c]", "EXIT"])
    text = '.section .text.k,"ax"\n /*0000*/ EXIT ; /* 0x000000000000794d */\n /* 0x0ea */\n'
    same(listing.parse(text)[0].instructions[0].operands, "")


def loops():
    """a loop, its instructions, and that the main one has the tensor instructions"""
    code = function(LOOP)
    (loop,) = flow.find_loops(code)
    same((loop.head, loop.blocks, loop.depth, loop.main), (1, (1,), 1, True))
    mix = kinds.by_kind(flow.body(code, loop))
    same({name: n for name, n in mix.items() if n},
         {"tensor": 1, "barrier": 1, "wait": 1, "shared": 1, "control": 1, "other": 2})


def nested_loops():
    """innermost loops come first, and an outer one counts without them"""
    code = function(NEST)
    found = flow.find_loops(code)
    same([(loop.depth, loop.head, loop.main) for loop in found],
         [(2, 2, True), (2, 4, False), (1, 1, False)])
    same([len(flow.body(code, loop)) for loop in found], [2, 4, 3])
    same([block.depth for block in code.blocks], [0, 1, 2, 1, 2, 1, 0])


def main_without_tensor():
    """without tensor instructions the longest innermost loop is the main one"""
    code = function(NEST.replace("HMMA.16816.F32 R12, R8, R16, R12", "FMUL R1, R2, R3"))
    same([loop.main for loop in flow.find_loops(code)], [False, True, False])


WAITING = """
S2R R0, SR_TID.X
BODY:
SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R2
@!P0 BRA (SPIN)
GO:
WARPGROUP.ARRIVE
HGMMA.64x256x16.F32.BF16 R24, gdesc[UR8], R24
UIADD3 UR4, UR4, 0x1, URZ
@P1 BRA (BODY)
BRA (COPY)
SPIN:
SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R2
@!P0 BRA (SPIN)
BRA (GO)
COPY:
LDG.E R4, [R2.64]
IADD3 R2, R2, 0x4, RZ
IADD3 R3, R3, 0x4, RZ
IADD3 R6, R6, 0x4, RZ
IADD3 R7, R7, 0x4, RZ
IADD3 R8, R8, 0x4, RZ
IADD3 R9, R9, 0x4, RZ
@P2 BRA (COPY)
EXIT
"""


def main_with_waits_inside():
    """a loop that waits for an mbarrier inside is a main loop, and the waiting is none"""
    code = function(WAITING)
    flow.find_loops(code)
    (main,) = (loop for loop in code.loops if loop.main)
    same(kinds.by_kind(flow.body(code, main))["tensor"], 1)
    same(len(main.inner), 1)
    # Without tensor instructions: still not the one that waits, though it lies deeper.
    code = function(WAITING.replace("HGMMA.64x256x16.F32.BF16 R24, gdesc[UR8], R24", "NOP"))
    flow.find_loops(code)
    (main,) = (loop for loop in code.loops if loop.main)
    same(kinds.by_kind(flow.body(code, main))["wait"], 0)


def finer_kinds():
    """what the tables of main loops tell apart"""
    for opcode, kind in (("WARPGROUP.DEPBAR.LE gsb0, 0x0", "group"), ("MUFU.EX2 R1, R2", "special"),
                         ("SYNCS.ARRIVE.TRANS64 RZ, [UR4], RZ", "mbarrier"),
                         ("DEPBAR.LE SB0, 0x1", "wait"), ("FFMA.FTZ R1, R2, R3, R4", "float"),
                         ("F2FP.BF16.F32.PACK_AB R1, R2, R3", "float"),
                         ("UMOV UR4, UR5", "integer"),
                         ("R2UR UR4, R5", "integer"), ("IMAD.WIDE R2, R3, R4, R6", "integer"),
                         ("SHFL.BFLY PT, R1, R2, 0x1, 0x1f", "other"),
                         ("FENCE.VIEW.ASYNC.S", "fence")):
        same((opcode, kinds.fine_kind_of(function(opcode).instructions[0])), (opcode, kind))


def configurations_of_one_target():
    """a configuration over two lines is one, and its target is read"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels")
        path.mkdir()
        Path(path, "configurations.c").write_text(
            'const char *a[] = {\n    "matmul M=1 "\n    "target=sm_90a",\n    "copy",\n};\n')
        lines = inputs.configurations(Path(folder))
    same(lines, ["matmul M=1 target=sm_90a", "copy"])
    same([inputs.target_of(line) for line in lines], ["sm_90a", None])


def never_executed():
    """what @!PT guards holds a slot and accesses nothing"""
    (one, two) = function("@!PT LDS RZ, [RZ]\nLDS R0, [R1]").instructions
    same((kinds.kind_of(one), kinds.kind_of(two)), ("other", "shared"))


def opcode_kinds():
    """the opcodes of the Hopper path have their kinds"""
    for opcode, kind in (("HGMMA.64x128x16.F32.BF16", "tensor"), ("SYNCS.PHASECHK.TRANS64", "wait"),
                         ("UTMALDG.2D", "async"), ("UTMASTG.2D", "async"), ("UBLKCP.S.G", "async"),
                         ("WARPGROUP.ARRIVE", "wait"), ("FENCE.VIEW.ASYNC.S", "fence"),
                         ("STSM.16.M88.4", "shared"), ("RED.E.ADD", "global"), ("STL.128", "local"),
                         ("LDGDEPBAR", "wait"), ("ATOMS.ADD", "shared"), ("FADD.FTZ", "other")):
        same((opcode, kinds.kind_of(function(opcode).instructions[0])), (opcode, kind))


def renaming():
    """registers are renamed in the order of their first use, reuse flags are dropped"""
    same(texts(LOOP)[1][2:4], ["LDSM.16.M88.4 r2, [r0+0x400]", "HMMA.16816.F32 r3, r2, r4, r3"])
    same(texts("@!P3 IMAD R7, -R9, UR6, |R7|\n@!UP2 BSSY B4, (X)\nX:\nEXIT")[0],
         ["@!p0 IMAD r0, -r1, ur0, |r0|", "@!up0 BSSY b0, #1"])
    same(texts("I2F.U8.B1 R5, R4.B1\nF2F.F32 R6, c[0x0][0xb0]")[0],
         ["I2F.U8.B1 r0, r1.B1", "F2F.F32 r2, c[0x0][0xb0]"])
    same(texts("LDG.E R9, desc[UR6][R4.64+0x10]\nSTG.E desc[UR6][R4.64], RZ")[0],
         ["LDG.E r0, desc[ur0][r1.64+0x10]", "STG.E desc[ur0][r1.64], RZ"])


def return_address():
    """the address that a call comes back to is no number, another number is one"""
    same(texts("MOV R4, 0x30\nMOV R5, 0x40\nCALL.REL.NOINC ($f)\nEXIT\n$f:\nEXIT")[0][:2],
         ["MOV r0, return", "MOV r1, 0x40"])


def equal_code():
    """other physical registers are no difference"""
    other = LOOP.replace("R12", "R44").replace("R5", "R7").replace("P0", "P3")
    result = compared(LOOP, other)
    same((result["verdict"], summary(result)[1]), ("same", (1, 1, "same")))


def other_registers():
    """a register more is told, but not as other instructions"""
    result = compared("FADD R1, R2, R2\nFMUL R3, R1, R2\nEXIT",
                      "FADD R1, R2, R4\nFMUL R3, R1, R2\nEXIT")
    same((result["verdict"], summary(result)), ("registers", [(0, 0, "registers")]))


def one_barrier_more():
    """a barrier in a loop is a change in front, and nothing else changes"""
    result = compared(LOOP, LOOP.replace("IADD3", "BAR.SYNC.DEFER_BLOCKING 0x0\nIADD3"))
    same(result["verdict"], "differs")
    same(summary(result), [(0, 0, "same"), (1, 1, "differs"), (2, 2, "same")])
    block = result["blocks"][1]
    same(changes(block["front"]), ["+BAR.SYNC.DEFER_BLOCKING 0x0"])
    same(changes(block["rest"]), [])
    same({name: pair for name, pair in block["mix"].items() if pair[0] != pair[1]}, {"BAR": [1, 2]})
    (loop,) = result["loops"]
    same((loop["a"]["kinds"]["barrier"], loop["b"]["kinds"]["barrier"]), (1, 2))


def inserted_block():
    """a block more shifts the numbers of those behind it, which changes no branch"""
    more = LOOP.replace("S2R R0, SR_TID.X", "S2R R0, SR_TID.X\n@P1 EXIT")
    result = compared(LOOP, more)
    same(result["verdict"], "differs")
    # The branch of the loop reads #1 in one and #2 in the other, and predicates are counted anew.
    same([row for row in summary(result) if row[0] in (1, 2)],
         [(1, 2, "registers"), (2, 3, "same")])
    loop = next(block for block in result["blocks"] if block["a"] == 1)
    same((changes(loop["front"]), changes(loop["rest"])), ([], []))


def other_target():
    """a branch that goes to another block is a change"""
    code = "@P0 BRA (ONE)\nMOV R1, 0x1\nEXIT\nONE:\nMOV R2, 0x2\nEXIT\nTWO:\nMOV R3, 0x3\nEXIT"
    result = compared(code + "\nBRA (TWO)", code.replace("BRA (ONE)", "BRA (TWO)")
                      + "\nBRA (ONE)")
    same(changes(result["blocks"][0]["rest"]), ["-@p0 BRA #2", "+@p0 BRA #3"])


def order():
    """the same instructions in another order are told as that"""
    result = compared("FADD R1, R2, R3\nFMUL R4, R5, R6\nEXIT",
                      "FMUL R4, R5, R6\nFADD R1, R2, R3\nEXIT")
    same((result["verdict"], result["blocks"][0]["rest_is_reordered"]), ("order", True))
    result = compared("FADD R1, R2, R3\nBAR.SYNC 0x0\nEXIT", "BAR.SYNC 0x0\nFADD R1, R2, R3\nEXIT")
    same(result["verdict"], "order")
    lines = list(report.text_lines(
        {"units": [{"title": {"a": "a", "b": "b"}, "arch": {"a": "s", "b": "s"}, "functions": [
            result | {"resources": {"a": toolkit.resources(), "b": toolkit.resources()}}],
            "warnings": {"a": [], "b": []}, "verdict": "order", "only_a": [], "only_b": []}]},
        report.Paint(False)))
    assert "synchronization and memory moved among the rest" in lines, lines


def moved_block():
    """a block at another place has moved"""
    tail = "\nFADD R1, R1, R1\nFMUL R1, R1, R2\nFFMA R1, R1, R2, R3\nMUFU.RCP R1, R1\nEXIT"
    body = "\nLDG.E R1, [R2.64]\nIMAD R5, R5, R6, R7\nSTS [R5], R1\nLOP3.LUT R1, R1, R2\nEXIT"
    long = "\n".join(f"SHF.R.U32 R{i}, R{i}, R1" for i in range(9)) + "\nEXIT"
    before = f"@P0 BRA (FAR)\n{long}{tail}\nFAR:{body}"
    after = f"@P0 BRA (FAR)\n{tail}\nFAR:{body}\n{long}"
    result = compared(before, after)
    moved = [(block["a"], block["b"]) for block in result["blocks"] if block["moved"]]
    assert len(result["blocks"]) == 4 and moved, summary(result)
    assert result["verdict"] != "same"


def alignment_is_complete():
    """each block is in exactly one row, whatever is compared"""
    for before, after in ((LOOP, NEST), (NEST, LOOP), (LOOP, "EXIT"), (NEST, NEST)):
        a, b = Side(function(before)), Side(function(after))
        rows = align(a, b)
        same(sorted(i for i, _, _ in rows if i is not None), list(range(len(a.lines))))
        same(sorted(j for _, j, _ in rows if j is not None), list(range(len(b.lines))))


def depth_counts():
    """of two blocks with the same instructions, the one in a loop goes with the one in a loop"""
    body = "FADD R1, R1, R2\nFMUL R3, R3, R1\n"
    before = f"HEAD:\n{body}@P0 BRA (HEAD)\nEXIT"
    after = f"{body}@P1 BRA (OUT)\nHEAD:\n{body}@P0 BRA (HEAD)\nOUT:\nEXIT"
    same([(block["a"], block["b"]) for block in compared(before, after)["blocks"]],
         [(None, 0), (0, 1), (1, 2)])


def hunks_are_unified():
    """line numbers and counts of hunks are those of a unified diff"""
    rows = [["=", str(i), str(i)] for i in range(20)]
    rows[4:4] = [["-", "x", None], ["+", None, "y"], ["+", None, "z"]]
    rows.append(["-", "end", None])
    same([header for header, _ in report.hunks(rows)], ["@@ -2,7 +2,8 @@", "@@ -19,4 +20,3 @@"])


def what_ptxas_says():
    """registers, spills, barriers and warnings are read from ptxas -v"""
    found, warnings = toolkit.read_ptxas("""\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_80'
ptxas info    : Function properties for one
    64 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 141 registers, used 3 barriers, 1024 bytes smem, 432 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_80'
ptxas info    : Function properties for two
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, 432 bytes cmem[0]
ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized
""")
    same(found["one"], toolkit.resources(141, 64, 12, 20, 1024, 3))
    same(found["two"], toolkit.resources(8, 0, 0, 0, 0, 0))
    same(len(warnings), 1)


def what_cuobjdump_says():
    """registers and memory are read from cuobjdump --dump-resource-usage"""
    found = toolkit.read_cuobjdump("""
Resource usage:
 Common:
  GLOBAL:24 CONSTANT[4]:8
 Function _Z1kPfii:
  REG:40 STACK:160 SHARED:2048 LOCAL:8 CONSTANT[2]:28 CONSTANT[0]:544 TEXTURE:0 SURFACE:0
""")
    same(found, {"_Z1kPfii": toolkit.resources(registers=40, stack=168, shared=2048)})


def suggestions():
    """a near word is suggested, a far one is not"""
    same(words.did_you_mean("matmull", ["matmul", "attention"]), "; did you mean 'matmul'?")
    same(words.did_you_mean("xyz", ["matmul", "attention"]), "")


def load_table_script():
    path = Path(__file__).with_name("check-table.py")
    spec = importlib.util.spec_from_file_location("check_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_of_kernels():
    """the golden table is read as it is written, and says which number is another one"""
    table = load_table_script()
    code = function(LOOP)
    row = table.measure(code, toolkit.resources(40, 0, 0, 0, 0, 1))
    same(row, (40, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 2, 1, 7))
    rows = {("matmul M=1", "sm_80"): row, ("matmul M=1", "sm_90a"): row, ("b", "sm_80"): row}
    versions = "22", "13.0"
    same(table.read_table(table.table_text(versions, rows)), (versions, rows))
    more = function(LOOP.replace("IADD3", "BAR.SYNC 0x0\nFENCE.VIEW.ASYNC.S\nIADD3"))
    worse = table.measure(more, toolkit.resources(40, 8, 8, 4, 0, 1))
    same(list(table.judge(rows, {("b", "sm_80"): worse}, [])), [
        "b sm_80: spilled bytes 0 -> 12 (+12), local memory 0 -> 8 (+8), BAR 1 -> 2 (+1), "
        "fences 0 -> 1 (+1), main loop BAR 1 -> 2 (+1), main loop fence 0 -> 1 (+1), "
        "main loop total 7 -> 9 (+2)",
        "b sm_80: a shipped kernel neither spills nor has local memory"])
    same(list(table.judge({("b", "sm_80"): worse}, {("b", "sm_80"): worse}, [])),
         ["b sm_80: a shipped kernel neither spills nor has local memory"])
    spilling = {("triton/b.ptx", "sm_90a"): worse}
    same(list(table.judge(spilling, spilling, [])), [])
    same(list(table.judge(rows, {("b", "sm_80"): row}, [])), [])
    other_llvm = (52, *row[1:-3], row[-3] + 1, row[-2] + 2, row[-1] + 3)
    same(list(table.judge(rows, {("b", "sm_80"): other_llvm}, [], False)), [])
    same(list(table.judge(rows, {("b", "sm_80"): worse}, [], False))[0][:60],
         "b sm_80: spilled bytes 0 -> 12 (+12), local memory 0 -> 8 (+")
    same(list(table.judge(rows, {("c", "sm_80"): row}, ["(C7510) slow"])),
         ["c sm_80: it is not in the table", "ptxas: (C7510) slow"])


def table_beside_triton():
    """docs/machine-code.md has the table of main loops as kernels.txt has them now"""
    table = load_table_script()
    rows = table.read_table(table.TABLE.read_text())[1]
    page = Path(__file__).resolve().parents[2] / "docs/machine-code.md"
    assert table.beside(rows) in page.read_text(), "tests/sass/check-table.py --beside prints it"


CASES = (blocks_and_padding, unused_labels, conditional_operand, meeting_points, calls,
         computed_branch, scheduling, loops, nested_loops, main_without_tensor,
         main_with_waits_inside, finer_kinds, configurations_of_one_target, never_executed,
         opcode_kinds, renaming, return_address, equal_code, other_registers, one_barrier_more,
         inserted_block, other_target, order, moved_block, alignment_is_complete, depth_counts,
         hunks_are_unified, what_ptxas_says, what_cuobjdump_says, suggestions,
         table_of_kernels, table_beside_triton)

if __name__ == "__main__":
    sys.exit(run(CASES))
