// SPDX-License-Identifier: MIT
// Runs a page of .kg on the CPU device and compares with plain C. One case is one compile and one
// launch.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PROGRAM_ARGS 13

// Fills: uniform noise in [-1, 1] (integers: -100 to 100) unless a case writes the data itself.
typedef struct program_tensor {
    const char *name, *dtype; // "f32", "f16", "bf16", "i32", "i8"
    int64_t elements;
    enum {
        PROGRAM_INPUT,
        PROGRAM_OUTPUT,
        PROGRAM_ZEROED
    } role;           // ZEROED: output that must start as zeros
    double *values;   // of every element: input, then for outputs what is expected
    double tolerance; // absolute plus relative
} program_tensor;

typedef struct program_case {
    const char *file;
    const char *source;  // the text itself; `file` is its name then
    const char *defines; // "ROWS=2,COLS=64" or NULL
    const char *target;  // NULL: the default
    const char *finds;   // in a wrong program: part of a finding that it must end with; and the
                         // validator must refute it
    bool unproved;       // the validator cannot tell that it is wrong
    bool strict;         // run by the letter of the ISA
    bool synced;         // all synchronization is the author's: see synced.h
    program_tensor tensors[PROGRAM_ARGS];
    int n_tensors;
    struct {
        const char *name;
        int64_t i;
        double f;
    } scalars[PROGRAM_ARGS];
    int n_scalars;
} program_case;

// Adds a tensor, with memory for its values; returns the values.
double *program_add(program_case *c, const char *name, const char *dtype, int role,
                    double tolerance, int64_t elements);
void program_scalar(program_case *c, const char *name, int64_t i);
void program_scalar_float(program_case *c, const char *name, double f);
// Compiles, runs in every completion mode, compares, frees the case. Fails the running cmocka test
// with the first wrong element, or with the diagnostics and findings.
void program_run(program_case *c);
