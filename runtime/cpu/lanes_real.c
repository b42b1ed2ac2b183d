// SPDX-License-Identifier: MIT
// f32 and f64 arithmetic over 32 lanes.
//
// Rounding to nearest is the C operation itself (the files are compiled without contraction);
// fma is fma(). The other roundings go through the processor's rounding mode, lane by lane.
// f32 NaN results are the canonical 0x7fffffff. Approximations are the correctly rounded-ish libm
// results: at least as exact as the hardware's, never bit-identical to it by promise.
#include "lanes_common.h"

#include <fenv.h>

static inline float minimum32(float a, float b, uint32_t flags)
{
    if (a != a || b != b) {
        if (flags & F_NAN || (a != a && b != b))
            return as_f32(0x7fffffff);
        return a != a ? b : a;
    }
    if (a == b)
        return as_f32(f32_bits(a) | f32_bits(b)); // -0 is less than +0
    return a < b ? a : b;
}

static inline float maximum32(float a, float b, uint32_t flags)
{
    if (a != a || b != b) {
        if (flags & F_NAN || (a != a && b != b))
            return as_f32(0x7fffffff);
        return a != a ? b : a;
    }
    if (a == b)
        return as_f32(f32_bits(a) & f32_bits(b));
    return a > b ? a : b;
}

// .xorsign.abs: of the magnitudes, with the sign of the product; NaN has none.
static inline float signed_choice(float a, float b, uint32_t flags, bool most)
{
    float x = fabsf(a), y = fabsf(b), r = most ? maximum32(x, y, flags) : minimum32(x, y, flags);
    uint32_t sign = (f32_bits(a) ^ f32_bits(b)) & 0x80000000;
    return r != r ? r : as_f32(f32_bits(r) | sign);
}

// One function for each combination of flush and saturate, so that the plain ones stay fast.
#define F32_ONE(name, suffix, FTZ, SAT, expression)                                                \
    static void name##_##suffix(void *dv, source av, source bv, source cv, uint32_t imm)           \
    {                                                                                              \
        float *d = dv;                                                                             \
        const float *as = av, *bs = bv, *cs = cv;                                                  \
        EACH_LANE                                                                                  \
        {                                                                                          \
            float a = FTZ ? flush(as[i]) : as[i], b = FTZ ? flush(bs[i]) : bs[i];                  \
            float c = FTZ ? flush(cs[i]) : cs[i];                                                  \
            (void)b, (void)c;                                                                      \
            float r = (expression);                                                                \
            r = FTZ ? flush(r) : r;                                                                \
            d[i] = SAT ? saturate(r) : canonical(r);                                               \
        }                                                                                          \
    }
#define F32(name, expression)                                                                      \
    F32_ONE(name, plain, 0, 0, expression)                                                         \
    F32_ONE(name, ftz, 1, 0, expression)                                                           \
    F32_ONE(name, sat, 0, 1, expression)                                                           \
    F32_ONE(name, ftz_sat, 1, 1, expression)
F32(add, a + b)
F32(sub, a - b)
F32(mul, a *b)
F32(fma, fmaf(a, b, c))
F32(divide, a / b)
F32(rcp, 1.0f / a)
F32(root, sqrtf(a))
F32(rsqrt, (float)(1.0 / sqrt((double)a)))
F32(sine, sinf(a))
F32(cosine, cosf(a))
F32(logarithm, (float)log2((double)a))
F32(power, (float)exp2((double)a))
F32(tangent, (float)tanh((double)a))
F32(least, minimum32(a, b, imm))
F32(most, maximum32(a, b, imm))
F32(least_signed, signed_choice(a, b, imm, false))
F32(most_signed, signed_choice(a, b, imm, true))

static void abs_plain(void *dv, source av, source bv, source cv, uint32_t imm)
{
    uint32_t *d = dv;
    const uint32_t *a = av;
    EACH_LANE d[i] = (imm & F_FTZ ? f32_bits(flush(as_f32(a[i]))) : a[i]) & 0x7fffffff;
}

static void neg_plain(void *dv, source av, source bv, source cv, uint32_t imm)
{
    uint32_t *d = dv;
    const uint32_t *a = av;
    EACH_LANE d[i] = (imm & F_FTZ ? f32_bits(flush(as_f32(a[i]))) : a[i]) ^ 0x80000000;
}

#define F64(name, expression)                                                                      \
    static void name##_f64(void *dv, source av, source bv, source cv, uint32_t imm)                \
    {                                                                                              \
        double *d = dv;                                                                            \
        const double *as = av, *bs = bv, *cs = cv;                                                 \
        EACH_LANE                                                                                  \
        {                                                                                          \
            double a = as[i], b = bs[i], c = cs[i];                                                \
            (void)b, (void)c;                                                                      \
            d[i] = (expression);                                                                   \
        }                                                                                          \
    }
