// SPDX-License-Identifier: MIT
// Words of memory that carry releases to acquires.
#include "shadow.h"

enum { SYNC_BUCKETS = 1024 };
struct sync_word {
    uint64_t address;
    struct sync_word *next;
    struct knowledge *wide;   // released at gpu scope or more
    struct knowledge *middle; // released at cluster scope, in cluster middle_cluster
    struct knowledge *narrow; // released at CTA scope, by CTA narrow_cta of that cluster
    uint32_t middle_cluster, narrow_cta, narrow_cluster;
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
            ptxm_knowledge_free(t->allocator, word->middle);
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
    const struct cta *cta = w->cta;
    bool acquires = op->sem == SEM_ACQUIRE || op->sem == SEM_ACQ_REL;
    enum scope scope = (enum scope)op->scope;
    struct knowledge *heard = ptxm_clock_within(cta, word->wide, scope), *near = NULL;
    if (word->middle && word->middle_cluster == cta->cluster->index) {
        near = ptxm_clock_within(cta, word->middle, scope);
        ptxm_knowledge_absorb(a, &heard, near);
    }
    if (word->narrow && word->narrow_cta == cta->index)
        ptxm_knowledge_absorb(a, &heard, word->narrow);
    else if (word->narrow && word->narrow_cluster == cta->cluster->index)
        ptxm_knowledge_absorb(a, &t->missed, word->narrow);
    if (scope < SCOPE_CLUSTER && cta->cluster->count > 1) {
        ptxm_knowledge_absorb(a, &t->missed, word->wide);
        if (near)
            ptxm_knowledge_absorb(a, &t->missed, word->middle);
    }
    if (heard && acquires)
        ptxm_clock_learn(w, 1u << lane, heard);
    else if (heard && !ptxm_knowledge_covers(t->pending, heard))
        ptxm_knowledge_absorb(a, &t->pending, heard);
    ptxm_knowledge_free(a, near);
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
    struct knowledge *told = NULL, *others = releases ? NULL : ptxm_clock_fenced(w, lane);
    if (releases) {
        told = ptxm_clock_message(w, 1u << lane, t->know, s->generation, w->clock);
    } else if (others && (!t->fenced || t->fence_scope < scope)) {
        told = others;
    } else if (t->fenced) {
        told = ptxm_clock_message(w, 1u << lane, t->at_fence, t->fence_generation, t->fence_clock);
        scope = t->fence_scope < scope ? t->fence_scope : scope;
        ptxm_knowledge_absorb(a, &told, others);
        ptxm_knowledge_free(a, others);
    }
    if (!chain) {
        ptxm_knowledge_free(a, word->wide);
        ptxm_knowledge_free(a, word->middle);
        ptxm_knowledge_free(a, word->narrow);
        word->wide = word->middle = word->narrow = NULL;
    }
    if (told && scope >= SCOPE_GPU) {
        ptxm_knowledge_absorb(a, &word->wide, told);
    } else if (told && scope == SCOPE_CLUSTER) {
        if (word->middle_cluster != w->cta->cluster->index) {
            ptxm_knowledge_free(a, word->middle);
            word->middle = NULL;
        }
        word->middle_cluster = w->cta->cluster->index;
        ptxm_knowledge_absorb(a, &word->middle, told);
    } else if (told) {
        if (word->narrow_cta != w->cta->index) {
            ptxm_knowledge_free(a, word->narrow);
            word->narrow = NULL;
        }
        word->narrow_cta = w->cta->index;
        word->narrow_cluster = w->cta->cluster->index;
        ptxm_knowledge_absorb(a, &word->narrow, told);
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
    struct sync_table *table = place->space != SPACE_SHARED ? w->cta->grid->sync
                             : place->owner ? place->owner->shadow->sync : s->sync;
    struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
    bool releases = op->sem == SEM_RELEASE || op->sem == SEM_ACQ_REL;
    bool says = write && (t->fenced || s->fences || s->fenced || releases);
    struct sync_word *word = word_at(table, place->address, says);
    if (!word)
        return;
    // A reduction does not acquire: OPF_UNIFORM marks red.
    if (read && !(op->flags & OPF_UNIFORM))
        hear(w, op, lane, word);
    if (write)
        tell(w, op, lane, word, read);
}
