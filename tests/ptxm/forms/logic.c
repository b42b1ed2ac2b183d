// SPDX-License-Identifier: MIT
// Logic, shifts, bit fields, permutations and moves, a bit or a byte at a time.
#include "forms.h"
#include "groups.h"

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)
#define GIVES(name, expression)                                                                    \
    REFERENCE(name)                                                                                \
    {                                                                                              \
        answer->bits = (uint64_t)(expression);                                                     \
    }
#define A in[0]
#define B in[1]
#define C in[2]

static unsigned width(const struct form *form)
{
    return form->type[1]->bits;
}

static bool is_signed(const struct form *form)
{
    return form->type[1]->kind == 's';
}

static bool bit(uint64_t x, uint64_t at)
{
    return at < 64 && x >> at & 1;
}

GIVES(conjunction, A &B)
GIVES(disjunction, A | B)
GIVES(difference, A ^ B)
GIVES(complement, ~A)
GIVES(not_predicate, !A)
GIVES(is_zero, (A << (64 - width(form))) == 0)
GIVES(same, A)
GIVES(select, C & 1 ? A : B)
GIVES(swap_halves, A >> 32 | A << 32)
GIVES(swap_shorts, (A >> 16 & 0xffff) | (A & 0xffff) << 16)
GIVES(reverse_shorts, A >> 48 | (A >> 32 & 0xffff) << 16 | (A >> 16 & 0xffff) << 32 | A << 48)

REFERENCE(shift_left)
{
    for (uint64_t i = 0; i < width(form); i++)
        if (i >= (uint32_t)B && bit(A, i - (uint32_t)B))
            answer->bits |= (uint64_t)1 << i;
}

REFERENCE(shift_right)
{
    unsigned last = width(form) - 1;
    for (uint64_t i = 0; i <= last; i++) {
        uint64_t from = i + (uint32_t)B;
        if (from <= last ? bit(A, from) : is_signed(form) && bit(A, last))
            answer->bits |= (uint64_t)1 << i;
    }
}

// %b:%a by %c; data 1: right, choice 1: wrap
REFERENCE(funnel)
{
    uint32_t count = form->choice[0] ? C % 32 : (uint32_t)C > 32 ? 32 : (uint32_t)C;
    for (unsigned i = 0; i < 32; i++) {
        unsigned from = form->row->data ? i + count : 32 + i - count;
        answer->bits |= (uint64_t)(from < 32 ? bit(A, from) : bit(B, from - 32)) << i;
    }
}

REFERENCE(count_ones)
{
    for (unsigned i = 0; i < width(form); i++) answer->bits += bit(A, i);
}

REFERENCE(leading_zeros)
{
    while (answer->bits < width(form) && !bit(A, width(form) - 1 - answer->bits)) answer->bits++;
}

// data 1: as a shift
REFERENCE(find_highest)
{
    unsigned top = width(form) - 1;
    bool negative = is_signed(form) && bit(A, top);
    answer->bits = UINT32_MAX;
    for (unsigned i = 0; i <= top; i++)
        if (bit(A, i) != negative)
            answer->bits = form->row->data ? top - i : i;
}

REFERENCE(reverse)
{
    for (unsigned i = 0; i < width(form); i++)
        answer->bits |= (uint64_t)bit(A, i) << (width(form) - 1 - i);
}

REFERENCE(extract)
{
    unsigned position = B & 255, length = C & 255, top = width(form) - 1;
    unsigned sign_at = position + length - 1 < top ? position + length - 1 : top;
    bool sign = is_signed(form) && length && bit(A, sign_at);
    for (unsigned i = 0; i <= top; i++)
        answer->bits |= (uint64_t)(i < length && position + i <= top ? bit(A, position + i) : sign)
                        << i;
}

// b with a field of a; the position is c's lowest byte, the length its next
REFERENCE(insert)
{
    unsigned position = C & 255, length = C >> 8 & 255;
    answer->bits = B;
    for (unsigned i = 0; i < length && position + i < width(form); i++) {
        uint64_t one = (uint64_t)1 << (position + i);
        answer->bits = bit(A, i) ? answer->bits | one : answer->bits & ~one;
    }
}

// The n-th set bit from a base on; a base outside of the word says nothing.
REFERENCE(nth_set)
{
    int64_t n = (int32_t)C, step = n < 0 ? -1 : 1, left = n < 0 ? -n : n;
    answer->skip = (uint32_t)B > 31;
    answer->bits = UINT32_MAX;
    if (n == 0) {
        answer->bits = bit(A, (uint32_t)B) ? (uint32_t)B : UINT32_MAX;
        return;
    }
    for (int64_t i = (uint32_t)B; i >= 0 && i < 32; i += step)
        if (bit(A, (uint64_t)i) && --left == 0) {
            answer->bits = (uint32_t)i;
            return;
        }
}

REFERENCE(extend)
{
    uint32_t n = form->choice[0] ? B % 32 : (uint32_t)B > 32 ? 32 : (uint32_t)B;
    bool sign = is_signed(form) && n && bit(A, n - 1);
    for (unsigned i = 0; i < 32; i++) answer->bits |= (uint64_t)(i < n ? bit(A, i) : sign) << i;
}

REFERENCE(mask)
{
    uint32_t a = (uint32_t)A, b = (uint32_t)B;
    uint64_t from = form->choice[0] ? a % 32 : a, length = form->choice[0] ? b % 32 : b;
    for (uint64_t i = 0; i < 32; i++)
        answer->bits |= (uint64_t)(i >= from && i < from + length) << i;
}

