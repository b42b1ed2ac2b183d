// SPDX-License-Identifier: MIT
// Synchronization that the author wrote: what it orders, what of it nobody needs.
//
// A sync is one statement of the text; unrolled it is several nodes, which stay or go together. A
// *gap* is a run of barriers, warp syncs and waits with nothing between them: order within it is
// always waits first.
#pragma once
#include "passes/sync/cover.h"

enum { KG_HAND_OFF = -1 }; // state of a node: as if it were not there

// Fills plan->hand and plan->hand_warp from the nodes that plan->hand_state leaves on.
void kg_sync_hand_find(const kg_sync_program *p, kg_sync_plan *plan);
// By obligation: what plan->hand, plan->hand_warp and the author's waits order by themselves.
void kg_sync_hand_meets(const kg_sync_program *p, const kg_obligations *o, const kg_sync_plan *plan,
                        bool *met);
// The state of all nodes as written.
int *kg_sync_hand_state(const kg_sync_program *p);
// A barrier of all threads that its place is reached by: those of its `warps` region, else the CTA.
bool kg_sync_is_full_barrier(const kg_sync_program *p, int node);

// ---- whose buffers ------------------------------------------------------------------------------
// The shared buffers that stand in the author's text and that no pass turns into something else
// (those declared in a pipelined loop become rings whose copies run ahead). What else the lowered
// program has in shared memory is the compiler's, and so is its order.
typedef struct kg_author {
    struct kg_author_place {
        int line, column;
    } * items;
    int count, capacity;
} kg_author;
void kg_author_collect(kg_arena *arena, kg_kernel *kernel, kg_author *out); // before the passes
bool kg_author_owns(const kg_author *author, const kg_sync_program *p, const kg_obligation *o);

// ---- what is not needed (redundant.c) -----------------------------------------------------------
// One sync of the text.
typedef struct kg_hand_sync {
    const kg_op *op;     // the first of its nodes
    int *nodes, n_nodes; // in program order
    int64_t cost;        // how often it runs, summed over its nodes
    bool redundant;      // the others meet all that it meets
    int count, needed;   // waits: as written; the loosest that does
} kg_hand_sync;

typedef struct kg_hand_syncs {
    kg_hand_sync *items;
    int count, capacity;
    int *state; // by node: without the redundant ones, waits as loose as they may be
} kg_hand_syncs;

// A set of syncs without which, taken together, everything stays met that all of them meet, so that
// none of the rest can go; dear ones go first.
void kg_sync_hand_prune(const kg_sync_program *p, const kg_obligations *o, kg_hand_syncs *out);
