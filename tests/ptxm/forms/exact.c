// SPDX-License-Identifier: MIT
#include "exact.h"

#include <math.h>

const struct format format_f16 = {5, 10, 0x7fff}, format_bf16 = {8, 7, 0x7fff},
                    format_f32 = {8, 23, 0x7fffffff}, format_f64 = {11, 52, 0x7fffffffffffffff},
                    format_tf32 = {8, 10, 0x3ffff}, format_e5m2 = {5, 2, 0x7f};

enum { TOP = 124 };

static int bias(const struct format *f)
{
    return (1 << (f->exponent_bits - 1)) - 1;
}

static struct exact make(enum exact_kind kind, bool negative)
{
    return (struct exact){.kind = kind, .negative = negative};
}

static wide shift_sticky(wide x, int by)
{
    if (by <= 0)
        return x;
    return by > 127 ? x != 0 : x >> by | ((x & (((wide)1 << by) - 1)) != 0);
}

static int top_bit(wide x)
{
    uint64_t high = (uint64_t)(x >> 64);
    return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)x);
}

static struct exact normal(bool negative, wide significand, int exponent)
{
    if (!significand)
        return make(EXACT_ZERO, negative);
    int by = TOP - top_bit(significand);
    struct exact x = {EXACT_FINITE, negative, exponent - by, 0};
    x.significand = by >= 0 ? significand << by : shift_sticky(significand, -by);
    return x;
}

struct exact exact_unpack(uint64_t bits, const struct format *f, bool flush)
{
    uint64_t fraction = bits & (((uint64_t)1 << f->fraction_bits) - 1);
    unsigned top = (1u << f->exponent_bits) - 1;
    unsigned exponent = (unsigned)(bits >> f->fraction_bits) & top;
    bool negative = bits >> (f->fraction_bits + f->exponent_bits) & 1;
    if (exponent == top)
        return make(fraction ? EXACT_NAN : EXACT_INFINITE, negative);
    if (!exponent && (flush || !fraction))
        return make(EXACT_ZERO, negative);
    int scale = (int)(exponent ? exponent : 1) - bias(f) - (int)f->fraction_bits;
    return normal(negative, fraction | (uint64_t)(exponent != 0) << f->fraction_bits, scale);
}

struct exact exact_integer(bool negative, wide magnitude)
{
    return magnitude ? normal(negative, magnitude, 0) : make(EXACT_ZERO, false);
}

struct exact exact_negate(struct exact x)
{
    x.negative = !x.negative;
    return x;
}

static int compare_magnitude(struct exact a, struct exact b)
{
    if (a.exponent != b.exponent)
        return a.exponent < b.exponent ? -1 : 1;
    return a.significand < b.significand ? -1 : a.significand > b.significand;
}

struct exact exact_add(struct exact a, struct exact b, bool down)
{
    if (a.kind == EXACT_NAN || b.kind == EXACT_NAN)
        return make(EXACT_NAN, false);
    if (a.kind == EXACT_INFINITE || b.kind == EXACT_INFINITE) {
        bool clash = a.kind == b.kind && a.negative != b.negative;
        return clash ? make(EXACT_NAN, false) : a.kind == EXACT_INFINITE ? a : b;
    }
    if (a.kind == EXACT_ZERO && b.kind == EXACT_ZERO)
        return make(EXACT_ZERO, a.negative == b.negative ? a.negative : down);
    if (a.kind == EXACT_ZERO || b.kind == EXACT_ZERO)
        return a.kind == EXACT_ZERO ? b : a;
    if (compare_magnitude(a, b) < 0) {
        struct exact swap = a;
        a = b;
        b = swap;
    }
    // Operands have at most 106 bits, so a shift by one loses nothing; after a longer one the
    // difference keeps its highest or second highest bit, far above the sticky one.
    wide other = shift_sticky(b.significand, a.exponent - b.exponent);
    if (a.negative == b.negative)
        return normal(a.negative, a.significand + other, a.exponent);
    if (a.significand == other)
        return make(EXACT_ZERO, down);
    return normal(a.negative, a.significand - other, a.exponent);
}

struct exact exact_multiply(struct exact a, struct exact b)
{
    bool negative = a.negative != b.negative;
    if (a.kind == EXACT_NAN || b.kind == EXACT_NAN)
        return make(EXACT_NAN, false);
    if (a.kind == EXACT_INFINITE || b.kind == EXACT_INFINITE)
        return make(a.kind == EXACT_ZERO || b.kind == EXACT_ZERO ? EXACT_NAN : EXACT_INFINITE,
                    negative);
    if (a.kind == EXACT_ZERO || b.kind == EXACT_ZERO)
        return make(EXACT_ZERO, negative);
    wide product = (a.significand >> 64) * (b.significand >> 64); // 61 bits each hold 53
    return normal(negative, product, a.exponent + b.exponent + 128);
}

