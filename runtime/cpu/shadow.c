// SPDX-License-Identifier: MIT
// Who touched each byte last, and whether the next one may.
//
// A cell stands for four bytes: the last plain write, and the reads and atomics since, as lanes of
// a warp at a clock. A cell whose bytes are not always touched together is split into four. Shared
// memory has an array of cells; global memory has pages of them, made at the first touch.
//
// Conflicts within the CTA are judged here, at once. Conflicts with other CTAs are judged when the
// CTA is done (grid_shadow.c), from what is left in the cells and in the spill list.
#include "shadow.h"

#include <stdio.h>
#include <string.h>

bool ptxm_shadow_create(struct cta *cta)
{
    struct allocator *a = cta->grid->allocator;
    struct shadow *s = ptxm_alloc_zero(a, sizeof *s);
    if (!s)
        return false;
    cta->shadow = s;
    s->allocator = a;
    s->generation = 1;
    s->thread_count = cta->warp_count * LANES;
    s->shared_cells = (cta->shared_size + 3) / 4 + 4;
    s->threads = ptxm_alloc_zero(a, s->thread_count * sizeof *s->threads);
    s->shared = ptxm_alloc_zero(a, s->shared_cells * sizeof *s->shared);
    s->sync = ptxm_sync_create(a);
    s->reader_count[0] = s->reader_count[1] = 1; // index 0 ends a list
    s->split_count = 4;                          // index 0: not split
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
        ptxm_free(a, t->waits);
    }
    for (size_t i = 0; i < s->log_count; i++) ptxm_knowledge_free(a, s->log[i].know);
    while (s->pages) {
        struct page *next = s->pages->all;
        ptxm_free(a, s->pages);
        s->pages = next;
    }
    ptxm_knowledge_free(a, s->base);
    ptxm_sync_free(s->sync);
    ptxm_free(a, s->threads);
    ptxm_free(a, s->log);
    ptxm_free(a, s->shared);
    ptxm_free(a, s->split);
    ptxm_free(a, s->readers[0]);
    ptxm_free(a, s->readers[1]);
    ptxm_free(a, s->spills);
    ptxm_free(a, s);
    cta->shadow = NULL;
}

// ---- finding cells ------------------------------------------------------------------------------

static struct page *page_at(struct cta *cta, uint64_t number)
{
    struct shadow *s = cta->shadow;
    if (s->last_page && s->last_page->number == number)
        return s->last_page;
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

static bool split(struct cta *cta, struct cell *c)
{
    struct shadow *s = cta->shadow;
    if (!reserve_split(cta))
        return false;
    for (int i = 0; i < 4; i++) {
        struct cell *part = &s->split[s->split_count + (size_t)i];
        *part = *c;
        if (c->write.kind != ACCESS_COPY_WRITE)
            part->write.value = c->write.value >> (8 * i) & 0xff;
    }
    c->split = (uint32_t)s->split_count;
    s->split_count += 4;
    return true;
}

// ---- order --------------------------------------------------------------------------------------

struct touch {
    struct warp *w;
    const struct op *op;
    unsigned lane;
    const struct place *place;
    uint32_t size, value, sequence, observed;
    uint64_t address; // of the cell
    enum access_kind kind;
    uint8_t bytes;    // of the cell, a bit each
    uint8_t strong;
    bool has_value, global;
};

static inline bool ordered(const struct touch *t, uint32_t thread, uint32_t generation,
                           uint32_t clock)
{
    const struct shadow *s = t->w->cta->shadow;
    uint32_t self = ptxm_thread(t->w, t->lane);
    if (generation < s->generation || thread == self)
        return true;
    if (thread / LANES == t->w->index && clock < t->w->full_sync)
        return true;
    return s->fine && ptxm_knows(s->threads[self].know, t->w->cta->index, generation, thread,
                                 clock);
}

// An asynchronous access is over for others when the wait of its thread is ordered before them.
static bool async_over(const struct touch *t, uint32_t thread, uint32_t group)
{
    const struct shadow *s = t->w->cta->shadow;
    const struct thread_clock *c = &s->threads[thread];
    if (thread == ptxm_thread(t->w, t->lane))
        return group < c->groups_now;
    if (group < c->groups_before)
        return true;
    size_t first = 0, end = c->wait_count; // the first wait that covers the group
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (group < c->waits[middle].groups)
            end = middle;
        else
            first = middle + 1;
    }
    return first < c->wait_count && ordered(t, thread, s->generation, c->waits[first].clock);
}

