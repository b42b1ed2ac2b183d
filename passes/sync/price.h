// SPDX-License-Identifier: MIT
// What the synchronization of a kernel would cost, without inserting any: the inner question of
// every choice between synchronizing an obligation and removing it.
//
// The unit is a cycle of a CTA, roughly. A synchronization weighs what its kind takes, 16 times as
// much for each loop around it (the trips that the planner assumes too).
#pragma once
#include "passes/sync/program.h"

typedef struct kg_sync_price {
    int64_t cost;
    int barriers, loop_barriers; // to be inserted; loop_: inside of loops
    int warp_syncs, waits;
    int between_warps; // obligations that need a barrier
    int apart;         // obligations between warps of which no two have a point in common: so many
                       // rendezvous there must be at least
} kg_sync_price;

// Weight of one barrier of so many warps, of one warp sync, of one wait.
static inline int64_t kg_barrier_weight(int32_t warps)
{
    return 24 + warps;
}
enum { KG_WARP_SYNC_WEIGHT = 4, KG_WAIT_WEIGHT = 4 };

// How often something runs that stands inside of so many loops.
static inline int64_t kg_runs_in_loops(int loops)
{
    return INT64_C(1) << (4 * (loops < 8 ? loops : 8));
}

// Of a kernel whose buffers have their offsets. `exact`: waits that another one makes superfluous
// are not counted, which takes a replay.
kg_sync_price kg_sync_price_of(kg_arena *arena, kg_kernel *kernel, kg_footprints *known,
                               bool exact);
