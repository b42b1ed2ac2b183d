// SPDX-License-Identifier: MIT
// What orders what: barrier generations, warp syncs, release and acquire.
//
// Within a CTA the common part is the generation of its full barriers: an access of an earlier
// generation is ordered before everything of this one. Only what is finer than that (named
// barriers, partial warp syncs, fences with flags) is kept in clocks, thread by thread, and those
// are dropped at the next full barrier. Clocks tick a warp at a time, at every release.
//
// What threads know of other CTAs travels in the same records (struct knowledge), through words of
// memory (the sync tables) and barriers; a log of it lets grid_shadow.c ask later what a thread
// knew at the time of an access.
#include "shadow.h"

#include <string.h>

// ---- what a thread says and hears ---------------------------------------------------------------

static bool foreign(const struct knowledge *k, const struct cta *cta)
{
    for (uint32_t i = 0; k && i < k->count; i++)
        if (k->of[i].cta != cta->index)
            return true;
    return false;
}

static void note(struct cta *cta, uint32_t thread, uint32_t clock, struct knowledge *know)
{
    struct shadow *s = cta->shadow;
    if (!foreign(know, cta))
        return;
    s->epoch++;
    if (!PTXM_GROW(s->allocator, s->log, s->log_count, s->log_capacity))
        return ptxm_cta_out_of_memory(cta);
    s->log[s->log_count++] = (struct know_log){thread, s->generation, clock,
                                               ptxm_knowledge_hold(know)};
}

// All that lanes which know `know` could tell at (generation, clock): a new reference.
struct knowledge *ptxm_clock_message(struct warp *w, uint32_t lanes, struct knowledge *know,
                                     uint32_t generation, uint32_t clock)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    uint32_t cta = w->cta->index, first = w->index * LANES;
    const struct known *mine = ptxm_knowledge_of(know, cta);
    struct clocks *c = ptxm_clocks_new(a, s->thread_count);
    if (!c)
        return NULL;
    if (mine && mine->seen.generation == generation && mine->seen.clocks)
        memcpy(c->v, mine->seen.clocks->v, s->thread_count * sizeof *c->v);
    if (generation == s->generation)
        for (uint32_t i = first; i < first + LANES && i < s->thread_count; i++) {
            uint32_t synced = w->full_sync < clock + 1 ? w->full_sync : clock + 1;
            c->v[i] = c->v[i] > synced ? c->v[i] : synced;
        }
    FOR_LANES (lane, lanes)
        c->v[first + lane] = clock + 1;
    struct knowledge *own = ptxm_knowledge_single(a, (struct known){.cta = cta,
                                                                    .seen = {generation, c}});
    struct knowledge *more = ptxm_knowledge_join(a, s->base, know);
    struct knowledge *out = ptxm_knowledge_join(a, more, own);
    ptxm_knowledge_free(a, more);
    ptxm_knowledge_free(a, own);
    return out;
}

// The lanes learn `what`, from now on. Lanes that knew the same go on sharing one record.
void ptxm_clock_learn(struct warp *w, uint32_t mask, struct knowledge *what)
{
    struct shadow *s = w->cta->shadow;
    struct knowledge *before = NULL, *after = NULL;
    uint32_t learned = 0;
    if (!what || (s->base && ptxm_knowledge_covers(s->base, what)))
        return;
    FOR_LANES (lane, mask) {
        struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
        if (!after || t->know != before) {
            ptxm_knowledge_free(s->allocator, before);
            ptxm_knowledge_free(s->allocator, after);
            before = ptxm_knowledge_hold(t->know);
            after = ptxm_knowledge_hold(t->know);
            ptxm_knowledge_absorb(s->allocator, &after, what);
        }
        if (after == before)
            continue;
        ptxm_knowledge_free(s->allocator, t->know);
        t->know = ptxm_knowledge_hold(after);
        learned |= 1u << lane;
    }
    ptxm_knowledge_free(s->allocator, before);
    ptxm_knowledge_free(s->allocator, after);
    if (!learned)
        return;
    s->fine = true;
    w->clock++;
    FOR_LANES (lane, learned)
        note(w->cta, ptxm_thread(w, lane), w->clock, s->threads[ptxm_thread(w, lane)].know);
}

