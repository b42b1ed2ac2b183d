// SPDX-License-Identifier: MIT
// One access while the shadow judges it, the earlier one that it is held against, and what is said
// or asked off the ordinary path (shadow_report.c). shadow.c is the ordinary path.
#ifndef PTXM_TOUCH_H
#define PTXM_TOUCH_H

#include "mbarrier.h"

struct touch {
    struct warp *w;
    const struct op *op;
    unsigned lane;
    const struct place *place;
    struct shadow *cells; // whose cells: of the CTA itself, or of a peer in the cluster
    uint32_t size, value, sequence, observed;
    uint32_t operation; // id, of an asynchronous access
    uint64_t address;   // of the cell
    enum access_kind kind;
    uint8_t bytes;      // of the cell, a bit each
    uint8_t strong, rank, owner; // rank of the accessing CTA, of the one that has the cells
    bool has_value, global;
    bool special; // by the async proxy, by a peer, or of an mbarrier
    bool discards; // what it reads goes nowhere, so it may never have been written
};

static inline const struct cta *ptxm_touch_cta(const struct touch *t, unsigned rank)
{
    const struct cta *cta = t->w->cta;
    return rank == cta->rank ? cta : cta->cluster->ctas[rank];
}

// An earlier access, as the cells keep it.
struct earlier {
    uint32_t op, thread, generation, clock, rank;
    uint32_t group; // of a cp.async; the id of an operation
    enum access_kind kind;
};

// Off the ordinary path.
#define PTXM_COLD __attribute__((noinline, cold)) void

// A race, or a fence that is missing, between the two.
PTXM_COLD ptxm_touch_report(const struct touch *t, enum rule rule, const struct earlier *x);
PTXM_COLD ptxm_touch_uninitialised(const struct touch *t);
// The access meets bytes of an mbarrier, which p has initialised.
PTXM_COLD ptxm_touch_barrier(const struct touch *t, const struct stamp *p);
// The two are ordered. Does the async proxy see the generic access, too? Has the write of a map
// been released to the tensormap proxy, and acquired?
PTXM_COLD ptxm_touch_judge_proxy(const struct touch *t, const struct earlier *x);
PTXM_COLD ptxm_touch_judge_map(const struct touch *t, const struct earlier *x);

#endif
