// SPDX-License-Identifier: MIT
// Arithmetic of f32 and f64, and of f16 and bf16, by exact integers and one rounding.
#include "forms.h"
#include "groups.h"

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)
#define A form_float(form, 1, in[0])
#define B form_float(form, 2, in[1])
#define C form_float(form, 3, in[2])

static void give(const struct form *form, struct exact x, struct answer *answer)
{
    answer->bits = form_result(form, x);
    // What f64 makes of NaN is left open, but never another number.
    answer->any_nan = x.kind == EXACT_NAN && form->type[0]->bits == 64;
}

REFERENCE(add)
{
    give(form, exact_add(A, B, form->rounding == DOWN), answer);
}

REFERENCE(sub)
{
    give(form, exact_add(A, exact_negate(B), form->rounding == DOWN), answer);
}

REFERENCE(multiply)
{
    give(form, exact_multiply(A, B), answer);
}

REFERENCE(fused)
{
    give(form, exact_add(exact_multiply(A, B), C, form->rounding == DOWN), answer);
}

REFERENCE(divide)
{
    give(form, exact_divide(A, B), answer);
}

REFERENCE(reciprocal)
{
    give(form, exact_divide(exact_integer(false, 1), A), answer);
}

REFERENCE(root)
{
    give(form, exact_root(A), answer);
}

static uint64_t sign_of(const struct form *form)
{
    return (uint64_t)1 << (form->type[0]->bits - 1);
}

// The bits but for the sign stay, unless .ftz makes a zero of them; NaN stays some NaN.
static void with_sign(const struct form *form, uint64_t bits, bool negative, struct answer *answer)
{
    uint64_t sign = sign_of(form), magnitude = bits & (sign - 1);
    struct exact x = form_float(form, 1, bits);
    answer->bits = (x.kind == EXACT_ZERO ? 0 : magnitude) | (negative ? sign : 0);
    answer->any_nan = x.kind == EXACT_NAN;
}

REFERENCE(absolute)
{
    with_sign(form, in[0], false, answer);
}

REFERENCE(negate)
{
    with_sign(form, in[0], !(in[0] & sign_of(form)), answer);
}

// All bits count, those of NaN and subnormals too.
REFERENCE(copy_sign)
{
    uint64_t sign = sign_of(form);
    answer->bits = (in[1] & (sign - 1)) | (in[0] & sign);
}

static bool first_wins(struct exact a, struct exact b, bool most)
{
    if (a.kind == EXACT_ZERO && b.kind == EXACT_ZERO)
        return a.negative != most; // -0 is less than +0
    int order = exact_compare(a, b);
    return most ? order >= 0 : order <= 0;
}

static void choose(const struct form *form, const uint64_t in[3], bool most, struct answer *answer)
{
    struct exact a = A, b = B;
    bool negative = a.negative != b.negative;
    bool no_a = a.kind == EXACT_NAN, no_b = b.kind == EXACT_NAN;
    // .xorsign.abs compares magnitudes and gives the product's sign, except to NaN.
    if (form->xorsign)
        a.negative = b.negative = false;
    if ((no_a && no_b) || (form->keeps_nan && (no_a || no_b))) {
        answer->bits = form->type[0]->format->nan;
        answer->any_nan = form->type[0]->bits == 64;
        return;
    }
    bool first = no_b || (!no_a && first_wins(a, b, most));
    struct exact chosen = first ? a : b;
    if (form->xorsign)
        chosen.negative = negative;
    with_sign(form, first ? in[0] : in[1], chosen.negative, answer);
}

REFERENCE(minimum)
{
    choose(form, in, false, answer);
}

REFERENCE(maximum)
{
    choose(form, in, true, answer);
}

