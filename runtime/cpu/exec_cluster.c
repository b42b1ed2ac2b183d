// SPDX-License-Identifier: MIT
// Clusters: barrier.cluster, mapa, getctarank, and the lifetime of a peer's shared memory.
//
// A peer's memory lives from its start to its exit. Whether it has started a thread knows from a
// barrier of the cluster, or from anything that the peer has released to it. What a thread did to a
// peer's memory the peer must know of before its last thread exits.
#include "mbarrier.h"

#include <string.h>

// ---- barrier.cluster ----------------------------------------------------------------------------

static void wake(struct cluster *c)
{
    for (uint32_t rank = 0; rank < c->count; rank++) {
        struct cta *cta = c->ctas[rank];
        for (uint32_t i = 0; i < cta->warp_count; i++)
            for (uint32_t k = 0; k < cta->warps[i].fragment_count; k++)
                if (cta->warps[i].fragments[k].state == FRAGMENT_CLUSTER)
                    cta->warps[i].fragments[k].state = FRAGMENT_READY;
        cta->progress = true;
    }
}

// Ends the generation when all threads that live have arrived.
static void check(struct cluster *c)
{
    struct cluster_barrier *b = &c->barrier;
    uint32_t live = 0;
    for (uint32_t rank = 0; rank < c->count; rank++) live += c->ctas[rank]->live_threads;
    if (!b->arrived || b->arrived < live)
        return;
    ptxm_knowledge_free(c->grid->allocator, b->done);
    b->done = b->released;
    b->released = NULL;
    b->generation++;
    b->arrived = 0;
    c->ctas[0]->counters.barriers++;
    wake(c);
}

static void release(struct warp *w, uint32_t mask)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = w->cta->grid->allocator;
    for (uint32_t rest = mask; s && rest;) {
        const struct thread_clock *t = &s->threads[ptxm_thread(w, (unsigned)__builtin_ctz(rest))];
        uint32_t same = 0;
        FOR_LANES (lane, rest)
            same |= (uint32_t)(s->threads[ptxm_thread(w, lane)].know == t->know) << lane;
        struct knowledge *told = ptxm_clock_message(w, same, t->know, s->generation, w->clock);
        ptxm_knowledge_absorb(a, &w->cta->cluster->barrier.released, told);
        ptxm_knowledge_free(a, told);
        rest &= ~same;
    }
    w->clock++;
}

static bool misplaced(struct warp *w, const struct op *op, uint32_t lanes, const char *what)
{
    if (lanes)
        ptxm_finding(w, op, (unsigned)__builtin_ctz(lanes), RULE_CLUSTER_BARRIER, NULL, 0,
                     ACCESS_READ, "%s", what);
    return lanes != 0;
}

enum step_result ptxm_step_cluster_arrive(struct warp *w, const struct op *op, uint32_t mask)
{
    struct cluster *c = w->cta->cluster;
    if (op->flags & OPF_ALIGNED && ptxm_converge(w, mask, UINT32_MAX) == STEP_BLOCK)
        return STEP_BLOCK;
    if (misplaced(w, op, w->cluster_arrived & mask,
                  "a thread arrives twice at the barrier of the cluster and does not wait between"))
        return STEP_ABORT;
    w->cluster_arrived |= mask;
    FOR_LANES (lane, mask)
        w->cluster_ticket[lane] = c->barrier.generation;
    if (op->sem != SEM_RELAXED)
        release(w, mask);
    FOR_LANES (lane, op->sem == SEM_RELAXED && w->cta->shadow ? mask : 0)
        ptxm_clock_sent(w, lane);
    ptxm_mbarriers_publish(w, mask);
    c->barrier.arrived += (uint32_t)__builtin_popcount(mask);
    w->cta->stirred = w->cta->changed = true;
    check(c);
    return STEP_NEXT;
}

