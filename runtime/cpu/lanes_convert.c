// SPDX-License-Identifier: MIT
// cvt in all its combinations, and the packing of two f32 into one register.
//
// Integer to integer and the frequent float conversions have vector loops; everything else goes
// through one exact scalar path: value -> double or __int128 -> rounded value.
#include "lanes_common.h"

#include <fenv.h>

// ---- rounding of a double to a narrower float, by the number of its mantissa bits ---------------

static bool rounds_up(uint64_t rest, uint64_t half, bool odd, bool negative, uint32_t flags)
{
    if (flags & F_AWAY)
        return rest >= half;
    switch (flags & F_ROUND) {
    case 0: return rest > half || (rest == half && odd);
    case 1: return false;
    case 2: return negative && rest;
    default: return !negative && rest;
    }
}

// The result has `exponent_bits` and `mantissa` bits; NaN becomes `nan`. Returns it right-aligned.
static uint32_t narrow_float(double x, unsigned exponent_bits, unsigned mantissa, uint32_t nan,
                             uint32_t flags)
{
    int bias = (1 << (exponent_bits - 1)) - 1, least = 1 - bias;
    uint32_t infinity = ((1u << exponent_bits) - 1) << mantissa;
    uint64_t bits = f64_bits(x), fraction = bits & 0xfffffffffffff;
    bool negative = bits >> 63;
    uint32_t sign = (uint32_t)negative << (exponent_bits + mantissa);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    if (exponent == 1024)
        return fraction ? nan : sign | (flags & F_SATFINITE ? infinity - 1 : infinity);
    if (!(bits & INT64_MAX))
        return sign;
    fraction |= exponent == -1023 ? 0 : (uint64_t)1 << 52;
    unsigned shift = 52 - mantissa;
    if (exponent < least)
        shift += least - exponent > 60 ? 60 : (unsigned)(least - exponent);
    bool tiny = shift > 62;
    uint64_t kept = tiny ? 0 : fraction >> shift;
    uint64_t rest = tiny ? 1 : fraction & (((uint64_t)1 << shift) - 1);
    uint64_t half = tiny ? 2 : (uint64_t)1 << (shift - 1);
    kept += rounds_up(rest, half, kept & 1, negative, flags);
    uint64_t value = exponent < least ? kept : kept + ((uint64_t)(exponent - least) << mantissa);
    if (value >= infinity) {
        bool to_infinity = (flags & F_ROUND) == 0 || (flags & F_ROUND) == (negative ? 2u : 3u);
        value = to_infinity && !(flags & F_SATFINITE) ? infinity : infinity - 1;
    }
    return sign | (uint32_t)value;
}

static double load_float(uint64_t bits, enum type type, bool ftz)
{
    switch (type) {
    case T_F16: return f16_to_f32((uint32_t)bits & 0xffff);
    case T_BF16: return bf16_to_f32((uint32_t)bits & 0xffff);
    case T_F32: return ftz ? flush(as_f32((uint32_t)bits)) : as_f32((uint32_t)bits);
    default: return as_f64(bits);
    }
}

static double integral(double x, uint32_t flags)
{
    switch (flags & F_ROUND) {
    case 0: return nearbyint(x);
    case 1: return trunc(x);
    case 2: return floor(x);
    default: return ceil(x);
    }
}

static uint64_t store_float(double x, enum type type, uint32_t flags)
{
    if (flags & F_SAT)
        x = x > 0 ? (x < 1 ? x : 1) : 0;
    if (flags & F_RELU && x < 0)
        x = 0;
    if (flags & F_RELU && x == 0)
        x = 0.0;
    switch (type) {
    case T_F16: return narrow_float(x, 5, 10, 0x7fff, flags);
    case T_BF16: return narrow_float(x, 8, 7, 0x7fff, flags);
    case T_TF32: return narrow_float(x, 8, 10, 0x3ffff, flags) << 13 | (x != x ? 0x1fff : 0);
    case T_F32: {
        uint32_t bits = narrow_float(x, 8, 23, 0x7fffffff, flags & ~(uint32_t)F_SATFINITE);
        return flags & F_FTZ && !(bits & 0x7f800000) ? bits & 0x80000000 : bits;
    }
    default: return x != x ? (f64_bits(x) | (uint64_t)1 << 51) : f64_bits(x);
    }
}

