// SPDX-License-Identifier: MIT
// Global memory across CTAs.
//
// CTAs run in any order on any number of threads, each with a shadow of its own. When one is done
// its footprint is added here, always in the order of CTA indices, and compared with what the
// earlier ones left: two accesses of different CTAs race unless one thread knew of the other's
// access (clock.c), or both are strong at gpu scope. So the findings do not depend on timing.
#include "grid_shadow.h"

#include <string.h>

struct grid_shadow *ptxm_grid_shadow_create(struct allocator *allocator)
{
    struct grid_shadow *g = ptxm_alloc_zero(allocator, sizeof *g);
    if (g)
        g->allocator = allocator;
    return g;
}

static void free_entries(struct grid_shadow *g, struct grid_entry *e)
{
    while (e) {
        struct grid_entry *next = e->next;
        ptxm_free(g->allocator, e->values);
        ptxm_free(g->allocator, e->stamps);
        ptxm_free(g->allocator, e);
        e = next;
    }
}

static void free_logs(struct grid_shadow *g)
{
    for (size_t i = 0; i < g->log_count; i++) {
        for (size_t k = 0; k < g->logs[i].count; k++)
            ptxm_knowledge_free(g->allocator, g->logs[i].log[k].know);
        ptxm_free(g->allocator, g->logs[i].log);
        ptxm_free(g->allocator, g->logs[i].operations);
        for (size_t k = 1; k < g->logs[i].use_count; k++)
            ptxm_knowledge_free(g->allocator, g->logs[i].uses[k].know);
        ptxm_free(g->allocator, g->logs[i].uses);
    }
    ptxm_free(g->allocator, g->logs);
    g->logs = NULL;
    g->log_count = g->log_capacity = 0;
}

void ptxm_grid_shadow_free(struct grid_shadow *g)
{
    if (!g)
        return;
    for (int i = 0; i < GRID_BUCKETS; i++)
        while (g->buckets[i]) {
            struct grid_page *next = g->buckets[i]->next;
            free_entries(g, g->buckets[i]->entries);
            ptxm_free(g->allocator, g->buckets[i]);
            g->buckets[i] = next;
        }
    free_logs(g);
    ptxm_free(g->allocator, g);
}

void ptxm_grid_shadow_outlive(struct grid_shadow *g, struct allocator *allocator)
{
    free_logs(g);
    for (int i = 0; i < GRID_BUCKETS; i++)
        for (struct grid_page *p = g->buckets[i]; p; p = p->next)
            for (struct grid_entry *e = p->entries; e; e = e->next) {
                ptxm_free(g->allocator, e->values);
                e->values = NULL;
            }
    g->allocator = allocator;
}

static size_t bucket_of(uint64_t number)
{
    return (number * 2654435761u >> 8) % GRID_BUCKETS;
}

const struct grid_page *ptxm_grid_page(const struct grid_shadow *g, uint64_t number)
{
    const struct grid_page *p = g->buckets[bucket_of(number)];
    while (p && p->number != number) p = p->next;
    return p;
}