#define RND "<|.rn|.rz|.rm|.rp>"
#define MUST "<rn|rz|rm|rp>"
const struct form_row real_rows[] = {
    {"add" RND "<|.ftz><|.sat>.f32 %d, %a, %b;", "ttt", add},
    {"add" RND ".f64 %d, %a, %b;", "ttt", add},
    {"sub" RND "<|.ftz><|.sat>.f32 %d, %a, %b;", "ttt", sub},
    {"sub" RND ".f64 %d, %a, %b;", "ttt", sub},
    {"mul" RND "<|.ftz><|.sat>.f32 %d, %a, %b;", "ttt", multiply},
    {"mul" RND ".f64 %d, %a, %b;", "ttt", multiply},
    {"fma." MUST "<|.ftz><|.sat>.f32 %d, %a, %b, %c;", "tttt", fused},
    {"fma." MUST ".f64 %d, %a, %b, %c;", "tttt", fused},
    {"mad." MUST "<|.ftz><|.sat>.f32 %d, %a, %b, %c;", "tttt", fused},
    {"mad." MUST ".f64 %d, %a, %b, %c;", "tttt", fused},
    {"div." MUST "<|.ftz>.f32 %d, %a, %b;", "ttt", divide},
    {"div." MUST ".f64 %d, %a, %b;", "ttt", divide},
    {"rcp." MUST "<|.ftz>.f32 %d, %a;", "tt", reciprocal},
    {"rcp." MUST ".f64 %d, %a;", "tt", reciprocal},
    {"sqrt." MUST "<|.ftz>.f32 %d, %a;", "tt", root},
    {"sqrt." MUST ".f64 %d, %a;", "tt", root},
    {"abs<|.ftz>.f32 %d, %a;", "tt", absolute},
    {"neg<|.ftz>.f32 %d, %a;", "tt", negate},
    {"abs.f64 %d, %a;", "tt", absolute},
    {"neg.f64 %d, %a;", "tt", negate},
    {"copysign.<f32|f64> %d, %a, %b;", "ttt", copy_sign},
    {"min<|.ftz><|.NaN><|.xorsign.abs>.f32 %d, %a, %b;", "ttt", minimum},
    {"max<|.ftz><|.NaN><|.xorsign.abs>.f32 %d, %a, %b;", "ttt", maximum},
    {"min.f64 %d, %a, %b;", "ttt", minimum},
    {"max.f64 %d, %a, %b;", "ttt", maximum},
};
const size_t real_row_count = sizeof real_rows / sizeof *real_rows;

const struct form_row half_rows[] = {
    {"add<|.rn><|.ftz><|.sat>.<f16|f16x2> %d, %a, %b;", "ttt", add},
    {"add<|.rn>.<bf16|bf16x2> %d, %a, %b;", "ttt", add},
    {"sub<|.rn><|.ftz><|.sat>.<f16|f16x2> %d, %a, %b;", "ttt", sub},
    {"sub<|.rn>.<bf16|bf16x2> %d, %a, %b;", "ttt", sub},
    {"mul<|.rn><|.ftz><|.sat>.<f16|f16x2> %d, %a, %b;", "ttt", multiply},
    {"mul<|.rn>.<bf16|bf16x2> %d, %a, %b;", "ttt", multiply},
    {"fma.rn<|.ftz><|.sat|.relu>.<f16|f16x2> %d, %a, %b, %c;", "tttt", fused},
    {"fma.rn<|.relu>.<bf16|bf16x2> %d, %a, %b, %c;", "tttt", fused},
    {"abs<|.ftz>.<f16|f16x2> %d, %a;", "tt", absolute},
    {"neg<|.ftz>.<f16|f16x2> %d, %a;", "tt", negate},
    {"abs.<bf16|bf16x2> %d, %a;", "tt", absolute},
    {"neg.<bf16|bf16x2> %d, %a;", "tt", negate},
    {"min<|.ftz><|.NaN><|.xorsign.abs>.<f16|f16x2> %d, %a, %b;", "ttt", minimum},
    {"max<|.ftz><|.NaN><|.xorsign.abs>.<f16|f16x2> %d, %a, %b;", "ttt", maximum},
    {"min<|.NaN><|.xorsign.abs>.<bf16|bf16x2> %d, %a, %b;", "ttt", minimum},
    {"max<|.NaN><|.xorsign.abs>.<bf16|bf16x2> %d, %a, %b;", "ttt", maximum},
};
const size_t half_row_count = sizeof half_rows / sizeof *half_rows;
