// SPDX-License-Identifier: MIT
// Element by element: constants, casts, arithmetic, comparisons, selects.
//
// f16 and bf16 are computed in f32 and rounded once to nearest even, which for + - * / and sqrt is
// the correctly rounded result (f32 has more than twice their digits); fma has its own instruction.
#include "codegen/emit.h"

static bool is_float(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->is_float;
}

static bool is_half(kg_dtype dtype)
{
    return dtype == KG_F16 || dtype == KG_BF16;
}

cg_value emit_constant(kg_emit *e, kg_dtype dtype, double f, int64_t i)
{
    return is_float(dtype) ? cg_float(e->m, emit_type(dtype), f)
                           : cg_integer(e->m, emit_type(dtype), i);
}

// -- casts ----------------------------------------------------------------------------------------

static cg_value cast_float(kg_emit *e, kg_dtype from, kg_dtype to, cg_value x)
{
    struct cg_module *m = e->m;
    int a = kg_dtype_info_of(from)->bits, b = kg_dtype_info_of(to)->bits;
    if (a == b) // f16 and bf16
        x = cg_fpext(m, x, CG_F32), a = 32;
    return b > a ? cg_fpext(m, x, emit_type(to)) : cg_fptrunc(m, x, emit_type(to));
}

static cg_value cast_one(kg_emit *e, kg_dtype from, kg_dtype to, cg_value x)
{
    struct cg_module *m = e->m;
    cg_type type = emit_type(to);
    if (from == to) return x;
    if (is_float(from) && is_float(to)) return cast_float(e, from, to, x);
    if (to == KG_I1)
        return is_float(from) ? cg_fne(m, x, cg_float(m, emit_type(from), 0.0))
                              : cg_ne(m, x, cg_integer(m, emit_type(from), 0));
    if (is_half(from)) x = cg_fpext(m, x, CG_F32);
    if (is_float(from)) // through i32: conversions to narrower types would saturate differently
        return cg_type_bits(type) < 32 ? cg_trunc(m, cg_f2s(m, x, CG_I32), type)
                                       : cg_f2s(m, x, type);
    if (is_float(to)) {
        cg_type wide = is_half(to) ? CG_F32 : type;
        cg_value value = from == KG_I1 ? cg_u2f(m, x, wide) : cg_s2f(m, x, wide);
        return is_half(to) ? cg_fptrunc(m, value, type) : value;
    }
    if (cg_type_bits(type) < cg_type_bits(emit_type(from))) return cg_trunc(m, x, type);
    return from == KG_I1 ? cg_zext(m, x, type) : cg_sext(m, x, type);
}

// Neighbours are rounded in one instruction; the first argument becomes the upper half.
static void cast_pair(kg_emit *e, kg_dtype to, const cg_value *in, cg_value *out)
{
    struct cg_module *m = e->m;
    cg_value arguments[] = {in[1], in[0]};
    cg_value word = cg_template1(m, to == KG_F16 ? CG_PTX_CVT_F16X2_F32 : CG_PTX_CVT_BF16X2_F32,
                                 arguments, 2, NULL);
    cg_value pair = cg_bitcast(m, word, CG_VECTOR(emit_type(to), 2));
    out[0] = cg_lane(m, pair, 0);
    out[1] = cg_lane(m, pair, 1);
}

void emit_cast(kg_emit *e, kg_dtype from, kg_dtype to, const cg_value *in, int count, cg_value *out)
{
    int i = 0;
    if (from == KG_F32 && is_half(to))
        for (; i + 1 < count; i += 2) cast_pair(e, to, in + i, out + i);
    for (; i < count; i++) out[i] = cast_one(e, from, to, in[i]);
}

static cg_value to_f32(kg_emit *e, cg_value x)
{
    return cg_fpext(e->m, x, CG_F32);
}

// -- one operand ----------------------------------------------------------------------------------

static cg_value unary_integer(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value x)
{
    struct cg_module *m = e->m;
    cg_value zero = cg_integer(m, emit_type(dtype), 0);
    switch (code) {
    case KG_OP_NEG:
        return cg_sub(m, zero, x);
    case KG_OP_NOT:
        return cg_not(m, x);
    case KG_OP_ABS:
        return dtype == KG_I1 ? x : cg_smax(m, x, cg_sub(m, zero, x));
    case KG_OP_FLOOR:
    case KG_OP_CEIL:
    case KG_OP_ROUND:
        return x;
    default:
        return NULL;
    }
}

