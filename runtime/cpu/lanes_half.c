// SPDX-License-Identifier: MIT
// f16, bf16 and packed-pair arithmetic over 32 lanes, each result rounded once.
//
// add, sub and mul of f16 are exact enough in f32 (24 >= 2*11 + 2 bits) to be rounded twice without
// harm; bf16 has f32's exponent range, so it goes through f64. fma goes through f64 with rounding
// to odd, after which the last rounding is the only one that counts.
#include "lanes_common.h"

static uint32_t f64_to_half(double x, unsigned mantissa, int least_exponent, uint32_t infinity)
{
    uint64_t bits = f64_bits(x);
    uint32_t sign = (uint32_t)(bits >> 48 & 0x8000);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    uint64_t fraction = bits & 0xfffffffffffff;
    if (exponent == 1024)
        return fraction ? 0x7fff : sign | infinity;
    if (exponent < least_exponent - (int)mantissa - 1)
        return sign;
    fraction |= (uint64_t)1 << 52;
    unsigned shift = 52 - mantissa;
    if (exponent < least_exponent)
        shift += (unsigned)(least_exponent - exponent);
    uint64_t kept = fraction >> shift, rest = fraction & (((uint64_t)1 << shift) - 1);
    uint64_t half = (uint64_t)1 << (shift - 1);
    kept += rest > half || (rest == half && kept & 1);
    // The hidden bit of a normal number carries into the exponent field.
    uint64_t value = exponent < least_exponent
                         ? kept
                         : kept + ((uint64_t)(exponent - least_exponent) << mantissa);
    return sign | (value > infinity ? infinity : (uint32_t)value);
}

static inline uint32_t to_f16(double x)
{
    return f64_to_half(x, 10, -14, 0x7c00);
}

static inline uint32_t to_bf16(double x)
{
    return f64_to_half(x, 7, -126, 0x7f80);
}

// a * b + c where a * b is exact in f64: rounded to odd, so that a later rounding is right.
static inline double fma_odd(double a, double b, double c)
{
    double p = a * b, s = p + c;
    if (!isfinite(s))
        return s;
    double bb = s - p, error = (p - (s - bb)) + (c - bb);
    uint64_t bits = f64_bits(s);
    if (error != 0 && !(bits & 1))
        bits += (error > 0) == (s > 0) ? 1 : (uint64_t)-1;
    return as_f64(bits);
}

static inline uint32_t finish_f16(uint32_t h, uint32_t flags)
{
    if (flags & F_FTZ && !(h & 0x7c00))
        h &= 0x8000;
    if (flags & F_SAT)
        h = h & 0x8000 || h > 0x7c00 ? 0 : h > 0x3c00 ? 0x3c00 : h;
    if (flags & F_RELU)
        h = h & 0x8000 && (h & 0x7fff) <= 0x7c00 ? 0 : h;
    return h;
}

static inline uint32_t finish_bf16(uint32_t h, uint32_t flags)
{
    if (flags & F_FTZ && !(h & 0x7f80))
        h &= 0x8000;
    if (flags & F_SAT)
        h = h & 0x8000 || h > 0x7f80 ? 0 : h > 0x3f80 ? 0x3f80 : h;
    if (flags & F_RELU)
        h = h & 0x8000 && (h & 0x7fff) <= 0x7f80 ? 0 : h;
    return h;
}

static inline float load_f16(uint32_t h, uint32_t flags)
{
    h &= 0xffff;
    if (flags & F_FTZ && !(h & 0x7c00))
        h &= 0x8000;
    return f16_to_f32(h);
}

static inline float load_bf16(uint32_t h, uint32_t flags)
{
    h &= 0xffff;
    if (flags & F_FTZ && !(h & 0x7f80))
        h &= 0x8000;
    return bf16_to_f32(h);
}

static uint32_t pick(uint32_t ah, uint32_t bh, float a, float b, bool most, uint32_t flags)
{
    if (a != a || b != b) {
        if (flags & F_NAN || (a != a && b != b))
            return 0x7fff;
        return a != a ? bh : ah;
    }
    if (a == b)
        return most ? ah & bh : ah | bh;
    return (a < b) != most ? ah : bh;
}

