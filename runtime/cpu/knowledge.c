// SPDX-License-Identifier: MIT
// Knowledge: immutable once made, shared by reference.
#include "knowledge.h"

#include <string.h>

// ---- clocks and extents -------------------------------------------------------------------------

struct clocks *ptxm_clocks_new(struct allocator *a, uint32_t count)
{
    struct clocks *c = ptxm_alloc_zero(a, sizeof *c + count * sizeof *c->v);
    if (c) {
        atomic_init(&c->references, 1);
        c->count = count;
    }
    return c;
}

struct clocks *ptxm_clocks_hold(struct clocks *c)
{
    if (c)
        atomic_fetch_add(&c->references, 1);
    return c;
}

void ptxm_clocks_drop(struct allocator *a, struct clocks *c)
{
    if (c && atomic_fetch_sub(&c->references, 1) == 1)
        ptxm_free(a, c);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// Whether any of a is above its counterpart of b; without an early end, so that it is fast.
static bool any_above(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    uint32_t above = 0;
    for (uint32_t i = 0; i < count; i++) above |= a[i] > b[i];
    return above;
}

static bool clocks_cover(const struct clocks *big, const struct clocks *small)
{
    if (!small || big == small)
        return true;
    uint32_t both = big ? least(big->count, small->count) : 0, rest = 0;
    if (both && any_above(small->v, big->v, both))
        return false;
    for (uint32_t i = both; i < small->count; i++) rest |= small->v[i];
    return !rest;
}

// The greater of both, entry by entry, as a new reference.
static struct clocks *clocks_join(struct allocator *a, struct clocks *x, struct clocks *y)
{
    if (clocks_cover(x, y))
        return ptxm_clocks_hold(x);
    if (clocks_cover(y, x))
        return ptxm_clocks_hold(y);
    struct clocks *longer = x->count > y->count ? x : y;
    struct clocks *out = ptxm_clocks_new(a, longer->count);
    uint32_t both = least(x->count, y->count);
    if (!out)
        return NULL;
    for (uint32_t i = 0; i < both; i++) out->v[i] = x->v[i] > y->v[i] ? x->v[i] : y->v[i];
    memcpy(out->v + both, longer->v + both, (longer->count - both) * sizeof *out->v);
    return out;
}

static struct extent extent_join(struct allocator *a, const struct extent *x,
                                 const struct extent *y)
{
    const struct extent *newer = x->generation >= y->generation ? x : y;
    if (x->generation == y->generation)
        return (struct extent){x->generation, clocks_join(a, x->clocks, y->clocks)};
    return (struct extent){newer->generation, ptxm_clocks_hold(newer->clocks)};
}

void ptxm_extent_join(struct allocator *a, struct extent *into, const struct extent *more)
{
    struct extent old = *into;
    *into = extent_join(a, &old, more);
    ptxm_clocks_drop(a, old.clocks);
}

static bool extent_covers(const struct extent *big, const struct extent *small)
{
    return big->generation > small->generation ||
           (big->generation == small->generation && clocks_cover(big->clocks, small->clocks));
}

bool ptxm_extent_holds(const struct extent *e, uint32_t generation, uint32_t thread, uint32_t clock)
{
    return generation < e->generation ||
           (generation == e->generation && e->clocks && thread < e->clocks->count &&
            clock < e->clocks->v[thread]);
}

// ---- records ------------------------------------------------------------------------------------

struct knowledge *ptxm_knowledge_new(struct allocator *a, uint32_t count)
{
    struct knowledge *k = ptxm_alloc_zero(a, sizeof *k + count * sizeof *k->of);
    if (k)
        atomic_init(&k->references, 1);
    return k;
}

struct knowledge *ptxm_knowledge_hold(struct knowledge *k)
{
    if (k)
        atomic_fetch_add(&k->references, 1);
    return k;
}

static void known_drop(struct allocator *a, const struct known *n)
{
    ptxm_clocks_drop(a, n->seen.clocks);
    ptxm_clocks_drop(a, n->agents);
    ptxm_clocks_drop(a, n->fenced_agents);
    for (int i = 0; i < PROXY_SPACES; i++) ptxm_clocks_drop(a, n->fenced[i].clocks);
}

static void known_hold(const struct known *n)
{
    ptxm_clocks_hold(n->seen.clocks);
    ptxm_clocks_hold(n->agents);
    ptxm_clocks_hold(n->fenced_agents);
    for (int i = 0; i < PROXY_SPACES; i++) ptxm_clocks_hold(n->fenced[i].clocks);
}

void ptxm_knowledge_free(struct allocator *a, struct knowledge *k)
{
    if (!k || atomic_fetch_sub(&k->references, 1) != 1)
        return;
    for (uint32_t i = 0; i < k->count; i++) known_drop(a, &k->of[i]);
    ptxm_free(a, k);
}

struct knowledge *ptxm_knowledge_single(struct allocator *a, struct known known)
{
    struct knowledge *k = ptxm_knowledge_new(a, 1);
    if (!k) {
        known_drop(a, &known);
        return NULL;
    }
    k->count = 1;
    k->of[0] = known;
    return k;
}

const struct known *ptxm_knowledge_of(const struct knowledge *k, uint32_t cta)
{
    for (uint32_t i = 0; k && i < k->count; i++)
        if (k->of[i].cta == cta)
            return &k->of[i];
    return NULL;
}

static void push(struct knowledge *k, const struct known *n)
{
    known_hold(n);
    k->of[k->count++] = *n;
}

static void push_join(struct allocator *a, struct knowledge *k, const struct known *x,
                      const struct known *y)
{
    struct known out = {.cta = x->cta, .seen = extent_join(a, &x->seen, &y->seen),
                        .agents = clocks_join(a, x->agents, y->agents),
                        .fenced_agents = clocks_join(a, x->fenced_agents, y->fenced_agents)};
    for (int i = 0; i < PROXY_SPACES; i++)
        out.fenced[i] = extent_join(a, &x->fenced[i], &y->fenced[i]);
    k->of[k->count++] = out;
}

struct knowledge *ptxm_knowledge_join(struct allocator *a, struct knowledge *x,
                                      struct knowledge *y)
{
    if (!x || x == y)
        return ptxm_knowledge_hold(y);
    if (!y)
        return ptxm_knowledge_hold(x);
    struct knowledge *k = ptxm_knowledge_new(a, x->count + y->count);
    uint32_t i = 0, j = 0;
    while (k && (i < x->count || j < y->count)) {
        if (j == y->count || (i < x->count && x->of[i].cta < y->of[j].cta))
            push(k, &x->of[i++]);
        else if (i == x->count || y->of[j].cta < x->of[i].cta)
            push(k, &y->of[j++]);
        else
            push_join(a, k, &x->of[i++], &y->of[j++]);
    }
    return k;
}

static bool known_covers(const struct known *mine, const struct known *n)
{
    for (int i = 0; i < PROXY_SPACES; i++)
        if (!extent_covers(&mine->fenced[i], &n->fenced[i]))
            return false;
    return extent_covers(&mine->seen, &n->seen) && clocks_cover(mine->agents, n->agents) &&
           clocks_cover(mine->fenced_agents, n->fenced_agents);
}

bool ptxm_knowledge_covers(const struct knowledge *k, const struct knowledge *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        const struct known *mine = ptxm_knowledge_of(k, more->of[i].cta);
        if (!mine || !known_covers(mine, &more->of[i]))
            return false;
    }
    return true;
}

