// SPDX-License-Identifier: MIT
//
// Which instructions of a kernel become text (llvm_spell.h). Arithmetic of f32, and assembly that
// has f32 operands or no results, always does. What makes integers and predicates does where
// nothing but text uses it: addresses, counters and conditions of branches stay LLVM's.
#include "codegen/llvm.h"
#include "codegen/llvm_spell.h"

#include <string.h>

static bool is_type(LLVMTypeRef type, LLVMTypeKind kind, unsigned width)
{
    return LLVMGetTypeKind(type) == kind && (!width || LLVMGetIntTypeWidth(type) == width);
}

static bool is_float(LLVMValueRef value)
{
    return is_type(LLVMTypeOf(value), LLVMFloatTypeKind, 0);
}

static bool is_integer(LLVMValueRef value, unsigned width)
{
    return is_type(LLVMTypeOf(value), LLVMIntegerTypeKind, width);
}

static char letter_of(LLVMTypeRef type)
{
    switch (LLVMGetTypeKind(type)) {
    case LLVMIntegerTypeKind:
        switch (LLVMGetIntTypeWidth(type)) {
        case 1:
            return 'b';
        case 16:
            return 'h';
        case 32:
            return 'r';
        case 64:
            return 'l';
        default:
            return 0;
        }
    case LLVMHalfTypeKind:
    case LLVMBFloatTypeKind:
        return 'h';
    case LLVMFloatTypeKind:
        return 'f';
    case LLVMDoubleTypeKind:
        return 'd';
    case LLVMPointerTypeKind:
        return LLVMGetPointerAddressSpace(type) < 2 ? 'l' : 0;
    case LLVMVectorTypeKind:
        return letter_of(LLVMGetElementType(type)) == 'h' && LLVMGetVectorSize(type) == 2 ? 'v' : 0;
    default:
        return 0;
    }
}

char cg_spell_letter(LLVMValueRef value)
{
    return letter_of(LLVMTypeOf(value));
}

static bool is_word(LLVMTypeRef type)
{
    char letter = letter_of(type);
    return letter == 'r' || letter == 'f' || letter == 'v';
}

uint32_t cg_spell_width(LLVMTypeRef type)
{
    bool several = LLVMGetTypeKind(type) == LLVMStructTypeKind;
    return several ? LLVMCountStructElementTypes(type) : 1;
}

// ---- the list -----------------------------------------------------------------------------------

static size_t place_of(const struct spelling *s, LLVMValueRef value)
{
    size_t at = ((uintptr_t)value >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32;
    for (;; at++) {
        uint32_t item = s->table[at & (s->room - 1)];
        if (!item || s->items[item - 1].value == value) return at & (s->room - 1);
    }
}

struct spelled *cg_spell_find(const struct spelling *s, LLVMValueRef value)
{
    uint32_t item = s->table[place_of(s, value)];
    return item ? &s->items[item - 1] : NULL;
}

LLVMValueRef cg_spell_assembly(LLVMValueRef instruction)
{
    if (LLVMGetInstructionOpcode(instruction) != LLVMCall) return NULL;
    LLVMValueRef called = LLVMGetCalledValue(instruction);
    return LLVMIsAInlineAsm(called) ? called : NULL;
}

static uint32_t results_of(LLVMValueRef value)
{
    return cg_spell_width(LLVMTypeOf(value)) * (LLVMGetInstructionOpcode(value) == LLVMPHI ? 2 : 1);
}

static bool allocate(struct spelling *s, LLVMValueRef function)
{
    uint32_t count = 0, names = 1;
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b; b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) {
            count++;
            names += results_of(i);
        }
    for (s->room = 64; s->room < 2 * (size_t)count;) s->room *= 2;
    size_t numbers = s->room + names;
    size_t size = count * sizeof *s->items + numbers * sizeof *s->table;
    s->items = cg_allocate(&s->m->common.allocator, size);
    if (!s->items) return cg_fail(s->m, CG_ERROR_MEMORY, "out of memory");
    memset(s->items, 0, size);
    s->table = (uint32_t *)(s->items + count);
    s->names = s->table + s->room;
    return true;
}

static void list(struct spelling *s, LLVMValueRef function)
{
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(function); b; b = LLVMGetNextBasicBlock(b))
        for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) {
            struct spelled *item = &s->items[s->count++];
            item->value = i;
            item->block = b;
            item->names = s->name_count;
            item->results = results_of(i);
            s->name_count += item->results;
            s->table[place_of(s, i)] = s->count;
        }
}

void cg_spell_free(struct spelling *s)
{
    cg_release(&s->m->common.allocator, s->items);
}

// ---- mnemonics ----------------------------------------------------------------------------------

