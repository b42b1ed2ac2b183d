// SPDX-License-Identifier: MIT
// What the files of the overlap pass share: overlap_fit.c sorts the ops of a trip and says why a
// loop cannot be turned, overlap.c turns it.
#pragma once
#include "passes/passes.h"
#include "passes/rewrite.h"

// What an op of the loop's own block is for; an op can be for several things.
enum {
    KG_OVERLAP_FIRST = 1,   // the product A, with what it needs of its trip
    KG_OVERLAP_LAST = 2,    // the product C, with what it needs besides what B hands it
    KG_OVERLAP_BETWEEN = 4, // B: all but A, C, C's assignment and the counters
    KG_OVERLAP_SCALES = 8,  // of B: needed for the fragment that C adds to only
    KG_OVERLAP_AWAITS = 16, // of those: reads it
    KG_OVERLAP_HANDS = 32,  // of B: converts C's first operand, for C only
    KG_OVERLAP_LATE = KG_OVERLAP_SCALES | KG_OVERLAP_HANDS
};

// A scalar that each trip adds a constant to behind all its uses.
typedef struct kg_trip_counter {
    kg_value *value;
    kg_op *assign;
    int64_t by;
} kg_trip_counter;

typedef struct kg_overlap_misfit {
    const char *reason; // NULL: it fits
    kg_loc loc;
    const char *help; // or NULL
} kg_overlap_misfit;

typedef struct kg_overlap {
    kg_pass_context *context;
    kg_kernel *kernel;
    kg_op *loop;
    kg_block *body;
    kg_use **uses;
    int n_values;
    kg_op *first, *last; // A, C
    kg_op *carries;      // fragment = C
    kg_value *fragment;
    uint8_t *part; // by op id, of the body's own ops
    struct {
        kg_trip_counter *items;
        int count, capacity;
    } counters;
    kg_overlap_misfit misfit;
} kg_overlap;

// Numbers the kernel and fills in the rest; false and a reason when the loop cannot be turned.
bool kg_overlap_fits(kg_overlap *o);