static inline double minimum64(double a, double b)
{
    if (a != a || b != b)
        return a != a ? b : a;
    return a == b ? as_f64(f64_bits(a) | f64_bits(b)) : a < b ? a : b;
}

static inline double maximum64(double a, double b)
{
    if (a != a || b != b)
        return a != a ? b : a;
    return a == b ? as_f64(f64_bits(a) & f64_bits(b)) : a > b ? a : b;
}
F64(add, a + b)
F64(sub, a - b)
F64(mul, a *b)
F64(fma, fma(a, b, c))
F64(divide, a / b)
F64(rcp, 1.0 / a)
F64(root, sqrt(a))
F64(least, minimum64(a, b))
F64(most, maximum64(a, b))
F64(abs, as_f64(f64_bits(a) & INT64_MAX))
F64(neg, as_f64(f64_bits(a) ^ (uint64_t)INT64_MIN))

// rcp.approx.ftz.f64 and rsqrt.approx(.ftz).f64 look at the upper 32 bits only; nvcc refines them.
static inline double upper(double x, uint32_t imm)
{
    uint64_t bits = f64_bits(x) & 0xffffffff00000000;
    if (imm & F_FTZ && !(bits & 0x7ff0000000000000))
        bits &= (uint64_t)INT64_MIN;
    return as_f64(bits);
}
F64(rcp_approx, upper(1.0 / upper(a, imm), imm))
F64(rsqrt_approx, upper(1.0 / sqrt(upper(a, imm)), imm))

// ---- the other roundings ------------------------------------------------------------------------

static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

// volatile keeps the operation between the two changes of the mode.
#define ROUNDED(name, T, expression)                                                               \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        T *d = dv;                                                                                 \
        const T *as = av, *bs = bv, *cs = cv;                                                      \
        fesetround(modes[imm & F_ROUND]);                                                          \
        for (int i = 0; i < LANES; i++) {                                                          \
            volatile T a = as[i], b = bs[i], c = cs[i], r;                                         \
            if (sizeof(T) == 4 && imm & F_FTZ)                                                     \
                a = (T)flush((float)a), b = (T)flush((float)b), c = (T)flush((float)c);            \
            r = (expression);                                                                      \
            T result = r;                                                                          \
            (void)b, (void)c;                                                                      \
            if (sizeof(T) == 4) {                                                                  \
                float f = (float)result;                                                           \
                f = imm & F_FTZ ? flush(f) : f;                                                    \
                result = (T)(imm & F_SAT ? saturate(f) : canonical(f));                            \
            }                                                                                      \
            d[i] = result;                                                                         \
        }                                                                                          \
        fesetround(FE_TONEAREST);                                                                  \
    }
ROUNDED(add_round32, float, a + b)
ROUNDED(sub_round32, float, a - b)
ROUNDED(mul_round32, float, a *b)
ROUNDED(fma_round32, float, fmaf(a, b, c))
ROUNDED(div_round32, float, a / b)
ROUNDED(rcp_round32, float, 1.0f / a)
ROUNDED(sqrt_round32, float, sqrtf(a))
ROUNDED(add_round64, double, a + b)
ROUNDED(sub_round64, double, a - b)
ROUNDED(mul_round64, double, a *b)
ROUNDED(fma_round64, double, fma(a, b, c))
ROUNDED(div_round64, double, a / b)
ROUNDED(rcp_round64, double, 1.0 / a)
ROUNDED(sqrt_round64, double, sqrt(a))

static lane_fn *rounded(enum lane_op op, bool wide)
{
    switch (op) {
    case L_ADD: return wide ? add_round64 : add_round32;
    case L_SUB: return wide ? sub_round64 : sub_round32;
    case L_MUL: return wide ? mul_round64 : mul_round32;
    case L_FMA: return wide ? fma_round64 : fma_round32;
    case L_DIVF: return wide ? div_round64 : div_round32;
    case L_RCP: return wide ? rcp_round64 : rcp_round32;
    case L_SQRT: return wide ? sqrt_round64 : sqrt_round32;
    default: return NULL;
    }
}

static lane_fn *wide(enum lane_op op, uint32_t flags)
{
    bool approximate = flags & F_APPROX;
    if (flags & (F_SAT | F_NAN | F_XORSIGN) || (flags & F_FTZ && !approximate))
        return NULL;
    switch (op) {
    case L_ADD: return add_f64;
    case L_SUB: return sub_f64;
    case L_MUL: return mul_f64;
    case L_FMA: return fma_f64;
    case L_DIVF: return approximate ? NULL : divide_f64;
    case L_RCP: return approximate ? rcp_approx_f64 : rcp_f64;
    case L_SQRT: return approximate ? NULL : root_f64;
    case L_RSQRT: return rsqrt_approx_f64;
    case L_MIN: return least_f64;
    case L_MAX: return most_f64;
    case L_ABS: return abs_f64;
    case L_NEG: return neg_f64;
    default: return NULL;
    }
}

