// SPDX-License-Identifier: MIT
// setp, set, slct, testp. A comparison is told by what its word says about each of the four ways
// in which two values can stand to each other.
#include "forms.h"
#include "groups.h"

#include <string.h>

#define REFERENCE(name)                                                                            \
    static void name(const struct form *form, const uint64_t in[3], struct answer *answer)

enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };

static const struct { char word[4]; unsigned holds; } comparisons[] = {
    {"eq", EQUAL}, {"ne", LESS | GREATER}, {"lt", LESS}, {"le", LESS | EQUAL}, {"gt", GREATER},
    {"ge", GREATER | EQUAL}, {"lo", LESS}, {"ls", LESS | EQUAL}, {"hi", GREATER},
    {"hs", GREATER | EQUAL}, {"equ", EQUAL | UNORDERED}, {"neu", LESS | GREATER | UNORDERED},
    {"ltu", LESS | UNORDERED}, {"leu", LESS | EQUAL | UNORDERED}, {"gtu", GREATER | UNORDERED},
    {"geu", GREATER | EQUAL | UNORDERED}, {"num", LESS | EQUAL | GREATER}, {"nan", UNORDERED},
};

static unsigned relation(const struct form *form, const uint64_t in[3])
{
    if (form->type[1]->kind != 'f') {
        __int128 a = form_integer(form, 1, in[0]), b = form_integer(form, 2, in[1]);
        return a < b ? LESS : a > b ? GREATER : EQUAL;
    }
    struct exact a = form_float(form, 1, in[0]), b = form_float(form, 2, in[1]);
    if (a.kind == EXACT_NAN || b.kind == EXACT_NAN)
        return UNORDERED;
    int order = exact_compare(a, b);
    return order < 0 ? LESS : order > 0 ? GREATER : EQUAL;
}

// The comparison's word is the first alternative of every row here.
static bool holds(const struct form *form, const uint64_t in[3])
{
    const char *w = form->word[0];
    char word[4] = {w[0], w[1], w[2] == '|' || w[2] == '>' ? 0 : w[2], 0};
    size_t i = 0;
    while (memcmp(comparisons[i].word, word, 4)) i++;
    return comparisons[i].holds & relation(form, in);
}

static bool combined(const struct form *form, bool x, uint64_t c)
{
    bool other = c & 1;
    return form_has(form, ".and") ? x && other : form_has(form, ".or") ? x || other
         : form_has(form, ".xor") ? x != other : x;
}

REFERENCE(predicate)
{
    answer->bits = combined(form, holds(form, in), in[2]);
}

REFERENCE(two_predicates)
{
    bool x = holds(form, in);
    answer->bits = combined(form, x, in[2]) | (uint64_t)combined(form, !x, in[2]) << 1;
}

REFERENCE(two_predicates_not)
{
    two_predicates(form, (uint64_t[]){in[0], in[1], ~in[2]}, answer);
}

// p|q of a pair: the lower halves to p, the upper to q
REFERENCE(pair)
{
    const uint64_t low[3] = {in[0] & 0xffff, in[1] & 0xffff}, high[3] = {in[0] >> 16, in[1] >> 16};
    answer->bits = combined(form, holds(form, low), in[2]) |
                   (uint64_t)combined(form, holds(form, high), in[2]) << 1;
}

static uint64_t truth(const struct value_type *type, bool yes)
{
    if (!yes)
        return 0;
    return type->kind == 'f' ? exact_round(exact_integer(false, 1), type->format, TO_NEAREST, false)
                             : UINT64_MAX;
}

REFERENCE(set)
{
    answer->bits = truth(form->type[0], combined(form, holds(form, in), in[2]));
}

// A pair compared into an integer: 16 bits for each half.
REFERENCE(set_pair_integer)
{
    const uint64_t low[3] = {in[0] & 0xffff, in[1] & 0xffff}, high[3] = {in[0] >> 16, in[1] >> 16};
    answer->bits = (holds(form, low) ? 0xffffu : 0) | (holds(form, high) ? 0xffff0000u : 0);
}

REFERENCE(select_integer)
{
    answer->bits = (int32_t)in[2] >= 0 ? in[0] : in[1];
}

REFERENCE(select_float)
{
    struct exact c = exact_unpack(in[2], &format_f32, form->ftz);
    bool first = c.kind == EXACT_ZERO || (c.kind != EXACT_NAN && !c.negative);
    answer->bits = first ? in[0] : in[1];
}

