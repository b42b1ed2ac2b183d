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

// ---- knowledge: immutable once made, shared by reference ----------------------------------------

static struct clocks *clocks_new(struct allocator *a, uint32_t count)
{
    struct clocks *c = ptxm_alloc_zero(a, sizeof *c + count * sizeof *c->v);
    if (c) {
        atomic_init(&c->references, 1);
        c->count = count;
    }
    return c;
}

static struct clocks *clocks_hold(struct clocks *c)
{
    if (c)
        atomic_fetch_add(&c->references, 1);
    return c;
}

static void clocks_drop(struct allocator *a, struct clocks *c)
{
    if (c && atomic_fetch_sub(&c->references, 1) == 1)
        ptxm_free(a, c);
}

struct knowledge *ptxm_knowledge_hold(struct knowledge *k)
{
    if (k)
        atomic_fetch_add(&k->references, 1);
    return k;
}

void ptxm_knowledge_free(struct allocator *a, struct knowledge *k)
{
    if (!k || atomic_fetch_sub(&k->references, 1) != 1)
        return;
    for (uint32_t i = 0; i < k->count; i++) clocks_drop(a, k->of[i].clocks);
    ptxm_free(a, k);
}

static struct knowledge *knowledge_new(struct allocator *a, uint32_t count)
{
    struct knowledge *k = ptxm_alloc_zero(a, sizeof *k + count * sizeof *k->of);
    if (k)
        atomic_init(&k->references, 1);
    return k;
}

const struct known *ptxm_knowledge_of(const struct knowledge *k, uint32_t cta)
{
    for (uint32_t i = 0; k && i < k->count; i++)
        if (k->of[i].cta == cta)
            return &k->of[i];
    return NULL;
}

bool ptxm_knows(const struct knowledge *k, uint32_t cta, uint32_t generation, uint32_t thread,
                uint32_t clock)
{
    const struct known *n = ptxm_knowledge_of(k, cta);
    if (!n || generation > n->generation)
        return false;
    return generation < n->generation ||
           (n->clocks && thread < n->clocks->count && clock < n->clocks->v[thread]);
}

static struct known join_known(struct allocator *a, const struct known *x, const struct known *y)
{
    const struct known *newer = x->generation >= y->generation ? x : y;
    struct known out = *newer;
    if (x->generation == y->generation && x->clocks && y->clocks && x->clocks != y->clocks) {
        out.clocks = clocks_new(a, x->clocks->count);
        for (uint32_t i = 0; out.clocks && i < out.clocks->count; i++) {
            uint32_t p = x->clocks->v[i], q = i < y->clocks->count ? y->clocks->v[i] : 0;
            out.clocks->v[i] = p > q ? p : q;
        }
        return out;
    }
    if (x->generation == y->generation && !out.clocks)
        out.clocks = y->clocks;
    clocks_hold(out.clocks);
    return out;
}

// The join of both, as a new reference. Either may be NULL.
static struct knowledge *join(struct allocator *a, struct knowledge *x, struct knowledge *y)
{
    if (!x || x == y)
        return ptxm_knowledge_hold(y);
    if (!y)
        return ptxm_knowledge_hold(x);
    struct knowledge *k = knowledge_new(a, x->count + y->count);
    uint32_t i = 0, j = 0;
    while (k && (i < x->count || j < y->count)) {
        if (j == y->count || (i < x->count && x->of[i].cta < y->of[j].cta)) {
            k->of[k->count] = x->of[i++];
            clocks_hold(k->of[k->count++].clocks);
        } else if (i == x->count || y->of[j].cta < x->of[i].cta) {
            k->of[k->count] = y->of[j++];
            clocks_hold(k->of[k->count++].clocks);
        } else {
            k->of[k->count++] = join_known(a, &x->of[i++], &y->of[j++]);
        }
    }
    return k;
}

