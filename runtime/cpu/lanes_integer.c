// SPDX-License-Identifier: MIT
// Integer arithmetic, logic, shifts, permutes and selection over 32 lanes.
//
// BINARY(name, S, T, R, expression) defines a function over registers stored as S (uint32_t or
// uint64_t), read as T, whose result is stored by way of R (the unsigned type of T's width).
#include "lanes_common.h"

#define DEFINE(name, S, T, D, R, expression)                                                       \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        D *d = dv;                                                                                 \
        const S *as = av, *bs = bv, *cs = cv;                                                      \
        EACH_LANE                                                                                  \
        {                                                                                          \
            T a = (T)as[i], b = (T)bs[i], c = (T)cs[i];                                            \
            (void)a, (void)b, (void)c;                                                             \
            d[i] = (D)(R)(expression);                                                             \
        }                                                                                          \
    }

// An operation for all six integer types; U is the unsigned type to compute in without overflow.
#define INTEGER(name, expression)                                                                  \
    DEFINE(name##_u16, uint32_t, uint16_t, uint32_t, uint16_t, expression(uint16_t, uint32_t))     \
    DEFINE(name##_s16, uint32_t, int16_t, uint32_t, uint16_t, expression(int16_t, uint32_t))       \
    DEFINE(name##_u32, uint32_t, uint32_t, uint32_t, uint32_t, expression(uint32_t, uint32_t))     \
    DEFINE(name##_s32, uint32_t, int32_t, uint32_t, uint32_t, expression(int32_t, uint32_t))       \
    DEFINE(name##_u64, uint64_t, uint64_t, uint64_t, uint64_t, expression(uint64_t, uint64_t))     \
    DEFINE(name##_s64, uint64_t, int64_t, uint64_t, uint64_t, expression(int64_t, uint64_t))

#define E_ADD(T, U) (U) a + (U)b
#define E_SUB(T, U) (U) a - (U)b
#define E_MUL(T, U) (U) a *(U)b
#define E_MAD(T, U) (U) a *(U)b + (U)c
#define E_MIN(T, U) a < b ? a : b
#define E_MAX(T, U) a > b ? a : b
#define E_SAD(T, U) (U) c + (a > b ? (U)a - (U)b : (U)b - (U)a)
#define E_ABS(T, U) a < 0 ? (U)0 - (U)a : (U)a
#define E_NEG(T, U) (U)0 - (U)a
#define E_AND(T, U) (U) a &(U)b
#define E_OR(T, U) (U) a | (U)b
#define E_XOR(T, U) (U) a ^ (U)b
#define E_NOT(T, U) ~(U)a
#define E_CNOT(T, U) a == 0
#define E_MOV(T, U) (U) a
INTEGER(add, E_ADD)
INTEGER(sub, E_SUB)
INTEGER(mul_lo, E_MUL)
INTEGER(mad_lo, E_MAD)
INTEGER(min, E_MIN)
INTEGER(max, E_MAX)
INTEGER(sad, E_SAD)
DEFINE(abs_s16, uint32_t, int16_t, uint32_t, uint16_t, E_ABS(int16_t, uint32_t))
DEFINE(abs_s32, uint32_t, int32_t, uint32_t, uint32_t, E_ABS(int32_t, uint32_t))
DEFINE(abs_s64, uint64_t, int64_t, uint64_t, uint64_t, E_ABS(int64_t, uint64_t))
INTEGER(neg, E_NEG)
INTEGER(and, E_AND)
INTEGER(or, E_OR)
INTEGER(xor, E_XOR)
INTEGER(not, E_NOT)
INTEGER(cnot, E_CNOT)
INTEGER(mov, E_MOV)

// Division by zero gives all ones, the least number by -1 itself, as the hardware does.
static inline uint64_t divide_u(uint64_t a, uint64_t b, bool remainder)
{
    return b ? (remainder ? a % b : a / b) : (remainder ? a : UINT64_MAX);
}

static inline uint64_t divide_s(int64_t a, int64_t b, bool remainder)
{
    if (!b)
        return remainder ? (uint64_t)a : UINT64_MAX;
    if (b == -1)
        return remainder ? 0 : 0 - (uint64_t)a;
    return (uint64_t)(remainder ? a % b : a / b);
}

#define DIVIDE(name, S, T, R, fn, remainder) DEFINE(name, S, T, S, R, fn(a, b, remainder))
DIVIDE(div_u16, uint32_t, uint16_t, uint16_t, divide_u, false)
DIVIDE(div_s16, uint32_t, int16_t, uint16_t, divide_s, false)
DIVIDE(div_u32, uint32_t, uint32_t, uint32_t, divide_u, false)
DIVIDE(div_s32, uint32_t, int32_t, uint32_t, divide_s, false)
DIVIDE(div_u64, uint64_t, uint64_t, uint64_t, divide_u, false)
DIVIDE(div_s64, uint64_t, int64_t, uint64_t, divide_s, false)
DIVIDE(rem_u16, uint32_t, uint16_t, uint16_t, divide_u, true)
DIVIDE(rem_s16, uint32_t, int16_t, uint16_t, divide_s, true)
DIVIDE(rem_u32, uint32_t, uint32_t, uint32_t, divide_u, true)
DIVIDE(rem_s32, uint32_t, int32_t, uint32_t, divide_s, true)
DIVIDE(rem_u64, uint64_t, uint64_t, uint64_t, divide_u, true)
DIVIDE(rem_s64, uint64_t, int64_t, uint64_t, divide_s, true)

#define HIGH_U(a, b) ((unsigned __int128)(a) * (b) >> 64)
#define HIGH_S(a, b) ((__int128)(a) * (b) >> 64)
DEFINE(mul_hi_u16, uint32_t, uint16_t, uint32_t, uint16_t, (uint32_t)a *b >> 16)
DEFINE(mul_hi_s16, uint32_t, int16_t, uint32_t, uint16_t, (a * b) >> 16)
DEFINE(mul_hi_u32, uint32_t, uint32_t, uint32_t, uint32_t, (uint64_t)a *b >> 32)
DEFINE(mul_hi_s32, uint32_t, int32_t, uint32_t, uint32_t, (int64_t)a *b >> 32)
DEFINE(mul_hi_u64, uint64_t, uint64_t, uint64_t, uint64_t, HIGH_U(a, b))
DEFINE(mul_hi_s64, uint64_t, int64_t, uint64_t, uint64_t, HIGH_S(a, b))
DEFINE(mad_hi_u16, uint32_t, uint16_t, uint32_t, uint16_t, ((uint32_t)a * b >> 16) + c)
DEFINE(mad_hi_s16, uint32_t, int16_t, uint32_t, uint16_t, ((a * b) >> 16) + c)
DEFINE(mad_hi_u32, uint32_t, uint32_t, uint32_t, uint32_t, ((uint64_t)a * b >> 32) + c)
DEFINE(mad_hi_s32, uint32_t, int32_t, uint32_t, uint32_t, ((int64_t)a * b >> 32) + c)
DEFINE(mad_hi_u64, uint64_t, uint64_t, uint64_t, uint64_t, (uint64_t)HIGH_U(a, b) + c)
DEFINE(mad_hi_s64, uint64_t, int64_t, uint64_t, uint64_t, (uint64_t)HIGH_S(a, b) + (uint64_t)c)
DEFINE(mul_wide_u16, uint32_t, uint16_t, uint32_t, uint32_t, (uint32_t)a *b)
DEFINE(mul_wide_s16, uint32_t, int16_t, uint32_t, uint32_t, a *b)
DEFINE(mul_wide_u32, uint32_t, uint32_t, uint64_t, uint64_t, (uint64_t)a *b)
DEFINE(mul_wide_s32, uint32_t, int32_t, uint64_t, uint64_t, (int64_t)a *b)
DEFINE(mul24_lo_u32, uint32_t, uint32_t, uint32_t, uint32_t, (a & 0xffffff) * (b & 0xffffff))
DEFINE(mad24_lo_u32, uint32_t, uint32_t, uint32_t, uint32_t, (a & 0xffffff) * (b & 0xffffff) + c)
DEFINE(mul24_hi_u32, uint32_t, uint32_t, uint32_t, uint32_t,
       (uint64_t)(a & 0xffffff) * (b & 0xffffff) >> 16)
#define S24(x) ((int32_t)((uint32_t)(x) << 8) >> 8)
DEFINE(mul24_lo_s32, uint32_t, int32_t, uint32_t, uint32_t, (int64_t)S24(a) * S24(b))
DEFINE(mad24_lo_s32, uint32_t, int32_t, uint32_t, uint32_t, (int64_t)S24(a) * S24(b) + c)
DEFINE(mul24_hi_s32, uint32_t, int32_t, uint32_t, uint32_t, (int64_t)S24(a) * S24(b) >> 16)

#define MAD_WIDE(name, T, S, U)                                                                    \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        U *d = dv;                                                                                 \
        const uint32_t *a = av, *b = bv;                                                           \
        const U *c = cv;                                                                           \
        EACH_LANE d[i] = (U)((S)(T)a[i] * (S)(T)b[i]) + c[i];                                      \
    }
MAD_WIDE(mad_wide_u16, uint16_t, uint32_t, uint32_t)
MAD_WIDE(mad_wide_s16, int16_t, int32_t, uint32_t)
MAD_WIDE(mad_wide_u32, uint32_t, uint64_t, uint64_t)
MAD_WIDE(mad_wide_s32, int32_t, int64_t, uint64_t)

static inline int32_t clamp32(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}
DEFINE(add_sat, uint32_t, int32_t, uint32_t, uint32_t, clamp32((int64_t)a + b))
DEFINE(sub_sat, uint32_t, int32_t, uint32_t, uint32_t, clamp32((int64_t)a - b))
DEFINE(mad_hi_sat, uint32_t, int32_t, uint32_t, uint32_t, clamp32(((int64_t)a * b >> 32) + c))
DEFINE(min_relu, uint32_t, int32_t, uint32_t, uint32_t, (a < b ? a : b) > 0 ? (a < b ? a : b) : 0)
DEFINE(max_relu, uint32_t, int32_t, uint32_t, uint32_t, (a > b ? a : b) > 0 ? (a > b ? a : b) : 0)

// Packed pairs of 16-bit integers.
#define PAIRED(name, T, expression)                                                                \
    static inline uint32_t name##_one(T a, T b)                                                    \
    {                                                                                              \
        return (uint16_t)(expression);                                                             \
    }                                                                                              \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint32_t *d = dv;                                                                          \
        const uint32_t *a = av, *b = bv;                                                           \
        EACH_LANE d[i] = name##_one((T)a[i], (T)b[i]) |                                            \
                         name##_one((T)(a[i] >> 16), (T)(b[i] >> 16)) << 16;                       \
    }
PAIRED(add_x2, uint16_t, a + b)
PAIRED(min_u16x2, uint16_t, a < b ? a : b)
PAIRED(max_u16x2, uint16_t, a > b ? a : b)
PAIRED(min_s16x2, int16_t, a < b ? a : b)
PAIRED(max_s16x2, int16_t, a > b ? a : b)
PAIRED(min_relu_s16x2, int16_t, (a < b ? a : b) > 0 ? (a < b ? a : b) : 0)
PAIRED(max_relu_s16x2, int16_t, (a > b ? a : b) > 0 ? (a > b ? a : b) : 0)

// ---- bits ---------------------------------------------------------------------------------------

DEFINE(popc_b32, uint32_t, uint32_t, uint32_t, uint32_t, __builtin_popcount(a))
DEFINE(popc_b64, uint64_t, uint64_t, uint32_t, uint32_t, __builtin_popcountll(a))
DEFINE(clz_b32, uint32_t, uint32_t, uint32_t, uint32_t, a ? __builtin_clz(a) : 32)
DEFINE(clz_b64, uint64_t, uint64_t, uint32_t, uint32_t, a ? __builtin_clzll(a) : 64)

static inline uint64_t reverse(uint64_t x)
{
    x = (x >> 1 & 0x5555555555555555) | (x & 0x5555555555555555) << 1;
    x = (x >> 2 & 0x3333333333333333) | (x & 0x3333333333333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f0f0f0f0f) | (x & 0x0f0f0f0f0f0f0f0f) << 4;
    return __builtin_bswap64(x);
}
DEFINE(brev_b32, uint32_t, uint32_t, uint32_t, uint32_t, reverse(a) >> 32)
DEFINE(brev_b64, uint64_t, uint64_t, uint64_t, uint64_t, reverse(a))

#define FIND(x, most) ((x) ? (uint32_t)(63 - __builtin_clzll(x)) : UINT32_MAX)
#define SHIFT_OF(found, most) ((found) == UINT32_MAX ? UINT32_MAX : (most) - (found))
DEFINE(bfind_u32, uint32_t, uint32_t, uint32_t, uint32_t, FIND((uint64_t)a, 31))
DEFINE(bfind_s32, uint32_t, int32_t, uint32_t, uint32_t,
       FIND((uint64_t)(uint32_t)(a < 0 ? ~a : a), 31))
DEFINE(bfind_u64, uint64_t, uint64_t, uint32_t, uint32_t, FIND(a, 63))
DEFINE(bfind_s64, uint64_t, int64_t, uint32_t, uint32_t, FIND((uint64_t)(a < 0 ? ~a : a), 63))
DEFINE(bfinds_u32, uint32_t, uint32_t, uint32_t, uint32_t, SHIFT_OF(FIND((uint64_t)a, 31), 31))
DEFINE(bfinds_s32, uint32_t, int32_t, uint32_t, uint32_t,
       SHIFT_OF(FIND((uint64_t)(uint32_t)(a < 0 ? ~a : a), 31), 31))
DEFINE(bfinds_u64, uint64_t, uint64_t, uint32_t, uint32_t, SHIFT_OF(FIND(a, 63), 63))
DEFINE(bfinds_s64, uint64_t, int64_t, uint32_t, uint32_t,
       SHIFT_OF(FIND((uint64_t)(a < 0 ? ~a : a), 63), 63))

// Field of `length` bits at `position`; bits beyond the top are zero, or the sign for signed types.
static inline uint64_t extract(uint64_t a, uint32_t position, uint32_t length, unsigned width,
                               bool is_signed)
{
    position &= 0xff;
    length &= 0xff;
    uint64_t top = width - 1;
    uint64_t sign = 0;
    if (is_signed && length)
        sign = a >> (position + length - 1 < top ? position + length - 1 : top) & 1;
    uint64_t field = position < width ? a >> position : 0;
    unsigned have = position < width ? width - position : 0;
    unsigned take = length < have ? length : have;
    field = take >= 64 ? field : field & (((uint64_t)1 << take) - 1);
    return sign && take < 64 ? field | ~(uint64_t)0 << take : field;
}
#define EXTRACT(name, S, width, is_signed)                                                         \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        S *d = dv;                                                                                 \
        const S *a = av;                                                                           \
        const uint32_t *b = bv, *c = cv;                                                           \
        EACH_LANE d[i] = (S)extract(a[i], b[i], c[i], width, is_signed);                           \
    }
EXTRACT(bfe_u32, uint32_t, 32, false)
EXTRACT(bfe_s32, uint32_t, 32, true)
EXTRACT(bfe_u64, uint64_t, 64, false)
EXTRACT(bfe_s64, uint64_t, 64, true)

// Shift counts are 32-bit and clamp to the width.
#define SHIFT(name, S, T, R, expression)                                                           \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        S *d = dv;                                                                                 \
        const S *as = av;                                                                          \
        const uint32_t *bs = bv;                                                                   \
        EACH_LANE                                                                                  \
        {                                                                                          \
            T a = (T)as[i];                                                                        \
            uint32_t b = bs[i];                                                                    \
            d[i] = (S)(R)(expression);                                                             \
        }                                                                                          \
    }
SHIFT(shl_b16, uint32_t, uint16_t, uint16_t, b > 15 ? 0 : (uint32_t)a << b)
SHIFT(shl_b32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a << (b & 31))
SHIFT(shl_b64, uint64_t, uint64_t, uint64_t, b > 63 ? 0 : a << (b & 63))
SHIFT(shr_u16, uint32_t, uint16_t, uint16_t, b > 15 ? 0 : a >> b)
SHIFT(shr_u32, uint32_t, uint32_t, uint32_t, b > 31 ? 0 : a >> (b & 31))
SHIFT(shr_u64, uint64_t, uint64_t, uint64_t, b > 63 ? 0 : a >> (b & 63))
SHIFT(shr_s16, uint32_t, int16_t, uint16_t, a >> (b > 15 ? 15 : b))
SHIFT(shr_s32, uint32_t, int32_t, uint32_t, a >> (b > 31 ? 31 : b))
SHIFT(shr_s64, uint64_t, int64_t, uint64_t, a >> (b > 63 ? 63 : b))

#define CLAMPED(x) ((x) > 32 ? 32 : (x))
#define PAIR64 ((uint64_t)b << 32 | a)
DEFINE(shf_l_clamp, uint32_t, uint32_t, uint32_t, uint32_t, PAIR64 << CLAMPED(c) >> 32)
DEFINE(shf_l_wrap, uint32_t, uint32_t, uint32_t, uint32_t, PAIR64 << (c & 31) >> 32)
DEFINE(shf_r_clamp, uint32_t, uint32_t, uint32_t, uint32_t, PAIR64 >> CLAMPED(c))
DEFINE(shf_r_wrap, uint32_t, uint32_t, uint32_t, uint32_t, PAIR64 >> (c & 31))

static inline uint32_t szext(uint32_t a, uint32_t n, bool wrap, bool is_signed)
{
    n = wrap ? n & 31 : n;
    if (n == 0)
        return 0;
    if (n >= 32)
        return a;
    return is_signed ? (uint32_t)((int32_t)(a << (32 - n)) >> (32 - n)) : a & ((1u << n) - 1);
}
DEFINE(szext_clamp_u32, uint32_t, uint32_t, uint32_t, uint32_t, szext(a, b, false, false))
DEFINE(szext_clamp_s32, uint32_t, uint32_t, uint32_t, uint32_t, szext(a, b, false, true))
DEFINE(szext_wrap_u32, uint32_t, uint32_t, uint32_t, uint32_t, szext(a, b, true, false))
DEFINE(szext_wrap_s32, uint32_t, uint32_t, uint32_t, uint32_t, szext(a, b, true, true))

static inline uint32_t bitmask(uint32_t a, uint32_t b, bool wrap)
{
    a = wrap ? a & 31 : a;
    b = wrap ? b & 31 : b;
    if (a >= 32 || b == 0)
        return 0;
    return (b >= 32 ? UINT32_MAX : (1u << b) - 1) << a;
}
DEFINE(bmsk_clamp, uint32_t, uint32_t, uint32_t, uint32_t, bitmask(a, b, false))
DEFINE(bmsk_wrap, uint32_t, uint32_t, uint32_t, uint32_t, bitmask(a, b, true))

// The n-th set bit from `base`, upwards for n > 0, downwards for n < 0.
static uint32_t find_nth(uint32_t mask, uint32_t base, int32_t n)
{
    if (n == 0)
        return base < 32 && mask >> base & 1 ? base : UINT32_MAX;
    int32_t direction = n > 0 ? 1 : -1;
    uint32_t left = n > 0 ? (uint32_t)n : 0 - (uint32_t)n;
    for (int32_t at = (int32_t)base; at >= 0 && at < 32; at += direction)
        if (mask >> at & 1 && --left == 0)
            return (uint32_t)at;
    return UINT32_MAX;
}
DEFINE(fns_b32, uint32_t, uint32_t, uint32_t, uint32_t, find_nth(a, b, (int32_t)c))

static void lop3(void *dv, source av, source bv, source cv, uint32_t lut)
{
    uint32_t *d = dv, m[8];
    const uint32_t *a = av, *b = bv, *c = cv;
    for (int k = 0; k < 8; k++) m[k] = lut >> k & 1 ? UINT32_MAX : 0;
    EACH_LANE
    {
        uint32_t x = a[i], y = b[i], z = c[i];
        uint32_t y0 = (m[0] & ~z) | (m[1] & z), y1 = (m[2] & ~z) | (m[3] & z);
        uint32_t y2 = (m[4] & ~z) | (m[5] & z), y3 = (m[6] & ~z) | (m[7] & z);
        d[i] = (((y0 & ~y) | (y1 & y)) & ~x) | (((y2 & ~y) | (y3 & y)) & x);
    }
}

static uint32_t permute(uint32_t a, uint32_t b, uint32_t selector, uint32_t mode)
{
    static const uint16_t f4e[] = {0x3210, 0x4321, 0x5432, 0x6543};
    static const uint16_t b4e[] = {0x5670, 0x6701, 0x7012, 0x0123};
    static const uint16_t rc8[] = {0x0000, 0x1111, 0x2222, 0x3333};
    static const uint16_t ecl[] = {0x3210, 0x3211, 0x3222, 0x3333};
    static const uint16_t ecr[] = {0x0000, 0x1110, 0x2210, 0x3210};
    static const uint16_t rc16[] = {0x1010, 0x3232, 0x1010, 0x3232};
    static const uint16_t *const tables[] = {f4e, b4e, rc8, ecl, ecr, rc16};
    uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t out = 0, chosen = mode ? tables[mode - 1][selector & 3] : selector;
    for (int k = 0; k < 4; k++) {
        uint32_t nibble = chosen >> (4 * k) & 15;
        uint32_t byte = (uint32_t)(bytes >> (8 * (nibble & 7))) & 0xff;
        if (!mode && nibble & 8)
            byte = byte & 0x80 ? 0xff : 0;
        out |= byte << (8 * k);
    }
    return out;
}
DEFINE(prmt, uint32_t, uint32_t, uint32_t, uint32_t, permute(a, b, c, imm))

static uint32_t dot4(uint32_t a, uint32_t b, uint32_t c, uint32_t flags)
{
    for (int k = 0; k < 4; k++) {
        int32_t x = flags & 1 ? (int8_t)(a >> (8 * k)) : (uint8_t)(a >> (8 * k));
        int32_t y = flags & 2 ? (int8_t)(b >> (8 * k)) : (uint8_t)(b >> (8 * k));
        c += (uint32_t)(x * y);
    }
    return c;
}

static uint32_t dot2(uint32_t a, uint32_t b, uint32_t c, uint32_t flags)
{
    for (int k = 0; k < 2; k++) {
        int at = 8 * (k + (flags & 4 ? 2 : 0));
        int32_t x = flags & 1 ? (int16_t)(a >> (16 * k)) : (uint16_t)(a >> (16 * k));
        int32_t y = flags & 2 ? (int8_t)(b >> at) : (uint8_t)(b >> at);
        c += (uint32_t)(x * y);
    }
    return c;
}
DEFINE(dp4a, uint32_t, uint32_t, uint32_t, uint32_t, dot4(a, b, c, imm))
DEFINE(dp2a, uint32_t, uint32_t, uint32_t, uint32_t, dot2(a, b, c, imm))
DEFINE(copysign_f32, uint32_t, uint32_t, uint32_t, uint32_t, (b & 0x7fffffff) | (a & 0x80000000))
DEFINE(copysign_f64, uint64_t, uint64_t, uint64_t, uint64_t,
       (b & INT64_MAX) | (a & (uint64_t)INT64_MIN))

// ---- selection and predicates -------------------------------------------------------------------

#define SELECT(name, S)                                                                            \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        S *d = dv;                                                                                 \
        const S *a = av, *b = bv;                                                                  \
        uint32_t p = *(const uint32_t *)cv;                                                        \
        EACH_LANE d[i] = p >> i & 1 ? a[i] : b[i];                                                 \
    }
SELECT(selp_b32, uint32_t)
SELECT(selp_b64, uint64_t)

static void mov_b128(void *dv, source av, source bv, source cv, uint32_t imm)
{
    memmove(dv, av, 16 * LANES);
}

#define PREDICATE(name, expression)                                                                \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint32_t a = *(const uint32_t *)av, b = *(const uint32_t *)bv, c = *(const uint32_t *)cv;  \
        (void)a, (void)b, (void)c;                                                                 \
        *(uint32_t *)dv = (expression);                                                            \
    }
