// SPDX-License-Identifier: MIT
// Global memory across CTAs.
//
// CTAs run in any order on any number of threads, each with a shadow of its own. When one is done
// its footprint is added here, always in the order of CTA indices, and compared with what the
// earlier ones left: two accesses of different CTAs race unless one thread knew of the other's
// access (clock.c), or both are strong at gpu scope. So the findings do not depend on timing.
#include "shadow.h"

#include <string.h>

enum { GRID_BUCKETS = 4096 };

struct grid_entry {
    struct stamp stamp;
    uint32_t cta, next;
    uint8_t bytes;
};

struct grid_page {
    uint64_t number;
    struct grid_page *next;
    uint32_t cells[PAGE_CELLS]; // lists of entries
};

struct cta_log {
    struct know_log *log;
    size_t count;
};

struct grid_shadow {
    struct allocator *allocator;
    struct grid_page *buckets[GRID_BUCKETS];
    struct grid_entry *entries;
    size_t entry_count, entry_capacity;
    struct cta_log *logs; // by CTA
    size_t log_count, log_capacity;
    bool synchronized;    // some CTA knows of another
};

struct grid_shadow *ptxm_grid_shadow_create(struct allocator *allocator)
{
    struct grid_shadow *g = ptxm_alloc_zero(allocator, sizeof *g);
    if (g) {
        g->allocator = allocator;
        g->entry_count = 1;
    }
    return g;
}

void ptxm_grid_shadow_free(struct grid_shadow *g)
{
    if (!g)
        return;
    for (int i = 0; i < GRID_BUCKETS; i++)
        while (g->buckets[i]) {
            struct grid_page *next = g->buckets[i]->next;
            ptxm_free(g->allocator, g->buckets[i]);
            g->buckets[i] = next;
        }
    for (size_t i = 0; i < g->log_count; i++) {
        for (size_t k = 0; k < g->logs[i].count; k++)
            ptxm_knowledge_free(g->allocator, g->logs[i].log[k].know);
        ptxm_free(g->allocator, g->logs[i].log);
    }
    ptxm_free(g->allocator, g->logs);
    ptxm_free(g->allocator, g->entries);
    ptxm_free(g->allocator, g);
}

static struct grid_page *page_at(struct grid_shadow *g, uint64_t number)
{
    struct grid_page **bucket = &g->buckets[(number * 2654435761u >> 8) % GRID_BUCKETS];
    for (struct grid_page *p = *bucket; p; p = p->next)
        if (p->number == number)
            return p;
    struct grid_page *p = ptxm_alloc_zero(g->allocator, sizeof *p);
    if (p) {
        p->number = number;
        p->next = *bucket;
        *bucket = p;
    }
    return p;
}

// What a thread of a committed CTA knew at the time of an access; NULL: nothing of other CTAs.
static const struct knowledge *knowledge_at(const struct grid_shadow *g, uint32_t cta,
                                            const struct stamp *s)
{
    const struct cta_log *l = &g->logs[cta];
    for (size_t i = l->count; i-- > 0;) {
        const struct know_log *e = &l->log[i];
        if ((e->thread == UINT32_MAX || e->thread == s->thread) &&
            (e->generation < s->generation ||
             (e->generation == s->generation && e->clock <= s->clock)))
            return e->know;
    }
    return NULL;
}

static bool ordered(const struct grid_shadow *g, uint32_t a_cta, const struct stamp *a,
                    uint32_t b_cta, const struct stamp *b)
{
    if ((a->strong && a->sequence < b->observed) || (b->strong && b->sequence < a->observed))
        return true;
    return ptxm_knows(knowledge_at(g, b_cta, b), a_cta, a->generation, a->thread, a->clock) ||
           ptxm_knows(knowledge_at(g, a_cta, a), b_cta, b->generation, b->thread, b->clock);
}

static bool conflicting(const struct stamp *a, const struct stamp *b)
{
    bool a_writes = a->kind != ACCESS_READ && a->kind != ACCESS_COPY_READ;
    bool b_writes = b->kind != ACCESS_READ && b->kind != ACCESS_COPY_READ;
    return (a_writes || b_writes) && !(a->strong >= SCOPE_GPU && b->strong >= SCOPE_GPU);
}

static void describe_other(struct cta *cta, uint32_t other, struct ptxm_place *place)
{
    const uint32_t *dims = cta->grid->dims;
    place->cta[0] = other % dims[0];
    place->cta[1] = other / dims[0] % dims[1];
    place->cta[2] = other / dims[0] / dims[1];
}

