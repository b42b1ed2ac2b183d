// SPDX-License-Identifier: MIT
// Evaluating scalar integers while a program is replayed.
#pragma once
#include "passes/sync/program.h"

// A value whose concrete numbers are tried out one after the other: a loop bound that only run time
// knows.
typedef struct kg_leaf {
    kg_value *value; // NULL: the trip count of `loop` itself
    int loop;        // block; for a value: of the innermost loop around its definition, -1 for none
    int64_t low, count; // numbers low .. low + count - 1
    int chosen[2];      // on even and odd trips of `loop` when the value is defined inside of it
} kg_leaf;

typedef struct kg_scalars {
    const kg_sync_program *p;
    struct {
        kg_leaf *items;
        int count, capacity;
    } leaves;
    int64_t *number; // by value id
    bool *known;
    const bool *frozen; // by value id: computed from mutable scalars, so only where its op stands
    int *trip;          // by block of a loop: the trip that runs now
} kg_scalars;

bool kg_scalars_eval(const kg_scalars *s, kg_value *value, int64_t *out);
// The op's result from what its operands are now.
bool kg_scalars_compute(const kg_scalars *s, const kg_op *op, int64_t *out);
int64_t kg_leaf_number(const kg_scalars *s, const kg_leaf *leaf);
const kg_leaf *kg_scalars_leaf(const kg_scalars *s, const kg_value *value);
// Marks, by value id, what is computed from a mutable scalar.
void kg_scalars_mark_followers(const kg_kernel *kernel, bool *follows);