static uint32_t minmax(uint32_t ah, uint32_t bh, float a, float b, bool most, uint32_t flags)
{
    uint32_t sign = (ah ^ bh) & 0x8000;
    if (!(flags & F_XORSIGN))
        return pick(ah & 0xffff, bh & 0xffff, a, b, most, flags);
    uint32_t h = pick(ah & 0x7fff, bh & 0x7fff, fabsf(a), fabsf(b), most, flags);
    return h == 0x7fff ? h : h | sign;
}

// One value; the pair forms call it twice.
#define ONE(name, kind, expression)                                                                \
    static inline uint32_t name##_##kind(uint32_t ah, uint32_t bh, uint32_t ch, uint32_t flags)    \
    {                                                                                              \
        float a = load_##kind(ah, flags), b = load_##kind(bh, flags), c = load_##kind(ch, flags);  \
        (void)a, (void)b, (void)c;                                                                 \
        return finish_##kind(expression, flags);                                                   \
    }                                                                                              \
    static void name##_##kind##_1(void *dv, source av, source bv, source cv, uint32_t imm)         \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *as = av, *bs = bv, *cs = cv;                                               \
        EACH_LANE d[i] = name##_##kind(as[i], bs[i], cs[i], imm);                                  \
    }                                                                                              \
    static void name##_##kind##_2(void *dv, source av, source bv, source cv, uint32_t imm)         \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *as = av, *bs = bv, *cs = cv;                                               \
        EACH_LANE d[i] = name##_##kind(as[i] & 0xffff, bs[i] & 0xffff, cs[i] & 0xffff, imm) |      \
                         name##_##kind(as[i] >> 16, bs[i] >> 16, cs[i] >> 16, imm) << 16;          \
    }
ONE(add, f16, f32_to_f16(a + b))
ONE(sub, f16, f32_to_f16(a - b))
ONE(mul, f16, f32_to_f16(a *b))
ONE(fma, f16, to_f16((double)a *(double)b + (double)c))
ONE(least, f16, minmax(ah, bh, a, b, false, flags))
ONE(most, f16, minmax(ah, bh, a, b, true, flags))
ONE(abs, f16, ah & 0x7fff)
ONE(neg, f16, (ah & 0xffff) ^ 0x8000)
ONE(power, f16, to_f16(exp2((double)a)))
ONE(tangent, f16, to_f16(tanh((double)a)))
ONE(add, bf16, to_bf16(fma_odd(a, 1.0, b)))
ONE(sub, bf16, to_bf16(fma_odd(a, 1.0, -(double)b)))
ONE(mul, bf16, to_bf16((double)a *(double)b))
ONE(fma, bf16, to_bf16(fma_odd(a, b, c)))
ONE(least, bf16, minmax(ah, bh, a, b, false, flags))
ONE(most, bf16, minmax(ah, bh, a, b, true, flags))
ONE(abs, bf16, ah & 0x7fff)
ONE(neg, bf16, (ah & 0xffff) ^ 0x8000)
ONE(power, bf16, to_bf16(exp2((double)a)))
ONE(tangent, bf16, to_bf16(tanh((double)a)))

#define FORMS(name) {{name##_f16_1, name##_f16_2}, {name##_bf16_1, name##_bf16_2}}

lane_fn *COPY(ptxm_lane_half)(enum lane_op op, enum type type, uint32_t flags)
{
    static lane_fn *const forms[][2][2] = {
        [L_ADD] = FORMS(add), [L_SUB] = FORMS(sub), [L_MUL] = FORMS(mul), [L_FMA] = FORMS(fma),
        [L_MIN] = FORMS(least), [L_MAX] = FORMS(most), [L_ABS] = FORMS(abs), [L_NEG] = FORMS(neg),
        [L_EX2] = FORMS(power), [L_TANH] = FORMS(tangent),
    };
    bool pair = type == T_F16X2 || type == T_BF16X2, brain = type == T_BF16 || type == T_BF16X2;
    return forms[op][brain][pair];
}