void ptxm_knowledge_absorb(struct allocator *a, struct knowledge **into, struct knowledge *more)
{
    struct knowledge *old = *into;
    if (!more || old == more || (old && ptxm_knowledge_covers(old, more)))
        return;
    // Threads that learn the same keep the same record.
    *into = old && !ptxm_knowledge_covers(more, old) ? ptxm_knowledge_join(a, old, more)
                                                     : ptxm_knowledge_hold(more);
    ptxm_knowledge_free(a, old);
}

struct knowledge *ptxm_knowledge_only(struct allocator *a, struct knowledge *k,
                                      const uint32_t *ctas, uint32_t count)
{
    struct knowledge *out = k ? ptxm_knowledge_new(a, k->count) : NULL;
    for (uint32_t i = 0; out && i < k->count; i++) {
        bool kept = k->of[i].cta == CTA_OF_GRID_AHEAD; // its end is visible to all of this grid
        for (uint32_t c = 0; c < count && !kept; c++) kept = k->of[i].cta == ctas[c];
        if (kept)
            push(out, &k->of[i]);
    }
    return out;
}

static bool is_empty(const struct known *n)
{
    uint32_t any = n->seen.generation;
    for (int i = 0; i < PROXY_SPACES; i++) any |= n->fenced[i].generation;
    return !any && !n->agents && !n->fenced_agents;
}