// Float to integer: out of range saturates. NaN is 0, but the highest bit alone from .f64 and to
// 64 bits.
static uint64_t float_to_integer(double x, enum type type, enum type from, uint32_t flags)
{
    unsigned bits = ptxm_type_bits(type);
    bool is_signed = ptxm_type_class(type) == 's';
    if (x != x)
        return bits == 64 || from == T_F64 ? (uint64_t)1 << (bits - 1) : 0;
    x = integral(x, flags);
    double high = ldexp(1.0, (int)bits - is_signed), low = is_signed ? -high : 0;
    uint64_t top = is_signed ? ((uint64_t)1 << (bits - 1)) - 1
                             : bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    if (x >= high)
        return top;
    if (x < low)
        return is_signed ? ~top : 0;
    return is_signed ? (uint64_t)(int64_t)x : (uint64_t)x;
}

static uint64_t extend(uint64_t bits, enum type type)
{
    switch (type) {
    case T_U8: return (uint8_t)bits;
    case T_S8: return (uint64_t)(int8_t)bits;
    case T_U16: return (uint16_t)bits;
    case T_S16: return (uint64_t)(int16_t)bits;
    case T_U32: return (uint32_t)bits;
    case T_S32: return (uint64_t)(int32_t)bits;
    default: return bits;
    }
}

// Integers of up to 64 bits are not all exact in f64: those are rounded to odd at 53 bits first.
static double integer_to_odd(uint64_t bits, bool is_signed)
{
    bool negative = is_signed && bits >> 63;
    uint64_t magnitude = negative ? 0 - bits : bits;
    if (magnitude >> 53) {
        unsigned shift = 11 - (unsigned)__builtin_clzll(magnitude);
        uint64_t rest = magnitude & (((uint64_t)1 << shift) - 1);
        magnitude = (magnitude >> shift | (rest != 0)) << shift;
    }
    double x = (double)magnitude;
    return negative ? -x : x;
}

static uint64_t integer_to_float(uint64_t bits, bool is_signed, enum type type, uint32_t flags)
{
    static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (type != T_F64)
        return store_float(integer_to_odd(bits, is_signed), type, flags);
    fesetround(modes[flags & F_ROUND]);
    volatile uint64_t in = bits;
    volatile double x = is_signed ? (double)(int64_t)in : (double)in;
    double result = x;
    fesetround(FE_TONEAREST);
    return store_float(result, T_F64, flags);
}

static uint64_t clamp_integer(uint64_t bits, bool from_signed, enum type to)
{
    unsigned width = ptxm_type_bits(to);
    bool to_signed = ptxm_type_class(to) == 's';
    uint64_t top = to_signed ? ((uint64_t)1 << (width - 1)) - 1
                             : width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
    if (from_signed && (int64_t)bits < 0) {
        if (!to_signed)
            return 0;
        return (int64_t)bits < (int64_t)~top ? ~top : bits;
    }
    return bits > top ? top : bits;
}

static uint64_t convert_one(uint64_t bits, enum type to, enum type from, uint32_t flags)
{
    bool from_float = ptxm_type_class(from) == 'f', to_float = ptxm_type_class(to) == 'f';
    if (from_float) {
        double x = load_float(bits, from, flags & F_FTZ);
        if (!to_float)
            return float_to_integer(x, to, from, flags);
        if (flags & F_INTEGER)
            return store_float(integral(x, flags), to, flags & ~(uint32_t)F_ROUND);
        return store_float(x, to, flags);
    }
    bool is_signed = ptxm_type_class(from) == 's';
    bits = extend(bits, from);
    if (to_float)
        return integer_to_float(bits, is_signed, to, flags);
    return flags & F_SAT ? clamp_integer(bits, is_signed, to) : bits;
}

