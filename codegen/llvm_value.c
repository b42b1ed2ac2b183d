// SPDX-License-Identifier: MIT
//
// Constants, arithmetic, conversions and vectors.
#include "codegen/llvm.h"

#include <string.h>

cg_value cg_integer(struct cg_module *m, cg_type type, int64_t value)
{
    if (m->common.status) return NULL;
    if (!cg_is_integer(type) || CG_LANES(type)) {
        cg_fail(m, CG_ERROR_USAGE, "an integer constant needs an integer type");
        return NULL;
    }
    unsigned width = cg_type_bits(type);
    uint64_t bits = width < 64 ? (uint64_t)value & ((UINT64_C(1) << width) - 1) : (uint64_t)value;
    return handle(LLVMConstInt(cg_llvm_type(m, type), bits, false));
}

cg_value cg_float(struct cg_module *m, cg_type type, double value)
{
    if (m->common.status) return NULL;
    if (cg_is_float(type) && !CG_LANES(type))
        return handle(LLVMConstReal(cg_llvm_type(m, type), value));
    cg_fail(m, CG_ERROR_USAGE, "a floating-point constant needs a floating-point type");
    return NULL;
}

cg_value cg_undefined(struct cg_module *m, cg_type type)
{
    return m->common.status || type == CG_VOID ? NULL : handle(LLVMGetUndef(cg_llvm_type(m, type)));
}

bool cg_is_constant(struct cg_module *m, cg_value value, int64_t *out)
{
    if (m->common.status || !value || !LLVMIsAConstantInt(val(value))) return false;
    *out = LLVMConstIntGetSExtValue(val(value));
    return true;
}

bool cg_is_zero(struct cg_module *m, cg_value value)
{
    return !m->common.status && value && LLVMIsConstant(val(value)) && LLVMIsNull(val(value));
}

void cg_set_fast_math(struct cg_module *m, unsigned flags)
{
    m->fast_math = flags;
}

cg_value cg_llvm_with_fast_math(struct cg_module *m, LLVMValueRef value)
{
    static const LLVMFastMathFlags map[] = {
        LLVMFastMathAllowReassoc,   LLVMFastMathNoNaNs,         LLVMFastMathNoInfs,
        LLVMFastMathNoSignedZeros,  LLVMFastMathAllowReciprocal, LLVMFastMathAllowContract,
        LLVMFastMathApproxFunc,
    };
    unsigned flags = 0;
    for (unsigned i = 0; i < sizeof map / sizeof map[0]; i++)
        if (m->fast_math & 1u << i) flags |= map[i];
    // Constants fold away and carry no flags.
    if (LLVMIsAInstruction(value) && LLVMCanValueUseFastMathFlags(value))
        LLVMSetFastMathFlags(value, flags);
    return handle(value);
}

// An overloaded intrinsic of LLVM. Looked up, because an unknown name would become a call to
// nowhere without a word.
static cg_value intrinsic(struct cg_module *m, const char *name, cg_type type,
                          LLVMValueRef *operands, unsigned count)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMTypeRef overload = cg_llvm_type(m, type);
    if (!id) {
        cg_fail(m, CG_ERROR_LLVM, "this LLVM has no %s", name);
        return NULL;
    }
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(m->llvm, id, &overload, 1);
    LLVMTypeRef signature = LLVMIntrinsicGetType(m->context->llvm, id, &overload, 1);
    return cg_llvm_with_fast_math(
        m, LLVMBuildCall2(m->builder, signature, callee, operands, count, ""));
}

// An operation is an opcode or, if named, an intrinsic.
struct operation {
    bool floating;
    LLVMOpcode opcode;
    const char *intrinsic;
};

static const struct operation binary_ops[CG_BINARY_COUNT] = {
    [CG_ADD] = {false, LLVMAdd},       [CG_SUB] = {false, LLVMSub},
    [CG_MUL] = {false, LLVMMul},       [CG_SDIV] = {false, LLVMSDiv},
    [CG_UDIV] = {false, LLVMUDiv},     [CG_SREM] = {false, LLVMSRem},
    [CG_UREM] = {false, LLVMURem},     [CG_SHL] = {false, LLVMShl},
    [CG_LSHR] = {false, LLVMLShr},     [CG_ASHR] = {false, LLVMAShr},
    [CG_AND] = {false, LLVMAnd},       [CG_OR] = {false, LLVMOr},
    [CG_XOR] = {false, LLVMXor},       [CG_FADD] = {true, LLVMFAdd},
    [CG_FSUB] = {true, LLVMFSub},      [CG_FMUL] = {true, LLVMFMul},
    [CG_FDIV] = {true, LLVMFDiv},      [CG_SMIN] = {false, 0, "llvm.smin"},
    [CG_SMAX] = {false, 0, "llvm.smax"}, [CG_UMIN] = {false, 0, "llvm.umin"},
    [CG_UMAX] = {false, 0, "llvm.umax"}, [CG_FMIN] = {true, 0, "llvm.minnum"},
    [CG_FMAX] = {true, 0, "llvm.maxnum"}, [CG_FMIN_NAN] = {true, 0, "llvm.minimum"},
    [CG_FMAX_NAN] = {true, 0, "llvm.maximum"}, [CG_COPYSIGN] = {true, 0, "llvm.copysign"},
};