static bool clocks_cover(const struct clocks *big, const struct clocks *small)
{
    if (!small || big == small)
        return true;
    for (uint32_t i = 0; i < small->count; i++)
        if (small->v[i] > (big && i < big->count ? big->v[i] : 0))
            return false;
    return true;
}

// True if k already holds all that `more` says: polling a word teaches once.
static bool covers(const struct knowledge *k, const struct knowledge *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        const struct known *n = &more->of[i], *mine = ptxm_knowledge_of(k, n->cta);
        if (!mine || mine->generation < n->generation ||
            (mine->generation == n->generation && !clocks_cover(mine->clocks, n->clocks)))
            return false;
    }
    return true;
}

// Replaces *into by its join with `more`.
static void absorb(struct allocator *a, struct knowledge **into, struct knowledge *more)
{
    struct knowledge *old = *into;
    *into = join(a, old, more);
    ptxm_knowledge_free(a, old);
}

// A record with one CTA in it; takes over the reference to clocks.
static struct knowledge *single(struct allocator *a, uint32_t cta, uint32_t generation,
                                struct clocks *clocks)
{
    struct knowledge *k = clocks ? knowledge_new(a, 1) : NULL;
    if (!k) {
        clocks_drop(a, clocks);
        return NULL;
    }
    k->count = 1;
    k->of[0] = (struct known){cta, generation, clocks};
    return k;
}

// What is left of k when one CTA is taken out, or when only that one is kept.
static struct knowledge *filter(struct allocator *a, struct knowledge *k, uint32_t cta, bool keep)
{
    struct knowledge *out = k ? knowledge_new(a, k->count) : NULL;
    for (uint32_t i = 0; out && i < k->count; i++) {
        if ((k->of[i].cta == cta) != keep)
            continue;
        out->of[out->count] = k->of[i];
        clocks_hold(out->of[out->count++].clocks);
    }
    if (out && !out->count) {
        ptxm_knowledge_free(a, out);
        return NULL;
    }
    return out;
}

// ---- what a thread says and hears ---------------------------------------------------------------

static uint32_t cta_number(const struct cta *cta)
{
    return cta->index;
}

static bool foreign(const struct knowledge *k, const struct cta *cta)
{
    for (uint32_t i = 0; k && i < k->count; i++)
        if (k->of[i].cta != cta_number(cta))
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

// All that the thread could tell at (generation, clock): a new reference.
static struct knowledge *message(struct warp *w, unsigned lane, struct knowledge *know,
                                 uint32_t generation, uint32_t clock)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    uint32_t cta = cta_number(w->cta), first = w->index * LANES;
    const struct known *mine = ptxm_knowledge_of(know, cta);
    struct clocks *c = clocks_new(a, s->thread_count);
    if (!c)
        return NULL;
    if (mine && mine->generation == generation && mine->clocks)
        memcpy(c->v, mine->clocks->v, s->thread_count * sizeof *c->v);
    if (generation == s->generation)
        for (uint32_t i = first; i < first + LANES && i < s->thread_count; i++) {
            uint32_t synced = w->full_sync < clock + 1 ? w->full_sync : clock + 1;
            c->v[i] = c->v[i] > synced ? c->v[i] : synced;
        }
    c->v[first + lane] = clock + 1;
    struct knowledge *own = single(a, cta, generation, c);
    struct knowledge *more = join(a, s->base, know), *out = join(a, more, own);
    ptxm_knowledge_free(a, more);
    ptxm_knowledge_free(a, own);
    return out;
}

// The thread learns `what`, from now on.
static void learn(struct warp *w, unsigned lane, struct knowledge *what)
{
    struct shadow *s = w->cta->shadow;
    struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
    if (!what || covers(t->know, what))
        return;
    absorb(s->allocator, &t->know, what);
    s->fine = true;
    w->clock++;
    note(w->cta, ptxm_thread(w, lane), w->clock, t->know);
}

// ---- fences -------------------------------------------------------------------------------------