PREDICATE(and_pred, a &b)
PREDICATE(or_pred, a | b)
PREDICATE(xor_pred, a ^ b)
PREDICATE(not_pred, ~a)
PREDICATE(mov_pred, a)
PREDICATE(selp_pred, (a & c) | (b & ~c))

#define BY_TYPE(name)                                                                              \
    {                                                                                              \
        [T_U16] = name##_u16, [T_S16] = name##_s16, [T_U32] = name##_u32, [T_S32] = name##_s32,    \
        [T_U64] = name##_u64, [T_S64] = name##_s64, [T_B16] = name##_u16, [T_B32] = name##_u32,    \
        [T_B64] = name##_u64, [T_F16] = name##_u16, [T_BF16] = name##_u16, [T_F32] = name##_u32,   \
        [T_F64] = name##_u64, [T_F16X2] = name##_u32, [T_BF16X2] = name##_u32                      \
    }
#define ONE_TYPE(type, fn) {[type] = fn}
#define WORDS(name) {[T_U32] = name##_u32, [T_S32] = name##_s32, [T_U64] = name##_u64,             \
                     [T_S64] = name##_s64}
#define PLAIN(name) {[T_B32] = name##_b32, [T_B64] = name##_b64}

static lane_fn *const table[L_DP2A + 1][T_COUNT] = {
    [L_ADD] = BY_TYPE(add), [L_SUB] = BY_TYPE(sub), [L_MUL_LO] = BY_TYPE(mul_lo),
    [L_MAD_LO] = BY_TYPE(mad_lo), [L_SAD] = BY_TYPE(sad),
    [L_ABS] = {[T_S16] = abs_s16, [T_S32] = abs_s32, [T_S64] = abs_s64},
    [L_NEG] = BY_TYPE(neg), [L_MIN] = BY_TYPE(min), [L_MAX] = BY_TYPE(max),
    [L_DIV] = BY_TYPE(div), [L_REM] = BY_TYPE(rem), [L_MUL_HI] = BY_TYPE(mul_hi),
    [L_MAD_HI] = BY_TYPE(mad_hi), [L_AND] = BY_TYPE(and), [L_OR] = BY_TYPE(or),
    [L_XOR] = BY_TYPE(xor), [L_NOT] = BY_TYPE(not), [L_CNOT] = BY_TYPE(cnot),
    [L_MOV] = BY_TYPE(mov),
    [L_MUL_WIDE] = {[T_U16] = mul_wide_u16, [T_S16] = mul_wide_s16, [T_U32] = mul_wide_u32,
                    [T_S32] = mul_wide_s32},
    [L_MAD_WIDE] = {[T_U16] = mad_wide_u16, [T_S16] = mad_wide_s16, [T_U32] = mad_wide_u32,
                    [T_S32] = mad_wide_s32},
    [L_MUL24_LO] = {[T_U32] = mul24_lo_u32, [T_S32] = mul24_lo_s32},
    [L_MUL24_HI] = {[T_U32] = mul24_hi_u32, [T_S32] = mul24_hi_s32},
    [L_MAD24_LO] = {[T_U32] = mad24_lo_u32, [T_S32] = mad24_lo_s32},
    [L_ADD_SAT] = ONE_TYPE(T_S32, add_sat), [L_SUB_SAT] = ONE_TYPE(T_S32, sub_sat),
    [L_MAD_HI_SAT] = ONE_TYPE(T_S32, mad_hi_sat),
    [L_MIN_RELU] = {[T_S32] = min_relu, [T_S16X2] = min_relu_s16x2},
    [L_MAX_RELU] = {[T_S32] = max_relu, [T_S16X2] = max_relu_s16x2},
    [L_POPC] = PLAIN(popc), [L_CLZ] = PLAIN(clz), [L_BREV] = PLAIN(brev),
    [L_BFIND] = WORDS(bfind), [L_BFIND_SHIFT] = WORDS(bfinds), [L_BFE] = WORDS(bfe),
    [L_FNS] = ONE_TYPE(T_B32, fns_b32),
    [L_SZEXT_CLAMP] = {[T_U32] = szext_clamp_u32, [T_S32] = szext_clamp_s32},
    [L_SZEXT_WRAP] = {[T_U32] = szext_wrap_u32, [T_S32] = szext_wrap_s32},
    [L_BMSK_CLAMP] = ONE_TYPE(T_B32, bmsk_clamp), [L_BMSK_WRAP] = ONE_TYPE(T_B32, bmsk_wrap),
    [L_SHL] = {[T_B16] = shl_b16, [T_B32] = shl_b32, [T_B64] = shl_b64},
    [L_SHR] = {[T_B16] = shr_u16, [T_B32] = shr_u32, [T_B64] = shr_u64, [T_U16] = shr_u16,
               [T_U32] = shr_u32, [T_U64] = shr_u64, [T_S16] = shr_s16, [T_S32] = shr_s32,
               [T_S64] = shr_s64},
    [L_SHF_L_CLAMP] = ONE_TYPE(T_B32, shf_l_clamp), [L_SHF_L_WRAP] = ONE_TYPE(T_B32, shf_l_wrap),
    [L_SHF_R_CLAMP] = ONE_TYPE(T_B32, shf_r_clamp), [L_SHF_R_WRAP] = ONE_TYPE(T_B32, shf_r_wrap),
    [L_LOP3] = ONE_TYPE(T_B32, lop3), [L_PRMT] = ONE_TYPE(T_B32, prmt),
    [L_COPYSIGN] = {[T_F32] = copysign_f32, [T_F64] = copysign_f64},
    [L_DP4A] = ONE_TYPE(T_U32, dp4a), [L_DP2A] = ONE_TYPE(T_U32, dp2a),
};