static bool writes(enum access_kind kind)
{
    return kind != ACCESS_READ && kind != ACCESS_COPY_READ;
}

// ---- reports ------------------------------------------------------------------------------------

static void report(const struct touch *t, enum rule rule, const struct op *other, uint32_t thread,
                   enum access_kind kind)
{
    struct cta *cta = t->w->cta;
    bool swap = t->op->line < other->line, fresh;
    struct finding_entry *e = ptxm_findings_note(&cta->findings, rule,
                                                 swap ? t->op->line : other->line,
                                                 swap ? other->line : t->op->line, &fresh);
    if (!e || !fresh)
        return;
    struct ptxm_finding *f = &e->finding;
    ptxm_describe(cta, swap ? &f->a : &f->b, t->op, ptxm_thread(t->w, t->lane), t->place->space,
                  t->place->address, t->size, t->kind);
    ptxm_describe(cta, swap ? &f->b : &f->a, other, thread, t->place->space, t->address, 4, kind);
}

static const struct op *op_of(const struct touch *t, uint32_t index)
{
    return &t->w->cta->grid->module->ops[index];
}

static void uninitialised(const struct touch *t)
{
    ptxm_finding(t->w, t->op, t->lane, RULE_UNINIT_SHARED, t->place, t->size, t->kind, "%s",
                 ptxm_rule_message(RULE_UNINIT_SHARED));
}

static void judge_write(const struct touch *t, const struct stamp *p)
{
    bool pending = p->kind == ACCESS_COPY_WRITE;
    if (pending ? async_over(t, p->thread, p->value)
                : ordered(t, p->thread, p->generation, p->clock))
        return;
    if (p->strong && t->strong)
        return;
    enum rule rule = RULE_RACE;
    if (pending)
        rule = RULE_RACE_ASYNC;
    else if (t->has_value && p->value == t->value && p->kind == ACCESS_WRITE)
        rule = RULE_RACE_SAME;
    else if (p->thread / LANES == t->w->index)
        rule = RULE_RACE_WARP;
    report(t, rule, op_of(t, p->op), p->thread, p->kind);
}

static bool reader_relevant(const struct shadow *s, const struct reader *r)
{
    return r->generation == s->generation || r->kind == ACCESS_COPY_READ;
}

static void judge_reader(const struct touch *t, const struct reader *r)
{
    bool pending = r->kind == ACCESS_COPY_READ;
    if ((r->strong && t->strong) || (!writes(t->kind) && r->kind != ACCESS_ATOMIC))
        return;
    if (r->strong && r->sequence < t->observed)
        return;
    FOR_LANES (lane, r->lanes) {
        uint32_t thread = r->warp * LANES + lane;
        if (pending ? async_over(t, thread, r->group)
                    : ordered(t, thread, r->generation, r->clock))
            continue;
        enum rule rule = pending ? RULE_RACE_ASYNC : r->warp == t->w->index ? RULE_RACE_WARP
                                                                            : RULE_RACE;
        report(t, rule, op_of(t, r->op), thread, (enum access_kind)r->kind);
        return;
    }
}

// The newest strong access that one before this has observed.
static uint32_t observed(const struct touch *t, const struct cell *c)
{
    const struct shadow *s = t->w->cta->shadow;
    uint32_t newest = c->observed;
    for (const struct reader *r = &c->reader;; r = &s->readers[t->global][r->next]) {
        if (r->observes && r->sequence > newest) {
            uint32_t thread = r->warp * LANES + (uint32_t)__builtin_ctz(r->lanes | 1u << 31);
            bool own = r->warp == t->w->index && r->lanes >> t->lane & 1;
            if (own || ordered(t, thread, r->generation, r->clock))
                newest = r->sequence;
        }
        if (!r->next || r->generation < s->generation)
            break;
    }
    return newest;
}

// ---- updates ------------------------------------------------------------------------------------