struct knowledge *ptxm_clock_within(const struct cta *cta, struct knowledge *k, enum scope scope)
{
    uint32_t indices[MAX_CLUSTER] = {cta->index}, count = 1;
    if (!k || scope >= SCOPE_GPU)
        return ptxm_knowledge_hold(k);
    for (uint32_t i = 0; scope == SCOPE_CLUSTER && i < cta->cluster->count; i++)
        if (cta->cluster->ctas[i] != cta)
            indices[count++] = cta->cluster->ctas[i]->index;
    return ptxm_knowledge_only(cta->grid->allocator, k, indices, count);
}

// ---- fences -------------------------------------------------------------------------------------

void ptxm_clock_fence(struct warp *w, uint32_t mask, enum scope scope)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    FOR_LANES (lane, mask) {
        struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
        if (t->pending) {
            struct knowledge *near = ptxm_clock_within(w->cta, t->pending, scope);
            ptxm_clock_learn(w, 1u << lane, near);
            ptxm_knowledge_free(a, near);
        }
        if (scope >= SCOPE_GPU) {
            ptxm_knowledge_free(a, t->pending);
            t->pending = NULL;
        }
        ptxm_knowledge_free(a, t->at_fence);
        t->at_fence = ptxm_knowledge_hold(t->know);
        t->fence_generation = s->generation;
        t->fence_clock = w->clock;
        t->fence_scope = scope;
        t->fenced = true;
    }
    w->clock++;
}

// What the lanes know is from now on seen by the async proxy, too. One record serves all lanes that
// know the same: each of them has fenced its own accesses at this very moment.
void ptxm_clock_proxy_fence(struct warp *w, uint32_t mask, unsigned spaces)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    for (uint32_t rest = mask; rest;) {
        unsigned first = (unsigned)__builtin_ctz(rest);
        struct knowledge *know = s->threads[ptxm_thread(w, first)].know;
        struct knowledge *all = NULL, *fenced = NULL;
        uint32_t same = 0;
        FOR_LANES (lane, rest)
            same |= (uint32_t)(s->threads[ptxm_thread(w, lane)].know == know) << lane;
        all = ptxm_clock_message(w, same, know, s->generation, w->clock);
        fenced = all ? ptxm_knowledge_fenced(a, all, spaces) : NULL;
        ptxm_clock_learn(w, same, fenced);
        ptxm_knowledge_free(a, all);
        ptxm_knowledge_free(a, fenced);
        rest &= ~same;
    }
    w->clock++;
}

void ptxm_clock_proxy_acquire(struct warp *w, uint32_t mask)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    FOR_LANES (lane, mask) {
        struct knowledge *all = ptxm_knowledge_join(a, s->base,
                                                    s->threads[ptxm_thread(w, lane)].know);
        struct knowledge *seen = all ? ptxm_knowledge_acquired(a, all) : NULL;
        ptxm_clock_learn(w, 1u << lane, seen);
        ptxm_knowledge_free(a, all);
        ptxm_knowledge_free(a, seen);
    }
    w->clock++;
}

void ptxm_clock_warp_sync(struct warp *w, uint32_t mask)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    bool full = (w->live & ~mask) == 0, any = false;
    struct knowledge *all = NULL;
    mask &= w->live;
    FOR_LANES (lane, mask) {
        struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
        any |= t->know != NULL;
        if (full && !t->know)
            continue;
        struct knowledge *m = full ? ptxm_knowledge_hold(t->know)
                                   : ptxm_clock_message(w, 1u << lane, t->know, s->generation,
                                                        w->clock);
        if (m != all)
            ptxm_knowledge_absorb(a, &all, m);
        ptxm_knowledge_free(a, m);
    }
    w->clock++;
    if (full)
        w->full_sync = w->clock;
    if (!full || any)
        ptxm_clock_learn(w, mask, all);
    ptxm_knowledge_free(a, all);
}

// ---- barriers -----------------------------------------------------------------------------------