static const char *contracted(LLVMValueRef x, const char *free, const char *rounded)
{
    if (!is_float(x)) return NULL;
    return LLVMGetFastMathFlags(x) & LLVMFastMathAllowContract ? free : rounded;
}

static const char *of_words(LLVMValueRef x, const char *word, const char *predicate)
{
    return is_integer(x, 32) ? word : is_integer(x, 1) ? predicate : NULL;
}

static const char *of_comparison(LLVMValueRef x)
{
    static const char *const floats[] = {
        [LLVMRealOEQ] = "setp.eq.f32",  [LLVMRealOGT] = "setp.gt.f32",
        [LLVMRealOGE] = "setp.ge.f32",  [LLVMRealOLT] = "setp.lt.f32",
        [LLVMRealOLE] = "setp.le.f32",  [LLVMRealONE] = "setp.ne.f32",
        [LLVMRealORD] = "setp.num.f32", [LLVMRealUNO] = "setp.nan.f32",
        [LLVMRealUEQ] = "setp.equ.f32", [LLVMRealUGT] = "setp.gtu.f32",
        [LLVMRealUGE] = "setp.geu.f32", [LLVMRealULT] = "setp.ltu.f32",
        [LLVMRealULE] = "setp.leu.f32", [LLVMRealUNE] = "setp.neu.f32",
        [LLVMRealPredicateTrue] = NULL,
    };
    static const char *const integers[] = {
        "setp.eq.b32", "setp.ne.b32", "setp.gt.u32", "setp.ge.u32", "setp.lt.u32",
        "setp.le.u32", "setp.gt.s32", "setp.ge.s32", "setp.lt.s32", "setp.le.s32",
    };
    LLVMValueRef a = LLVMGetOperand(x, 0);
    if (LLVMGetInstructionOpcode(x) == LLVMFCmp)
        return is_float(a) ? floats[LLVMGetFCmpPredicate(x)] : NULL;
    return is_integer(a, 32) ? integers[LLVMGetICmpPredicate(x) - LLVMIntEQ] : NULL;
}

static const char *of_select(LLVMValueRef x)
{
    if (!is_integer(LLVMGetOperand(x, 0), 1)) return NULL;
    return is_float(x) ? "selp.f32" : is_integer(x, 32) ? "selp.b32" : NULL;
}

static const char *of_intrinsic(LLVMValueRef call)
{
    static const char *const names[][2] = {
        {"llvm.fma.f32", "fma.rn.f32"},      {"llvm.maxnum.f32", "max.f32"},
        {"llvm.minnum.f32", "min.f32"},      {"llvm.maximum.f32", "max.NaN.f32"},
        {"llvm.minimum.f32", "min.NaN.f32"}, {"llvm.fabs.f32", "abs.f32"},
        {"llvm.smax.i32", "max.s32"},        {"llvm.smin.i32", "min.s32"},
        {"llvm.umax.i32", "max.u32"},        {"llvm.umin.i32", "min.u32"},
    };
    size_t length;
    LLVMValueRef called = LLVMGetCalledValue(call);
    if (!called || !LLVMIsAFunction(called)) return NULL;
    const char *name = LLVMGetValueName2(called, &length);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i][0]) == length && !memcmp(names[i][0], name, length)) return names[i][1];
    return NULL;
}

const char *cg_spell_mnemonic(LLVMValueRef x)
{
    switch (LLVMGetInstructionOpcode(x)) {
    case LLVMFAdd:
        return contracted(x, "add.f32", "add.rn.f32");
    case LLVMFSub:
        return contracted(x, "sub.f32", "sub.rn.f32");
    case LLVMFMul:
        return contracted(x, "mul.f32", "mul.rn.f32");
    case LLVMFNeg:
        return is_float(x) ? "neg.f32" : NULL;
    case LLVMAdd:
        return of_words(x, "add.s32", NULL);
    case LLVMSub:
        return of_words(x, "sub.s32", NULL);
    case LLVMMul:
        return of_words(x, "mul.lo.s32", NULL);
    case LLVMShl:
        return of_words(x, "shl.b32", NULL);
    case LLVMLShr:
        return of_words(x, "shr.u32", NULL);
    case LLVMAShr:
        return of_words(x, "shr.s32", NULL);
    case LLVMAnd:
        return of_words(x, "and.b32", "and.pred");
    case LLVMOr:
        return of_words(x, "or.b32", "or.pred");
    case LLVMXor:
        return of_words(x, "xor.b32", "xor.pred");
    case LLVMFCmp:
    case LLVMICmp:
        return of_comparison(x);
    case LLVMSelect:
        return of_select(x);
    case LLVMCall:
        return of_intrinsic(x);
    default:
        return NULL;
    }
}

// ---- what can be text ---------------------------------------------------------------------------