static void spill(const struct touch *t, struct stamp stamp)
{
    struct shadow *s = t->w->cta->shadow;
    if (!PTXM_GROW(s->allocator, s->spills, s->spill_count, s->spill_capacity))
        return ptxm_cta_out_of_memory(t->w->cta);
    s->spills[s->spill_count++] = (struct spilled){t->address, t->bytes, stamp};
}

static struct stamp stamp_of(const struct reader *r)
{
    uint32_t lane = (uint32_t)__builtin_ctz(r->lanes | 1u << 31);
    return (struct stamp){r->generation, r->clock, r->op, 0, r->sequence, r->observed,
                          (uint16_t)(r->warp * LANES + lane), r->epoch, r->kind, r->strong};
}

static void update_write(const struct touch *t, struct cell *c)
{
    struct shadow *s = t->w->cta->shadow;
    uint32_t thread = ptxm_thread(t->w, t->lane);
    // Within one epoch the last write stands for the earlier ones.
    if (t->global && c->write.generation &&
        (c->write.epoch != s->epoch || c->write.strong != t->strong))
        spill(t, c->write);
    c->write = (struct stamp){s->generation, t->w->clock,
                              (uint32_t)(t->op - t->w->cta->grid->module->ops),
                              t->kind == ACCESS_COPY_WRITE ? t->w->group_open[t->lane] : t->value,
                              t->sequence, t->observed, (uint16_t)thread, s->epoch,
                              (uint8_t)t->kind, t->strong};
}

static struct reader make_reader(const struct touch *t, uint32_t next)
{
    const struct shadow *s = t->w->cta->shadow;
    return (struct reader){s->generation, t->w->clock,
                           (uint32_t)(t->op - t->w->cta->grid->module->ops),
                           t->w->group_open[t->lane], 1u << t->lane, next, t->sequence,
                           t->observed, s->epoch, (uint8_t)t->w->index, (uint8_t)t->kind,
                           t->strong, t->strong && !(t->op->flags & OPF_UNIFORM)};
}

static inline bool same_reader(const struct touch *t, const struct reader *r)
{
    const struct shadow *s = t->w->cta->shadow;
    return r->generation == s->generation && r->clock == t->w->clock && r->warp == t->w->index &&
           r->kind == t->kind && r->strong == t->strong && r->epoch == s->epoch &&
           (r->kind != ACCESS_COPY_READ || r->group == t->w->group_open[t->lane]);
}

static void update_reader(const struct touch *t, struct cell *c)
{
    struct shadow *s = t->w->cta->shadow;
    struct reader *r = &c->reader;
    if (same_reader(t, r)) {
        r->lanes |= 1u << t->lane;
        r->sequence = t->sequence;
        return;
    }
    bool stale = r->generation != s->generation && r->kind != ACCESS_COPY_READ;
    if (!r->generation || stale) {
        // A page's older readers matter to other CTAs only if they differ in kind or epoch.
        if (t->global && r->generation &&
            (r->kind != t->kind || r->epoch != s->epoch || r->strong != t->strong))
            spill(t, stamp_of(r));
        if (r->observes && r->sequence > c->observed)
            c->observed = r->sequence;
        *r = make_reader(t, 0);
        return;
    }
    for (uint32_t i = r->next; i; i = s->readers[t->global][i].next)
        if (same_reader(t, &s->readers[t->global][i])) {
            s->readers[t->global][i].lanes |= 1u << t->lane;
            s->readers[t->global][i].sequence = t->sequence;
            return;
        }
    while (s->reader_count[t->global] >= s->reader_capacity[t->global])
        if (!ptxm_grow(s->allocator, (void **)&s->readers[t->global], sizeof *r,
                       &s->reader_capacity[t->global]))
            return ptxm_cta_out_of_memory(t->w->cta);
    uint32_t fresh = (uint32_t)s->reader_count[t->global]++;
    s->readers[t->global][fresh] = *r;
    *r = make_reader(t, fresh);
}