static uint32_t table(uint32_t a, uint32_t b, uint32_t c, unsigned number)
{
    uint32_t out = 0;
    for (unsigned i = 0; i < 32; i++) {
        unsigned entry = bit(a, i) * 4u + bit(b, i) * 2u + bit(c, i);
        out |= (number >> entry & 1) << i;
    }
    return out;
}

// The table's number in two hexadecimal digits, each a choice.
GIVES(lookup, table((uint32_t)A, (uint32_t)B, (uint32_t)C, form->choice[0] * 16 + form->choice[1]))

REFERENCE(lookup_and_test)
{
    uint32_t value = table((uint32_t)A, (uint32_t)B, 0x0ff0a55a, form->choice[1] ? 0x96 : 0x40);
    bool set = value != 0, other = C & 1;
    bool p = form->choice[0] ? set || other : set && other;
    answer->bits = value ^ (p ? 0xffffffff : 0);
}

static uint64_t byte(uint64_t a, uint64_t b, unsigned index)
{
    return (index < 4 ? a >> (8 * index) : b >> (8 * (index - 4))) & 255;
}

REFERENCE(permute)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned nibble = C >> (4 * k) & 15;
        uint64_t x = byte(A, B, nibble & 7);
        answer->bits |= (nibble & 8 ? (x & 128 ? 255 : 0) : x) << (8 * k);
    }
}

// f4e b4e rc8 ecl ecr rc16, by what each does
REFERENCE(permute_mode)
{
    unsigned s = C & 3;
    for (unsigned k = 0; k < 4; k++) {
        const unsigned from[] = {s + k, (s + 8 - k) % 8, s, k > s ? k : s, k < s ? k : s,
                                 (s & 1) * 2 + (k & 1)};
        answer->bits |= byte(A, B, from[form->choice[0]]) << (8 * k);
    }
}

#define BITS "<b16|b32|b64>"
#define ALL "<b16|b32|b64|u16|u32|u64|s16|s32|s64|f32|f64>"
#define DIGIT "<0|1|2|3|4|5|6|7|8|9|a|b|c|d|e|f>"
const struct form_row logic_rows[] = {
    {"and." BITS " %d, %a, %b;", "ttt", conjunction},
    {"or." BITS " %d, %a, %b;", "ttt", disjunction},
    {"xor." BITS " %d, %a, %b;", "ttt", difference},
    {"not." BITS " %d, %a;", "tt", complement},
    {"cnot." BITS " %d, %a;", "tt", is_zero},
    {"and.pred %d, %a, %b;", "ppp", conjunction, 256},
    {"or.pred %d, %a, %b;", "ppp", disjunction, 256},
    {"xor.pred %d, %a, %b;", "ppp", difference, 256},
    {"not.pred %d, %a;", "pp", not_predicate, 256},
    {"mov.pred %d, %a;", "pp", same, 256},
    {"mov." ALL " %d, %a;", "tt", same},
    {"mov.b64 {%r0, %r1}, %a; mov.b64 %d, {%r1, %r0};", "tt", swap_halves},
    {"mov.b32 {%h0, %h1}, %a; mov.b32 %d, {%h1, %h0};", "tt", swap_shorts},
    {"mov.b64 {%h0, %h1, %h2, %h3}, %a; mov.b64 %d, {%h3, %h2, %h1, %h0};", "tt", reverse_shorts},
    {"mov.b128 %q0, {%a, %b}; mov.b128 %q1, %q0; mov.b128 {%d, %l0}, %q1;", "lll", same},
    {"selp." ALL " %d, %a, %b, %c;", "tttp", select},
    {"shl." BITS " %d, %a, %b;", "ttc", shift_left},
    {"shr.<b16|b32|b64|u16|s16|u32|s32|u64|s64> %d, %a, %b;", "ttc", shift_right},
    {"shf.l.<clamp|wrap>.b32 %d, %a, %b, %c;", "tttc", funnel},
    {"shf.r.<clamp|wrap>.b32 %d, %a, %b, %c;", "tttc", funnel, .data = 1},
    {"popc.<b32|b64> %d, %a;", "it", count_ones},
    {"clz.<b32|b64> %d, %a;", "it", leading_zeros},
    {"bfind.<u32|s32|u64|s64> %d, %a;", "it", find_highest},
    {"bfind.shiftamt.<u32|s32|u64|s64> %d, %a;", "it", find_highest, .data = 1},
    {"brev.<b32|b64> %d, %a;", "tt", reverse},
    {"bfe.<u32|s32|u64|s64> %d, %a, %b, %c;", "ttcc", extract},
    {"shr.u32 %r2, %c, 8; bfi.b32 %d, %a, %b, %c, %r2;", "iiii", insert},
    {"shr.u32 %r2, %c, 8; bfi.b64 %d, %a, %b, %c, %r2;", "llli", insert},
    {"fns.b32 %d, %a, %b, %c;", "ttcj", nth_set, 16384},
    {"szext.<clamp|wrap>.<u32|s32> %d, %a, %b;", "ttc", extend},
    {"bmsk.<clamp|wrap>.b32 %d, %a, %b;", "tcc", mask},
    {"lop3.b32 %d, %a, %b, %c, 0x" DIGIT DIGIT ";", "tttt", lookup, 512},
    {"lop3.<and|or>.b32 %d|%p1, %a, %b, 0x0ff0a55a, 0x<40|96>, %c; "
     "@%p1 xor.b32 %d, %d, 0xffffffff;", "tttp", lookup_and_test},
    {"prmt.b32 %d, %a, %b, %c;", "tttt", permute},
    {"prmt.b32.<f4e|b4e|rc8|ecl|ecr|rc16> %d, %a, %b, %c;", "iiii", permute_mode},
};
const size_t logic_row_count = sizeof logic_rows / sizeof *logic_rows;
