// SPDX-License-Identifier: MIT
// Integer arithmetic, with and without carries, in 128 bits.
#include "forms.h"
#include "groups.h"

#define A form_integer(form, 1, in[0])
#define B form_integer(form, 2, in[1])
#define C form_integer(form, 3, in[2])
#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)
#define GIVES(name, expression)                                                                    \
    REFERENCE(name)                                                                                \
    {                                                                                              \
        answer->bits = (uint64_t)(expression);                                                     \
    }

static __int128 clamp(const struct form *form, __int128 x)
{
    unsigned bits = form->type[0]->bits;
    bool is_signed = form->type[0]->kind == 's';
    __int128 high = ((__int128)1 << (bits - is_signed)) - 1, low = is_signed ? -high - 1 : 0;
    return x < low ? low : x > high ? high : x;
}

static __int128 high_half(const struct form *form, __int128 product)
{
    return product >> form->type[1]->bits;
}

static __int128 low24(const struct form *form, __int128 x)
{
    uint32_t bits = (uint32_t)x << 8;
    return form->type[1]->kind == 's' ? (int32_t)bits >> 8 : (__int128)(bits >> 8);
}

#define PRODUCT24 (low24(form, A) * low24(form, B))

static __int128 least(__int128 a, __int128 b)
{
    return a < b ? a : b;
}

static __int128 most(__int128 a, __int128 b)
{
    return a > b ? a : b;
}

GIVES(add, A + B)
GIVES(sub, A - B)
GIVES(add_sat, clamp(form, A + B))
GIVES(sub_sat, clamp(form, A - B))
GIVES(mul_low, (unsigned __int128)A * (unsigned __int128)B)
// Two unsigned factors of 64 bits need all 128 bits of their product.
GIVES(mul_high, form->type[1]->kind == 'u' ? (wide)A * (wide)B >> form->type[1]->bits
                                           : (wide)high_half(form, A * B))
GIVES(mad_low, (wide)A * (wide)B + (wide)C)
GIVES(mad_high, (form->type[1]->kind == 'u' ? (wide)A * (wide)B >> form->type[1]->bits
                                            : (wide)high_half(form, A * B)) + (wide)C)
GIVES(mad_high_sat, clamp(form, high_half(form, A * B) + C))
GIVES(mul_wide, A *B)
GIVES(mad_wide, (wide)(A * B) + (wide)C)
GIVES(mul24_low, PRODUCT24)
GIVES(mul24_high, PRODUCT24 >> 16)
GIVES(mad24_low, PRODUCT24 + C)
GIVES(mad24_high, (PRODUCT24 >> 16) + C)
GIVES(mad24_high_sat, clamp(form, (PRODUCT24 >> 16) + C))
GIVES(sad, C + (A < B ? B - A : A - B))
GIVES(absolute, A < 0 ? -A : A)
GIVES(negate, -A)
GIVES(minimum, least(A, B))
GIVES(maximum, most(A, B))
GIVES(minimum_relu, most(least(A, B), 0))
GIVES(maximum_relu, most(most(A, B), 0))

// Division by zero is the machine's own.
REFERENCE(quotient)
{
    answer->skip = B == 0;
    answer->bits = answer->skip ? 0 : (uint64_t)(A / B);
}

REFERENCE(rest)
{
    answer->skip = B == 0;
    answer->bits = answer->skip ? 0 : (uint64_t)(A % B);
}

// Sum of products of parts; a's parts are `a_bits` wide, b's 8 bits, from b's byte `first` on.
static __int128 dot(const struct form *form, const uint64_t in[3], unsigned parts, unsigned first)
{
    bool a_signed = form->choice[form->row->data] == 1;
    bool b_signed = form->choice[form->row->data + 1] == 1;
    unsigned a_bits = 32 / parts;
    __int128 sum = (int32_t)in[2];
    for (unsigned k = 0; k < parts; k++) {
        int64_t a = (int64_t)(in[0] >> (a_bits * k) & ((1u << a_bits) - 1));
        int64_t b = (int64_t)(in[1] >> (8 * (first + k)) & 255);
        a -= a_signed && a >> (a_bits - 1) ? (int64_t)1 << a_bits : 0;
        b -= b_signed && b >> 7 ? 256 : 0;
        sum += a * b;
    }
    return sum;
}

