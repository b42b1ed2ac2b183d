// SPDX-License-Identifier: MIT
// Functions of one float. In f32 on the approximate instructions of the hardware with range
// reduction around them; in f64 only what is exact. The polynomials interpolate at Chebyshev nodes;
// errors beside each.
#include "codegen/emit.h"
#include <math.h>

static cg_value math1(kg_emit *e, enum cg_ptx_id id, cg_value x)
{
    return cg_template1(e->m, id, &x, 1, NULL);
}

// Horner: c[0] + x (c[1] + x (...)).
static cg_value polynomial(kg_emit *e, cg_value x, const float *c, int count)
{
    cg_value sum = cg_f32(e->m, c[count - 1]);
    for (int i = count - 2; i >= 0; i--) sum = cg_fma(e->m, sum, x, cg_f32(e->m, c[i]));
    return sum;
}

// 2^x. Results below 2^-126 take three more instructions to come out: where tensor cores run in the
// background of exponentials, and wait for them, they are flushed to 0.
static cg_value exp2_f32(kg_emit *e, cg_value x)
{
    return math1(e, e->flight ? CG_PTX_EX2_FTZ_F32 : CG_PTX_EX2_F32, x);
}

static cg_value exp_f32(kg_emit *e, cg_value x)
{
    return exp2_f32(e, cg_fmul(e->m, x, cg_f32(e->m, 1.44269504f)));
}

// 1 / (1 + 2^(-x log2 e)): 2^y overflows to infinity, whose reciprocal is the 0 that belongs there.
static cg_value sigmoid_f32(kg_emit *e, cg_value x)
{
    struct cg_module *m = e->m;
    cg_value power = math1(e, CG_PTX_EX2_FTZ_F32, cg_fmul(m, x, cg_f32(m, -1.44269504f)));
    return math1(e, CG_PTX_RCP_FTZ_F32, cg_fadd(m, power, cg_f32(m, 1.0f)));
}

// Small arguments by x + x^3 P(x^2) (error 1e-8 of the value up to 0.6), others as 1 - 2 / (1 +
// e^2|x|).
static cg_value tanh_f32(kg_emit *e, cg_value x)
{
    static const float p[] = {-0.333333343f, 0.133333102f,    -0.0539608561f,
                              0.0217822473f, -0.00838877354f, 0.00234493124f};
    struct cg_module *m = e->m;
    cg_value size = cg_fabs(m, x), square = cg_fmul(m, x, x);
    cg_value small = cg_fma(m, cg_fmul(m, square, polynomial(e, square, p, 6)), x, x);
    cg_value power = math1(e, CG_PTX_EX2_FTZ_F32, cg_fmul(m, size, cg_f32(m, 2.88539008f)));
    cg_value inverse = math1(e, CG_PTX_RCP_FTZ_F32, cg_fadd(m, power, cg_f32(m, 1.0f)));
    cg_value large = cg_fma(m, inverse, cg_f32(m, -2.0f), cg_f32(m, 1.0f));
    return cg_select(m, cg_flt(m, size, cg_f32(m, 0.6f)), small, cg_copysign(m, large, x));
}

// Up to 1 as x P(x^2), above as 1 - 2^Q(|x|), which is 1 in f32 from 4 on. Errors 1.2e-7 and 3e-8.
static cg_value erf_f32(kg_emit *e, cg_value x)
{
    static const float p[] = {1.12837911f,    -0.37612626f,    0.112835944f,   -0.0268542115f,
                              0.00518908724f, -0.00080168643f, 7.87587487e-05f};
    static const float q[] = {0.000452973181f, -1.6305455f,      -0.911596835f,
                              -0.158748806f,   0.0380800143f,    -0.00685270783f,
                              0.000857872365f, -6.60555888e-05f, 2.34103118e-06f};
    struct cg_module *m = e->m;
    cg_value size = cg_fabs(m, x);
    cg_value small = cg_fmul(m, x, polynomial(e, cg_fmul(m, x, x), p, 7));
    cg_value clamped = cg_fmin(m, size, cg_f32(m, 4.0f));
    cg_value tail = math1(e, CG_PTX_EX2_F32, polynomial(e, clamped, q, 9));
    cg_value large = cg_copysign(m, cg_fsub(m, cg_f32(m, 1.0f), tail), x);
    large = cg_select(m, cg_funordered(m, x, x), x, large);
    return cg_select(m, cg_flt(m, size, cg_f32(m, 1.0f)), small, large);
}

// x minus the nearest multiple of 2 pi, in three steps of which the first two are exact for
// moderate x.
static cg_value reduce_angle(kg_emit *e, cg_value x)
{
    struct cg_module *m = e->m;
    cg_value turns = cg_round_even(m, cg_fmul(m, x, cg_f32(m, 0.159154943f)));
    cg_value r = cg_fma(m, turns, cg_f32(m, -6.28125f), x);
    r = cg_fma(m, turns, cg_f32(m, -0.0019354820f), r);
    return cg_fma(m, turns, cg_f32(m, (float)(0.0019354820f - (6.283185307179586 - 6.28125))), r);
}

static cg_value math_f32(kg_emit *e, kg_opcode code, cg_value x)
{
    struct cg_module *m = e->m;
    switch (code) {
    case KG_OP_EXP:
        return exp_f32(e, x);
    case KG_OP_EXP2:
        return exp2_f32(e, x);
    case KG_OP_LOG:
        return cg_fmul(m, math1(e, CG_PTX_LG2_F32, x), cg_f32(m, 0.693147181f));
    case KG_OP_LOG2:
        return math1(e, CG_PTX_LG2_F32, x);
    case KG_OP_RSQRT:
        return math1(e, CG_PTX_RSQRT_F32, x);
    case KG_OP_RCP:
        return math1(e, CG_PTX_RCP_F32, x);
    case KG_OP_SIN:
        return math1(e, CG_PTX_SIN_F32, reduce_angle(e, x));
    case KG_OP_COS:
        return math1(e, CG_PTX_COS_F32, reduce_angle(e, x));
    case KG_OP_TANH:
        return tanh_f32(e, x);
    case KG_OP_SIGMOID:
        return sigmoid_f32(e, x);
    case KG_OP_ERF:
        return erf_f32(e, x);
    default:
        return NULL;
    }
}

cg_value emit_math(kg_emit *e, kg_opcode code, kg_dtype dtype, cg_value x)
{
    struct cg_module *m = e->m;
    switch (code) {
    case KG_OP_SQRT:
        return cg_sqrt(m, x);
    case KG_OP_FLOOR:
        return cg_floor(m, x);
    case KG_OP_CEIL:
        return cg_ceil(m, x);
    case KG_OP_ROUND:
        return cg_round_even(m, x);
    default:
        break;
    }
    if (dtype == KG_F32) return math_f32(e, code, x);
    if (code == KG_OP_RCP) return cg_fdiv(m, cg_float(m, CG_F64, 1.0), x);
    if (code == KG_OP_RSQRT) return cg_fdiv(m, cg_float(m, CG_F64, 1.0), cg_sqrt(m, x));
    return NULL;
}
