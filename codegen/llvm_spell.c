// SPDX-License-Identifier: MIT
//
// Writes instructions as text (llvm_spell.h), and takes them out of LLVM's hands. Those of a block
// that stand together become one inline assembly, a group:
//
//   %a = fmul contract float %x, %scale          tail call void asm sideeffect "
//   %b = call float asm "ex2.approx...", %a        mul.f32 %v1, $0, $1;
//   %c = fadd contract float %sum, %b              ex2.approx.ftz.f32 %v2, %v1;
//                                                  add.f32 %v3, %v4, %v2;", "f,f" (%x, %scale)
//
// A group ends in front of an instruction of LLVM's that uses what it made (which then is a result
// of the assembly, too), and where the order of effects asks for it; others stay in front of it.
// A phi is a register that the blocks before it write. Where that could come too early, as they go
// elsewhere, too, or write several that depend on each other, they write a second register, and the
// block itself copies; coalesce.c takes out the copies that are not needed.
#include "codegen/llvm.h"
#include "codegen/llvm_spell.h"

#include <string.h>

// ---- operations ---------------------------------------------------------------------------------

static void put_operation(struct speller *w, struct spelled *item, const char *mnemonic)
{
    cg_spell_line(w, item->value);
    cg_spell_string(w, mnemonic);
    cg_spell_string(w, " \t");
    cg_spell_put_name(w, cg_spell_name(w, item, 0));
}

static void put_operand(struct speller *w, LLVMValueRef value)
{
    cg_spell_string(w, ", ");
    cg_spell_put_value(w, value);
}

// A register with the value's sign turned.
static uint32_t put_negated(struct speller *w, LLVMValueRef value, LLVMValueRef of)
{
    uint32_t name = cg_spell_new_name(w, CG_SPELL_WORD);
    cg_spell_line(w, of);
    cg_spell_string(w, "neg.f32 \t");
    cg_spell_put_name(w, name);
    put_operand(w, value);
    cg_spell_string(w, ";");
    return name;
}

// x * y + z, x * y - z, z - x * y.
static void write_fused(struct speller *w, struct spelled *item)
{
    LLVMValueRef product = item->multiply, sum = item->value;
    bool first = LLVMGetOperand(sum, 0) == product;
    bool minus = LLVMGetInstructionOpcode(sum) == LLVMFSub;
    LLVMValueRef x = LLVMGetOperand(product, 0), y = LLVMGetOperand(product, 1);
    LLVMValueRef z = LLVMGetOperand(sum, first);
    uint32_t negated = minus ? put_negated(w, first ? z : x, sum) : 0;
    put_operation(w, item, "fma.rn.f32");
    cg_spell_string(w, ", ");
    if (minus && !first)
        cg_spell_put_name(w, negated);
    else
        cg_spell_put_value(w, x);
    put_operand(w, y);
    cg_spell_string(w, ", ");
    if (minus && first)
        cg_spell_put_name(w, negated);
    else
        cg_spell_put_value(w, z);
    cg_spell_string(w, ";");
}

static bool is_all_done_elsewhere(const struct spelled *item)
{
    uint32_t uses = 0;
    if (!item->fused || item->escapes) return false;
    for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use)) uses++;
    return uses <= item->fused;
}

static void write_operation(struct speller *w, struct spelled *item)
{
    LLVMValueRef x = item->value;
    LLVMOpcode opcode = LLVMGetInstructionOpcode(x);
    unsigned count =
        opcode == LLVMCall ? LLVMGetNumArgOperands(x) : (unsigned)LLVMGetNumOperands(x);
    if (is_all_done_elsewhere(item)) return;
    if (item->multiply) {
        write_fused(w, item);
        return;
    }
    put_operation(w, item, cg_spell_mnemonic(x));
    if (opcode == LLVMSelect) {
        put_operand(w, LLVMGetOperand(x, 1));
        put_operand(w, LLVMGetOperand(x, 2));
        count = 1;
    }
    for (unsigned i = 0; i < count; i++) put_operand(w, LLVMGetOperand(x, i));
    cg_spell_string(w, ";");
}

