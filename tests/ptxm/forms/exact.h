// SPDX-License-Identifier: MIT
// Exact arithmetic of binary floating point, by integers only: what an operation gives before it
// is rounded, and the one rounding to a format. The reference for the instructions of the PTX
// machine; it uses no floating-point operation of the processor and nothing of the machine.
#ifndef PTXM_TEST_EXACT_H
#define PTXM_TEST_EXACT_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 wide;

// IEEE formats: sign, exponent, fraction. `nan` is the canonical NaN.
struct format {
    unsigned exponent_bits, fraction_bits;
    uint64_t nan;
};
extern const struct format format_f16, format_bf16, format_f32, format_f64, format_tf32,
    format_e5m2;

enum rounding { TO_NEAREST, TO_ZERO, DOWN, UP, AWAY }; // AWAY: to nearest, ties away from zero

enum exact_kind { EXACT_ZERO, EXACT_FINITE, EXACT_INFINITE, EXACT_NAN };

// EXACT_FINITE: significand * 2^exponent, where bit 124 is the significand's highest. Its lowest
// bit may stand for everything below it ("sticky"): enough for any rounding to 64 bits or fewer.
struct exact {
    enum exact_kind kind;
    bool negative;
    int exponent;
    wide significand;
};

struct exact exact_unpack(uint64_t bits, const struct format *format, bool flush);
struct exact exact_integer(bool negative, wide magnitude);
struct exact exact_negate(struct exact x);
// `down`: a sum of zero from operands that are not both zeros of one sign is negative.
struct exact exact_add(struct exact a, struct exact b, bool down);
struct exact exact_multiply(struct exact a, struct exact b);
struct exact exact_divide(struct exact a, struct exact b);
struct exact exact_root(struct exact a);
int exact_compare(struct exact a, struct exact b); // -1, 0, 1; no NaN; -0 equals +0
struct exact exact_integral(struct exact x, enum rounding rounding);
// The integer nearest in [low, high]; no NaN.
__int128 exact_clamp(struct exact x, enum rounding rounding, __int128 low, __int128 high);
uint64_t exact_round(struct exact x, const struct format *format, enum rounding rounding,
                     bool flush);
long double exact_value(struct exact x); // for bounds of approximations only

#endif