enum step_result ptxm_step_cluster_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    struct cluster *c = w->cta->cluster;
    if (op->flags & OPF_ALIGNED && ptxm_converge(w, mask, UINT32_MAX) == STEP_BLOCK)
        return STEP_BLOCK;
    if (misplaced(w, op, mask & ~w->cluster_arrived,
                  "a thread waits at the barrier of the cluster and has not arrived at it"))
        return STEP_ABORT;
    FOR_LANES (lane, mask)
        if (w->cluster_ticket[lane] == c->barrier.generation) {
            w->current->state = FRAGMENT_CLUSTER;
            return STEP_BLOCK;
        }
    w->cluster_arrived &= ~mask;
    w->cluster_waited |= mask;
    w->cta->cluster_waits = c->barrier.generation;
    if (w->cta->shadow) {
        w->cta->cluster_generation = w->cta->shadow->generation;
        ptxm_clock_learn(w, mask, c->barrier.done);
    }
    return STEP_NEXT;
}

// ---- lifetime -----------------------------------------------------------------------------------

static bool has_started(const struct warp *w, unsigned lane, const struct cta *peer)
{
    const struct cta *cta = w->cta;
    const struct shadow *s = cta->shadow;
    return !s || w->cluster_waited >> lane & 1 ||
           (cta->cluster_waits && cta->cluster_generation < s->generation) ||
           ptxm_knowledge_of(s->threads[ptxm_thread(w, lane)].know, peer->index) ||
           ptxm_knowledge_of(s->base, peer->index);
}

// A lane is about to touch a peer's shared memory. False: it is gone.
bool ptxm_peer_lives(struct warp *w, const struct op *op, unsigned lane, struct cta *peer,
                     const struct place *place, uint32_t size, enum access_kind kind)
{
    struct cta *cta = w->cta;
    if (!peer->live_threads) {
        enum rule rule = ptxm_is_async(kind) ? RULE_OPERATION_AT_EXIT : RULE_PEER_EXIT;
        ptxm_finding(w, op, lane, rule, place, size, kind,
                     "the peer has exited when its shared memory is accessed");
        return false;
    }
    if (!has_started(w, lane, peer))
        ptxm_finding(w, op, lane, RULE_PEER_START, place, size, kind, "%s",
                     ptxm_rule_message(RULE_PEER_START));
    // Arrivals and operations are looked at by themselves, when the peer exits.
    if (!peer->shadow || kind == ACCESS_BARRIER || ptxm_is_async(kind))
        return true;
    if (!peer->visits) {
        peer->visits = ptxm_alloc_zero(cta->grid->allocator,
                                       MAX_CLUSTER * MAX_WARPS * sizeof *peer->visits);
        if (!peer->visits)
            return false;
    }
    bool arrived = w->cluster_arrived >> lane & 1 &&
                   w->cluster_ticket[lane] == cta->cluster->barrier.generation;
    peer->visits[cta->rank * MAX_WARPS + w->index] = (struct visit){
        op, ptxm_thread(w, lane), cta->shadow->generation, w->clock,
        cta->cluster->barrier.generation + arrived};
    return true;
}

static void exit_finding(struct cta *cta, const struct cta *who, uint32_t thread,
                         const struct op *op, enum rule rule, const char *what)
{
    struct warp *w = &who->warps[thread / LANES];
    ptxm_finding(w, op, thread % LANES, rule, NULL, 0, ACCESS_READ, "%s: CTA %u,%u,%u exits", what,
                 cta->id[0], cta->id[1], cta->id[2]);
}

static void check_visits(struct cta *cta)
{
    for (uint32_t i = 0; cta->visits && i < MAX_CLUSTER * MAX_WARPS; i++) {
        const struct visit *v = &cta->visits[i];
        const struct cta *who = cta->cluster->ctas[i / MAX_WARPS];
        if (v->op && cta->cluster_waits <= v->cluster_generation &&
            !ptxm_knows(cta->known_at_exit, who->index, v->generation, v->thread, v->clock))
            exit_finding(cta, who, v->thread, v->op, RULE_PEER_EXIT,
                         ptxm_rule_message(RULE_PEER_EXIT));
    }
}