#define FOUR(name) {name##_plain, name##_ftz, name##_sat, name##_ftz_sat}
static lane_fn *narrow(enum lane_op op, uint32_t flags)
{
    static lane_fn *const table[][4] = {
        [L_ADD] = FOUR(add), [L_SUB] = FOUR(sub), [L_MUL] = FOUR(mul), [L_FMA] = FOUR(fma),
        [L_DIVF] = FOUR(divide), [L_RCP] = FOUR(rcp), [L_SQRT] = FOUR(root),
        [L_RSQRT] = FOUR(rsqrt), [L_SIN] = FOUR(sine), [L_COS] = FOUR(cosine),
        [L_LG2] = FOUR(logarithm), [L_EX2] = FOUR(power), [L_TANH] = FOUR(tangent),
        [L_MIN] = FOUR(least), [L_MAX] = FOUR(most),
    };
    static lane_fn *const with_sign[2][4] = {FOUR(least_signed), FOUR(most_signed)};
    unsigned form = (flags & F_FTZ ? 1 : 0) + (flags & F_SAT ? 2 : 0);
    if (op == L_ABS || op == L_NEG)
        return op == L_ABS ? abs_plain : neg_plain;
    return flags & F_XORSIGN ? with_sign[op == L_MAX][form] : table[op][form];
}

lane_fn *COPY(ptxm_lane_real)(enum lane_op op, enum type type, uint32_t flags)
{
    if (flags & F_ROUND)
        return rounded(op, type == T_F64);
    return type == T_F64 ? wide(op, flags) : narrow(op, flags);
}

lane_fn *COPY(ptxm_lane_testp)(unsigned test, enum type type);

static bool classify(double x, unsigned test, bool subnormal)
{
    switch (test) {
    case 0: return isfinite(x);
    case 1: return isinf(x);
    case 2: return !isnan(x);
    case 3: return isnan(x);
    case 4: return isfinite(x) && x != 0 && !subnormal;
    default: return subnormal;
    }
}

#define TESTP(test)                                                                                \
    static void testp32_##test(void *dv, source av, source bv, source cv, uint32_t imm)            \
    {                                                                                              \
        const uint32_t *a = av;                                                                    \
        uint32_t mask = 0;                                                                         \
        for (int i = 0; i < LANES; i++) {                                                          \
            bool small = !(a[i] & 0x7f800000) && a[i] & 0x7fffff;                                  \
            mask |= (uint32_t)classify((double)as_f32(a[i]), test, small) << i;                    \
        }                                                                                          \
        *(uint32_t *)dv = mask;                                                                    \
    }                                                                                              \
    static void testp64_##test(void *dv, source av, source bv, source cv, uint32_t imm)            \
    {                                                                                              \
        const uint64_t *a = av;                                                                    \
        uint32_t mask = 0;                                                                         \
        for (int i = 0; i < LANES; i++) {                                                          \
            bool small = !(a[i] & 0x7ff0000000000000) && a[i] & 0xfffffffffffff;                   \
            mask |= (uint32_t)classify(as_f64(a[i]), test, small) << i;                            \
        }                                                                                          \
        *(uint32_t *)dv = mask;                                                                    \
    }
TESTP(0) TESTP(1) TESTP(2) TESTP(3) TESTP(4) TESTP(5)

lane_fn *COPY(ptxm_lane_testp)(unsigned test, enum type type)
{
    static lane_fn *const narrow_tests[] = {testp32_0, testp32_1, testp32_2,
                                            testp32_3, testp32_4, testp32_5};
    static lane_fn *const wide_tests[] = {testp64_0, testp64_1, testp64_2,
                                          testp64_3, testp64_4, testp64_5};
    return type == T_F64 ? wide_tests[test] : narrow_tests[test];
}

// d[m][n] += a[m][k] * b[k][n], one product after the other in f32, as the tensor core's result
// may be (the hardware keeps more bits inside a step; both are within its stated tolerance).
void COPY(ptxm_multiply_add)(float *d, const float *a, const float *b, int m, int n, int k)
{
    for (int row = 0; row < m; row++) {
        float sum[8];
        for (int col = 0; col < 8; col++) sum[col] = d[row * 8 + col];
        for (int step = 0; step < k; step++) {
            float x = a[row * k + step];
            for (int col = 0; col < 8; col++) sum[col] += x * b[step * 8 + col];
        }
        for (int col = 0; col < 8; col++) d[row * 8 + col] = sum[col];
    }
}