cg_value emit_unary(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value x)
{
    cg_value out;
    if (!is_float(dtype))
        out = unary_integer(e, code, dtype, x);
    else if (code == KG_OP_NEG)
        out = cg_fneg(e->m, x);
    else if (code == KG_OP_ABS)
        out = cg_fabs(e->m, x);
    else if (is_half(dtype))
        out = emit_math(e, code, KG_F32, to_f32(e, x));
    else
        out = emit_math(e, code, dtype, x);
    if (out && cg_type_of(e->m, out) == CG_F32 && is_half(dtype))
        out = cg_fptrunc(e->m, out, emit_type(dtype));
    if (!out && !cg_module_status(e->m)) {
        emit_error(e, KG_D_L303, "%s has no code for elements of type %s",
                   kg_op_info_of(code)->name, kg_dtype_info_of(dtype)->name);
        out = x;
    }
    return out;
}

// -- two operands ---------------------------------------------------------------------------------

// Quotient and remainder that round towards minus infinity, from those that round towards zero.
static cg_value floor_division(kg_emit *e, bool remainder, cg_value a, cg_value b)
{
    struct cg_module *m = e->m;
    cg_type type = cg_type_of(m, a);
    int64_t divisor;
    cg_value zero = cg_integer(m, type, 0);
    if (cg_is_constant(m, b, &divisor) && divisor > 0) {
        if ((divisor & (divisor - 1)) == 0)
            return remainder
                       ? cg_and(m, a, cg_integer(m, type, divisor - 1))
                       : cg_ashr(m, a, cg_integer(m, type, __builtin_ctzll((uint64_t)divisor)));
        cg_value rest = cg_srem(m, a, b), below = cg_slt(m, rest, zero);
        if (remainder) return cg_select(m, below, cg_add(m, rest, b), rest);
        return cg_add(m, cg_sdiv(m, a, b), cg_sext(m, below, type));
    }
    cg_value quotient = cg_sdiv(m, a, b), rest = cg_sub(m, a, cg_mul(m, quotient, b));
    cg_value signs = cg_slt(m, cg_xor(m, rest, b), zero);
    cg_value off = cg_and(m, cg_ne(m, rest, zero), signs);
    if (remainder) return cg_select(m, off, cg_add(m, rest, b), rest);
    return cg_add(m, quotient, cg_sext(m, off, type));
}

// A count of the width or more shifts everything out.
static cg_value shift(kg_emit *e, kg_opcode code, cg_value a, cg_value count)
{
    struct cg_module *m = e->m;
    cg_type type = cg_type_of(m, a);
    int64_t width = cg_type_bits(type);
    if (code == KG_OP_SHR) return cg_ashr(m, a, cg_umin(m, count, cg_integer(m, type, width - 1)));
    cg_value fits = cg_ult(m, count, cg_integer(m, type, width));
    cg_value safe = cg_select(m, fits, count, cg_integer(m, type, 0));
    return cg_select(m, fits, cg_shl(m, a, safe), cg_integer(m, type, 0));
}

static cg_value truth(kg_emit *e, kg_opcode code, cg_value a, cg_value b)
{
    struct cg_module *m = e->m;
    switch (code) {
    case KG_OP_ADD:
    case KG_OP_SUB:
    case KG_OP_XOR:
        return cg_xor(m, a, b);
    case KG_OP_MUL:
    case KG_OP_MIN:
    case KG_OP_AND:
        return cg_and(m, a, b);
    case KG_OP_MAX:
    case KG_OP_OR:
        return cg_or(m, a, b);
    default:
        return NULL;
    }
}

static cg_value binary_integer(kg_emit *e, kg_opcode code, cg_value a, cg_value b)
{
    struct cg_module *m = e->m;
    switch (code) {
    case KG_OP_ADD:
        return cg_add(m, a, b);
    case KG_OP_SUB:
        return cg_sub(m, a, b);
    case KG_OP_MUL:
        return cg_mul(m, a, b);
    case KG_OP_DIV:
    case KG_OP_MOD:
        return floor_division(e, code == KG_OP_MOD, a, b);
    case KG_OP_MIN:
        return cg_smin(m, a, b);
    case KG_OP_MAX:
        return cg_smax(m, a, b);
    case KG_OP_AND:
        return cg_and(m, a, b);
    case KG_OP_OR:
        return cg_or(m, a, b);
    case KG_OP_XOR:
        return cg_xor(m, a, b);
    case KG_OP_SHL:
    case KG_OP_SHR:
        return shift(e, code, a, b);
    default:
        return NULL;
    }
}