// The general path: the pair of types travels in the immediate's upper bits.
static void convert_any(void *dv, source av, enum type to, enum type from, uint32_t flags)
{
    bool wide_from = ptxm_type_bits(from) == 64, wide_to = ptxm_type_bits(to) == 64;
    unsigned bits = ptxm_type_bits(to);
    for (int i = 0; i < LANES; i++) {
        uint64_t in = wide_from ? ((const uint64_t *)av)[i] : ((const uint32_t *)av)[i];
        uint64_t out = convert_one(in, to, from, flags);
        if (wide_to)
            ((uint64_t *)dv)[i] = out;
        else if (to == T_S8)
            ((uint32_t *)dv)[i] = (uint16_t)(int8_t)out;
        else
            ((uint32_t *)dv)[i] = bits == 32 ? (uint32_t)out
                                             : (uint32_t)out & (((uint32_t)1 << bits) - 1);
    }
}

#define KINDS(X)                                                                                   \
    X(U8) X(S8) X(U16) X(S16) X(U32) X(S32) X(U64) X(S64) X(F16) X(BF16) X(F32) X(F64)
#define PAIR(to, from)                                                                             \
    static void any_##to##_##from(void *d, source a, source b, source c, uint32_t flags)           \
    {                                                                                              \
        convert_any(d, a, T_##to, T_##from, flags);                                                \
    }
#define FROM_ALL(to)                                                                               \
    PAIR(to, U8) PAIR(to, S8) PAIR(to, U16) PAIR(to, S16) PAIR(to, U32) PAIR(to, S32)              \
    PAIR(to, U64) PAIR(to, S64) PAIR(to, F16) PAIR(to, BF16) PAIR(to, F32) PAIR(to, F64)
KINDS(FROM_ALL)
PAIR(TF32, F32)

#define ENTRY(to, from) [T_##from] = any_##to##_##from,
#define ROW_OF(to)                                                                                 \
    [T_##to] = {ENTRY(to, U8) ENTRY(to, S8) ENTRY(to, U16) ENTRY(to, S16) ENTRY(to, U32)           \
                ENTRY(to, S32) ENTRY(to, U64) ENTRY(to, S64) ENTRY(to, F16) ENTRY(to, BF16)        \
                ENTRY(to, F32) ENTRY(to, F64)},
static lane_fn *const any_table[T_COUNT][T_COUNT] = {
    KINDS(ROW_OF)
    [T_TF32] = {[T_F32] = any_TF32_F32},
};

// ---- the frequent ones --------------------------------------------------------------------------

#define FAST(name, D, S, expression)                                                               \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        D *d = dv;                                                                                 \
        const S *as = av;                                                                          \
        EACH_LANE                                                                                  \
        {                                                                                          \
            S a = as[i];                                                                           \
            d[i] = (expression);                                                                   \
        }                                                                                          \
    }
FAST(u32_from_u8, uint32_t, uint32_t, a & 0xff)
FAST(u32_from_u16, uint32_t, uint32_t, a & 0xffff)
FAST(s32_from_s8, uint32_t, uint32_t, (uint32_t)(int8_t)a)
FAST(s32_from_s16, uint32_t, uint32_t, (uint32_t)(int16_t)a)
FAST(u64_from_u32, uint64_t, uint32_t, a)
FAST(s64_from_s32, uint64_t, uint32_t, (uint64_t)(int32_t)a)
FAST(u32_from_u64, uint32_t, uint64_t, (uint32_t)a)
FAST(u16_from_u32, uint32_t, uint32_t, a & 0xffff)
FAST(u16_from_u64, uint32_t, uint64_t, (uint32_t)a & 0xffff)
FAST(f32_from_s32, uint32_t, uint32_t, f32_bits((float)(int32_t)a))
FAST(f32_from_u32, uint32_t, uint32_t, f32_bits((float)a))
FAST(f32_from_f16, uint32_t, uint32_t, f32_bits(canonical(f16_to_f32(a & 0xffff))))
FAST(f32_from_bf16, uint32_t, uint32_t, f32_bits(canonical(bf16_to_f32(a & 0xffff))))
FAST(f16_from_f32, uint32_t, uint32_t, f32_to_f16(as_f32(a)))
FAST(bf16_from_f32, uint32_t, uint32_t, f32_to_bf16(as_f32(a)))
FAST(f64_from_f32, uint64_t, uint32_t, f64_bits((double)as_f32(a)))