static void check_operations(struct cta *cta)
{
    struct cluster *c = cta->cluster;
    for (uint32_t rank = 0; rank < c->count; rank++) {
        const struct shadow *s = c->ctas[rank]->shadow;
        for (size_t i = 1; i < s->operation_count; i++) {
            const struct async_operation *o = &s->operations[i];
            for (int part = 0; part < ASYNC_PARTS; part++)
                if (o->shared_ctas[part] >> cta->rank & 1 &&
                    !ptxm_async_over(cta, cta->known_at_exit, o, (enum async_part)part))
                    exit_finding(cta, c->ctas[rank], o->thread, o->op, RULE_OPERATION_AT_EXIT,
                                 ptxm_rule_message(RULE_OPERATION_AT_EXIT));
        }
    }
}

// Copies that an mbarrier tells of, and nobody who was there to the end has heard.
static void check_copies(struct cta *cta)
{
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        for (unsigned lane = 0; lane < LANES; lane++) {
            const struct thread_clock *t = &cta->shadow->threads[ptxm_thread(w, lane)];
            uint32_t batch = w->last_copy_batch[lane];
            if (w->last_copy[lane] && t->copy_agent && batch >= t->groups_now &&
                !ptxm_knows_agent(cta->known_at_exit, cta->index, t->copy_agent - 1, batch))
                exit_finding(cta, cta, ptxm_thread(w, lane), w->last_copy[lane],
                             RULE_COPY_AT_EXIT, ptxm_rule_message(RULE_COPY_AT_EXIT));
        }
    }
}

// Lanes exit, live_threads says how many are left: what they know is what the CTA knows at its end.
void ptxm_cluster_lanes_exit(struct cta *cta, struct warp *w, uint32_t mask)
{
    struct shadow *s = cta->shadow;
    struct allocator *a = cta->grid->allocator;
    struct cluster *c = cta->cluster;
    FOR_LANES (lane, mask & w->cluster_arrived)
        c->barrier.arrived -= w->cluster_ticket[lane] == c->barrier.generation;
    w->cluster_arrived &= ~mask;
    check(c);
    if (!s || !cta->grid->kernel->asynchronous)
        return;
    FOR_LANES (lane, mask)
        ptxm_knowledge_absorb(a, &cta->known_at_exit, s->threads[ptxm_thread(w, lane)].know);
    if (cta->live_threads)
        return;
    ptxm_knowledge_absorb(a, &cta->known_at_exit, s->base);
    check_visits(cta);
    check_operations(cta);
    check_copies(cta);
    ptxm_mbarriers_at_exit(cta);
}

// ---- addresses ----------------------------------------------------------------------------------

static uint64_t value(const struct warp *w, const struct op *op, unsigned k, unsigned lane)
{
    return op->mode == 8 ? ((const uint64_t *)ptxm_src(w, op, k))[lane]
                         : ((const uint32_t *)ptxm_src(w, op, k))[lane];
}

static void put(const struct warp *w, const struct op *op, unsigned lane, uint64_t value)
{
    if (op->dst_bytes == 8)
        ((uint64_t *)ptxm_dst(w, op, 0))[lane] = value;
    else
        ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)value;
}

// The same offset in the shared memory of the CTA with that rank.
enum step_result ptxm_step_mapa(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *ranks = ptxm_src(w, op, 1);
    FOR_LANES (lane, mask) {
        uint64_t a = value(w, op, 0, lane), window = op->space == SPACE_GENERIC ? WINDOW_SHARED : 0;
        struct place p = {.space = SPACE_SHARED, .address = a - window};
        if (ranks[lane] >= w->cta->cluster->count || a < window || a - window >= WINDOW_SIZE) {
            ptxm_finding(w, op, lane, RULE_BOUNDS_SHARED, &p, 0, ACCESS_READ,
                         "mapa: rank %u of a cluster of %u, address 0x%llx", ranks[lane],
                         w->cta->cluster->count, (unsigned long long)a);
            continue;
        }
        uint64_t offset = (a - window) & (((uint64_t)1 << PEER_SHIFT) - 1);
        put(w, op, lane, window + ((uint64_t)(ranks[lane] + 1) << PEER_SHIFT) + offset);
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_getctarank(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        uint64_t a = value(w, op, 0, lane) - (op->space == SPACE_GENERIC ? WINDOW_SHARED : 0);
        uint64_t rank = a >> PEER_SHIFT;
        put(w, op, lane, rank ? rank - 1 : w->cta->rank);
    }
    return STEP_NEXT;
}
