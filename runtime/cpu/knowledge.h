// SPDX-License-Identifier: MIT
// What a thread knows to have happened: immutable records that are joined and shared by reference.
//
// For each CTA a record says how far its threads have got (G, the causality clock), how far its
// agents have got (phases of mbarriers, groups of bulk copies and of wgmma: see shadow.h), and
// which part of the first the async proxy sees (A, the proxy clock, one for each space) or has been
// released to the tensormap proxy.
#ifndef PTXM_KNOWLEDGE_H
#define PTXM_KNOWLEDGE_H

#include "memory.h"

#include <stdatomic.h>

struct clocks {
    atomic_uint references;
    uint32_t count, v[];
};

// Accesses of all threads in generations before `generation`, and in that generation those of
// thread u whose clock is below clocks->v[u]; no clocks: none in that generation.
struct extent {
    uint32_t generation;
    struct clocks *clocks;
};

// PROXY_RELEASED: of shared memory, by the half of a fence that another thread's half completes.
// PROXY_MAPS_WIDE: what of PROXY_MAPS has been released beyond the CTA.
enum proxy_space { PROXY_SHARED, PROXY_GLOBAL, PROXY_MAPS, PROXY_RELEASED, PROXY_MAPS_WIDE,
                   PROXY_SPACES };

struct known {
    uint32_t cta;
    struct extent seen;                 // G
    struct extent fenced[PROXY_SPACES]; // A: what a fence.proxy.async lies behind. A <= G
    struct clocks *agents;              // operations of agent a with a ticket below agents->v[a]
    struct clocks *fenced_agents; // of those, what a fence.proxy.async of shared memory lies behind
};

// The grid launched ahead of this one in its stream, as the agent 0 of a CTA (grid_past.c).
enum { CTA_OF_GRID_AHEAD = UINT32_MAX };

struct knowledge {
    atomic_uint references;
    uint32_t count;
    struct known of[]; // by cta, ascending
};

struct clocks *ptxm_clocks_new(struct allocator *a, uint32_t count);
struct clocks *ptxm_clocks_hold(struct clocks *c);
void ptxm_clocks_drop(struct allocator *a, struct clocks *c);
void ptxm_extent_join(struct allocator *a, struct extent *into, const struct extent *more);

struct knowledge *ptxm_knowledge_new(struct allocator *a, uint32_t count); // room for count
struct knowledge *ptxm_knowledge_hold(struct knowledge *k);
void ptxm_knowledge_free(struct allocator *a, struct knowledge *k); // drops a reference
// A record of one CTA; takes over the references in `known`.
struct knowledge *ptxm_knowledge_single(struct allocator *a, struct known known);
const struct known *ptxm_knowledge_of(const struct knowledge *k, uint32_t cta);
// The join of both, as a new reference. Either may be NULL.
struct knowledge *ptxm_knowledge_join(struct allocator *a, struct knowledge *x,
                                      struct knowledge *y);
// Replaces *into by its join with `more`.
void ptxm_knowledge_absorb(struct allocator *a, struct knowledge **into, struct knowledge *more);
// True if k already holds all that `more` says: polling a word teaches once.
bool ptxm_knowledge_covers(const struct knowledge *k, const struct knowledge *more);
// What is left of k when only some CTAs are kept.
struct knowledge *ptxm_knowledge_only(struct allocator *a, struct knowledge *k,
                                      const uint32_t *ctas, uint32_t count);
// What of k outlives a barrier of all threads of `cta`: all but how far its threads have got.
struct knowledge *ptxm_knowledge_lasting(struct allocator *a, struct knowledge *k, uint32_t cta);
// k with its G as A in the spaces of the set (a bit each), and nothing else.
struct knowledge *ptxm_knowledge_fenced(struct allocator *a, const struct knowledge *k,
                                        unsigned spaces);

// What has been released to the async proxy of shared memory is now seen by it: k's part of that.
struct knowledge *ptxm_knowledge_acquired(struct allocator *a, const struct knowledge *k);

// k without how far threads have got: which operations are over.
struct knowledge *ptxm_knowledge_agents(struct allocator *a, const struct knowledge *k);

bool ptxm_extent_holds(const struct extent *e, uint32_t generation, uint32_t thread,
                       uint32_t clock);
bool ptxm_knows(const struct knowledge *k, uint32_t cta, uint32_t generation, uint32_t thread,
                uint32_t clock);
bool ptxm_knows_fenced(const struct knowledge *k, enum proxy_space space, uint32_t cta,
                       uint32_t generation, uint32_t thread, uint32_t clock);
// Tickets of the agent that are known to be passed.
uint32_t ptxm_known_tickets(const struct knowledge *k, uint32_t cta, uint32_t agent);
bool ptxm_knows_agent_fenced(const struct knowledge *k, uint32_t cta, uint32_t agent,
                             uint32_t ticket);
bool ptxm_knows_agent(const struct knowledge *k, uint32_t cta, uint32_t agent, uint32_t ticket);

#endif
