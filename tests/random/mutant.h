// SPDX-License-Identifier: MIT
// See mutant.c.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef enum fate {
    FATE_NONE,      // no mutant was tried
    FATE_CAUGHT,    // validator and PTX machine reject it
    FATE_NEEDLESS,  // both accept it: nobody misses what was taken away
    FATE_VALIDATOR, // only the validator rejects it: the machine sees some executions only
    FATE_MACHINE,   // only the machine rejects it: the validator is wrong
    FATE_OPEN,      // the validator cannot say
    FATES
} fate;
extern const char *const fate_names[FATES];

// `ir`: a synchronized program. One of its mutants, by the text's hash, is given to `run`.
typedef fate mutant_runner(const char *text, void *user);
fate try_mutant(const char *ir, mutant_runner *run, void *user, char *name, size_t size);
