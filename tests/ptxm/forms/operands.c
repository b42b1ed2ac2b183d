// SPDX-License-Identifier: MIT
// Operands of the forms: every value of one 16-bit operand, all pairs of the values that are
// special for their types, and random ones that are close to ties, to each other and to limits.
#include "forms.h"

#include <string.h>

enum { MOST_SPECIALS = 128 };

struct specials {
    uint64_t value[MOST_SPECIALS];
    unsigned count;
};

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void put(struct specials *list, uint64_t value)
{
    if (list->count < MOST_SPECIALS)
        list->value[list->count++] = value;
}

static void integer_specials(struct specials *list, unsigned bits)
{
    static const unsigned powers[] = {3, 5, 7, 8, 11, 15, 16, 23, 24, 31, 32, 47, 53, 63};
    uint64_t mask = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    for (uint64_t i = 0; i < 4; i++) {
        put(list, i);
        put(list, ~i & mask);
    }
    for (unsigned i = 0; i < sizeof powers / sizeof *powers && powers[i] < bits; i++)
        for (uint64_t off = 0; off < 3; off++)
            put(list, ((uint64_t)1 << powers[i]) + off - 1);
    put(list, 0x5555555555555555 & mask);
    put(list, 0xaaaaaaaaaaaaaaaa & mask);
    put(list, 0x8000000080008080 & mask);
    put(list, 0x00ff00ff12345678 & mask);
}

static void count_specials(struct specials *list)
{
    static const uint32_t values[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 23, 24, 30, 31, 32, 33, 47, 62,
                                      63, 64, 65, 127, 128, 255, 256, 257, 0x1f00, 0x2000, 65536,
                                      0x7fffffff, 0x80000000, 0xffffffff, 0xffffffe1};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) put(list, values[i]);
}

static uint64_t rounded(long double value, const struct format *format)
{
    // Only the integers and halves below come here.
    uint64_t twice = (uint64_t)(value * 2);
    struct exact x = exact_integer(false, twice);
    x.exponent -= x.kind == EXACT_FINITE;
    return exact_round(x, format, TO_NEAREST, false);
}

static void float_specials(struct specials *list, const struct format *f)
{
    static const double limits[] = {0.5, 1, 1.5, 2, 2.5, 3, 10, 100, 127.5, 128, 255.5, 448, 464,
                                    32768, 57344, 61440, 65504, 65520, 65536, 2147483648.0,
                                    4294967296.0, 9223372036854775808.0};
    unsigned top = f->exponent_bits + f->fraction_bits;
    uint64_t sign = (uint64_t)1 << top, one = (uint64_t)1 << f->fraction_bits;
    uint64_t infinity = sign - one;
    const uint64_t plain[] = {0, 1, 2, one / 2, one - 1, one, one + 1, 2 * one, infinity - 1,
                              infinity, infinity + 1, infinity | one / 2, f->nan,
                              infinity - one, infinity - 2 * one, one * f->fraction_bits};
    for (unsigned i = 0; i < sizeof plain / sizeof *plain; i++) {
        put(list, plain[i]);
        put(list, plain[i] | sign);
    }
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        uint64_t bits = rounded(limits[i], f);
        put(list, bits);
        put(list, bits - 1);
        put(list, (bits + 1) | (i & 1 ? sign : 0));
        put(list, bits | sign);
    }
}

static void specials_of(const struct value_type *type, struct specials *list)
{
    list->count = 0;
    if (type->kind == 'f')
        float_specials(list, type->format);
    else if (type->kind == 'c')
        count_specials(list);
    else if (type->kind == 'p')
        put(list, 0), put(list, 1);
    else
        integer_specials(list, type->bits);
}