static cg_value binary_float(kg_emit *e, kg_opcode code, cg_value a, cg_value b)
{
    struct cg_module *m = e->m;
    switch (code) {
    case KG_OP_ADD:
        return cg_fadd(m, a, b);
    case KG_OP_SUB:
        return cg_fsub(m, a, b);
    case KG_OP_MUL:
        return cg_fmul(m, a, b);
    case KG_OP_DIV:
        return cg_fdiv(m, a, b);
    case KG_OP_MIN:
        return cg_fmin(m, a, b);
    case KG_OP_MAX:
        return cg_fmax(m, a, b);
    default:
        return NULL;
    }
}

cg_value emit_binary(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value a, cg_value b)
{
    cg_value out;
    if (dtype == KG_I1)
        out = truth(e, code, a, b);
    else if (!is_float(dtype))
        out = binary_integer(e, code, a, b);
    else if (is_half(dtype)) {
        out = binary_float(e, code, to_f32(e, a), to_f32(e, b));
        out = out ? cg_fptrunc(e->m, out, emit_type(dtype)) : NULL;
    } else
        out = binary_float(e, code, a, b);
    if (!out && !cg_module_status(e->m)) {
        emit_error(e, KG_D_L303, "%s has no code for elements of type %s",
                   kg_op_info_of(code)->name, kg_dtype_info_of(dtype)->name);
        out = a;
    }
    return out;
}

static cg_value compare(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value a, cg_value b)
{
    static const enum cg_compare_op floats[] = {CG_COMPARE_FEQ, CG_COMPARE_FNE, CG_COMPARE_FLT,
                                                CG_COMPARE_FLE, CG_COMPARE_FGT, CG_COMPARE_FGE};
    static const enum cg_compare_op integers[] = {CG_COMPARE_EQ,  CG_COMPARE_NE,  CG_COMPARE_SLT,
                                                  CG_COMPARE_SLE, CG_COMPARE_SGT, CG_COMPARE_SGE};
    static const enum cg_compare_op truths[] = {CG_COMPARE_EQ,  CG_COMPARE_NE,  CG_COMPARE_ULT,
                                                CG_COMPARE_ULE, CG_COMPARE_UGT, CG_COMPARE_UGE};
    int which = (int)code - KG_OP_EQ;
    if (is_half(dtype)) a = to_f32(e, a), b = to_f32(e, b);
    const enum cg_compare_op *row = is_float(dtype) ? floats : dtype == KG_I1 ? truths : integers;
    return cg_compare(e->m, row[which], a, b);
}

// -- ops ------------------------------------------------------------------------------------------

static cg_value bit_cast(kg_emit *e, kg_dtype to, cg_value x)
{
    cg_type type = emit_type(to);
    if (cg_type_of(e->m, x) == type) return x;
    if (to == KG_I1) return cg_ne(e->m, x, cg_integer(e->m, CG_I8, 0));
    if (cg_type_of(e->m, x) == CG_I1) return cg_zext(e->m, x, type);
    return cg_bitcast(e->m, x, type);
}

static cg_value ternary(kg_emit *e, const kg_op *op, const cg_value *x)
{
    kg_dtype dtype = op->results[0]->type.dtype;
    if (op->code == KG_OP_SELECT) return cg_select(e->m, x[0], x[1], x[2]);
    if (is_float(dtype)) return cg_fma(e->m, x[0], x[1], x[2]);
    return emit_binary(e, KG_OP_ADD, dtype, emit_binary(e, KG_OP_MUL, dtype, x[0], x[1]), x[2]);
}

static cg_value element(kg_emit *e, const kg_op *op, const cg_value *x)
{
    kg_dtype dtype = op->operands[0]->type.dtype;
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_U:
        return emit_unary(e, op->code, dtype, x[0]);
    case KG_CLASS_B:
        return emit_binary(e, op->code, dtype, x[0], x[1]);
    case KG_CLASS_C:
        return compare(e, op->code, dtype, x[0], x[1]);
    default:
        break;
    }
    if (op->code == KG_OP_BITCAST) return bit_cast(e, op->results[0]->type.dtype, x[0]);
    return ternary(e, op, x);
}

static void emit_const(kg_emit *e, kg_op *op)
{
    kg_value *result = op->results[0];
    const kg_attr *f = kg_op_attr(op, KG_A_VALUE_FLOAT);
    int64_t i = kg_op_int(op, KG_A_VALUE_INT, 0);
    int count = emit_register_count(result);
    cg_value *out = emit_new_registers(e, count);
    for (int r = 0; r < count; r++)
        out[r] = emit_constant(e, result->type.dtype, f ? f->f : (double)i, i);
    emit_define(e, result, out);
}

