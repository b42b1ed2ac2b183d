// SPDX-License-Identifier: MIT
// Single instructions as data: a row is a pattern of PTX text, the types of its operands and a
// reference in C. Each alternative of a pattern is a form; a form is one kernel that loads
// operands from buffers, executes the instruction and stores its result.
//
// To add an instruction, add a row to a forms/*.c: the pattern names the result %d (%e where there
// are two), the sources %a, %b and %c; <x|y|z> stands for one form each. %r0 to %r7 (b32), %l0 to
// %l7 (b64), %h0 to %h7 (b16) and %p0 to %p7 are free to use. The types are one letter an operand,
// result first:
//   t u  the last and the last but one type word of the first opcode ("1:": the second)
//          w  twice the width of t
//   i j l h  u32, s32, u64, u16                                         c  u32, mostly small
//   p    predicate                                                      q  predicates %d and %e
#ifndef PTXM_TEST_FORMS_H
#define PTXM_TEST_FORMS_H

#include "exact.h"

#include <stddef.h>

struct form;

enum { FORM_OPERANDS = 65536, FORM_WORDS = 8 };

struct answer {
    uint64_t bits;
    bool any_nan;      // any NaN of the result's format will do
    bool flushed;      // of an approximation: no subnormal will do
    bool skip;         // the ISA says nothing about these operands
    long double error; // of an approximation: how far from `value` the result may be
    long double value;
};
typedef void reference_fn(const struct form *form, const uint64_t in[3], struct answer *answer);

struct form_row {
    const char *pattern, *types;
    reference_fn *reference;
    unsigned operands;  // at most; 0: FORM_OPERANDS
    unsigned long data; // the reference's own
};

struct value_type {
    const char *name;
    unsigned bits;
    char kind; // u unsigned, s signed, b bits, f float, x pair, p predicate, c shift count
    const struct format *format;
    const char *half; // of a pair: what it is two of
};
const struct value_type *value_type_named(const char *name, size_t length);
unsigned value_register_bits(const struct value_type *type);

struct form {
    const struct form_row *row;
    char text[320];
    const char *word[FORM_WORDS]; // the alternatives that were chosen, in order
    unsigned choice[FORM_WORDS];
    unsigned sources;
    const struct value_type *type[4]; // result, then sources; of a pair: of one half
    const struct value_type *held[4]; // as the registers hold them
    bool two_predicates;
    // Modifiers, as they stand in the first opcode.
    enum rounding rounding;
    bool ftz, sat, satfinite, relu, keeps_nan, xorsign;
};

// All forms of a row; free() them. Their count goes to *count. NULL when out of memory.
struct form *forms_of(const struct form_row *row, size_t *count);
// PTX for this target with a kernel "k0", "k1" and so on for each form; free() it. NULL when out
// of memory.
char *forms_text(const struct form *forms, size_t count, const char *target);
unsigned form_operand_count(const struct form *form); // a multiple of 256
// Operands, the same every time: in[k][i] for source k.
void form_operands(const struct form *form, uint64_t *in[3]);
bool form_same_operands(const struct form *a, const struct form *b);
// What the form has to give; of a pair a half each, so there are two answers to write to.
void form_expect(const struct form *form, const uint64_t in[3], struct answer answer[2]);
bool form_agrees(const struct form *form, uint64_t got, const struct answer answer[2]);
bool form_has(const struct form *form, const char *word); // ".ftz"

struct form_group {
    const char *name;
    const struct form_row *rows;
    size_t count;
};
struct form_group form_group(size_t index); // behind the last: without a name

// For references: an operand or result by its type.
__int128 form_integer(const struct form *form, unsigned operand, uint64_t bits);
struct exact form_float(const struct form *form, unsigned operand, uint64_t bits);
// The rounded float with the form's .ftz, .sat and .relu.
uint64_t form_result(const struct form *form, struct exact x);

#endif
