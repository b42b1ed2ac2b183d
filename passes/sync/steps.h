// SPDX-License-Identifier: MIT
// Steps through a structured program with concrete numbers, in program order.
//
// All integer parameters have one number, the CTA is the first of its grid, scalars are computed
// where they stand. Where a condition or a bound is not known: `strict` gives up; otherwise both
// arms, or one trip, are stepped through as *uncertain*, and what they assign is unknown behind.
#pragma once
#include "passes/sync/scalars.h"

typedef struct kg_steps kg_steps;
struct kg_steps {
    const kg_sync_program *p;
    int first_warp, last_warp; // step through what these execute
    bool strict;
    void (*visit)(kg_steps *steps, int node); // accesses and synchronizations
    void *user;
    int limit; // steps; more is a failure
    // state
    kg_scalars s;
    int *node_of; // by op id, -1
    int n_values, taken, uncertain;
    bool failed;
};

// p, warps, strict, visit, user and limit are set.
void kg_steps_begin(kg_steps *steps);
// false: given up, or the visitor set `failed`.
bool kg_steps_run(kg_steps *steps, int number);
// Every assumption of the kernel holds when all its integer parameters are `number`.
bool kg_steps_assumed(const kg_sync_program *p, int number);
// The slot of a ring that the access means now; false when it is not known.
bool kg_steps_slot(const kg_steps *steps, const kg_sync_access *a, int64_t *slot);