// a + (x + constant) as (a + x) + constant: the registers of a tile, which differ by constants,
// then share a + x, and nobody keeps each x + constant for it.
static LLVMValueRef add_outward(struct cg_module *m, LLVMValueRef a, LLVMValueRef b)
{
    if (!LLVMIsAInstruction(b) || LLVMGetInstructionOpcode(b) != LLVMAdd || LLVMIsAConstant(a))
        return NULL;
    LLVMValueRef constant = LLVMGetOperand(b, 1);
    if (!LLVMIsAConstantInt(constant)) return NULL;
    LLVMValueRef sum = LLVMBuildAdd(m->builder, a, LLVMGetOperand(b, 0), "");
    return LLVMBuildAdd(m->builder, sum, constant, "");
}

cg_value cg_binary(struct cg_module *m, enum cg_binary_op op, cg_value a, cg_value b)
{
    cg_value operands[] = {a, b};
    if ((unsigned)op >= CG_BINARY_COUNT || !cg_ready_with(m, operands, 2)) return NULL;
    const struct operation *row = &binary_ops[op];
    cg_type type = cg_type_of(m, a);
    if (type != cg_type_of(m, b) || !(row->floating ? cg_is_float(type) : cg_is_integer(type))) {
        cg_fail(m, CG_ERROR_USAGE, "binary operation %d does not take these types", op);
        return NULL;
    }
    LLVMValueRef values[] = {val(a), val(b)};
    if (row->intrinsic) return intrinsic(m, row->intrinsic, type, values, 2);
    LLVMValueRef outward = op == CG_ADD ? add_outward(m, val(a), val(b)) : NULL;
    if (outward) return handle(outward);
    if (op == CG_AND && (cg_is_zero(m, a) || cg_is_zero(m, b))) return cg_is_zero(m, a) ? a : b;
    return cg_llvm_with_fast_math(m, LLVMBuildBinOp(m->builder, row->opcode, val(a), val(b), ""));
}

static const struct operation unary_ops[CG_UNARY_COUNT] = {
    [CG_UNARY_NOT] = {false},
    [CG_UNARY_NEG] = {false},
    [CG_UNARY_FNEG] = {true},
    [CG_UNARY_FABS] = {true, 0, "llvm.fabs"},
    [CG_UNARY_SQRT] = {true, 0, "llvm.sqrt"},
    [CG_UNARY_FLOOR] = {true, 0, "llvm.floor"},
    [CG_UNARY_CEIL] = {true, 0, "llvm.ceil"},
    [CG_UNARY_TRUNC] = {true, 0, "llvm.trunc"},
    [CG_UNARY_ROUND] = {true, 0, "llvm.roundeven"},
    [CG_UNARY_POPCOUNT] = {false, 0, "llvm.ctpop"},
    [CG_UNARY_CLZ] = {false, 0, "llvm.ctlz"},
    [CG_UNARY_CTZ] = {false, 0, "llvm.cttz"},
    [CG_UNARY_REVERSE] = {false, 0, "llvm.bitreverse"},
};

cg_value cg_unary(struct cg_module *m, enum cg_unary_op op, cg_value a)
{
    if ((unsigned)op >= CG_UNARY_COUNT || !cg_ready_with(m, &a, 1)) return NULL;
    cg_type type = cg_type_of(m, a);
    if (!(unary_ops[op].floating ? cg_is_float(type) : cg_is_integer(type))) {
        cg_fail(m, CG_ERROR_USAGE, "unary operation %d does not take this type", op);
        return NULL;
    }
    if (op == CG_UNARY_NOT) return handle(LLVMBuildNot(m->builder, val(a), ""));
    if (op == CG_UNARY_NEG) return handle(LLVMBuildNeg(m->builder, val(a), ""));
    if (op == CG_UNARY_FNEG)
        return cg_llvm_with_fast_math(m, LLVMBuildFNeg(m->builder, val(a), ""));
    // Counts of zeros take a second operand: zero is a legal input.
    bool counts = op == CG_UNARY_CLZ || op == CG_UNARY_CTZ;
    LLVMValueRef values[] = {val(a), LLVMConstInt(cg_llvm_type(m, CG_I1), 0, false)};
    return intrinsic(m, unary_ops[op].intrinsic, type, values, counts ? 2 : 1);
}

cg_value cg_fma(struct cg_module *m, cg_value a, cg_value b, cg_value c)
{
    cg_value operands[] = {a, b, c};
    if (!cg_ready_with(m, operands, 3)) return NULL;
    cg_type type = cg_type_of(m, a);
    if (!cg_is_float(type) || !cg_expect(m, b, type) || !cg_expect(m, c, type)) {
        cg_fail(m, CG_ERROR_USAGE, "fma needs three floating-point values of one type");
        return NULL;
    }
    LLVMValueRef values[] = {val(a), val(b), val(c)};
    return intrinsic(m, "llvm.fma", type, values, 3);
}