struct knowledge *ptxm_knowledge_lasting(struct allocator *a, struct knowledge *k, uint32_t cta)
{
    struct knowledge *out = k ? ptxm_knowledge_new(a, k->count) : NULL;
    for (uint32_t i = 0; out && i < k->count; i++) {
        struct known n = k->of[i];
        if (n.cta == cta)
            n.seen = (struct extent){0, NULL};
        if (!is_empty(&n))
            push(out, &n);
    }
    if (out && !out->count) {
        ptxm_knowledge_free(a, out);
        return NULL;
    }
    return out;
}

struct knowledge *ptxm_knowledge_fenced(struct allocator *a, const struct knowledge *k,
                                        unsigned spaces)
{
    struct knowledge *out = ptxm_knowledge_new(a, k->count);
    for (uint32_t i = 0; out && i < k->count; i++) {
        struct known n = {.cta = k->of[i].cta};
        for (int space = 0; space < PROXY_SPACES; space++)
            if (spaces >> space & 1)
                n.fenced[space] = k->of[i].seen;
        if (spaces >> PROXY_SHARED & 1)
            n.fenced_agents = k->of[i].agents;
        push(out, &n);
    }
    return out;
}

struct knowledge *ptxm_knowledge_acquired(struct allocator *a, const struct knowledge *k)
{
    struct knowledge *out = ptxm_knowledge_new(a, k->count);
    for (uint32_t i = 0; out && i < k->count; i++) {
        struct known n = {.cta = k->of[i].cta};
        n.fenced[PROXY_SHARED] = k->of[i].fenced[PROXY_RELEASED];
        push(out, &n);
    }
    return out;
}

struct knowledge *ptxm_knowledge_agents(struct allocator *a, const struct knowledge *k)
{
    struct knowledge *out = ptxm_knowledge_new(a, k->count);
    for (uint32_t i = 0; out && i < k->count; i++) {
        struct known n = {.cta = k->of[i].cta, .agents = k->of[i].agents};
        if (n.agents)
            push(out, &n);
    }
    return out;
}

// ---- questions ----------------------------------------------------------------------------------

bool ptxm_knows(const struct knowledge *k, uint32_t cta, uint32_t generation, uint32_t thread,
                uint32_t clock)
{
    const struct known *n = ptxm_knowledge_of(k, cta);
    return n && ptxm_extent_holds(&n->seen, generation, thread, clock);
}

bool ptxm_knows_fenced(const struct knowledge *k, enum proxy_space space, uint32_t cta,
                       uint32_t generation, uint32_t thread, uint32_t clock)
{
    const struct known *n = ptxm_knowledge_of(k, cta);
    return n && ptxm_extent_holds(&n->fenced[space], generation, thread, clock);
}

uint32_t ptxm_known_tickets(const struct knowledge *k, uint32_t cta, uint32_t agent)
{
    const struct known *n = ptxm_knowledge_of(k, cta);
    return n && n->agents && agent < n->agents->count ? n->agents->v[agent] : 0;
}

bool ptxm_knows_agent_fenced(const struct knowledge *k, uint32_t cta, uint32_t agent,
                             uint32_t ticket)
{
    const struct known *n = ptxm_knowledge_of(k, cta);
    return n && n->fenced_agents && agent < n->fenced_agents->count &&
           ticket < n->fenced_agents->v[agent];
}

bool ptxm_knows_agent(const struct knowledge *k, uint32_t cta, uint32_t agent, uint32_t ticket)
{
    return ticket < ptxm_known_tickets(k, cta, agent);
}