void ptxm_clock_fence(struct warp *w, uint32_t mask, enum scope scope)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    FOR_LANES (lane, mask) {
        struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
        if (t->pending && scope >= SCOPE_GPU) {
            learn(w, lane, t->pending);
            ptxm_knowledge_free(a, t->pending);
            t->pending = NULL;
        } else if (t->pending) {
            struct knowledge *near = filter(a, t->pending, cta_number(w->cta), true);
            learn(w, lane, near);
            ptxm_knowledge_free(a, near);
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
                                   : message(w, lane, t->know, s->generation, w->clock);
        if (m != all)
            absorb(a, &all, m);
        ptxm_knowledge_free(a, m);
    }
    w->clock++;
    if (full)
        w->full_sync = w->clock;
    if (!full || any)
        FOR_LANES (lane, mask)
            learn(w, lane, all);
    ptxm_knowledge_free(a, all);
}

// ---- barriers -----------------------------------------------------------------------------------

void ptxm_clock_arrive(struct cta *cta, struct warp *w, struct barrier *b, uint32_t mask)
{
    b->clocks[w->index] = ++w->clock;
}

// All threads met: their finer clocks are history, what they know of other CTAs is common.
static void whole_barrier(struct cta *cta)
{
    struct shadow *s = cta->shadow;
    struct allocator *a = s->allocator;
    struct knowledge *last = NULL;
    bool news = false;
    for (uint32_t i = 0; i < s->thread_count; i++) {
        struct thread_clock *t = &s->threads[i];
        t->groups_before = t->groups_now;
        t->wait_count = 0;
        if (!t->know)
            continue;
        if (t->know != last && foreign(t->know, cta)) {
            struct knowledge *others = filter(a, t->know, cta_number(cta), false);
            absorb(a, &s->base, others);
            ptxm_knowledge_free(a, others);
            news = true;
        }
        last = t->know;
        ptxm_knowledge_free(a, t->know);
        t->know = NULL;
    }
    s->generation++;
    s->fine = false;
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
    struct clocks *c = clocks_new(a, s->thread_count);
    if (!c)
        return ptxm_cta_out_of_memory(cta);
    for (uint32_t i = 0; i < s->thread_count; i++)
        if (b->lanes[i / LANES] >> (i % LANES) & 1)
            c->v[i] = b->clocks[i / LANES];
    struct knowledge *all = single(a, cta_number(cta), s->generation, c), *last = NULL;
    for (uint32_t i = 0; i < s->thread_count; i++) {
        struct knowledge *k = s->threads[i].know;
        if (!(b->lanes[i / LANES] >> (i % LANES) & 1) || !k || k == last)
            continue;
        last = k;
        absorb(a, &all, k);
    }
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
}

void ptxm_clock_wait_groups(struct warp *w, unsigned lane)
{
    struct thread_clock *t = &w->cta->shadow->threads[ptxm_thread(w, lane)];
    if (t->groups_now == w->group_done[lane])
        return;
    t->groups_now = w->group_done[lane];
    if (!PTXM_GROW(w->cta->shadow->allocator, t->waits, t->wait_count, t->wait_capacity))
        return ptxm_cta_out_of_memory(w->cta);
    t->waits[t->wait_count].groups = t->groups_now;
    t->waits[t->wait_count++].clock = w->clock;
}

// ---- words of memory that carry releases --------------------------------------------------------

enum { SYNC_BUCKETS = 1024 };
struct sync_word {
    uint64_t address;
    struct sync_word *next;
    struct knowledge *wide;   // released at gpu scope or more
    struct knowledge *narrow; // released at CTA scope, by CTA narrow_cta
    uint32_t narrow_cta;
};
struct sync_table {
    struct allocator *allocator;
    struct sync_word *buckets[SYNC_BUCKETS];
};

struct sync_table *ptxm_sync_create(struct allocator *allocator)
{
    struct sync_table *t = ptxm_alloc_zero(allocator, sizeof *t);
    if (t)
        t->allocator = allocator;
    return t;
}

