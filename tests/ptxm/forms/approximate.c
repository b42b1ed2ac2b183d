// SPDX-License-Identifier: MIT
// Approximations: within the errors that the PTX ISA states, and exact where it gives a table
// (zeros, infinities, NaN, subnormals under .ftz).
#include "forms.h"
#include "groups.h"

#include <float.h>
#include <math.h>

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)
#define A exact_value(form_float(form, 1, in[0]))
#define B exact_value(form_float(form, 2, in[1]))

static struct exact from_long(long double x)
{
    struct exact e = {.negative = signbit(x)};
    int exponent;
    e.kind = isnan(x) ? EXACT_NAN : isinf(x) ? EXACT_INFINITE : x == 0 ? EXACT_ZERO : EXACT_FINITE;
    if (e.kind != EXACT_FINITE)
        return e;
    long double fraction = frexpl(fabsl(x), &exponent);
    // 64 bits, their highest at 124.
    e.significand = (wide)(uint64_t)ldexpl(fraction, 64) << 61;
    e.exponent = exponent - 125;
    return e;
}

// The value, `relative` and `absolute` errors; what is rounded to a subnormal may be off by half
// of its last place besides, and under .ftz by all of it.
static void give(const struct form *form, long double value, long double relative,
                 long double absolute, struct answer *answer)
{
    const struct format *f = form->type[0]->format;
    int bias = (1 << (f->exponent_bits - 1)) - 1;
    long double least = ldexpl(1, 1 - bias), last = ldexpl(least, -(int)f->fraction_bits);
    answer->bits = form_result(form, from_long(value));
    answer->any_nan = isnan(value);
    answer->value = value;
    if (!isfinite(value) || value == 0)
        return;
    answer->error = fmaxl(fabsl(value) * relative, absolute) +
                    ldexpl(fabsl(value), -(int)f->fraction_bits - 1) + last / 2;
    answer->flushed = form->ftz && f != &format_f64;
    if (form->ftz && fabsl(value) < least * (1 + relative))
        answer->error = least * (1 + relative);
}

REFERENCE(reciprocal)
{
    give(form, 1 / A, 0x1p-23L, 0, answer);
}

REFERENCE(root)
{
    give(form, sqrtl(A), 0x1p-23L, 0, answer);
}

REFERENCE(reciprocal_root)
{
    give(form, 1 / sqrtl(A), 0x1.13p-23L, 0, answer);
}

// The upper half of f64: 20 bits of fraction go in and come out.
REFERENCE(reciprocal_upper)
{
    struct exact x = exact_unpack(in[0] & ~(uint64_t)UINT32_MAX, &format_f64, form->ftz);
    bool tiny = exact_unpack(in[0], &format_f64, true).kind == EXACT_ZERO;
    answer->skip = tiny && (in[0] << 1) != 0 && !form->ftz;
    long double value = 1 / (form->row->data ? sqrtl(exact_value(x)) : exact_value(x));
    give(form, value, 0x1p-20L, 0, answer);
}

// .approx between 2^-126 and 2^126 of the divisor; beyond that the quotient may become 0.
REFERENCE(quotient)
{
    long double a = A, b = B, size = fabsl(b);
    answer->skip = isfinite(size) && size > (form->ftz ? 0x1p126L : 0) && size > 0x1p126L;
    answer->skip |= isfinite(size) && size != 0 && size < 0x1p-126L;
    bool skip = answer->skip;
    give(form, a / b, 0x1p-22L, 0, answer);
    answer->skip = skip;
}

static void trigonometric(const struct form *form, long double x, long double value,
                          struct answer *answer)
{
    long double pi = 3.14159265358979323846264338327950288L;
    answer->skip = isfinite(x) && fabsl(x) > 100 * pi;
    bool skip = answer->skip;
    give(form, value, 0, fabsl(x) <= 2 * pi ? 0x1p-20L : 0x1p-14L, answer);
    answer->skip = skip;
}

REFERENCE(sine)
{
    long double x = A;
    trigonometric(form, x, sinl(x), answer);
}

REFERENCE(cosine)
{
    long double x = A;
    trigonometric(form, x, cosl(x), answer);
}

REFERENCE(logarithm)
{
    long double x = A;
    bool near_one = x > 0.5L && x < 2;
    give(form, log2l(x), near_one ? 0 : 0x1p-22L, near_one ? 0x1p-22L : 0, answer);
}

// data: the bound's exponent
REFERENCE(power)
{
    give(form, exp2l(A), ldexpl(1, -(int)form->row->data), 0, answer);
}

REFERENCE(tangent)
{
    give(form, tanhl(A), ldexpl(1, -(int)form->row->data), 0, answer);
}

REFERENCE(tangent_absolute)
{
    give(form, tanhl(A), 0, ldexpl(1, -(int)form->row->data), answer);
}

const struct form_row approximate_rows[] = {
    {"rcp.approx<|.ftz>.f32 %d, %a;", "tt", reciprocal},
    {"sqrt.approx<|.ftz>.f32 %d, %a;", "tt", root},
    {"rsqrt.approx<|.ftz>.f32 %d, %a;", "tt", reciprocal_root},
    {"rcp.approx.ftz.f64 %d, %a;", "tt", reciprocal_upper},
    {"rsqrt.approx<|.ftz>.f64 %d, %a;", "tt", reciprocal_upper, .data = 1},
    {"div.<approx|full><|.ftz>.f32 %d, %a, %b;", "ttt", quotient},
    {"sin.approx<|.ftz>.f32 %d, %a;", "tt", sine},
    {"cos.approx<|.ftz>.f32 %d, %a;", "tt", cosine},
    {"lg2.approx<|.ftz>.f32 %d, %a;", "tt", logarithm},
    {"ex2.approx<|.ftz>.f32 %d, %a;", "tt", power, .data = 22},
    {"tanh.approx.f32 %d, %a;", "tt", tangent, .data = 11},
    {"ex2.approx.<f16|f16x2> %d, %a;", "tt", power, .data = 9},
    {"ex2.approx.ftz.<bf16|bf16x2> %d, %a;", "tt", power, .data = 7},
    {"tanh.approx.<f16|f16x2> %d, %a;", "tt", tangent_absolute, .data = 10},
    {"tanh.approx.<bf16|bf16x2> %d, %a;", "tt", tangent, .data = 8},
};
const size_t approximate_row_count = sizeof approximate_rows / sizeof *approximate_rows;