GIVES(dot_four, dot(form, in, 4, 0))
GIVES(dot_two, dot(form, in, 2, form->choice[0] ? 2 : 0))

// ---- carries -----------------------------------------------------------------------------------
// u and s forms compute the same bits but for the products.

#define MASK(x, bits) ((wide)(x) & (((wide)1 << (bits)) - 1))
#define UA MASK(A, 32)
#define UB MASK(B, 32)
#define UC MASK(C, 32)

GIVES(sum_and_carry, UA + UB)
GIVES(difference_and_borrow, MASK(UA - UB, 32) | (UA < UB ? (wide)UINT32_MAX << 32 : 0))

REFERENCE(carry_in_and_out)
{
    wide first = UA + UB, second = UB + UC + (first >> 32), third = UA + UC + (second >> 32);
    answer->bits = (uint64_t)(MASK(second, 32) | third << 32);
}

REFERENCE(borrow_in_and_out)
{
    bool first = UA < UB, second = UB < UC + first;
    wide two = UB - UC - first, three = UA - UC - second;
    answer->bits = (uint64_t)(MASK(two, 32) | three << 32);
}

REFERENCE(long_sum)
{
    wide sum = MASK(A, 64) + MASK(B, 64);
    answer->bits = (uint64_t)sum ^ (uint64_t)(MASK(C, 64) * 2 + (sum >> 64));
}

REFERENCE(long_difference)
{
    bool borrow = MASK(A, 64) < MASK(B, 64);
    answer->bits = (uint64_t)(A - B) ^ (uint64_t)(0 - (wide)borrow);
}

// The full product and sum in two instructions: unsigned high half, whatever the low one's type.
GIVES(product_and_sum, UA *UB + UC)
GIVES(high_and_carry, MASK((wide)(A * B) >> 32, 32) + UC)

REFERENCE(low_with_carry)
{
    wide carry = (UA + UB) >> 32, sum = MASK(UA * UB, 32) + UC + carry;
    answer->bits = (uint64_t)sum;
}

REFERENCE(high_with_carry)
{
    wide carry = (UA + UB) >> 32, sum = MASK((wide)(A * B) >> 32, 32) + UC + carry;
    answer->bits = (uint64_t)sum;
}

REFERENCE(long_product)
{
    wide product = MASK(A, 64) * MASK(B, 64), low = MASK(product, 64) + MASK(C, 64);
    wide high = (product >> 64) + (low >> 64);
    answer->bits = (uint64_t)low ^ (uint64_t)high;
}

