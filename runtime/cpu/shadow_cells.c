// SPDX-License-Identifier: MIT
// The store of the shadow: its making and freeing, pages of global cells, split cells, lists of
// readers.
#include "shadow.h"

#include <string.h>

bool ptxm_shadow_create(struct cta *cta)
{
    struct allocator *a = cta->grid->allocator;
    struct shadow *s = ptxm_alloc_zero(a, sizeof *s);
    if (!s)
        return false;
    cta->shadow = s;
    s->cta = cta;
    s->allocator = a;
    s->generation = 1;
    s->thread_count = cta->warp_count * LANES;
    s->shared_cells = (cta->shared_size + 3) / 4 + 4;
    s->threads = ptxm_alloc_zero(a, s->thread_count * sizeof *s->threads);
    s->shared = ptxm_alloc_zero(a, s->shared_cells * sizeof *s->shared);
    s->sync = ptxm_sync_create(a);
    s->reader_count[0] = s->reader_count[1] = 1; // index 0 ends a list
    s->split_count = 4;                          // index 0: not split
    s->keeps_readers = cta->grid->kernel->asynchronous;
    return s->threads && s->shared && s->sync;
}

void ptxm_shadow_free(struct cta *cta)
{
    struct shadow *s = cta->shadow;
    if (!s)
        return;
    struct allocator *a = s->allocator;
    for (uint32_t i = 0; s->threads && i < s->thread_count; i++) {
        struct thread_clock *t = &s->threads[i];
        ptxm_knowledge_free(a, t->know);
        ptxm_knowledge_free(a, t->pending);
        ptxm_knowledge_free(a, t->at_fence);
        ptxm_knowledge_free(a, t->missed);
        ptxm_free(a, t->waits);
    }
    for (size_t i = 0; i < s->log_count; i++) ptxm_knowledge_free(a, s->log[i].know);
    while (s->pages) {
        struct page *next = s->pages->all;
        ptxm_free(a, s->pages);
        s->pages = next;
    }
    ptxm_knowledge_free(a, s->base);
    ptxm_knowledge_free(a, s->fenced);
    ptxm_knowledge_free(a, s->sent);
    ptxm_sync_free(s->sync);
    ptxm_free(a, s->threads);
    ptxm_free(a, s->log);
    ptxm_free(a, s->shared);
    ptxm_free(a, s->split);
    ptxm_free(a, s->readers[0]);
    ptxm_free(a, s->readers[1]);
    ptxm_free(a, s->spills);
    ptxm_free(a, s->operations);
    ptxm_maps_free(s);
    ptxm_free(a, s);
    cta->shadow = NULL;
}

// ---- finding cells ------------------------------------------------------------------------------

struct page *ptxm_shadow_page(struct cta *cta, uint64_t number)
{
    struct shadow *s = cta->shadow;
    struct page **bucket = &s->buckets[(number * 2654435761u >> 8) % PAGE_BUCKETS];
    struct page *p = *bucket;
    while (p && p->number != number) p = p->next;
    if (!p) {
        p = ptxm_alloc_zero(s->allocator, sizeof *p);
        if (!p) {
            ptxm_cta_out_of_memory(cta);
            return NULL;
        }
        p->number = number;
        p->next = *bucket;
        *bucket = p;
        p->all = s->pages;
        s->pages = p;
    }
    s->last_page = p;
    return p;
}

static bool reserve_split(struct cta *cta)
{
    struct shadow *s = cta->shadow;
    while (s->split_count + 4 > s->split_capacity)
        if (!ptxm_grow(s->allocator, (void **)&s->split, sizeof *s->split, &s->split_capacity)) {
            ptxm_cta_out_of_memory(cta);
            return false;
        }
    return true;
}

bool ptxm_shadow_split(struct cta *cta, struct cell *c)
{
    struct shadow *s = cta->shadow;
    if (!reserve_split(cta))
        return false;
    for (int i = 0; i < 4; i++) {
        struct cell *part = &s->split[s->split_count + (size_t)i];
        *part = *c;
        // The four lists of readers must not share entries that are freed one by one. Where
        // barriers drop all entries at once, lists of earlier generations lead anywhere.
        if (i && s->keeps_readers && c >= s->shared && c < s->shared + s->shared_cells)
            ptxm_readers_copy(cta, part);
        if (c->write.kind == ACCESS_WRITE)
            part->write.value = c->write.value >> (8 * i) & 0xff;
    }
    c->split = (uint32_t)s->split_count;
    s->split_count += 4;
    return true;
}

// ---- lists of readers of shared cells -----------------------------------------------------------

// A free entry, as an index; 0: no memory.
uint32_t ptxm_reader_new(struct cta *cta, bool global)
{
    struct shadow *s = cta->shadow;
    if (!global && s->free_reader) {
        uint32_t i = s->free_reader;
        s->free_reader = s->readers[0][i].next;
        return i;
    }
    if (!PTXM_GROW(s->allocator, s->readers[global], s->reader_count[global],
                   s->reader_capacity[global])) {
        ptxm_cta_out_of_memory(cta);
        return 0;
    }
    // The first growth leaves room for index 0, which ends a list.
    return (uint32_t)s->reader_count[global]++;
}

static void give_back(struct shadow *s, uint32_t index)
{
    s->readers[0][index].next = s->free_reader;
    s->free_reader = index;
}

// Forgets all readers of a shared cell: what is ordered behind a write is behind them.
void ptxm_readers_forget(struct shadow *s, struct cell *c)
{
    for (uint32_t i = c->reader.next; i;) {
        uint32_t next = s->readers[0][i].next;
        give_back(s, i);
        i = next;
    }
    c->reader = (struct reader){0};
}

// Forgets the readers of earlier generations, of a shared cell, that a full barrier has settled.
// The newest of them may be the head. `own`: the rank of the cell's CTA.
void ptxm_readers_prune(struct shadow *s, struct cell *c, uint8_t own)
{
    struct reader *r = &c->reader;
    bool lasting = false;
    uint32_t kept = 0;
    for (uint32_t i = r->next; i;) {
        struct reader *e = &s->readers[0][i];
        uint32_t next = e->next;
        if (e->generation != s->generation && e->kind < ACCESS_COPY_READ && e->rank == own) {
            give_back(s, i);
        } else {
            lasting |= e->kind >= ACCESS_COPY_READ || e->rank != own;
            e->lasting = lasting;
            e->next = kept;
            kept = i;
        }
        i = next;
    }
    r->next = kept;
    r->lasting = lasting;
}

// Gives a copied cell a list of its own.
void ptxm_readers_copy(struct cta *cta, struct cell *c)
{
    struct shadow *s = cta->shadow;
    uint32_t from = c->reader.next, last = 0;
    c->reader.next = 0;
    while (from) {
        uint32_t fresh = ptxm_reader_new(cta, false);
        if (!fresh)
            return;
        s->readers[0][fresh] = s->readers[0][from];
        s->readers[0][fresh].next = 0;
        *(last ? &s->readers[0][last].next : &c->reader.next) = fresh;
        from = s->readers[0][from].next;
        last = fresh;
    }
}

void ptxm_shadow_plain(struct cta *cta, uint64_t address, uint32_t size)
{
    struct shadow *s = cta->shadow;
    for (uint64_t at = address; at < address + size; at += 4) {
        struct cell *c = &s->shared[at / 4];
        c->write.kind = ACCESS_WRITE;
        c->write.lasting = c->write.rank != cta->rank;
        for (unsigned i = 0; c->split && i < 4; i++) s->split[c->split + i].write = c->write;
    }
}