static lane_fn *frequent(enum type to, enum type from)
{
    unsigned to_bits = ptxm_type_bits(to), from_bits = ptxm_type_bits(from);
    bool floats = ptxm_type_class(to) == 'f' || ptxm_type_class(from) == 'f';
    bool is_signed = ptxm_type_class(from) == 's';
    if (!floats) {
        if (to_bits == 32 && from_bits == 8)
            return is_signed ? s32_from_s8 : u32_from_u8;
        if (to_bits == 32 && from_bits == 16)
            return is_signed ? s32_from_s16 : u32_from_u16;
        if (to_bits == 64 && from_bits == 32)
            return is_signed ? s64_from_s32 : u64_from_u32;
        if (to_bits == 32 && from_bits == 64)
            return u32_from_u64;
        if (to_bits == 16 && from_bits >= 32)
            return from_bits == 64 ? u16_from_u64 : u16_from_u32;
        return NULL;
    }
    if (to == T_F32)
        return from == T_S32 ? f32_from_s32 : from == T_U32 ? f32_from_u32
             : from == T_F16 ? f32_from_f16 : from == T_BF16 ? f32_from_bf16 : NULL;
    if (from == T_F32)
        return to == T_F16 ? f16_from_f32 : to == T_BF16 ? bf16_from_f32
             : to == T_F64 ? f64_from_f32 : NULL;
    return NULL;
}

// ---- pairs of 8-bit floats and f16x2 -----------------------------------------------------------

// e5m2 is the top of f16; e4m3 has no infinity and one NaN.
static uint32_t to_e5m2(float x, uint32_t flags)
{
    x = flags & F_RELU && x <= 0 ? 0 : x;
    return narrow_float(x, 5, 2, 0x7f, F_SATFINITE);
}

static uint32_t to_e4m3(float x, uint32_t flags)
{
    x = flags & F_RELU && x <= 0 ? 0 : x;
    if (x != x)
        return 0x7f;
    // With one more exponent bit nothing overflows; then the bias is moved and 448 is the most.
    float magnitude = fabsf(x);
    uint32_t sign = signbit(x) ? 0x80 : 0;
    if (magnitude >= 448.0f)
        return sign | 0x7e;
    return sign | (narrow_float((double)magnitude * 0x1p-120, 8, 3, 0, 0) & 0x7f);
}

// NaN is 0x7fff; relu makes negative values zero and leaves NaN.
static uint32_t half_of_f8(uint32_t byte, bool e4m3, uint32_t flags)
{
    uint32_t magnitude = byte & 0x7f, sign = (byte & 0x80) << 8;
    if (magnitude > (e4m3 ? 0x7eu : 0x7cu))
        return 0x7fff;
    float x = e4m3 ? as_f32(magnitude << 20) * 0x1p120f : f16_to_f32(magnitude << 8);
    return flags & F_RELU && sign ? 0 : f32_to_f16(x) | sign;
}

#define PAIRS(name, low, high)                                                                     \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *a = av;                                                                    \
        EACH_LANE d[i] = (low) | (high);                                                           \
    }
PAIRS(e4m3x2_from_f16x2, to_e4m3(f16_to_f32(a[i] & 0xffff), imm),
      to_e4m3(f16_to_f32(a[i] >> 16), imm) << 8)
PAIRS(e5m2x2_from_f16x2, to_e5m2(f16_to_f32(a[i] & 0xffff), imm),
      to_e5m2(f16_to_f32(a[i] >> 16), imm) << 8)
PAIRS(f16x2_from_e4m3x2, half_of_f8(a[i] & 0xff, true, imm),
      half_of_f8(a[i] >> 8 & 0xff, true, imm) << 16)
PAIRS(f16x2_from_e5m2x2, half_of_f8(a[i] & 0xff, false, imm),
      half_of_f8(a[i] >> 8 & 0xff, false, imm) << 16)

