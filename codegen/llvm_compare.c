// SPDX-License-Identifier: MIT
//
// Comparisons, some of which are known when they are built: which bits of a value are sure.
#include "codegen/llvm.h"

// Bits of an integer that are surely 0, and surely 1.
struct known_bits {
    uint64_t zero, one;
};

static struct known_bits known_bits(LLVMValueRef value, unsigned depth);

static struct known_bits known_shifted(LLVMValueRef value, unsigned depth)
{
    LLVMValueRef amount = LLVMGetOperand(value, 1);
    if (!LLVMIsAConstantInt(amount)) return (struct known_bits){0, 0};
    uint64_t n = LLVMConstIntGetZExtValue(amount) & 63, low = (UINT64_C(1) << n) - 1;
    struct known_bits a = known_bits(LLVMGetOperand(value, 0), depth);
    LLVMOpcode opcode = LLVMGetInstructionOpcode(value);
    if (opcode == LLVMShl) return (struct known_bits){a.zero << n | low, a.one << n};
    unsigned width = LLVMGetIntTypeWidth(LLVMTypeOf(value));
    uint64_t inside = width < 64 ? (UINT64_C(1) << width) - 1 : ~UINT64_C(0);
    bool zeros = opcode == LLVMLShr || (a.zero >> (width - 1) & 1);
    if (!zeros) inside = 0; // copies of a sign that is not known: nothing is
    return (struct known_bits){zeros ? (a.zero & inside) >> n | ~(inside >> n) : 0,
                               (a.one & inside) >> n};
}

static struct known_bits known_bits(LLVMValueRef value, unsigned depth)
{
    if (LLVMIsAConstantInt(value)) {
        uint64_t bits = LLVMConstIntGetZExtValue(value);
        return (struct known_bits){~bits, bits};
    }
    if (!depth-- || !LLVMIsAInstruction(value)) return (struct known_bits){0, 0};
    LLVMOpcode opcode = LLVMGetInstructionOpcode(value);
    if (opcode == LLVMShl || opcode == LLVMLShr || opcode == LLVMAShr)
        return known_shifted(value, depth);
    if (opcode != LLVMAnd && opcode != LLVMOr && opcode != LLVMXor && opcode != LLVMAdd)
        return (struct known_bits){0, 0};
    struct known_bits a = known_bits(LLVMGetOperand(value, 0), depth);
    struct known_bits b = known_bits(LLVMGetOperand(value, 1), depth);
    if (opcode == LLVMAnd) return (struct known_bits){a.zero | b.zero, a.one & b.one};
    if (opcode == LLVMXor)
        return (struct known_bits){(a.zero & b.zero) | (a.one & b.one),
                                   (a.zero & b.one) | (a.one & b.zero)};
    // A sum without carries is an or.
    if (opcode == LLVMAdd && ~(a.zero | b.zero)) return (struct known_bits){0, 0};
    return (struct known_bits){a.zero & b.zero, a.one | b.one};
}

// Do the two differ in some bit whatever the thread is? Coordinates often do, and nobody but the
// emitter takes out a store under a predicate that never holds.
static bool surely_differ(LLVMValueRef a, LLVMValueRef b)
{
    enum { DEPTH = 6 };
    struct known_bits x = known_bits(a, DEPTH), y = known_bits(b, DEPTH);
    unsigned width = LLVMGetIntTypeWidth(LLVMTypeOf(a));
    uint64_t bits = width < 64 ? (UINT64_C(1) << width) - 1 : ~UINT64_C(0);
    return ((x.zero & y.one) | (x.one & y.zero)) & bits;
}

// value = *base + the result, none of them negative; false if that is not known.
static bool split_constant(LLVMValueRef value, LLVMValueRef *base, int64_t *constant)
{
    enum { DEPTH = 6 };
    *base = value;
    *constant = 0;
    if (LLVMIsAInstruction(value) && LLVMGetInstructionOpcode(value) == LLVMAdd &&
        LLVMIsAConstantInt(LLVMGetOperand(value, 1))) {
        *base = LLVMGetOperand(value, 0);
        *constant = LLVMConstIntGetSExtValue(LLVMGetOperand(value, 1));
    }
    uint64_t sign = UINT64_C(1) << 31;
    return !LLVMIsAConstant(*base) && *constant >= 0 && known_bits(value, DEPTH).zero & sign &&
           known_bits(*base, DEPTH).zero & sign;
}

// x + 8 < y + 16 as x - y < 8: of two coordinates only the difference is kept, for all registers.
static LLVMValueRef compare_difference(struct cg_module *m, enum cg_compare_op op, LLVMValueRef a,
                                       LLVMValueRef b, LLVMIntPredicate predicate)
{
    LLVMValueRef x, y;
    int64_t c, d;
    bool ordered = op == CG_COMPARE_SLT || op == CG_COMPARE_SLE || op == CG_COMPARE_SGT ||
                   op == CG_COMPARE_SGE;
    if (!ordered || LLVMTypeOf(a) != LLVMInt32TypeInContext(m->context->llvm) ||
        !split_constant(a, &x, &c) || !split_constant(b, &y, &d) || (!c && !d))
        return NULL;
    LLVMValueRef difference = LLVMBuildSub(m->builder, x, y, "");
    LLVMValueRef limit = LLVMConstInt(LLVMTypeOf(a), (uint64_t)(d - c), true);
    return LLVMBuildICmp(m->builder, predicate, difference, limit, "");
}

cg_value cg_compare(struct cg_module *m, enum cg_compare_op op, cg_value a, cg_value b)
{
    static const LLVMIntPredicate integers[] = {
        LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT, LLVMIntSLE, LLVMIntSGT,
        LLVMIntSGE, LLVMIntULT, LLVMIntULE, LLVMIntUGT, LLVMIntUGE,
    };
    static const LLVMRealPredicate floats[] = {
        LLVMRealOEQ, LLVMRealUNE, LLVMRealOLT, LLVMRealOLE, LLVMRealOGT, LLVMRealOGE, LLVMRealUNO,
    };
    cg_value operands[] = {a, b};
    if ((unsigned)op >= CG_COMPARE_COUNT || !cg_ready_with(m, operands, 2)) return NULL;
    cg_type type = cg_type_of(m, a);
    bool floating = op >= CG_COMPARE_FEQ;
    if (type != cg_type_of(m, b) || (floating ? !cg_is_float(type) : cg_is_float(type))) {
        cg_fail(m, CG_ERROR_USAGE, "comparison %d does not take these types", op);
        return NULL;
    }
    if ((op == CG_COMPARE_EQ || op == CG_COMPARE_NE) && !CG_LANES(type) && cg_is_integer(type) &&
        surely_differ(val(a), val(b)))
        return cg_integer(m, CG_I1, op == CG_COMPARE_NE);
    LLVMValueRef apart =
        floating ? NULL : compare_difference(m, op, val(a), val(b), integers[op]);
    if (apart) return handle(apart);
    if (!floating)
        return handle(LLVMBuildICmp(m->builder, integers[op], val(a), val(b), ""));
    LLVMRealPredicate predicate = floats[op - CG_COMPARE_FEQ];
    return cg_llvm_with_fast_math(m, LLVMBuildFCmp(m->builder, predicate, val(a), val(b), ""));
}