struct exact exact_divide(struct exact a, struct exact b)
{
    bool negative = a.negative != b.negative;
    if (a.kind == EXACT_NAN || b.kind == EXACT_NAN || (a.kind == b.kind && a.kind != EXACT_FINITE))
        return make(EXACT_NAN, false);
    if (a.kind == EXACT_INFINITE || b.kind == EXACT_ZERO)
        return make(EXACT_INFINITE, negative);
    if (a.kind == EXACT_ZERO || b.kind == EXACT_INFINITE)
        return make(EXACT_ZERO, negative);
    wide divisor = b.significand >> 64, quotient = a.significand / divisor;
    bool rest = a.significand % divisor != 0;
    return normal(negative, quotient << 1 | rest, a.exponent - b.exponent - 65);
}

struct exact exact_root(struct exact a)
{
    if (a.kind == EXACT_ZERO || a.kind == EXACT_NAN)
        return a;
    if (a.negative)
        return make(EXACT_NAN, false);
    if (a.kind == EXACT_INFINITE)
        return a;
    wide left = a.significand << (a.exponent & 1), root = 0;
    for (int bit = 62; bit >= 0; bit--) {
        wide candidate = root | (wide)1 << bit;
        if (candidate * candidate <= left)
            root = candidate;
    }
    return normal(false, root << 1 | (root * root != left),
                  (a.exponent - (a.exponent & 1)) / 2 - 1);
}

int exact_compare(struct exact a, struct exact b)
{
    int sign_a = a.kind == EXACT_ZERO ? 0 : a.negative ? -1 : 1;
    int sign_b = b.kind == EXACT_ZERO ? 0 : b.negative ? -1 : 1;
    if (sign_a != sign_b || !sign_a)
        return sign_a < sign_b ? -1 : sign_a > sign_b;
    int magnitude = a.kind == EXACT_INFINITE || b.kind == EXACT_INFINITE
                        ? (a.kind == EXACT_INFINITE) - (b.kind == EXACT_INFINITE)
                        : compare_magnitude(a, b);
    return a.negative ? -magnitude : magnitude;
}

// The significand without its `drop` lowest bits, rounded.
static wide without(wide significand, int drop, bool negative, enum rounding rounding)
{
    if (drop > 126)
        drop = 126, significand = significand ? 1 : 0;
    wide kept = significand >> drop, rest = significand & (((wide)1 << drop) - 1);
    wide half = (wide)1 << (drop - 1);
    switch (rounding) {
    case TO_NEAREST: return kept + (rest > half || (rest == half && kept & 1));
    case AWAY: return kept + (rest >= half);
    case DOWN: return kept + (negative && rest);
    case UP: return kept + (!negative && rest);
    default: return kept;
    }
}

struct exact exact_integral(struct exact x, enum rounding rounding)
{
    if (x.kind != EXACT_FINITE || x.exponent >= 0)
        return x;
    return normal(x.negative, without(x.significand, -x.exponent, x.negative, rounding), 0);
}

__int128 exact_clamp(struct exact x, enum rounding rounding, __int128 low, __int128 high)
{
    x = exact_integral(x, rounding);
    if (x.kind == EXACT_ZERO)
        return 0;
    if (x.kind == EXACT_INFINITE || x.exponent > -TOP + 65)
        return x.negative ? low : high;
    __int128 value = (__int128)(x.significand >> -x.exponent);
    value = x.negative ? -value : value;
    return value < low ? low : value > high ? high : value;
}

uint64_t exact_round(struct exact x, const struct format *f, enum rounding rounding, bool flush)
{
    int least = 1 - bias(f), exponent = x.exponent + TOP;
    uint64_t sign = (uint64_t)x.negative << (f->exponent_bits + f->fraction_bits);
    uint64_t infinity = (((uint64_t)1 << f->exponent_bits) - 1) << f->fraction_bits;
    switch (x.kind) {
    case EXACT_NAN: return f->nan;
    case EXACT_ZERO: return sign;
    case EXACT_INFINITE: return sign | infinity;
    default: break;
    }
    int below = exponent < least ? least - exponent : 0;
    int drop = TOP - (int)f->fraction_bits + (below > 200 ? 200 : below);
    uint64_t value = (uint64_t)without(x.significand, drop, x.negative, rounding);
    if (!below && exponent - least > bias(f) * 2)
        value = infinity;
    else if (!below)
        value += (uint64_t)(exponent - least) << f->fraction_bits;
    if (value >= infinity) {
        bool grows = rounding == TO_NEAREST || rounding == AWAY ||
                     rounding == (x.negative ? DOWN : UP);
        value = grows ? infinity : infinity - 1;
    }
    return sign | (flush && value < (uint64_t)1 << f->fraction_bits ? 0 : value);
}

long double exact_value(struct exact x)
{
    long double value = x.kind == EXACT_NAN ? NAN
                      : x.kind == EXACT_INFINITE ? INFINITY
                      : x.kind == EXACT_ZERO ? 0
                      : ldexpl((long double)(uint64_t)(x.significand >> 61), x.exponent + 61);
    return x.negative ? -value : value;
}