static lane_fn *pairs(enum type to, enum type from)
{
    if (from == T_F16X2)
        return to == T_E4M3X2 ? e4m3x2_from_f16x2 : e5m2x2_from_f16x2;
    return from == T_E4M3X2 ? f16x2_from_e4m3x2 : from == T_E5M2X2 ? f16x2_from_e5m2x2 : NULL;
}

lane_fn *COPY(ptxm_lane_convert)(enum type to, enum type from, uint32_t flags)
{
    if (ptxm_type_class(to) == 'x')
        return pairs(to, from);
    lane_fn *fast = flags ? NULL : frequent(to, from);
    return fast ? fast : any_table[to][from];
}

// ---- two into one -------------------------------------------------------------------------------

#define PACK(name, one, expression)                                                                \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *a = av, *b = bv;                                                           \
        EACH_LANE d[i] = (expression);                                                             \
    }
PACK(pack_f16_fast, , f32_to_f16(as_f32(a[i])) << 16 | f32_to_f16(as_f32(b[i])))
PACK(pack_bf16_fast, , f32_to_bf16(as_f32(a[i])) << 16 | f32_to_bf16(as_f32(b[i])))
PACK(pack_f16, , (uint32_t)(convert_one(a[i], T_F16, T_F32, imm) << 16 |
                            convert_one(b[i], T_F16, T_F32, imm)))
PACK(pack_bf16, , (uint32_t)(convert_one(a[i], T_BF16, T_F32, imm) << 16 |
                             convert_one(b[i], T_BF16, T_F32, imm)))
PACK(pack_u16, , (uint32_t)(clamp_integer(extend(a[i], T_S32), true, T_U16) << 16 |
                            clamp_integer(extend(b[i], T_S32), true, T_U16)))
PACK(pack_s16, , (uint32_t)((clamp_integer(extend(a[i], T_S32), true, T_S16) & 0xffff) << 16 |
                            (clamp_integer(extend(b[i], T_S32), true, T_S16) & 0xffff)))

PACK(pack_e5m2, , to_e5m2(as_f32(a[i]), imm) << 8 | to_e5m2(as_f32(b[i]), imm))
PACK(pack_e4m3, , to_e4m3(as_f32(a[i]), imm) << 8 | to_e4m3(as_f32(b[i]), imm))

#define PACK8(name, type)                                                                          \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *a = av, *b = bv, *c = cv;                                                  \
        EACH_LANE d[i] = c[i] << 16 |                                                              \
                         (uint32_t)(clamp_integer(extend(a[i], T_S32), true, type) & 0xff) << 8 |  \
                         (uint32_t)(clamp_integer(extend(b[i], T_S32), true, type) & 0xff);        \
    }
PACK8(pack_u8, T_U8)
PACK8(pack_s8, T_S8)

lane_fn *COPY(ptxm_lane_pack)(enum type to, uint32_t flags)
{
    switch (to) {
    case T_F16X2: return flags ? pack_f16 : pack_f16_fast;
    case T_BF16X2: return flags ? pack_bf16 : pack_bf16_fast;
    case T_U16: return pack_u16;
    case T_S16: return pack_s16;
    case T_U8: return pack_u8;
    case T_S8: return pack_s8;
    case T_E5M2X2: return pack_e5m2;
    case T_E4M3X2: return pack_e4m3;
    default: return NULL;
    }
}

const struct lane_table COPY(ptxm_lane_table) = {
    COPY(ptxm_lane_integer), COPY(ptxm_lane_compare), COPY(ptxm_lane_real), COPY(ptxm_lane_half),
    COPY(ptxm_lane_convert), COPY(ptxm_lane_pack),    COPY(ptxm_lane_testp),
    COPY(ptxm_multiply_add),
    COPY(ptxm_widen), COPY(ptxm_spread), COPY(ptxm_multiply), COPY(ptxm_canonical),
    COPY(ptxm_halves), COPY(ptxm_add_integers), COPY(ptxm_span),
    COPY(ptxm_transfer_load), COPY(ptxm_transfer_store),
};
