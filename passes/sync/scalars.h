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
    // What this run has decided of it; on even and odd trips of `loop` where the value is defined
    // inside of it.
    struct kg_decided {
        int64_t least, most;
    } decided[2];
} kg_leaf;

// The questions about leaves that a run has asked and that had more than one answer, in order. The
// next run answers the last of them differently.
typedef struct kg_decisions {
    struct kg_decision {
        struct kg_decided *of, before;
        bool number; // what the number is; else: whether it is greater than `at`, at first yes
        int64_t at;
        int moment;
    } * items;
    int count, capacity;
} kg_decisions;

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
    kg_decisions *decisions; // NULL: leaves are as low as they can be
    int moment;              // counts what has happened in this run
} kg_scalars;

bool kg_scalars_eval(const kg_scalars *s, kg_value *value, int64_t *out);
// The op's result from what its operands are now.
bool kg_scalars_compute(const kg_scalars *s, const kg_op *op, int64_t *out);
kg_leaf *kg_scalars_leaf(const kg_scalars *s, const kg_value *value);
int64_t kg_leaf_number(const kg_scalars *s, kg_leaf *leaf);
// Its number is greater than `than`: asks for no more than that.
bool kg_leaf_exceeds(const kg_scalars *s, kg_leaf *leaf, int64_t than);
// All is open again.
void kg_decisions_begin(kg_scalars *s, kg_decisions *decisions);
// Another answer to the last question that has one, which is the last in the list then; false when
// there is none.
bool kg_decisions_next(kg_decisions *decisions);
// Marks, by value id, what is computed from a mutable scalar.
void kg_scalars_mark_followers(const kg_kernel *kernel, bool *follows);
