// SPDX-License-Identifier: MIT
//
// The second opinion on a synchronized kernel: derives again, by another method and with code of
// its own, whether anything is left unordered. It executes the kernel abstractly, all warps at
// once, keeps for each distinguishable byte of shared memory who accessed it last and which warps
// know of that, and goes on until no new state comes up, so that rings have closed, and every
// number of trips and every way through the branches is covered.
//
// CTAs of a cluster that reach into each other's shared memory are executed together.
//
// It sees ir/ only; in particular it shares nothing with passes/sync/.
#pragma once
#include "ir/ir.h"

typedef enum kg_verdict {
    KG_PROVED,  // no execution leaves a conflicting pair unordered
    KG_WITNESS, // some execution does: the pair, two threads and the way there are given
    KG_UNKNOWN  // neither could be shown; `what` says why
} kg_verdict;

typedef struct kg_validation {
    kg_verdict verdict;
    const char *what;       // WITNESS: what is wrong; UNKNOWN: what is not understood. In the arena
    const kg_op *a, *b;     // the earlier and the later access; a is NULL where only b is concerned
    int thread_a, thread_b; // of the CTA; -1 where it is no single thread
    int64_t byte;           // of the kernel's shared memory; -1: global memory
    const char *schedule;   // WITNESS: the trips and arms that lead there, in words. In the arena
    int states, cells;      // how many were looked at: states in all, bytes told apart
} kg_validation;

// `kernel` is at level synced. Fills *out and returns its verdict. Changes nothing of the kernel.
kg_verdict kg_validate(kg_arena *arena, kg_kernel *kernel, kg_validation *out);