static bool is_known(LLVMTypeRef type)
{
    LLVMTypeRef types[300];
    if (LLVMGetTypeKind(type) == LLVMVoidTypeKind) return true;
    if (LLVMGetTypeKind(type) != LLVMStructTypeKind) return is_word(type) || letter_of(type) == 'b';
    unsigned count = LLVMCountStructElementTypes(type);
    if (count > sizeof types / sizeof types[0]) return false;
    LLVMGetStructElementTypes(type, types);
    for (unsigned i = 0; i < count; i++)
        if (!is_word(types[i]) && letter_of(types[i]) != 'b') return false;
    return true;
}

static bool can_assemble(struct spelling *s, const struct spelled *item)
{
    unsigned count = LLVMGetNumArgOperands(item->value);
    if (!is_known(LLVMTypeOf(item->value))) return false;
    for (unsigned i = 0; i < count; i++) {
        char letter = cg_spell_letter(LLVMGetOperand(item->value, i));
        if (!letter || letter == 'v') return false;
    }
    if (item->results + count > s->most) s->most = item->results + count;
    return true;
}

static bool has_floats(LLVMValueRef call)
{
    LLVMTypeRef type = LLVMTypeOf(call);
    unsigned count = LLVMGetNumArgOperands(call);
    if (LLVMGetTypeKind(type) == LLVMStructTypeKind) type = LLVMStructGetTypeAtIndex(type, 0);
    if (LLVMGetTypeKind(type) == LLVMFloatTypeKind) return true;
    for (unsigned i = 0; i < count; i++)
        if (is_float(LLVMGetOperand(call, i))) return true;
    return false;
}

static bool is_struct(LLVMValueRef x)
{
    return LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMStructTypeKind && is_known(LLVMTypeOf(x));
}

static void judge(struct spelling *s, struct spelled *item)
{
    LLVMValueRef x = item->value;
    switch (LLVMGetInstructionOpcode(x)) {
    case LLVMPHI:
        item->can = is_word(LLVMTypeOf(x)) || is_struct(x);
        item->anchor = is_float(x) || is_struct(x);
        return;
    case LLVMBitCast:
        item->can = is_word(LLVMTypeOf(x)) && is_word(LLVMTypeOf(LLVMGetOperand(x, 0)));
        return;
    default:
        break;
    }
    if (cg_spell_assembly(x)) {
        item->can = can_assemble(s, item);
        item->anchor = item->can && has_floats(x);
    } else {
        item->can = cg_spell_mnemonic(x) != NULL;
        item->anchor = item->can && is_float(x);
    }
}

static bool can_be(const struct spelling *s, LLVMValueRef value)
{
    const struct spelled *item = LLVMIsAInstruction(value) ? cg_spell_find(s, value) : NULL;
    return item ? item->can : LLVMIsUndef(value);
}

// Several results at once are nothing for LLVM: where one takes part, all do that pass them on.
static bool is_alone(const struct spelling *s, const struct spelled *item)
{
    LLVMValueRef x = item->value;
    bool phi = LLVMIsAPHINode(x), fine = true;
    unsigned count = phi ? LLVMCountIncoming(x) : 0;
    for (unsigned i = 0; i < count && fine; i++) fine = can_be(s, LLVMGetIncomingValue(x, i));
    for (LLVMUseRef use = LLVMGetFirstUse(x); use && fine; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);
        bool names = LLVMGetInstructionOpcode(user) == LLVMExtractValue;
        fine = names || (LLVMIsAPHINode(user) && can_be(s, user));
    }
    return fine;
}

static void judge_structs(struct spelling *s)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < s->count; i++) {
            struct spelled *item = &s->items[i];
            if (!item->can || !is_struct(item->value) || is_alone(s, item)) continue;
            item->can = item->anchor = false;
            again = true;
        }
    }
}

// What a phi of several results gets has to be text as well.
static void keep_structs(struct spelled *item)
{
    if (!item->can || !is_struct(item->value)) return;
    for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use))
        item->anchor |= LLVMIsAPHINode(LLVMGetUser(use)) != NULL;
}

// A result of an assembly is what that is.
static void judge_result(const struct spelling *s, struct spelled *item)
{
    if (LLVMGetInstructionOpcode(item->value) != LLVMExtractValue) return;
    const struct spelled *from = cg_spell_find(s, LLVMGetOperand(item->value, 0));
    item->can = from && from->can;
    item->anchor = from && from->anchor;
}

// ---- what will be -------------------------------------------------------------------------------

static void leave(struct spelling *s, struct spelled *item);

static void leave_operand(struct spelling *s, LLVMValueRef value)
{
    struct spelled *item = cg_spell_find(s, value);
    if (item) leave(s, item);
}

