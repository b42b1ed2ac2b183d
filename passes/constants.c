// SPDX-License-Identifier: MIT
// Constants: what an elementwise op gives on constant operands, to the last bit as on the GPU.
//
// Integers wrap to their width. f32 and f64 use the host's IEEE arithmetic. f16 and bf16 results
// are computed in f64 and rounded once: with 53 bits against 11 and 8 the double rounding of + - *
// / and sqrt is innocuous. Ops that the GPU computes by an approximate instruction (exp, rsqrt,
// ...) are not evaluated.
#include "passes/rewrite.h"

#include <math.h>
#include <string.h>

static bool is_float(kg_dtype dtype)
{
    return kg_dtype_info_of(dtype)->is_float;
}

// Sign-extends from the width of the type; a truth value keeps its lowest bit.
static int64_t wrap(kg_dtype dtype, int64_t value)
{
    switch (dtype) {
    case KG_I1: return value & 1;
    case KG_I8: return (int8_t)value;
    case KG_I16: return (int16_t)value;
    case KG_I32: return (int32_t)value;
    default: return value;
    }
}

// Nearest value with `digits` significant bits and exponents as of a format whose smallest normal
// number is 2^min_exponent and whose largest is below 2^max_exponent; ties to even.
static double round_to(double x, int digits, int min_exponent, int max_exponent)
{
    if (x == 0 || !isfinite(x))
        return x;
    int exponent; // x = m * 2^exponent, 0.5 <= |m| < 1
    frexp(x, &exponent);
    int lowest = exponent - digits;
    if (lowest < min_exponent - digits + 1)
        lowest = min_exponent - digits + 1;
    double rounded = ldexp(rint(ldexp(x, -lowest)), lowest);
    return fabs(rounded) >= ldexp(1, max_exponent) ? copysign(INFINITY, x) : rounded;
}

// x rounded to the type; false for types that are not evaluated.
static bool round_float(kg_dtype dtype, double x, double *out)
{
    switch (dtype) {
    case KG_F16: *out = round_to(x, 11, -14, 16); return true;
    case KG_BF16: *out = round_to(x, 8, -126, 128); return true;
    case KG_F32: *out = (float)x; return true;
    case KG_F64: *out = x; return true;
    default: return false;
    }
}

static bool eval_float_binary(kg_opcode code, kg_dtype dtype, double a, double b, double *out)
{
    bool single = dtype == KG_F32;
    float x = (float)a, y = (float)b;
    switch (code) {
    case KG_OP_ADD: *out = single ? (double)(x + y) : a + b; break;
    case KG_OP_SUB: *out = single ? (double)(x - y) : a - b; break;
    case KG_OP_MUL: *out = single ? (double)(x * y) : a * b; break;
    case KG_OP_DIV: *out = single ? (double)(x / y) : a / b; break;
    case KG_OP_MIN:
        *out = isnan(a) ? b : isnan(b) ? a : a < b || (a == b && signbit(a)) ? a : b;
        break;
    case KG_OP_MAX:
        *out = isnan(a) ? b : isnan(b) ? a : a > b || (a == b && !signbit(a)) ? a : b;
        break;
    default: return false;
    }
    return round_float(dtype, *out, out);
}

// Quotient towards minus infinity; b is neither 0 nor -1.
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool eval_divide(kg_opcode code, int64_t a, int64_t b, int64_t *out)
{
    if (b == 0)
        return false;
    if (b == -1)
        *out = code == KG_OP_DIV ? (int64_t)(0 - (uint64_t)a) : 0;
    else
        *out = code == KG_OP_DIV ? floor_div(a, b) : a - b * floor_div(a, b);
    return true;
}

static bool eval_shift(kg_opcode code, int bits, int64_t a, int64_t b, int64_t *out)
{
    if (b < 0 || (code == KG_OP_SHR && b >= bits))
        return false;
    if (code == KG_OP_SHL)
        *out = b >= bits ? 0 : (int64_t)((uint64_t)a << b);
    else
        *out = a >> b;
    return true;
}