static bool is_elementwise(kg_opcode code)
{
    kg_op_class cls = kg_op_info_of(code)->cls;
    return cls == KG_CLASS_U || cls == KG_CLASS_B || cls == KG_CLASS_C || code == KG_OP_SELECT ||
           code == KG_OP_FMA || code == KG_OP_BITCAST || code == KG_OP_CAST;
}

// An op in the making: what it reads and makes, by register.
typedef struct making {
    kg_op *op;
    cg_value *operands[3], *out;
    int count;
} making;

static bool open_making(kg_emit *e, kg_op *op, making *x)
{
    kg_value *result = op->results[0];
    *x = (making){.op = op, .count = emit_register_count(result)};
    for (int i = 0; i < op->n_operands && i < 3; i++)
        if (!(x->operands[i] = emit_read_as(e, op->operands[i], result->layout, x->count)))
            return false;
    x->out = emit_new_registers(e, x->count);
    emit_define(e, result, x->out);
    return true;
}

static void make(kg_emit *e, const making *x, int first, int count)
{
    const kg_op *op = x->op;
    cg_value each[3] = {NULL};
    if (op->code == KG_OP_CAST) {
        emit_cast(e, op->operands[0]->type.dtype, op->results[0]->type.dtype,
                  x->operands[0] + first, count, x->out + first);
        return;
    }
    for (int r = first; r < first + count; r++) {
        for (int i = 0; i < op->n_operands && i < 3; i++) each[i] = x->operands[i][r];
        x->out[r] = element(e, op, each);
    }
}

bool emit_elementwise(kg_emit *e, kg_op *op)
{
    making x;
    if (op->code == KG_OP_CONST) {
        emit_const(e, op);
        return true;
    }
    if (!is_elementwise(op->code)) return false;
    if (open_making(e, op, &x)) make(e, &x, 0, x.count);
    return true;
}

// ---- strips -------------------------------------------------------------------------------------
// Op by op, two results of 128 registers each would be alive at once. So where several ops follow
// each other on large fragments, a few registers go through all of them before the next few.
enum { STRIP = 16, STRIP_LEAST = 96, STRIP_OPS = 48 };

static bool in_run(const making *run, int n, const kg_value *value)
{
    for (int i = 0; i < n; i++)
        if (run[i].op->results[0] == value) return true;
    return false;
}

static bool depends(const making *run, int n, const kg_op *op)
{
    for (int i = 0; i < op->n_operands; i++)
        if (in_run(run, n, op->operands[i])) return true;
    return false;
}

// Nothing moves between registers on the way from one op of the run to the next.
static bool fits(const making *run, int n, const kg_op *op)
{
    const kg_value *result = op->results[0];
    int count = emit_register_count(run[0].op->results[0]);
    if (!result->layout || emit_register_count(result) != count) return false;
    for (int i = 0; i < op->n_operands; i++) {
        const kg_layout *from = op->operands[i]->layout;
        if (in_run(run, n, op->operands[i]) &&
            (!from || (from != result->layout && !kg_layout_equal(from, result->layout))))
            return false;
    }
    return true;
}

// Without instructions of its own: constants, and what repeats one value.
static bool only_names(const kg_op *op)
{
    return op->code == KG_OP_CONST || op->code == KG_OP_BROADCAST || op->code == KG_OP_EXPAND ||
           op->code == KG_OP_PART || op->code == KG_OP_VIEW;
}

static bool starts_run(const kg_op *op)
{
    return op->n_results && is_elementwise(op->code) && op->results[0]->layout &&
           emit_register_count(op->results[0]) >= STRIP_LEAST;
}

kg_op *emit_strips(kg_emit *e, kg_op *op)
{
    making run[STRIP_OPS];
    int n = 0;
    kg_op *last = NULL;
    if (!starts_run(op)) return NULL;
    for (kg_op *next = op; next && n < STRIP_OPS && !e->failed; next = next->next) {
        e->op = next;
        if (only_names(next) && !depends(run, n, next)) {
            emit_op(e, next);
        } else {
            if (!next->n_results || !is_elementwise(next->code)) break;
            if (n && !fits(run, n, next)) break;
            if (!open_making(e, next, &run[n++])) break;
        }
        last = next;
    }
    for (int first = 0; n && first < run[0].count && !e->failed; first += STRIP)
        for (int i = 0; i < n; i++) {
            int left = run[0].count - first;
            e->op = run[i].op;
            cg_line(e->m, (unsigned)e->op->loc.line, (unsigned)e->op->loc.column);
            make(e, &run[i], first, left < STRIP ? left : STRIP);
        }
    return last;
}