// To LLVM: and with it what it is made from, for that has a user now that is no text, and what only
// gives its results other names.
static void leave(struct spelling *s, struct spelled *item)
{
    if (!item->chosen || item->anchor) return;
    item->chosen = false;
    unsigned count = (unsigned)LLVMGetNumOperands(item->value);
    for (unsigned i = 0; i < count; i++) leave_operand(s, LLVMGetOperand(item->value, i));
    for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use)) {
        LLVMValueRef user = LLVMGetUser(use);
        LLVMOpcode opcode = LLVMGetInstructionOpcode(user);
        if (opcode == LLVMExtractValue || opcode == LLVMBitCast) leave_operand(s, user);
    }
}

static bool used_by_others(const struct spelling *s, const struct spelled *item)
{
    for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use)) {
        const struct spelled *user = cg_spell_find(s, LLVMGetUser(use));
        if (!user || !user->chosen) return true;
    }
    return false;
}

// Addresses and guards of assembly are better made by LLVM.
static bool is_scalar(const struct spelled *item)
{
    if (item->anchor || !cg_spell_mnemonic(item->value)) return false;
    for (LLVMUseRef use = LLVMGetFirstUse(item->value); use; use = LLVMGetNextUse(use))
        if (cg_spell_assembly(LLVMGetUser(use))) return true;
    return false;
}

// Assembly that only does something goes where its operands are.
static bool takes_anchor(const struct spelling *s, LLVMValueRef call)
{
    unsigned count = LLVMGetNumArgOperands(call);
    for (unsigned i = 0; i < count; i++) {
        LLVMValueRef value = LLVMGetOperand(call, i);
        const struct spelled *item = LLVMIsAInstruction(value) ? cg_spell_find(s, value) : NULL;
        if (item && item->anchor) return true;
    }
    return false;
}

static void choose(struct spelling *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct spelled *item = &s->items[i];
        item->chosen = item->can;
        if (LLVMGetTypeKind(LLVMTypeOf(item->value)) == LLVMVoidTypeKind && item->can)
            item->chosen = item->anchor = takes_anchor(s, item->value);
    }
    for (uint32_t i = s->count; i-- > 0;) {
        struct spelled *item = &s->items[i];
        if (!item->chosen || item->anchor) continue;
        const struct spelled *from = NULL;
        bool names = LLVMGetInstructionOpcode(item->value) == LLVMBitCast;
        if (names) from = cg_spell_find(s, LLVMGetOperand(item->value, 0));
        if ((names && !(from && from->chosen)) || is_scalar(item) || used_by_others(s, item))
            leave(s, item);
    }
    for (uint32_t i = 0; i < s->count; i++)
        if (s->items[i].chosen) s->items[i].escapes = used_by_others(s, &s->items[i]);
}

// ---- sums of products ---------------------------------------------------------------------------

// A product of the same block, which may be added to without being rounded.
static struct spelled *product(const struct spelling *s, const struct spelled *sum,
                               unsigned operand)
{
    struct spelled *item = cg_spell_find(s, LLVMGetOperand(sum->value, operand));
    if (!item || item->block != sum->block) return NULL;
    if (LLVMGetInstructionOpcode(item->value) != LLVMFMul || !item->chosen) return NULL;
    return LLVMGetFastMathFlags(item->value) & LLVMFastMathAllowContract ? item : NULL;
}

bool cg_spell_used_once(LLVMValueRef value)
{
    LLVMUseRef use = LLVMGetFirstUse(value);
    return use && !LLVMGetNextUse(use);
}

// As LLVM does it: where both are products, the one that nobody else needs.
static void fuse(const struct spelling *s, struct spelled *sum)
{
    LLVMOpcode opcode = LLVMGetInstructionOpcode(sum->value);
    if (!sum->chosen || (opcode != LLVMFAdd && opcode != LLVMFSub)) return;
    if (!(LLVMGetFastMathFlags(sum->value) & LLVMFastMathAllowContract)) return;
    struct spelled *a = product(s, sum, 0), *b = product(s, sum, 1);
    struct spelled *chosen =
        a && !(b && cg_spell_used_once(b->value) && !cg_spell_used_once(a->value)) ? a : b;
    if (!chosen) return;
    sum->multiply = chosen->value;
    chosen->fused++;
}

bool cg_spell_choose(struct spelling *s, LLVMValueRef function)
{
    s->name_count = 1;
    if (!allocate(s, function)) return false;
    list(s, function);
    for (uint32_t i = 0; i < s->count; i++) judge(s, &s->items[i]);
    judge_structs(s);
    for (uint32_t i = 0; i < s->count; i++) keep_structs(&s->items[i]);
    for (uint32_t i = 0; i < s->count; i++) judge_result(s, &s->items[i]);
    choose(s);
    for (uint32_t i = 0; i < s->count; i++) fuse(s, &s->items[i]);
    return true;
}
