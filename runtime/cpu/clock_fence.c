// SPDX-License-Identifier: MIT
// Fences that are sequentially consistent, and what threads tell that meet behind them.
//
// All such fences of a scope have one order. A thread that fences, then meets others at a barrier,
// one of whom raises a flag: whoever sees the flag and fences comes later in that order, for the
// flag is behind the first fence. So the flag announces what each thread that it is ordered behind
// had done when it fenced last; an acquire-release fence would not do that.
#include "shadow.h"

static bool fenced_now(const struct shadow *s, const struct thread_clock *t)
{
    return t->fenced && t->sequential && t->fence_scope >= SCOPE_GPU &&
           t->fence_generation == s->generation;
}

void ptxm_clock_fence_sc(struct warp *w, uint32_t mask, bool sequential)
{
    struct shadow *s = w->cta->shadow;
    FOR_LANES (lane, mask)
        s->threads[ptxm_thread(w, lane)].sequential = sequential;
    s->fences |= sequential;
}

// What the fences of this generation by some threads cover: a new reference, or NULL.
static struct knowledge *covered(struct cta *cta, const struct warp *by, unsigned lane)
{
    struct shadow *s = cta->shadow;
    struct allocator *a = s->allocator;
    struct clocks *c = NULL;
    struct knowledge *all = NULL;
    for (uint32_t i = 0; i < s->thread_count; i++) {
        const struct thread_clock *t = &s->threads[i];
        if (!fenced_now(s, t))
            continue;
        if (by && i != ptxm_thread(by, lane) &&
            !(i / LANES == by->index && t->fence_clock < by->full_sync) &&
            !ptxm_knows(s->threads[ptxm_thread(by, lane)].know, cta->index, s->generation, i,
                        t->fence_clock))
            continue;
        c = c ? c : ptxm_clocks_new(a, s->thread_count);
        if (c)
            c->v[i] = t->fence_clock + 1;
        if (t->at_fence)
            ptxm_knowledge_absorb(a, &all, t->at_fence);
    }
    if (!c)
        return all;
    struct knowledge *own = ptxm_knowledge_single(
        a, (struct known){.cta = cta->index, .seen = {s->generation, c}});
    ptxm_knowledge_absorb(a, &all, own);
    ptxm_knowledge_free(a, own);
    return all;
}

// All threads are about to meet.
void ptxm_clock_fences_meet(struct cta *cta)
{
    struct shadow *s = cta->shadow;
    if (!s->fences)
        return;
    struct knowledge *all = covered(cta, NULL, 0);
    ptxm_knowledge_absorb(s->allocator, &s->fenced, all);
    ptxm_knowledge_free(s->allocator, all);
    s->fences = false;
}

// What a relaxed write of this lane announces of fences of others: a new reference, or NULL.
struct knowledge *ptxm_clock_fenced(struct warp *w, unsigned lane)
{
    struct shadow *s = w->cta->shadow;
    struct knowledge *all = ptxm_knowledge_hold(s->fenced);
    if (s->fences) {
        struct knowledge *more = covered(w->cta, w, lane);
        ptxm_knowledge_absorb(s->allocator, &all, more);
        ptxm_knowledge_free(s->allocator, more);
    }
    return all;
}
