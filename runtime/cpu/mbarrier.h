// SPDX-License-Identifier: MIT
// mbarrier objects of shared memory: counts, phases, and what a phase releases to those who see it
// complete. The bytes in memory are opaque to programs; the object lives in a table of its CTA.
#ifndef PTXM_MBARRIER_H
#define PTXM_MBARRIER_H

#include "shadow.h"

// What a phase releases, by who may hear it.
struct phase_knowledge {
    struct knowledge *near; // of threads of the barrier's own CTA, and that copies are over
    struct knowledge *far;  // of threads of peers, at cluster scope
    struct knowledge *lost; // of threads of peers, at CTA scope: nobody hears it
};

// A wait that has seen the phase before the current one complete (phases.c).
struct watcher {
    const struct op *op;
    uint32_t warp, lanes, generation, clock;
    uint32_t ticket; // of the warp: lanes that have met since are behind this wait
};

// A wait by parity that told its threads nothing new: they knew that phase already.
struct repeated_wait {
    const struct op *op;
    uint32_t warp, lanes, generation, clock;
    uint32_t phase;      // the current one, then
    uint32_t operations; // of the CTA, issued before it
};

// mbarrier.expect_tx in the current phase, by a thread of some CTA.
struct expectation {
    const struct op *op;
    const struct cta *cta;
    uint32_t thread, generation, clock;
};

struct mbarrier {
    struct cta *home;
    struct mbarrier *next; // in the table
    uint32_t address;      // in the shared memory of its CTA
    bool live;
    uint32_t count;        // arrivals that a phase needs, from the next one on
    uint32_t pending;      // arrivals that this phase still needs
    int32_t bytes;         // that this phase still needs (tx-count)
    uint32_t phase;        // phases completed: the number of the current one
    uint32_t first_phase;  // its number when it was made (even): parities count from there
    uint32_t observed;     // phases that some thread has seen complete
    uint32_t agent;        // its ticket: the phase in which an operation has counted its bytes
    const struct op *init, *last; // the instruction that made it, that last arrived
    uint32_t init_thread, init_generation, init_clock;
    // fence.mbarrier_init by its maker, and the barrier of the cluster that this publishes it by
    bool init_fenced;
    uint32_t published_after;
    struct { // the last use by a peer
        const struct op *op;
        uint32_t thread, rank, phase, cluster_generation;
    } visit;
    struct phase_knowledge now, before; // of the current phase, of the last complete one
    // What lies behind the arrivals of the current phase that release nothing: for phases.c only,
    // no thread learns it.
    struct knowledge *order;
    bool visited; // by arrivals of peers, in this phase
    uint32_t seen_agent; // passes a ticket for each phase that lanes have met behind
    struct watcher *watchers;
    struct repeated_wait *repeated;
    struct expectation *expected;
    size_t watcher_count, watcher_capacity, repeated_count, repeated_capacity, expected_count,
        expected_capacity;
};

enum { MBARRIER_MAX = (1 << 20) - 1 }; // of counts and bytes

struct mbarrier *ptxm_mbarrier_find(struct cta *home, uint32_t address); // NULL: never made
void ptxm_mbarriers_free(struct cta *cta);
// Counts bytes of a copy, which ends its operation for those who see this phase complete.
void ptxm_mbarrier_complete_bytes(struct mbarrier *b, uint32_t bytes, struct cta *issuer,
                                  uint32_t operation);
// A counted arrival that releases nothing but what `know` says (may be NULL).
void ptxm_mbarrier_arrive(struct mbarrier *b, uint32_t count, struct knowledge *know);
// The live mbarrier that an operand names, or NULL after a finding.
struct mbarrier *ptxm_mbarrier_at(struct warp *w, const struct op *op, unsigned lane,
                                  enum space space, uint64_t address);
// The lane uses this one: the part of ptxm_mbarrier_at that looks at the lane, not at the address.
void ptxm_mbarrier_use(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b);
// An instruction of this lane adds bytes to what the current phase needs (or takes some away).
bool ptxm_mbarrier_add_bytes(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *b, int64_t bytes);
// The CTA's last thread is gone: peers' arrivals must have been seen.
void ptxm_mbarriers_at_exit(struct cta *cta);
// ---- phases.c -----------------------------------------------------------------------------------

// Lanes ask by parity, of which those in `done` get a yes. Before they hear it.
void ptxm_phases_asked(struct warp *w, const struct op *op, uint32_t mask, uint32_t done,
                       struct mbarrier *const at[LANES]);
// The lanes have seen that the phase before the current one is complete. Before they learn it.
void ptxm_phases_seen(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes);
// A lane executes expect_tx; lanes arrive, in whatever order and scope.
void ptxm_phases_expected(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b);
void ptxm_phases_arrived(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes);
// The current phase is about to complete.
void ptxm_phases_complete(struct mbarrier *b);
void ptxm_phases_forget(struct mbarrier *b); // it is made anew, or is gone
void ptxm_phases_free(struct mbarrier *b);
void ptxm_phases_at_exit(struct mbarrier *b);
// All live lanes of the warp stand at one collective instruction.
void ptxm_phases_meet(struct warp *w);
// A warp learns how far the lanes of another one had met.
void ptxm_phases_meet_warp(struct warp *w, const struct warp *other, uint32_t tickets);
// A thread's access races with an operation that counts its bytes on an mbarrier: was there a wait,
// for another phase? (generation, clock): of the thread's access.
void ptxm_phases_explain(struct warp *w, const struct op *op, uint32_t thread, uint32_t generation,
                         uint32_t clock, const struct cta *issuer, uint32_t operation,
                         bool issued_before);

// fence.mbarrier_init, and the arrival of its thread at the barrier of the cluster.
void ptxm_mbarriers_fence_init(struct warp *w, uint32_t mask);
void ptxm_mbarriers_publish(struct warp *w, uint32_t mask);

#endif