static bool eval_int_binary(kg_opcode code, kg_dtype dtype, int64_t a, int64_t b, int64_t *out)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    int bits = kg_dtype_info_of(dtype)->bits;
    bool truth = dtype == KG_I1;
    switch (code) {
    case KG_OP_AND: *out = a & b; break;
    case KG_OP_OR: *out = a | b; break;
    case KG_OP_XOR: *out = a ^ b; break;
    case KG_OP_MIN: *out = a < b ? a : b; return !truth;
    case KG_OP_MAX: *out = a > b ? a : b; return !truth;
    case KG_OP_ADD: *out = (int64_t)(x + y); break;
    case KG_OP_SUB: *out = (int64_t)(x - y); break;
    case KG_OP_MUL: *out = (int64_t)(x * y); break;
    case KG_OP_DIV:
    case KG_OP_MOD:
        if (truth || !eval_divide(code, a, b, out))
            return false;
        break;
    case KG_OP_SHL:
    case KG_OP_SHR:
        if (truth || !eval_shift(code, bits, a, b, out))
            return false;
        break;
    default: return false;
    }
    *out = wrap(dtype, *out);
    return !truth || code == KG_OP_AND || code == KG_OP_OR || code == KG_OP_XOR;
}

static bool eval_compare(kg_opcode code, const kg_constant *a, const kg_constant *b, int64_t *out)
{
    bool f = is_float(a->dtype);
    switch (code) {
    case KG_OP_EQ: *out = f ? a->f == b->f : a->i == b->i; return true;
    case KG_OP_NE: *out = f ? a->f != b->f : a->i != b->i; return true;
    case KG_OP_LT: *out = f ? a->f < b->f : a->i < b->i; return true;
    case KG_OP_LE: *out = f ? a->f <= b->f : a->i <= b->i; return true;
    case KG_OP_GT: *out = f ? a->f > b->f : a->i > b->i; return true;
    case KG_OP_GE: *out = f ? a->f >= b->f : a->i >= b->i; return true;
    default: return false;
    }
}

static bool eval_float_unary(kg_opcode code, kg_dtype dtype, double x, double *out)
{
    switch (code) {
    case KG_OP_NEG: *out = -x; break;
    case KG_OP_ABS: *out = fabs(x); break;
    case KG_OP_FLOOR: *out = floor(x); break;
    case KG_OP_CEIL: *out = ceil(x); break;
    case KG_OP_ROUND: *out = rint(x); break;
    case KG_OP_SQRT: *out = dtype == KG_F32 ? (double)sqrtf((float)x) : sqrt(x); break;
    case KG_OP_EXP:
    case KG_OP_EXP2: // ex2.approx is exact at 0
        if (x != 0)
            return false;
        *out = 1;
        break;
    default: return false;
    }
    return round_float(dtype, *out, out);
}

static bool eval_int_unary(kg_opcode code, kg_dtype dtype, int64_t x, int64_t *out)
{
    switch (code) {
    case KG_OP_NEG: *out = wrap(dtype, (int64_t)(0 - (uint64_t)x)); return dtype != KG_I1;
    case KG_OP_NOT: *out = wrap(dtype, ~x); return true;
    case KG_OP_ABS:
        *out = wrap(dtype, x < 0 ? (int64_t)(0 - (uint64_t)x) : x);
        return dtype != KG_I1;
    default: return false;
    }
}

// Casts to a truth value are left to the code generator; a float out of the integer's range too.
static bool eval_cast(const kg_constant *a, kg_constant *out)
{
    bool from = is_float(a->dtype), to = is_float(out->dtype);
    if (a->dtype == out->dtype) {
        *out = *a;
        return true;
    }
    if (out->dtype == KG_I1 ||
        (to && a->dtype == KG_I64 && out->dtype != KG_F64 && out->dtype != KG_F32))
        return false;
    if (!to) {
        double limit = ldexp(1, kg_dtype_info_of(out->dtype)->bits - 1), x = trunc(a->f);
        if (from && !(x >= -limit && x < limit))
            return false;
        out->i = wrap(out->dtype, from ? (int64_t)x : a->i);
        return true;
    }
    if (from)
        return round_float(out->dtype, a->f, &out->f);
    if (out->dtype == KG_F32) { // one rounding, also from i64
        out->f = (float)a->i;
        return true;
    }
    return round_float(out->dtype, (double)a->i, &out->f);
}

