// SPDX-License-Identifier: MIT
// One program through everything: evaluated by the book, compiled, proved, run on the PTX machine
// in every completion mode, compared.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mutant.h"
#include "runtime/kgen.h"

enum { MODES = 4 }; // eager, late, two seeds

typedef enum outcome {
    PASSED,
    REFUSED,    // by the compiler, for a reason that is no fault of it: see case.c
    UNSUITABLE, // the evaluator says that there is no single answer
    FAILED,
    DISPUTED, // the validator has a witness, but the PTX machine finds nothing
    OUTCOMES
} outcome;

typedef struct report {
    outcome outcome;
    char kind[96];     // of the failure or refusal, the same for the same cause: "finding race"
    char detail[4096]; // for people
    char unproved[96]; // why the validator could not say
    int launches[MODES], proved;
    fate fate;       // of a mutant
    char mutant[64]; // what was done
} report;

typedef struct machine {
    kgen_context *context;
    kgen_device *devices[MODES];
    report *report; // where diagnostics go
    bool mutate;    // a program that is right is tried with a synchronization too few, too
} machine;

bool machine_open(machine *m);
void machine_close(machine *m);
void run_case(machine *m, const char *text, report *out);
extern const char *const mode_names[MODES];
