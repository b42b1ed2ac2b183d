// SPDX-License-Identifier: MIT
// What happens around a loop in time: which slot each trip fills and reads, which groups of copies
// are in flight, where the program waits and meets. For drawings.
#pragma once
#include "passes/sync/program.h"

typedef enum kg_timeline_kind {
    KG_TIMELINE_COPY, // begins to fill a slot
    KG_TIMELINE_COMMIT,
    KG_TIMELINE_WAIT,
    KG_TIMELINE_MEET, // barrier, warp sync, arrive, fence
    KG_TIMELINE_WRITE,
    KG_TIMELINE_READ
} kg_timeline_kind;

typedef struct kg_timeline_event {
    kg_timeline_kind kind;
    int step;               // from 0; accesses of one op share it
    int phase;              // 0 in front of the loop, 1 in it, 2 behind it
    int trip;               // of the loop, from 0
    int round;              // of the loops around it in the role, from 0
    const kg_op *op, *role; // role: the `warps` around it, or NULL
    const kg_value *buffer; // of copies and accesses
    int slot;               // of its ring; 0 without one, -1 when not known
    int group; // of cp.async. COPY, COMMIT: its number, from 1; WAIT: the newest complete one
    // Groups of copies, products and bulk stores, and phases with bulk copies, of which the threads
    // of the role do not know yet behind this event that they are complete.
    int in_flight;
} kg_timeline_event;

typedef struct kg_timeline {
    const kg_op *loop;
    int trips;  // drawn
    int rounds; // most of the loops around it in a role
    int ring;   // deepest one that the loop touches
    bool cut;   // the loop has more trips than drawn, for certain
    struct {
        kg_timeline_event *items;
        int count, capacity;
    } events;
} kg_timeline;

typedef struct kg_timelines {
    kg_timeline *items;
    int count, capacity;
} kg_timelines;

// One for each loop that synchronizes or copies; roles side by side share one. The kernel is at
// level synced, `p` was built from it. Run-time bounds are taken so that prologue, steady state
// and tail are seen; conditions that only run time knows count as true.
void kg_sync_timelines(const kg_sync_program *p, kg_timelines *out);