static bool eval_bitcast(const kg_constant *a, kg_constant *out)
{
    float single;
    int32_t word;
    if (is_float(a->dtype) && isnan(a->f)) // a NaN's payload does not survive the text
        return false;
    if (a->dtype == KG_F32 && out->dtype == KG_I32) {
        single = (float)a->f;
        memcpy(&word, &single, 4);
        out->i = word;
    } else if (a->dtype == KG_I32 && out->dtype == KG_F32) {
        word = (int32_t)a->i;
        memcpy(&single, &word, 4);
        out->f = single;
    } else if (a->dtype == KG_F64 && out->dtype == KG_I64) {
        memcpy(&out->i, &a->f, 8);
    } else if (a->dtype == KG_I64 && out->dtype == KG_F64) {
        memcpy(&out->f, &a->i, 8);
    } else {
        return false;
    }
    return !is_float(out->dtype) || !isnan(out->f);
}

static bool eval_fma(const kg_constant *v, kg_constant *out)
{
    if (out->dtype == KG_F32)
        out->f = fmaf((float)v[0].f, (float)v[1].f, (float)v[2].f);
    else if (out->dtype == KG_F64)
        out->f = fma(v[0].f, v[1].f, v[2].f);
    else if (!is_float(out->dtype) && out->dtype != KG_I1)
        out->i =
            wrap(out->dtype, (int64_t)((uint64_t)v[0].i * (uint64_t)v[1].i + (uint64_t)v[2].i));
    else
        return false; // f16, bf16: f64 would round twice
    return true;
}

bool kg_constant_eval(const kg_op *op, const kg_constant *v, kg_constant *out)
{
    *out = (kg_constant){.dtype = op->results[0]->type.dtype};
    bool f = is_float(v[0].dtype);
    switch (kg_op_info_of(op->code)->cls) {
    case KG_CLASS_U:
        return f ? eval_float_unary(op->code, out->dtype, v[0].f, &out->f)
                 : eval_int_unary(op->code, out->dtype, v[0].i, &out->i);
    case KG_CLASS_B:
        return f ? eval_float_binary(op->code, out->dtype, v[0].f, v[1].f, &out->f)
                 : eval_int_binary(op->code, out->dtype, v[0].i, v[1].i, &out->i);
    case KG_CLASS_C: return eval_compare(op->code, &v[0], &v[1], &out->i);
    default: break;
    }
    switch (op->code) {
    case KG_OP_CAST: return eval_cast(&v[0], out);
    case KG_OP_BITCAST: return eval_bitcast(&v[0], out);
    case KG_OP_FMA: return eval_fma(v, out);
    case KG_OP_SELECT: *out = v[0].i ? v[1] : v[2]; return true;
    default: return false;
    }
}

bool kg_constant_of(const kg_value *value, kg_constant *out)
{
    while (value->kind == KG_VALUE_RESULT && value->op->code != KG_OP_CONST) {
        kg_opcode code = value->op->code;
        if (code != KG_OP_BROADCAST && code != KG_OP_EXPAND && code != KG_OP_TRANSPOSE &&
            code != KG_OP_CONVERT && code != KG_OP_PART)
            return false;
        value = value->op->operands[0];
    }
    if (value->kind != KG_VALUE_RESULT)
        return false;
    const kg_attr *f = kg_op_attr(value->op, KG_A_VALUE_FLOAT);
    *out = (kg_constant){.dtype = value->type.dtype};
    if (f)
        out->f = f->f;
    else
        out->i = kg_op_int(value->op, KG_A_VALUE_INT, 0);
    return true;
}