void ptxm_clock_arrive(struct cta *cta, struct warp *w, struct barrier *b, uint32_t mask)
{
    struct shadow *s = cta->shadow;
    b->clocks[w->index] = ++w->clock;
    // What the threads know now: one that does not wait may learn more before the others come.
    if (!s->fine)
        return;
    FOR_LANES (lane, mask)
        ptxm_knowledge_absorb(s->allocator, &b->know, s->threads[ptxm_thread(w, lane)].know);
}

// All threads met: their finer clocks are history; what they know of other CTAs, of agents and of
// the async proxy is common.
static void whole_barrier(struct cta *cta)
{
    struct shadow *s = cta->shadow;
    struct allocator *a = s->allocator;
    struct knowledge *last = NULL;
    bool news = false;
    ptxm_clock_fences_meet(cta);
    for (uint32_t i = 0; i < s->thread_count; i++) {
        struct thread_clock *t = &s->threads[i];
        t->groups_before = t->groups_now;
        t->wait_count = 0;
        if (!t->know)
            continue;
        if (t->know != last) {
            struct knowledge *lasting = ptxm_knowledge_lasting(a, t->know, cta->index);
            news |= foreign(lasting, cta);
            ptxm_knowledge_absorb(a, &s->base, lasting);
            ptxm_knowledge_free(a, lasting);
        }
        last = t->know;
        ptxm_knowledge_free(a, t->know);
        t->know = NULL;
    }
    s->generation++;
    s->fine = false;
    if (!s->keeps_readers)
        s->reader_count[0] = 1;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        cta->warps[i].clock = 1;
        cta->warps[i].full_sync = 0;
    }
    if (news)
        note(cta, UINT32_MAX, 0, s->base);
}

// Some warps met: those that wait learn what all who arrived knew.
static void part_barrier(struct cta *cta, struct barrier *b)
{
    struct shadow *s = cta->shadow;
    struct allocator *a = s->allocator;
    struct clocks *c = ptxm_clocks_new(a, s->thread_count);
    if (!c)
        return ptxm_cta_out_of_memory(cta);
    for (uint32_t i = 0; i < s->thread_count; i++)
        if (b->lanes[i / LANES] >> (i % LANES) & 1)
            c->v[i] = b->clocks[i / LANES];
    struct knowledge *all = ptxm_knowledge_single(
        a, (struct known){.cta = cta->index, .seen = {s->generation, c}});
    ptxm_knowledge_absorb(a, &all, b->know);
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        uint32_t waiting = b->waiting[i];
        FOR_LANES (lane, waiting) {
            struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
            ptxm_knowledge_free(a, t->know);
            t->know = ptxm_knowledge_hold(all);
            note(cta, ptxm_thread(w, lane), w->clock, all);
        }
    }
    s->fine = true;
    ptxm_knowledge_free(a, all);
}

void ptxm_clock_barrier(struct cta *cta, struct barrier *b, bool whole)
{
    if (whole && !b->has_arrive_only)
        whole_barrier(cta);
    else
        part_barrier(cta, b);
    ptxm_knowledge_free(cta->shadow->allocator, b->know);
    b->know = NULL;
}

void ptxm_clock_wait_groups(struct warp *w, unsigned lane)
{
    struct thread_clock *t = &w->cta->shadow->threads[ptxm_thread(w, lane)];
    if (t->groups_now == w->batch_done[lane])
        return;
    t->groups_now = w->batch_done[lane];
    if (!PTXM_GROW(w->cta->shadow->allocator, t->waits, t->wait_count, t->wait_capacity))
        return ptxm_cta_out_of_memory(w->cta);
    t->waits[t->wait_count].groups = t->groups_now;
    t->waits[t->wait_count++].clock = w->clock;
}

bool ptxm_clock_ordered(const struct warp *w, unsigned lane, const struct cta *of,
                        uint32_t generation, uint32_t thread, uint32_t clock)
{
    const struct shadow *s = w->cta->shadow;
    uint32_t self = ptxm_thread(w, lane);
    if (of == w->cta && (generation < s->generation || thread == self ||
                         (thread / LANES == w->index && clock < w->full_sync)))
        return true;
    return ptxm_knows(s->threads[self].know, of->index, generation, thread, clock) ||
           ptxm_knows(s->base, of->index, generation, thread, clock);
}
