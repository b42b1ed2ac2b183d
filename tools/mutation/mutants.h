// SPDX-License-Identifier: MIT
// Mutants of a synchronized program, as texts: each has one synchronization too few or too weak.
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct mutant {
    char *text;
    char what[96]; // "S3 (wait 1, line 45) removed"
    bool order;    // nothing is taken away: two neighbours have changed places, and none of the two
                   // may need the other
    bool letter;   // hardware may forgive it: only by the letter of the ISA it is wrong
} mutant;

typedef struct mutant_list {
    mutant *items;
    size_t count, capacity;
} mutant_list;

// `ir`: text of a kernel at level synced, one op a line. Free with mutants_free().
void mutants_of(const char *ir, mutant_list *out);
void mutants_free(mutant_list *list);