// ---- assembly -----------------------------------------------------------------------------------

// The next of the constraints; its length.
static size_t next_constraint(const char **at, const char **token)
{
    *token = *at;
    size_t length = strcspn(*at, ",");
    *at += length + ((*at)[length] == ',');
    return length;
}

// What is updated in place: the result is in the argument's register, if nobody needs that any more
// and no copy of it can be about to be written.
static void tie(struct speller *w, struct spelled *call, uint32_t result, LLVMValueRef argument)
{
    struct spelled *from = cg_spell_chosen(w, argument);
    uint32_t *name = &w->s.names[call->names + result];
    if (from && !*name && from->block == call->block && cg_spell_used_once(argument)) {
        LLVMOpcode opcode = LLVMGetInstructionOpcode(argument);
        if (opcode != LLVMPHI && opcode != LLVMBitCast) *name = cg_spell_name(w, from, 0);
    }
    uint32_t to = cg_spell_name(w, call, result);
    if (from && cg_spell_name(w, from, 0) == to) return;
    if (LLVMIsUndef(argument)) return;
    cg_spell_line(w, call->value);
    cg_spell_move(w, to);
    cg_spell_put_value(w, argument);
    cg_spell_string(w, ";");
}

static void read_constraints(struct speller *w, struct spelled *call, const char *constraints)
{
    uint32_t count = 0, argument = 0;
    const char *token;
    for (const char *at = constraints; *at;) {
        size_t length = next_constraint(&at, &token);
        if (*token == '~' || !length) continue;
        struct operand *o = &w->operands[count++];
        *o = (struct operand){0};
        if (*token == '=') continue;
        o->value = LLVMGetOperand(call->value, argument++);
        o->immediate = *token == 'n';
        if (*token >= '0' && *token <= '9') {
            uint32_t result = 0;
            for (size_t i = 0; i < length; i++) result = 10 * result + (uint32_t)(token[i] - '0');
            tie(w, call, result, o->value);
        }
    }
}

static void put_assembly(struct speller *w, struct spelled *call, const char *text, size_t length)
{
    struct buffer *out = &w->group.text;
    const char *end = text + length;
    while (text < end) {
        const char *dollar = memchr(text, '$', (size_t)(end - text));
        const char *stop = dollar ? dollar : end;
        cg_spell_put(w, out, text, (size_t)(stop - text));
        if (!dollar) return;
        text = dollar + 1;
        if (*text == '$') {
            cg_spell_put(w, out, "$$", 2);
            text++;
            continue;
        }
        uint32_t number = 0;
        for (; *text >= '0' && *text <= '9'; text++) number = 10 * number + (uint32_t)(*text - '0');
        const struct operand *o = &w->operands[number];
        if (!o->value)
            cg_spell_put_name(w, cg_spell_name(w, call, number));
        else if (o->immediate)
            cg_spell_put_immediate(w, o->value);
        else if (cg_spell_chosen(w, o->value))
            cg_spell_put_value(w, o->value);
        else
            cg_spell_put_input(w, o->value);
    }
}

static void write_assembly(struct speller *w, struct spelled *item, LLVMValueRef assembly)
{
    struct group *g = &w->group;
    size_t text_length, constraint_length;
    const char *text = LLVMGetInlineAsmAsmString(assembly, &text_length);
    const char *constraints = LLVMGetInlineAsmConstraintString(assembly, &constraint_length);
    bool effects = LLVMGetInlineAsmHasSideEffects(assembly);
    if (!effects && !LLVMGetFirstUse(item->value)) return;
    read_constraints(w, item, constraints);
    cg_spell_line(w, item->value);
    put_assembly(w, item, text, text_length);
    if (g->location && strstr(text, "\n\t.loc\t")) g->line = 0; // wherever it ended
    g->effects |= effects;
    g->memory |= strstr(constraints, "~{memory}") != NULL;
}