static void report(struct cta *cta, uint64_t address, const struct grid_entry *old,
                   const struct stamp *fresh_stamp)
{
    const struct op *ops = cta->grid->module->ops;
    const struct op *a = &ops[old->stamp.op], *b = &ops[fresh_stamp->op];
    bool same = old->stamp.kind == ACCESS_WRITE && fresh_stamp->kind == ACCESS_WRITE &&
                old->stamp.value == fresh_stamp->value;
    bool swap = b->line < a->line, fresh;
    struct finding_entry *e =
        ptxm_findings_note(&cta->findings, same ? RULE_RACE_CTAS_SAME : RULE_RACE_CTAS,
                           swap ? b->line : a->line, swap ? a->line : b->line, &fresh);
    if (!e || !fresh)
        return;
    struct ptxm_finding *f = &e->finding;
    struct ptxm_place *theirs = swap ? &f->b : &f->a, *mine = swap ? &f->a : &f->b;
    ptxm_describe(cta, theirs, a, old->stamp.thread, SPACE_GLOBAL, address, 4,
                  (enum access_kind)old->stamp.kind);
    describe_other(cta, old->cta, theirs);
    ptxm_describe(cta, mine, b, fresh_stamp->thread, SPACE_GLOBAL, address, 4,
                  (enum access_kind)fresh_stamp->kind);
}

// Without synchronization between CTAs, two entries of a kind from different CTAs stand for all.
static bool stands_for(const struct grid_entry *e, const struct stamp *s, uint8_t bytes)
{
    return e->stamp.kind == s->kind && e->stamp.strong == s->strong && (bytes & ~e->bytes) == 0;
}

static void add(struct grid_shadow *g, struct cta *cta, uint32_t *head, uint64_t address,
                uint8_t bytes, const struct stamp *s)
{
    unsigned alike = 0;
    for (uint32_t i = *head; i; i = g->entries[i].next) {
        struct grid_entry *e = &g->entries[i];
        if (!(e->bytes & bytes))
            continue;
        if (e->cta == cta->index) {
            alike += stands_for(e, s, bytes) && !g->synchronized ? 2 : 0;
            continue;
        }
        alike += stands_for(e, s, bytes) && !g->synchronized;
        if (conflicting(&e->stamp, s) && !ordered(g, e->cta, &e->stamp, cta->index, s))
            report(cta, address, e, s);
    }
    if (alike >= 2)
        return;
    if (!PTXM_GROW(g->allocator, g->entries, g->entry_count, g->entry_capacity))
        return ptxm_cta_out_of_memory(cta);
    g->entries[g->entry_count] = (struct grid_entry){*s, cta->index, *head, bytes};
    *head = (uint32_t)g->entry_count++;
}

static void add_cell(struct grid_shadow *g, struct cta *cta, uint32_t *head, uint64_t address,
                     uint8_t bytes, const struct cell *c)
{
    const struct shadow *s = cta->shadow;
    if (c->write.generation)
        add(g, cta, head, address, bytes, &c->write);
    if (!c->reader.generation)
        return;
    for (const struct reader *r = &c->reader;; r = &s->readers[1][r->next]) {
        uint32_t lane = (uint32_t)__builtin_ctz(r->lanes | 1u << 31);
        struct stamp stamp = {r->generation, r->clock, r->op, 0, r->sequence, r->observed,
                              (uint16_t)(r->warp * LANES + lane), r->epoch, r->kind, r->strong};
        add(g, cta, head, address, bytes, &stamp);
        if (!r->next)
            break;
    }
}

static void add_page(struct grid_shadow *g, struct cta *cta, const struct page *page)
{
    const struct shadow *s = cta->shadow;
    struct grid_page *mine = page_at(g, page->number);
    if (!mine)
        return ptxm_cta_out_of_memory(cta);
    for (uint32_t i = 0; i < PAGE_CELLS; i++) {
        const struct cell *c = &page->cells[i];
        uint64_t address = page->number * PAGE_BYTES + i * 4;
        if (c->split)
            for (unsigned k = 0; k < 4; k++)
                add_cell(g, cta, &mine->cells[i], address, (uint8_t)(1u << k),
                         &s->split[c->split + k]);
        else
            add_cell(g, cta, &mine->cells[i], address, 15, c);
    }
}

// The CTA's log outlives it.
static bool keep_log(struct grid_shadow *g, struct cta *cta)
{
    struct shadow *s = cta->shadow;
    while (g->log_count <= cta->index) {
        if (!PTXM_GROW(g->allocator, g->logs, g->log_count, g->log_capacity))
            return false;
        g->logs[g->log_count++] = (struct cta_log){NULL, 0};
    }
    g->synchronized |= s->log_count != 0 || cta->grid->module->uses_atomics;
    g->logs[cta->index] = (struct cta_log){s->log, s->log_count};
    s->log = NULL;
    s->log_count = 0;
    return true;
}

void ptxm_shadow_commit(struct cta *cta)
{
    struct grid_shadow *g = cta->grid->shadow;
    struct shadow *s = cta->shadow;
    if (!keep_log(g, cta))
        return ptxm_cta_out_of_memory(cta);
    for (const struct page *page = s->pages; page; page = page->all) add_page(g, cta, page);
    for (size_t i = 0; i < s->spill_count; i++) {
        const struct spilled *old = &s->spills[i];
        struct grid_page *page = page_at(g, old->address / PAGE_BYTES);
        if (!page)
            return ptxm_cta_out_of_memory(cta);
        add(g, cta, &page->cells[old->address % PAGE_BYTES / 4], old->address, old->bytes,
            &old->stamp);
    }
}
