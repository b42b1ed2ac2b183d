// SPDX-License-Identifier: MIT
// A second opinion on synchronized kernels: runs the structured program with a vector clock per
// thread and one record per granule of shared and global memory, and says which accesses nothing
// orders.
//
// It shares no code with the sync pass. What it believes: kg_access_bytes (who touches which shared
// bytes), layouts, and the rules: a barrier joins the clocks of its participants, a warp sync those
// of a warp, a copy is in flight from its issue to the wait of its own thread that covers its
// group.
#pragma once
#include "ir/access.h"

typedef struct finding {
    const char *what;   // NULL: none
    const kg_op *a, *b; // earlier and later access; a may be NULL
    int thread_a, thread_b;
    int64_t place;
} finding;

typedef struct execution {
    int64_t number; // value of every integer parameter
    uint32_t seed;  // of unknown conditions and loaded integers
    int trip_limit; // a run with a longer loop is not counted
    bool finished;
    bool not_modelled;  // stopped at something that the executor does not know: roles that meet,
                        // gathered writes
    bool drew;          // the seed made a difference
    bool uninitialised; // also reports reads of shared bytes that nobody wrote
    finding found;      // the first one
} execution;

void execute(kg_kernel *kernel, execution *run);