void ptxm_sync_free(struct sync_table *t)
{
    for (int i = 0; t && i < SYNC_BUCKETS; i++)
        while (t->buckets[i]) {
            struct sync_word *word = t->buckets[i];
            t->buckets[i] = word->next;
            ptxm_knowledge_free(t->allocator, word->wide);
            ptxm_knowledge_free(t->allocator, word->narrow);
            ptxm_free(t->allocator, word);
        }
    if (t)
        ptxm_free(t->allocator, t);
}

static struct sync_word *word_at(struct sync_table *t, uint64_t address, bool make)
{
    address &= ~(uint64_t)3;
    struct sync_word **bucket = &t->buckets[(address >> 2) * 2654435761u % SYNC_BUCKETS];
    for (struct sync_word *word = *bucket; word; word = word->next)
        if (word->address == address)
            return word;
    struct sync_word *word = make ? ptxm_alloc_zero(t->allocator, sizeof *word) : NULL;
    if (word) {
        word->address = address;
        word->next = *bucket;
        *bucket = word;
    }
    return word;
}

static void hear(struct warp *w, const struct op *op, unsigned lane, struct sync_word *word)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
    uint32_t cta = cta_number(w->cta);
    bool acquires = op->sem == SEM_ACQUIRE || op->sem == SEM_ACQ_REL;
    struct knowledge *heard = op->scope >= SCOPE_GPU ? ptxm_knowledge_hold(word->wide)
                                                     : filter(a, word->wide, cta, true);
    if (word->narrow && word->narrow_cta == cta)
        absorb(a, &heard, word->narrow);
    if (heard && acquires)
        learn(w, lane, heard);
    else if (heard && !covers(t->pending, heard))
        absorb(a, &t->pending, heard);
    ptxm_knowledge_free(a, heard);
}

static void tell(struct warp *w, const struct op *op, unsigned lane, struct sync_word *word,
                 bool chain)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = s->allocator;
    struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
    bool releases = op->sem == SEM_RELEASE || op->sem == SEM_ACQ_REL;
    enum scope scope = (enum scope)op->scope;
    struct knowledge *told = NULL;
    if (releases) {
        told = message(w, lane, t->know, s->generation, w->clock);
    } else if (t->fenced) {
        told = message(w, lane, t->at_fence, t->fence_generation, t->fence_clock);
        scope = t->fence_scope < scope ? t->fence_scope : scope;
    }
    if (!chain) {
        ptxm_knowledge_free(a, word->wide);
        ptxm_knowledge_free(a, word->narrow);
        word->wide = word->narrow = NULL;
    }
    if (told && scope >= SCOPE_GPU) {
        absorb(a, &word->wide, told);
    } else if (told) {
        if (word->narrow_cta != cta_number(w->cta)) {
            ptxm_knowledge_free(a, word->narrow);
            word->narrow = NULL;
        }
        word->narrow_cta = cta_number(w->cta);
        absorb(a, &word->narrow, told);
    }
    ptxm_knowledge_free(a, told);
    if (told) {
        w->clock++;
        s->epoch++;
    }
}

void ptxm_clock_strong(struct warp *w, const struct op *op, unsigned lane,
                       const struct place *place, bool read, bool write)
{
    struct shadow *s = w->cta->shadow;
    struct sync_table *table = place->space == SPACE_SHARED ? s->sync : w->cta->grid->sync;
    struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
    bool says = write && (t->fenced || op->sem == SEM_RELEASE || op->sem == SEM_ACQ_REL);
    struct sync_word *word = word_at(table, place->address, says);
    if (!word)
        return;
    // A reduction does not acquire: OPF_UNIFORM marks red.
    if (read && !(op->flags & OPF_UNIFORM))
        hear(w, op, lane, word);
    if (write)
        tell(w, op, lane, word, read);
}
