// SPDX-License-Identifier: MIT
// For the tests of matrix instructions: what the bits of an element mean, from the formats'
// definitions, and ptxas as a second reader of every text.
#ifndef PTXM_TEST_MATRIX_H
#define PTXM_TEST_MATRIX_H

#include "harness.h"

struct format {
    const char *name;
    unsigned bits;
    unsigned exponent, mantissa; // of a float; 0: an integer
    bool is_signed;
};
enum format_id { F16, BF16, TF32, E4M3, E5M2, S8, U8, F32, S4, U4, B1, F64, FORMAT_COUNT };
extern const struct format formats[FORMAT_COUNT];

double format_value(enum format_id format, uint32_t bits); // not of F64
// Random finite bits: floats between about 2^-6 and 2^3 in size, or any integer.
uint32_t format_random(enum format_id format, uint64_t *state);
// The f16 next to x; only for x that is no NaN.
uint16_t format_to_f16(double x);

// Fails the test if ptxas, named by the program's first argument, refuses the text for sm_90a.
void assemble(const char *ptxas, const char *text);

#endif