static lane_fn *predicate(enum lane_op op)
{
    switch (op) {
    case L_AND: return and_pred;
    case L_OR: return or_pred;
    case L_XOR: return xor_pred;
    case L_NOT: return not_pred;
    case L_MOV: return mov_pred;
    case L_SELP: return selp_pred;
    default: return NULL;
    }
}

lane_fn *COPY(ptxm_lane_integer)(enum lane_op op, enum type type)
{
    if (type == T_PRED)
        return predicate(op);
    if (op == L_MOV && type == T_B128)
        return mov_b128;
    if (op == L_SELP)
        return ptxm_type_bits(type) <= 32 ? selp_b32 : selp_b64;
    if (type == T_U16X2 || type == T_S16X2) {
        bool is_signed = type == T_S16X2;
        if (op == L_ADD)
            return add_x2;
        if (op == L_MIN)
            return is_signed ? min_s16x2 : min_u16x2;
        if (op == L_MAX)
            return is_signed ? max_s16x2 : max_u16x2;
    }
    return op <= L_DP2A ? table[op][type] : NULL;
}

// ---- comparison ---------------------------------------------------------------------------------

// A byte a lane first, since that vectorizes; then eight bytes to eight bits by a multiplication.
static inline uint32_t collect(const uint8_t *flags)
{
    uint32_t mask = 0;
    for (int k = 0; k < 4; k++) {
        uint64_t eight;
        memcpy(&eight, flags + 8 * k, 8);
        mask |= (uint32_t)((eight & 0x0101010101010101) * 0x0102040810204080 >> 56) << (8 * k);
    }
    return mask;
}