// ---- phis ---------------------------------------------------------------------------------------

// Does another phi of the block get the value, or one of its results, when its own turn comes?
static bool goes_to_phi(LLVMValueRef value, const struct spelled *phi)
{
    for (LLVMUseRef use = LLVMGetFirstUse(value); use; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);
        bool other = user != phi->value && LLVMIsAPHINode(user);
        if (other && LLVMGetInstructionParent(user) == phi->block) return true;
        if (LLVMGetInstructionOpcode(user) == LLVMExtractValue && goes_to_phi(user, phi))
            return true;
    }
    return false;
}

// May the blocks before write the register itself? Only if they go nowhere else, and none of them
// still has to read it for another phi of the block.
static bool is_direct(struct spelled *phi)
{
    if (phi->seen) return phi->direct;
    phi->seen = true;
    phi->direct = true;
    unsigned count = LLVMCountIncoming(phi->value);
    for (unsigned i = 0; i < count && phi->direct; i++) {
        LLVMBasicBlockRef from = LLVMGetIncomingBlock(phi->value, i);
        phi->direct = LLVMGetNumSuccessors(LLVMGetBasicBlockTerminator(from)) == 1;
    }
    for (LLVMUseRef use = LLVMGetFirstUse(phi->value); use; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);
        if (LLVMGetInstructionOpcode(user) == LLVMBitCast) phi->direct = false;
    }
    phi->direct = phi->direct && !goes_to_phi(phi->value, phi);
    return phi->direct;
}

static void write_phi(struct speller *w, struct spelled *item)
{
    uint32_t width = cg_spell_width(LLVMTypeOf(item->value));
    if (!LLVMGetFirstUse(item->value) || (is_direct(item) && !item->escapes)) return;
    cg_spell_open(w, item->value);
    for (uint32_t i = 0; i < width && !is_direct(item); i++) {
        cg_spell_line(w, item->value);
        cg_spell_move(w, cg_spell_name(w, item, i));
        cg_spell_put_name(w, cg_spell_name(w, item, width + i));
        cg_spell_string(w, ";");
    }
    cg_spell_add(w, item);
}

static void write_copy(struct speller *w, struct spelled *phi, LLVMValueRef value,
                       LLVMValueRef branch)
{
    struct spelled *from = cg_spell_chosen(w, value);
    uint32_t width = cg_spell_width(LLVMTypeOf(phi->value));
    for (uint32_t i = 0; i < width && !LLVMIsUndef(value); i++) {
        uint32_t to = cg_spell_name(w, phi, is_direct(phi) ? i : width + i);
        if (from && cg_spell_name(w, from, i) == to) continue;
        cg_spell_line(w, branch);
        cg_spell_move(w, to);
        if (from)
            cg_spell_put_name(w, cg_spell_name(w, from, i));
        else
            cg_spell_put_value(w, value);
        cg_spell_string(w, ";");
    }
}

// At the end of a block: what the phis behind it get from here.
static void write_copies(struct speller *w, LLVMBasicBlockRef block, LLVMValueRef branch)
{
    unsigned count = LLVMGetNumSuccessors(branch);
    for (unsigned i = 0; i < count; i++) {
        LLVMBasicBlockRef to = LLVMGetSuccessor(branch, i);
        bool again = false;
        for (unsigned k = 0; k < i; k++) again |= LLVMGetSuccessor(branch, k) == to;
        LLVMValueRef phi = again ? NULL : LLVMGetFirstInstruction(to);
        for (; phi && LLVMIsAPHINode(phi); phi = LLVMGetNextInstruction(phi)) {
            struct spelled *item = cg_spell_chosen(w, phi);
            // (LLVM's uses have gone to the phi's assembly already, if that stands in front.)
            if (!item || (!LLVMGetFirstUse(phi) && !item->escapes)) continue;
            unsigned k = 0;
            while (LLVMGetIncomingBlock(phi, k) != block) k++;
            write_copy(w, item, LLVMGetIncomingValue(phi, k), branch);
        }
    }
}