static inline void touch_cell(struct touch *t, struct cell *c)
{
    const struct shadow *s = t->w->cta->shadow;
    t->observed = 0;
    if (!t->strong && (c->observed || c->reader.strong || c->reader.next))
        t->observed = observed(t, c);
    if (!c->write.generation) {
        if (!t->global && t->kind != ACCESS_WRITE && t->kind != ACCESS_COPY_WRITE &&
            c->reader.kind != ACCESS_ATOMIC)
            uninitialised(t);
    } else if (c->write.generation == s->generation || c->write.kind == ACCESS_COPY_WRITE) {
        judge_write(t, &c->write);
    }
    if (c->reader.generation && (c->reader.generation == s->generation ||
                                 c->reader.kind == ACCESS_COPY_READ)) {
        const struct reader *r = &c->reader;
        for (;;) {
            if (reader_relevant(s, r))
                judge_reader(t, r);
            if (!r->next)
                break;
            r = &s->readers[t->global][r->next];
        }
    }
    if (t->kind == ACCESS_WRITE || t->kind == ACCESS_COPY_WRITE)
        update_write(t, c);
    else
        update_reader(t, c);
}

static void touch_bytes(struct touch *t, struct cell *c)
{
    struct shadow *s = t->w->cta->shadow;
    if (!c->split && !split(t->w->cta, c))
        return;
    uint32_t value = t->value;
    uint8_t bytes = t->bytes;
    uint64_t address = t->address;
    for (unsigned i = 0; i < 4; i++) {
        if (!(bytes >> i & 1))
            continue;
        t->value = value >> (8 * i) & 0xff;
        t->bytes = (uint8_t)(1u << i);
        touch_cell(t, &s->split[c->split + i]);
    }
    t->address = address;
}

static void check_initialised(const struct touch *t)
{
    const struct allocation *a = t->place->allocation;
    const uint8_t *flags = a->initialised + (t->place->address - a->base);
    for (uint32_t i = 0; i < t->size; i++)
        if (!flags[i]) {
            ptxm_finding(t->w, t->op, t->lane, RULE_UNINIT_GLOBAL, t->place, t->size, t->kind, "%s",
                         ptxm_rule_message(RULE_UNINIT_GLOBAL));
            return;
        }
}

static uint8_t strength(const struct warp *w, const struct op *op, enum access_kind kind)
{
    if (kind == ACCESS_COPY_READ || kind == ACCESS_COPY_WRITE || op->sem == SEM_WEAK)
        return SCOPE_NONE;
    if (op->sem == SEM_VOLATILE)
        return w->cta->grid->options.volatile_is_relaxed || w->cta->grid->options.strict
                   ? SCOPE_SYS : SCOPE_NONE;
    return op->scope ? op->scope : SCOPE_CTA;
}

void ptxm_shadow_access(struct warp *w, const struct op *op, unsigned lane,
                        const struct place *place, uint32_t size, enum access_kind kind,
                        const void *value)
{
    struct shadow *s = w->cta->shadow;
    struct touch t = {.w = w, .op = op, .lane = lane, .place = place, .size = size, .kind = kind,
                      .strong = strength(w, op, kind), .has_value = value != NULL,
                      .global = place->space == SPACE_GLOBAL};
    const uint8_t *bytes = value;
    if (t.strong)
        t.sequence = atomic_fetch_add(&w->cta->grid->sequence, 1) + 1;
    if (t.global && w->cta->grid->options.check_global_init && kind != ACCESS_WRITE)
        check_initialised(&t);
    if (t.global && (w->cta->grid->options.no_global_races || place->allocation->read_only))
        return;
    uint64_t end = place->address + size;
    for (uint64_t at = place->address & ~(uint64_t)3; at < end; at += 4) {
        uint64_t from = at < place->address ? place->address : at, to = at + 4 < end ? at + 4 : end;
        struct cell *c;
        if (t.global) {
            struct page *page = page_at(w->cta, at / PAGE_BYTES);
            if (!page)
                return;
            c = &page->cells[at % PAGE_BYTES / 4];
        } else {
            c = &s->shared[at / 4];
        }
        t.address = at;
        t.bytes = (uint8_t)(((1u << (to - from)) - 1) << (from - at));
        t.value = 0;
        if (bytes)
            memcpy((uint8_t *)&t.value + (from - at), bytes + (from - place->address), to - from);
        if (t.bytes == 15 && !c->split)
            touch_cell(&t, c);
        else
            touch_bytes(&t, c);
    }
}