#define COMPARE(name, S, LOAD, expression)                                                         \
    static void name(void *dv, source av, source bv, source cv, uint32_t imm)                      \
    {                                                                                              \
        uint8_t flags[LANES];                                                                      \
        const S *as = av, *bs = bv;                                                                \
        EACH_LANE                                                                                  \
        {                                                                                          \
            LOAD                                                                                   \
            flags[i] = (expression);                                                               \
        }                                                                                          \
        *(uint32_t *)dv = collect(flags);                                                          \
    }
static inline float flush_f16(uint32_t h)
{
    return f16_to_f32(h & 0x7c00 ? h & 0xffff : h & 0x8000);
}

#define AS_INT(T) T a = (T)as[i]; T b = (T)bs[i];
#define SIX(suffix, S, T)                                                                          \
    COMPARE(eq_##suffix, S, AS_INT(T), a == b)                                                     \
    COMPARE(ne_##suffix, S, AS_INT(T), a != b)                                                     \
    COMPARE(lt_##suffix, S, AS_INT(T), a < b)                                                      \
    COMPARE(le_##suffix, S, AS_INT(T), a <= b)                                                     \
    COMPARE(gt_##suffix, S, AS_INT(T), a > b)                                                      \
    COMPARE(ge_##suffix, S, AS_INT(T), a >= b)
SIX(u16, uint32_t, uint16_t)
SIX(s16, uint32_t, int16_t)
SIX(u32, uint32_t, uint32_t)
SIX(s32, uint32_t, int32_t)
SIX(u64, uint64_t, uint64_t)
SIX(s64, uint64_t, int64_t)

#define AS_F32 float a = as_f32(as[i]); float b = as_f32(bs[i]);
#define AS_F32Z float a = flush(as_f32(as[i])); float b = flush(as_f32(bs[i]));
#define AS_F64 double a = as_f64(as[i]); double b = as_f64(bs[i]);
#define AS_F16 float a = f16_to_f32(as[i] & 0xffff); float b = f16_to_f32(bs[i] & 0xffff);
#define AS_F16Z float a = flush_f16(as[i]); float b = flush_f16(bs[i]);
#define AS_BF16 float a = bf16_to_f32(as[i] & 0xffff); float b = bf16_to_f32(bs[i] & 0xffff);
#define FLOATS(suffix, S, LOAD)                                                                    \
    COMPARE(eq_##suffix, S, LOAD, a == b)                                                          \
    COMPARE(ne_##suffix, S, LOAD, a < b || a > b)                                                  \
    COMPARE(lt_##suffix, S, LOAD, a < b)                                                           \
    COMPARE(le_##suffix, S, LOAD, a <= b)                                                          \
    COMPARE(gt_##suffix, S, LOAD, a > b)                                                           \
    COMPARE(ge_##suffix, S, LOAD, a >= b)                                                          \
    COMPARE(equ_##suffix, S, LOAD, !(a < b || a > b))                                              \
    COMPARE(neu_##suffix, S, LOAD, a != b)                                                         \
    COMPARE(ltu_##suffix, S, LOAD, !(a >= b))                                                      \
    COMPARE(leu_##suffix, S, LOAD, !(a > b))                                                       \
    COMPARE(gtu_##suffix, S, LOAD, !(a <= b))                                                      \
    COMPARE(geu_##suffix, S, LOAD, !(a < b))                                                       \
    COMPARE(num_##suffix, S, LOAD, a == a && b == b)                                               \
    COMPARE(nan_##suffix, S, LOAD, a != a || b != b)
FLOATS(f32, uint32_t, AS_F32)
FLOATS(f32z, uint32_t, AS_F32Z)
FLOATS(f64, uint64_t, AS_F64)
FLOATS(f16, uint32_t, AS_F16)
FLOATS(f16z, uint32_t, AS_F16Z)
FLOATS(bf16, uint32_t, AS_BF16)

#define SIX_ROW(s) {eq_##s, ne_##s, lt_##s, le_##s, gt_##s, ge_##s}
#define FLOAT_ROW(s) {eq_##s, ne_##s, lt_##s, le_##s, gt_##s, ge_##s, equ_##s, neu_##s, ltu_##s,   \
                      leu_##s, gtu_##s, geu_##s, num_##s, nan_##s}
static lane_fn *const compare_table[T_COUNT][CMP_COUNT] = {
    [T_U16] = SIX_ROW(u16), [T_S16] = SIX_ROW(s16), [T_U32] = SIX_ROW(u32), [T_S32] = SIX_ROW(s32),
    [T_U64] = SIX_ROW(u64), [T_S64] = SIX_ROW(s64), [T_B16] = {eq_u16, ne_u16},
    [T_B32] = {eq_u32, ne_u32}, [T_B64] = {eq_u64, ne_u64}, [T_F32] = FLOAT_ROW(f32),
    [T_F64] = FLOAT_ROW(f64), [T_F16] = FLOAT_ROW(f16), [T_BF16] = FLOAT_ROW(bf16),
};
static lane_fn *const compare_ftz[2][CMP_COUNT] = {FLOAT_ROW(f32z), FLOAT_ROW(f16z)};

lane_fn *COPY(ptxm_lane_compare)(enum compare compare, enum type type, bool ftz)
{
    if (ftz && (type == T_F32 || type == T_F16))
        return compare_ftz[type == T_F16][compare];
    return compare_table[type][compare];
}