#define INT "<u16|s16|u32|s32|u64|s64>"
#define WORD "<u32|s32>"
#define CARRY "addc.u32 %r2, 0, 0; mov.b64 %d, {%r1, %r2};"
const struct form_row integer_rows[] = {
    {"add." INT " %d, %a, %b;", "ttt", add},
    {"add.<u16x2|s16x2> %d, %a, %b;", "ttt", add},
    {"sub." INT " %d, %a, %b;", "ttt", sub},
    {"add.sat.s32 %d, %a, %b;", "ttt", add_sat},
    {"sub.sat.s32 %d, %a, %b;", "ttt", sub_sat},
    {"mul.lo." INT " %d, %a, %b;", "ttt", mul_low},
    {"mul.hi." INT " %d, %a, %b;", "ttt", mul_high},
    {"mul.wide.<u16|s16|u32|s32> %d, %a, %b;", "wtt", mul_wide},
    {"mul24.lo." WORD " %d, %a, %b;", "ttt", mul24_low},
    {"mul24.hi." WORD " %d, %a, %b;", "ttt", mul24_high},
    {"mad24.lo." WORD " %d, %a, %b, %c;", "tttt", mad24_low},
    {"mad24.hi." WORD " %d, %a, %b, %c;", "tttt", mad24_high},
    {"mad24.hi.sat.s32 %d, %a, %b, %c;", "tttt", mad24_high_sat},
    {"mad.lo." INT " %d, %a, %b, %c;", "tttt", mad_low},
    {"mad.hi." INT " %d, %a, %b, %c;", "tttt", mad_high},
    {"mad.hi.sat.s32 %d, %a, %b, %c;", "tttt", mad_high_sat},
    {"mad.wide.<u16|s16|u32|s32> %d, %a, %b, %c;", "wttw", mad_wide},
    {"sad." INT " %d, %a, %b, %c;", "tttt", sad},
    {"div." INT " %d, %a, %b;", "ttt", quotient},
    {"rem." INT " %d, %a, %b;", "ttt", rest},
    {"abs.<s16|s32|s64> %d, %a;", "tt", absolute},
    {"neg.<s16|s32|s64> %d, %a;", "tt", negate},
    {"min.<u16|s16|u32|s32|u64|s64|u16x2|s16x2> %d, %a, %b;", "ttt", minimum},
    {"max.<u16|s16|u32|s32|u64|s64|u16x2|s16x2> %d, %a, %b;", "ttt", maximum},
    {"min.relu.<s32|s16x2> %d, %a, %b;", "ttt", minimum_relu},
    {"max.relu.<s32|s16x2> %d, %a, %b;", "ttt", maximum_relu},
    {"dp4a.<u32|s32>.<u32|s32> %d, %a, %b, %c;", "jiij", dot_four},
    {"dp2a.<lo|hi>.<u32|s32>.<u32|s32> %d, %a, %b, %c;", "jiij", dot_two, .data = 1},
    {"add.cc." WORD " %r1, %a, %b; " CARRY, "ltt", sum_and_carry},
    {"sub.cc." WORD " %r1, %a, %b; subc.u32 %r2, 0, 0; mov.b64 %d, {%r1, %r2};", "ltt",
     difference_and_borrow},
    {"add.cc.u32 %r1, %a, %b; addc.cc." WORD " %r2, %b, %c; addc." WORD " %r3, %a, %c; "
     "mov.b64 %d, {%r2, %r3};", "liii", carry_in_and_out},
    {"sub.cc.u32 %r1, %a, %b; subc.cc." WORD " %r2, %b, %c; subc." WORD " %r3, %a, %c; "
     "mov.b64 %d, {%r2, %r3};", "liii", borrow_in_and_out},
    {"add.cc.<u64|s64> %l1, %a, %b; addc.u64 %d, %c, %c; xor.b64 %d, %d, %l1;", "tttt", long_sum},
    {"sub.cc.<u64|s64> %l1, %a, %b; subc.u64 %d, 0, 0; xor.b64 %d, %d, %l1;", "ttt",
     long_difference},
    {"mad.lo.cc." WORD " %r1, %a, %b, %c; madc.hi.u32 %r2, %a, %b, 0; mov.b64 %d, {%r1, %r2};",
     "lttt", product_and_sum},
    {"mad.hi.cc." WORD " %r1, %a, %b, %c; " CARRY, "lttt", high_and_carry},
    {"add.cc." WORD " %r0, %a, %b; madc.lo.cc.u32 %r1, %a, %b, %c; " CARRY, "lttt",
     low_with_carry},
    {"add.cc.u32 %r0, %a, %b; madc.hi.cc.u32 %r1, %a, %b, %c; " CARRY, "liii", high_with_carry},
    {"add.cc.s32 %r0, %a, %b; madc.hi.cc.s32 %r1, %a, %b, %c; " CARRY, "lttt", high_with_carry},
    {"mad.lo.cc.u64 %l1, %a, %b, %c; madc.hi.u64 %d, %a, %b, 0; xor.b64 %d, %d, %l1;", "tttt",
     long_product},
};
const size_t integer_row_count = sizeof integer_rows / sizeof *integer_rows;