cg_value cg_select(struct cg_module *m, cg_value condition, cg_value a, cg_value b)
{
    cg_value operands[] = {condition, a, b};
    if (!cg_ready_with(m, operands, 3) || !cg_expect(m, condition, CG_I1)) return NULL;
    if (!cg_expect(m, b, cg_type_of(m, a))) return NULL;
    if (LLVMIsAConstantInt(val(condition)))
        return LLVMConstIntGetZExtValue(val(condition)) ? a : b;
    return handle(LLVMBuildSelect(m->builder, val(condition), val(a), val(b), ""));
}

static LLVMValueRef bit_cast(struct cg_module *m, cg_value a, cg_type from, cg_type to)
{
    LLVMTypeRef type = cg_llvm_type(m, to);
    if (from == to) return val(a);
    if (cg_type_bits(from) != cg_type_bits(to) || cg_type_bits(to) > 64) return NULL;
    if (cg_is_pointer(from) && to == CG_I64) return LLVMBuildPtrToInt(m->builder, val(a), type, "");
    if (cg_is_pointer(to) && from == CG_I64) return LLVMBuildIntToPtr(m->builder, val(a), type, "");
    if (cg_is_pointer(from) || cg_is_pointer(to)) return NULL;
    if (LLVMIsABitCastInst(val(a)) && LLVMTypeOf(LLVMGetOperand(val(a), 0)) == type)
        return LLVMGetOperand(val(a), 0);
    return LLVMBuildBitCast(m->builder, val(a), type, "");
}

cg_value cg_convert(struct cg_module *m, enum cg_convert_op op, cg_value a, cg_type to)
{
    if ((unsigned)op >= CG_CONVERT_COUNT || !cg_ready_with(m, &a, 1)) return NULL;
    static const LLVMOpcode opcodes[] = {
        LLVMZExt,   LLVMSExt,   LLVMTrunc,  LLVMFPExt,  LLVMFPTrunc,
        LLVMSIToFP, LLVMUIToFP, LLVMFPToSI, LLVMFPToUI,
    };
    cg_type from = cg_type_of(m, a);
    LLVMValueRef result = NULL;
    if (op == CG_CONVERT_BITCAST)
        result = bit_cast(m, a, from, to);
    else if (cg_converts(op, from, to))
        result = LLVMBuildCast(m->builder, opcodes[op], val(a), cg_llvm_type(m, to), "");
    if (!result)
        cg_fail(m, CG_ERROR_USAGE, "conversion %d does not go from type %#x to type %#x", op, from,
                to);
    return handle(result);
}

static LLVMValueRef lane_index(struct cg_module *m, unsigned lane)
{
    return LLVMConstInt(LLVMInt32TypeInContext(m->context->llvm), lane, false);
}

// The vector whose lanes these are, all of them in order; NULL: none. A word of two rounded numbers
// is taken apart by the one op and put together again by the next; not all passes that follow would
// see through that.
static LLVMValueRef vector_of(LLVMTypeRef type, const cg_value *lanes, unsigned count)
{
    LLVMValueRef whole = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (!LLVMIsAExtractElementInst(val(lanes[i]))) return NULL;
        LLVMValueRef from = LLVMGetOperand(val(lanes[i]), 0);
        LLVMValueRef index = LLVMGetOperand(val(lanes[i]), 1);
        if (i ? from != whole : LLVMTypeOf(from) != type) return NULL;
        if (!LLVMIsAConstantInt(index) || LLVMConstIntGetZExtValue(index) != i) return NULL;
        whole = from;
    }
    return whole;
}

cg_value cg_pack(struct cg_module *m, cg_type vector, const cg_value *lanes)
{
    if (!cg_ready_with(m, lanes, CG_LANES(vector))) return NULL;
    LLVMValueRef whole = vector_of(cg_llvm_type(m, vector), lanes, CG_LANES(vector));
    if (whole) return handle(whole);
    LLVMValueRef packed = LLVMGetUndef(cg_llvm_type(m, vector));
    for (unsigned i = 0; i < CG_LANES(vector); i++) {
        if (!cg_expect(m, lanes[i], CG_KIND(vector))) return NULL;
        packed = LLVMBuildInsertElement(m->builder, packed, val(lanes[i]), lane_index(m, i), "");
    }
    return handle(packed);
}

cg_value cg_lane(struct cg_module *m, cg_value vector, unsigned lane)
{
    if (!cg_ready_with(m, &vector, 1)) return NULL;
    if (lane < CG_LANES(cg_type_of(m, vector)))
        return handle(LLVMBuildExtractElement(m->builder, val(vector), lane_index(m, lane), ""));
    cg_fail(m, CG_ERROR_USAGE, "the vector has no lane %u", lane);
    return NULL;
}