// finite infinite number notanumber normal subnormal
REFERENCE(test)
{
    const struct format *f = form->type[1]->format;
    struct exact x = exact_unpack(in[0], f, false);
    bool subnormal = x.kind == EXACT_FINITE && exact_unpack(in[0], f, true).kind == EXACT_ZERO;
    const bool results[] = {x.kind == EXACT_ZERO || x.kind == EXACT_FINITE,
                            x.kind == EXACT_INFINITE, x.kind != EXACT_NAN, x.kind == EXACT_NAN,
                            x.kind == EXACT_FINITE && !subnormal, subnormal};
    answer->bits = results[form->choice[0]];
}

#define ANY "<eq|ne|lt|le|gt|ge|equ|neu|ltu|leu|gtu|geu|num|nan>"
#define SIX "<eq|ne|lt|le|gt|ge>"
#define BOOLEAN "<.and|.or|.xor>"
const struct form_row compare_rows[] = {
    {"setp." SIX ".<s16|u16|s32|u32|s64|u64> %d, %a, %b;", "ptt", predicate},
    {"setp.<lo|ls|hi|hs>.<u16|u32|u64> %d, %a, %b;", "ptt", predicate},
    {"setp.<eq|ne>.<b16|b32|b64> %d, %a, %b;", "ptt", predicate},
    {"setp." ANY "<|.ftz>.f32 %d, %a, %b;", "ptt", predicate, 24576},
    {"setp." ANY ".f64 %d, %a, %b;", "ptt", predicate, 24576},
    {"setp." ANY "<|.ftz>.f16 %d, %a, %b;", "ptt", predicate, 24576},
    {"setp." ANY ".bf16 %d, %a, %b;", "ptt", predicate, 24576},
    {"setp.<eq|ge>.s32 %d|%e, %a, %b;", "qtt", two_predicates},
    {"setp.<lt|geu|nan>" BOOLEAN ".<f32|f64> %d|%e, %a, %b, %c;", "qttp", two_predicates},
    {"setp.<lt|ne>" BOOLEAN ".<s32|u64> %d, %a, %b, %c;", "pttp", predicate},
    {"setp.<lt|ge>" BOOLEAN ".<s32|u64> %d|%e, %a, %b, !%c;", "qttp", two_predicates_not},
    {"setp." ANY "<|.ftz>.f16x2 %d|%e, %a, %b;", "qtt", pair, 24576},
    {"setp." ANY ".bf16x2 %d|%e, %a, %b;", "qtt", pair, 24576},
    {"setp.<lt|neu>" BOOLEAN ".<f16x2|bf16x2> %d|%e, %a, %b, %c;", "qttp", pair, 32768},
    {"set." SIX ".<u32|s32|f32>.<s16|u16|s32|u32|s64|u64> %d, %a, %b;", "utt", set, 16384},
    {"set.<eq|ne>.<u32|s32|f32>.<b16|b32|b64> %d, %a, %b;", "utt", set, 16384},
    {"set.<lo|hs>.u32.<u16|u32|u64> %d, %a, %b;", "utt", set, 16384},
    {"set." ANY "<|.ftz>.<u32|s32|f32>.f32 %d, %a, %b;", "utt", set, 16384},
    {"set." ANY ".<u32|s32|f32>.f64 %d, %a, %b;", "utt", set, 16384},
    {"set.<lt|leu>" BOOLEAN ".<u32|f32>.f32 %d, %a, %b, %c;", "uttp", set, 16384},
    {"set.<lt|le>" BOOLEAN ".<u32|f32>.s32 %d, %a, %b, %c;", "uttp", set, 16384},
    {"set." ANY "<|.ftz>.<u16|s16|u32|s32|f16>.f16 %d, %a, %b;", "utt", set, 16384},
    {"set." ANY ".<u16|s16|u32|s32|bf16>.bf16 %d, %a, %b;", "utt", set, 16384},
    {"set." ANY "<|.ftz>.f16x2.f16x2 %d, %a, %b;", "ttt", set, 16384},
    {"set." ANY ".bf16x2.bf16x2 %d, %a, %b;", "ttt", set, 16384},
    {"set.<lt|neu>.<u32|s32>.<f16x2|bf16x2> %d, %a, %b;", "utt", set_pair_integer, 16384},
    {"slct.<b16|b32|b64|u16|s16|u32|s32|u64|s64|f32|f64>.s32 %d, %a, %b, %c;", "uuut",
     select_integer, 16384},
    {"slct<|.ftz>.<b16|b32|b64|u16|s16|u32|s32|u64|s64|f32|f64>.f32 %d, %a, %b, %c;", "uuut",
     select_float, 16384},
    {"testp.<finite|infinite|number|notanumber|normal|subnormal>.<f32|f64> %d, %a;", "pt", test},
};
const size_t compare_row_count = sizeof compare_rows / sizeof *compare_rows;