// ---- the walk -----------------------------------------------------------------------------------

static void write(struct speller *w, struct spelled *item)
{
    LLVMOpcode opcode = LLVMGetInstructionOpcode(item->value);
    LLVMValueRef assembly = cg_spell_assembly(item->value);
    if (opcode == LLVMPHI) {
        write_phi(w, item);
        return;
    }
    if (opcode == LLVMBitCast || opcode == LLVMExtractValue) {
        if (item->escapes) cg_spell_open(w, item->value);
    } else if (assembly) {
        write_assembly(w, item, assembly);
    } else if (LLVMGetFirstUse(item->value)) {
        write_operation(w, item);
    }
    if (w->group.open) cg_spell_add(w, item);
}

static bool has_effects(LLVMValueRef x)
{
    LLVMValueRef assembly = cg_spell_assembly(x);
    switch (LLVMGetInstructionOpcode(x)) {
    case LLVMLoad:
    case LLVMStore:
        return true;
    case LLVMCall:
        return !assembly || LLVMGetInlineAsmHasSideEffects(assembly);
    default:
        return false;
    }
}

// Does an instruction of LLVM's use what the open group makes?
static bool takes_from_group(struct speller *w, LLVMValueRef x)
{
    unsigned count = (unsigned)LLVMGetNumOperands(x);
    for (unsigned i = 0; i < count; i++) {
        const struct spelled *from = cg_spell_chosen(w, LLVMGetOperand(x, i));
        if (from && from->group == w->group.number) return true;
    }
    return false;
}

static void pass(struct speller *w, struct spelled *item)
{
    LLVMValueRef x = item->value;
    if (LLVMIsAPHINode(x)) return;
    bool last = LLVMIsATerminatorInst(x) != NULL;
    bool results = LLVMGetTypeKind(LLVMTypeOf(x)) != LLVMVoidTypeKind;
    if (item->can && !results && w->group.open) { // why end the group for it?
        item->chosen = true;
        write_assembly(w, item, cg_spell_assembly(x));
        return;
    }
    if (last) write_copies(w, item->block, x);
    if (!w->group.open) return;
    if (last || takes_from_group(w, x) || (w->group.effects && has_effects(x)))
        cg_spell_close(w, x);
}

// What is left of the uses is by phis that go, too.
static void erase(struct speller *w)
{
    for (uint32_t i = w->s.count; i-- > 0;) {
        struct spelled *item = &w->s.items[i];
        if (!item->chosen) continue;
        for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use))
            if (!cg_spell_chosen(w, LLVMGetUser(use))) {
                cg_fail(w->m, CG_ERROR_LLVM, "an instruction became text that LLVM still uses");
                w->failed = true;
                return;
            }
        if (LLVMGetFirstUse(item->value))
            LLVMReplaceAllUsesWith(item->value, LLVMGetUndef(LLVMTypeOf(item->value)));
        LLVMInstructionEraseFromParent(item->value);
    }
}

bool cg_spell_function(struct cg_module *m, LLVMValueRef function)
{
    struct speller w = {.s = {.m = m}, .m = m};
    const struct cg_allocator *allocator = &m->common.allocator;
    w.failed = !cg_spell_choose(&w.s, function);
    if (!w.failed) {
        w.operands = cg_allocate(allocator, (w.s.most + 1) * sizeof *w.operands);
        if (!w.operands) cg_spell_out_of_memory(&w);
    }
    for (uint32_t i = 0; i < w.s.count && !w.failed; i++) {
        struct spelled *item = &w.s.items[i];
        if (item->chosen)
            write(&w, item);
        else
            pass(&w, item);
    }
    if (!w.failed) erase(&w);
    cg_release(allocator, w.operands);
    cg_release(allocator, w.whole.bytes);
    cg_release(allocator, w.group.text.bytes);
    cg_release(allocator, w.group.inputs);
    cg_release(allocator, w.group.outputs);
    cg_spell_free(&w.s);
    return !w.failed;
}
