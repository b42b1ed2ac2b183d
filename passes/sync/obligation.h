// SPDX-License-Identifier: MIT
// Obligations: pairs of accesses that something must order.
//
// a runs first, b later; both may touch the same byte, at least one writes, and a different thread
// (or the copy unit) does so. An obligation says how a path from a to b runs: within one trip of
// every loop that holds both (carrier -1), or across the back edge of one of these loops (the
// carrier) `distance` or more times.
#pragma once
#include "passes/sync/program.h"

// What must stand on every path from a to b.
typedef enum kg_rendezvous {
    KG_MEET_NONE, // (with wait) only the issuing thread is concerned: a wait
    KG_MEET_WARP, // the lanes of one warp
    KG_MEET_CTA   // the warps of the region that holds both, else all threads
} kg_rendezvous;

// What has to be fenced besides: accesses of memory for the async proxy, or of registers for the
// tensor core.
typedef enum kg_fence {
    KG_FENCE_NONE,
    KG_FENCE_SHARED,
    KG_FENCE_GLOBAL,
    KG_FENCE_REGISTERS,
    KG_FENCES
} kg_fence;

static inline bool kg_fence_is_of_proxy(kg_fence fence)
{
    return fence == KG_FENCE_SHARED || fence == KG_FENCE_GLOBAL;
}

typedef struct kg_obligation {
    int a, b;         // accesses
    int carrier;      // block of a loop, -1: within one trip
    int64_t distance; // smallest number of trips, 0 without a carrier
    uint64_t
        distances; // bit d - 1: they meet at d trips (d <= 64); all ones when anything is possible
    kg_rendezvous meet;
    bool wait;      // a acts until its commit group completes: a wait before the rendezvous
    kg_fence fence; // by whoever did a, behind its completion and in front of the rendezvous
    bool by_author; // roles that communicate under hand-written synchronization: not ours to order
    int64_t byte;   // a common arena byte of shared memory, -1 when not known
    int number;     // from 1, in the report
    int found_by_hand; // already ordered by what the author wrote
} kg_obligation;

// Conflicting pairs that need nothing, by what keeps them apart; for the report.
typedef struct kg_sync_spared {
    int one_thread; // every common byte belongs to one thread, which runs them in order
    int by_ring;    // a ring never gives the two of them one slot
    int apart;      // no common byte
} kg_sync_spared;

typedef struct kg_obligations {
    kg_obligation *items;
    int count, capacity;
    kg_sync_spared spared;
} kg_obligations;

void kg_obligations_derive(kg_sync_program *p, kg_obligations *out);

// ---- one pair (relation.c) ----------------------------------------------------------------------
typedef struct kg_relation {
    bool meets;
    int64_t distance;
    uint64_t distances;
    kg_apart apart;
    int64_t byte;
    bool by_ring; // they do not meet because their slots differ
} kg_relation;
// a before b in one trip (carrier NULL) or across the back edge of that loop.
kg_relation kg_sync_relate(const kg_sync_program *p, const kg_sync_access *a,
                           const kg_sync_access *b, const kg_op *carrier);
// The buffers of two accesses of shared memory have no byte of any slot in common.
bool kg_sync_lie_apart(const kg_sync_access *a, const kg_sync_access *b);
// Two tensors that may be the same memory.
bool kg_sync_may_alias(const kg_value *a, const kg_value *b);