static struct grid_page *page_at(struct grid_shadow *g, uint64_t number)
{
    struct grid_page **bucket = &g->buckets[bucket_of(number)];
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

const struct knowledge *ptxm_grid_knowledge(const struct grid_shadow *g, uint32_t cta,
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

enum verdict { RACE, ORDERED, UNFENCED, UNFENCED_MAP };

// Does b, at its time, know that a is over, and does it see it, if b is by the async proxy?
static enum verdict follows(const struct grid_shadow *g, uint32_t a_cta, const struct stamp *a,
                            uint32_t b_cta, const struct stamp *b)
{
    const struct knowledge *k = ptxm_grid_knowledge(g, b_cta, b);
    if (ptxm_is_async((enum access_kind)a->kind)) {
        const struct async_operation *o = &g->logs[a_cta].operations[a->value];
        const struct async_end *e = &o->end[a->kind == ACCESS_ASYNC_READ ? ASYNC_READS
                                                                         : ASYNC_WRITES];
        return e->agent != NO_AGENT && ptxm_knows_agent(k, e->cta, e->agent, e->ticket) ? ORDERED
                                                                                       : RACE;
    }
    if (!ptxm_knows(k, a_cta, a->generation, a->thread, a->clock))
        return RACE;
    if (b->kind == ACCESS_MAP_READ && a->kind != ACCESS_MAP_READ)
        return ptxm_knows_fenced(g->logs[b_cta].uses[b->value].know, PROXY_MAPS_WIDE, a_cta,
                                 a->generation, a->thread, a->clock) ? ORDERED : UNFENCED_MAP;
    bool sees = !ptxm_is_async((enum access_kind)b->kind) ||
                ptxm_knows_fenced(k, PROXY_GLOBAL, a_cta, a->generation, a->thread, a->clock);
    return sees ? ORDERED : UNFENCED;
}

static enum verdict judge(const struct grid_shadow *g, uint32_t a_cta, const struct stamp *a,
                          uint32_t b_cta, const struct stamp *b)
{
    if ((a->strong && a->sequence < b->observed) || (b->strong && b->sequence < a->observed))
        return ORDERED;
    enum verdict forward = follows(g, a_cta, a, b_cta, b);
    return forward != RACE ? forward : follows(g, b_cta, b, a_cta, a);
}

bool ptxm_stamp_writes(const struct stamp *s)
{
    return s->kind != ACCESS_READ && s->kind != ACCESS_COPY_READ && s->kind != ACCESS_ASYNC_READ &&
           s->kind != ACCESS_MAP_READ;
}

static uint32_t cluster_of(const struct grid *grid, uint32_t cta)
{
    const uint32_t *dims = grid->dims, *c = grid->cluster_dims;
    uint32_t x = cta % dims[0] / c[0], y = cta / dims[0] % dims[1] / c[1];
    return x + dims[0] * (y + dims[1] * (cta / dims[0] / dims[1] / c[2]));
}

// Both strong, in scopes that hold each other's CTA.
static bool morally_strong(const struct grid *grid, const struct grid_entry *x,
                           const struct grid_entry *y)
{
    uint8_t a = x->stamp.strong, b = y->stamp.strong;
    if (a >= SCOPE_GPU && b >= SCOPE_GPU)
        return true;
    return a >= SCOPE_CLUSTER && b >= SCOPE_CLUSTER &&
           cluster_of(grid, x->cta) == cluster_of(grid, y->cta);
}

static bool conflicting(const struct grid *grid, const struct grid_entry *x,
                        const struct grid_entry *y)
{
    const struct stamp *a = &x->stamp, *b = &y->stamp;
    if (a->kind == ACCESS_ASYNC_REDUCE && b->kind == ACCESS_ASYNC_REDUCE)
        return false;
    return (ptxm_stamp_writes(a) || ptxm_stamp_writes(b)) && !morally_strong(grid, x, y);
}

static void describe_other(struct cta *cta, uint32_t other, struct ptxm_place *place)
{
    const uint32_t *dims = cta->grid->dims;
    place->cta[0] = other % dims[0];
    place->cta[1] = other / dims[0] % dims[1];
    place->cta[2] = other / dims[0] / dims[1];
}

static const struct stamp *stamp_at(const struct grid_entry *e, uint32_t cell)
{
    return e->stamps ? &e->stamps[cell] : &e->stamp;
}

static bool same_value(const struct grid_entry *a, const struct grid_entry *b, uint32_t cell)
{
    return a->values && b->values && a->bytes == b->bytes && a->values[cell] == b->values[cell];
}

static void report(struct cta *cta, uint64_t page, uint32_t cell, const struct grid_entry *old,
                   const struct grid_entry *young, enum verdict verdict)
{
    const struct op *ops = cta->grid->module->ops;
    const struct op *a = &ops[old->stamp.op], *b = &ops[young->stamp.op];
    uint64_t address = page * PAGE_BYTES + cell * 4;
    bool swap = b->line < a->line, fresh;
    enum rule rule = verdict == UNFENCED           ? RULE_PROXY
                   : verdict == UNFENCED_MAP      ? RULE_PROXY_TENSORMAP
                   : same_value(old, young, cell) ? RULE_RACE_CTAS_SAME : RULE_RACE_CTAS;
    struct finding_entry *e = ptxm_findings_note(&cta->findings, rule, swap ? b->line : a->line,
                                                 swap ? a->line : b->line, &fresh);
    if (!e || !fresh)
        return;
    e->optimistic = ptxm_shadow_optimistic((enum access_kind)old->stamp.kind, old->stamp.op,
                                           (enum access_kind)young->stamp.kind, young->stamp.op);
    struct ptxm_finding *f = &e->finding;
    struct ptxm_place *theirs = swap ? &f->b : &f->a, *mine = swap ? &f->a : &f->b;
    unsigned bytes = old->bytes & young->bytes;
    ptxm_describe_stamp(cta, theirs, a, stamp_at(old, cell)->thread, SPACE_GLOBAL, address, bytes,
                        (enum access_kind)old->stamp.kind);
    describe_other(cta, old->cta, theirs);
    ptxm_describe_stamp(cta, mine, b, stamp_at(young, cell)->thread, SPACE_GLOBAL, address, bytes,
                        (enum access_kind)young->stamp.kind);
}

// ---- one page of one CTA ------------------------------------------------------------------------

struct collecting {
    struct grid_shadow *grid;
    struct cta *cta;
    struct grid_entry *entries;
};

static bool alike(const struct collecting *c, const struct grid_entry *e, const struct stamp *s,
                  uint8_t bytes)
{
    if (e->stamp.op != s->op || e->stamp.kind != s->kind || e->stamp.strong != s->strong ||
        e->bytes != bytes)
        return false;
    return !c->grid->synchronized || e->stamp.generation == s->generation;
}

static void collect(struct collecting *c, uint32_t cell, uint8_t bytes, const struct stamp *s)
{
    struct allocator *a = c->grid->allocator;
    struct grid_entry *e = c->entries;
    while (e && !alike(c, e, s, bytes)) e = e->next;
    if (!e) {
        e = ptxm_alloc_zero(a, sizeof *e);
        if (!e)
            return ptxm_cta_out_of_memory(c->cta);
        *e = (struct grid_entry){.stamp = *s, .cta = c->cta->index, .bytes = bytes,
                                 .next = c->entries};
        c->entries = e;
        if (s->kind == ACCESS_WRITE)
            e->values = ptxm_alloc_zero(a, PAGE_CELLS * sizeof *e->values);
        if (c->grid->synchronized)
            e->stamps = ptxm_alloc_zero(a, PAGE_CELLS * sizeof *e->stamps);
        if ((s->kind == ACCESS_WRITE && !e->values) || (c->grid->synchronized && !e->stamps))
            return ptxm_cta_out_of_memory(c->cta);
    }
    e->cells[cell / 64] |= (uint64_t)1 << (cell % 64);
    if (e->values)
        e->values[cell] = s->value;
    if (e->stamps)
        e->stamps[cell] = *s;
}

static void collect_cell(struct collecting *c, uint32_t cell, uint8_t bytes,
                         const struct cell *from)
{
    const struct shadow *s = c->cta->shadow;
    if (from->write.generation)
        collect(c, cell, bytes, &from->write);
    if (!from->reader.generation)
        return;
    for (const struct reader *r = &from->reader;; r = &s->readers[1][r->next]) {
        uint32_t lane = (uint32_t)__builtin_ctz(r->lanes | 1u << 31);
        struct stamp stamp = {r->generation, r->clock, r->op, r->group, r->sequence, r->observed,
                              (uint16_t)(r->warp * LANES + lane), r->epoch, r->kind, r->strong,
                              r->rank, r->lasting};
        collect(c, cell, bytes, &stamp);
        if (!r->next)
            break;
    }
}

static void compare(struct collecting *c, struct grid_page *page, const struct grid_entry *young)
{
    for (const struct grid_entry *old = page->entries; old; old = old->next) {
        if (old->cta == young->cta || !(old->bytes & young->bytes) ||
            !conflicting(c->cta->grid, old, young))
            continue;
        for (uint32_t w = 0; w < PAGE_CELLS / 64; w++) {
            uint64_t both = old->cells[w] & young->cells[w];
            for (; both; both &= both - 1) {
                uint32_t cell = w * 64 + (uint32_t)__builtin_ctzll(both);
                enum verdict v = judge(c->grid, old->cta, stamp_at(old, cell), young->cta,
                                       stamp_at(young, cell));
                if (v != ORDERED)
                    report(c->cta, page->number, cell, old, young, v);
            }
        }
    }
}

// Without synchronization between CTAs, the accesses of two CTAs stand for those of all others.
static bool redundant(const struct collecting *c, const struct grid_page *page,
                      const struct grid_entry *young)
{
    uint32_t others[2], count = 0;
    for (const struct grid_entry *e = page->entries; e && !c->grid->synchronized; e = e->next) {
        bool covers = e->stamp.kind == young->stamp.kind &&
                      e->stamp.strong == young->stamp.strong &&
                      !(young->bytes & ~e->bytes) && (!count || others[0] != e->cta);
        for (uint32_t w = 0; covers && w < PAGE_CELLS / 64; w++)
            covers = !(young->cells[w] & ~e->cells[w]);
        if (covers)
            others[count++] = e->cta;
        if (count == 2)
            return true;
    }
    return false;
}

static void settle(struct collecting *c, uint64_t number)
{
    struct grid_page *page = page_at(c->grid, number);
    struct grid_entry *mine = c->entries;
    c->entries = NULL;
    if (!page)
        ptxm_cta_out_of_memory(c->cta);
    while (mine) {
        struct grid_entry *next = mine->next;
        mine->next = NULL;
        if (page)
            compare(c, page, mine);
        ptxm_past_compare(c->cta, number, mine);
        if (!page || redundant(c, page, mine)) {
            free_entries(c->grid, mine);
        } else {
            mine->next = page->entries;
            page->entries = mine;
        }
        mine = next;
    }
}

static void add_page(struct collecting *c, const struct page *page)
{
    const struct shadow *s = c->cta->shadow;
    for (uint32_t i = 0; i < PAGE_CELLS; i++) {
        const struct cell *cell = &page->cells[i];
        if (!cell->split)
            collect_cell(c, i, 15, cell);
        for (unsigned k = 0; cell->split && k < 4; k++)
            collect_cell(c, i, (uint8_t)(1u << k), &s->split[cell->split + k]);
    }
    settle(c, page->number);
}

// The CTA's log outlives it.
static bool keep_log(struct grid_shadow *g, struct cta *cta)
{
    struct shadow *s = cta->shadow;
    while (g->log_count <= cta->index) {
        if (!PTXM_GROW(g->allocator, g->logs, g->log_count, g->log_capacity))
            return false;
        g->logs[g->log_count++] = (struct cta_log){0};
    }
    g->synchronized |= s->log_count != 0 || cta->grid->kernel->synchronizes ||
                       cta->grid->kernel->asynchronous;
    g->logs[cta->index] = (struct cta_log){s->log, s->log_count, s->operations, s->uses,
                                            s->use_count};
    s->operations = NULL;
    s->uses = NULL;
    s->use_count = 0;
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
    struct collecting c = {g, cta, NULL};
    for (const struct page *page = s->pages; page; page = page->all) add_page(&c, page);
    for (size_t i = 0; i < s->spill_count; i++) {
        const struct spilled *old = &s->spills[i];
        collect(&c, (uint32_t)(old->address % PAGE_BYTES / 4), old->bytes, &old->stamp);
        settle(&c, old->address / PAGE_BYTES);
    }
}