static uint64_t random_float(const struct format *f, uint64_t *state)
{
    uint64_t bits = random_bits(state), choice = random_bits(state);
    unsigned fraction = f->fraction_bits, top = f->exponent_bits + fraction;
    uint64_t exponents = ((uint64_t)1 << f->exponent_bits) - 1;
    uint64_t sign = bits >> 63, exponent = bits >> 32 & exponents;
    uint64_t part = random_bits(state) & (((uint64_t)1 << fraction) - 1);
    if (choice & 1) // near one
        exponent = exponents / 2 - 8 + (choice >> 8 & 15);
    if (choice & 2) // few bits: products and conversions meet ties
        part &= ~(((uint64_t)1 << (choice >> 16) % fraction) - 1);
    if ((choice & 12) == 4 && fraction > 10)
        part = (part & ~(uint64_t)0xfff) | (choice >> 24 & 1) << 11 | (choice >> 25 & 1) << 12 |
               (choice >> 26 & 1);
    if ((choice & 15) == 8 && fraction > 15)
        part = (part & ~(uint64_t)0xffff) | (choice >> 24 & 1) << 15 | (choice >> 25 & 1);
    return sign << top | exponent << fraction | part;
}

static uint64_t random_value(const struct value_type *type, const struct specials *list,
                             uint64_t *state)
{
    uint64_t choice = random_bits(state), bits = random_bits(state);
    if (type->kind == 'p')
        return choice & 1;
    if (choice % 5 == 0)
        return list->value[(choice >> 8) % list->count];
    if (type->kind == 'c')
        return choice % 5 == 1 ? bits : bits % 70;
    if (type->kind == 'f')
        return random_float(type->format, state);
    return choice % 3 ? bits : bits >> (choice >> 8) % 64;
}

unsigned form_operand_count(const struct form *form)
{
    unsigned most = form->row->operands ? form->row->operands : FORM_OPERANDS;
    return (most + 255) / 256 * 256;
}

static void fill_one(const struct form *form, unsigned source, unsigned half, uint64_t *in,
                     unsigned count)
{
    struct specials list;
    const struct value_type *type = form->type[source + 1];
    uint64_t state = source * 977 + half * 31 + 5;
    specials_of(type, &list);
    for (unsigned i = 0; i < count; i++) {
        uint64_t value = random_value(type, &list, &state);
        if (form->sources == 1 && type->bits == 16)
            value = half ? i * 40503u : i;
        else if (form->sources == 1 && i < list.count)
            value = list.value[i];
        in[i] |= type->bits == 16 && form->held[source + 1]->kind == 'x'
                     ? (value & 0xffff) << (16 * half) : value;
    }
}

// The first operands: each special value of one source with each of another.
static void fill_pairs(const struct form *form, unsigned first, unsigned second, unsigned begin,
                       uint64_t *in[3], unsigned count)
{
    struct specials a, b;
    specials_of(form->type[first + 1], &a);
    specials_of(form->type[second + 1], &b);
    bool paired_a = form->held[first + 1]->kind == 'x';
    bool paired_b = form->held[second + 1]->kind == 'x';
    for (unsigned i = 0; i < a.count * b.count && begin + i < count; i++) {
        uint64_t x = a.value[i / b.count], y = b.value[i % b.count];
        uint64_t other_x = a.value[(i / b.count + 7) % a.count];
        uint64_t other_y = b.value[(i % b.count + 3) % b.count];
        in[first][begin + i] = paired_a ? x | other_x << 16 : x;
        in[second][begin + i] = paired_b ? y | other_y << 16 : y;
    }
}

bool form_same_operands(const struct form *a, const struct form *b)
{
    bool same = a->sources == b->sources && form_operand_count(a) == form_operand_count(b);
    for (unsigned k = 1; same && k <= a->sources; k++) same = a->held[k] == b->held[k];
    return same;
}

void form_operands(const struct form *form, uint64_t *in[3])
{
    unsigned count = form_operand_count(form);
    for (unsigned k = 0; k < 3; k++) memset(in[k], 0, count * sizeof *in[k]);
    for (unsigned k = 0; k < form->sources; k++)
        for (unsigned half = 0; half <= (form->held[k + 1]->kind == 'x'); half++)
            fill_one(form, k, half, in[k], count);
    // With three sources each pair of them gets its part; the third is random there.
    if (form->sources == 2)
        fill_pairs(form, 0, 1, 0, in, count);
    for (unsigned k = 0; form->sources == 3 && k < 3; k++)
        fill_pairs(form, k == 2, k ? 2 : 1, k * (count / 4), in, k * (count / 4) + count / 4);
}
