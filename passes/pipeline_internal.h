// SPDX-License-Identifier: MIT
// What the files of the pipeline pass share: candidates.c finds what can be fetched ahead and says
// why the rest cannot, slice.c repeats the ops that a copy's addresses need, pipeline.c builds
// rings, prologues and prefetches.
#pragma once
#include "passes/rewrite.h"

// A buffer declared in the loop and filled by copies that depend on nothing but the iteration.
typedef struct kg_candidate {
    kg_value *buffer;
    struct {
        kg_op **items;
        int count, capacity;
    } copies; // in program order, all in the loop's own block
} kg_candidate;

// A buffer that has copies and stays as it is.
typedef struct kg_refusal {
    const kg_value *buffer;
    const kg_op *bad; // the place to point at
    const char *reason;
} kg_refusal;

typedef struct kg_staged_loop {
    kg_arena *arena;
    kg_kernel *kernel;
    kg_op *loop;
    int n_values, n_ops; // numbered; new ops have id -1
    kg_use **uses;
    struct {
        kg_candidate *items;
        int count, capacity;
    } found;
    bool *sliced; // by op id: what the copies depend on
    struct {
        kg_refusal *items;
        int count, capacity;
    } refused;
} kg_staged_loop;

// Fills `found` and `sliced`. `rings`: the copies are to move ahead of the body; else only that
// they may be asynchronous where they stand. Warns (KG-L302) about what is left as it is.
void kg_find_candidates(kg_diags *diags, kg_staged_loop *s, bool rings);

// A load that addresses depend on. It is done one trip before its copy is issued, so that no trip
// starts by waiting for it.
typedef struct kg_carried {
    kg_op *load;
    kg_value *next; // mutable fragment: its value for the iteration that the next prefetch is about
} kg_carried;

// The slice of a loop's copies, in program order. `near` is what they need beyond the carried
// loads, `far` those loads and what they need; an op can be in both.
typedef struct kg_slice {
    const kg_staged_loop *s;
    struct {
        kg_op **items;
        int count, capacity;
    } near, far;
    struct {
        kg_carried *items;
        int count, capacity;
    } carried;
} kg_slice;

// Moves what does not depend on the iteration in front of the loop and sorts the rest.
kg_slice kg_slice_split(kg_staged_loop *s);
// Where copies of slice ops go: what the loop's index and the loads become.
typedef struct kg_repeat {
    const kg_slice *slice;
    kg_place place;
    kg_value **map; // by value id
} kg_repeat;
kg_repeat kg_repeat_for(const kg_slice *slice, kg_place place, kg_value *index);
void kg_repeat_far(kg_repeat *r);
void kg_repeat_near(kg_repeat *r);
void kg_repeat_use_carried(kg_repeat *r); // loads are the carried fragments
kg_value *kg_repeat_value(const kg_repeat *r, kg_value *value);
// The loop's body assigns the mutable value.
bool kg_assigned_within(kg_op *loop, const kg_value *value);
