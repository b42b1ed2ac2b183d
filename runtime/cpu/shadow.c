// SPDX-License-Identifier: MIT
// Who touched each byte last, and whether the next one may.
//
// A cell stands for four bytes: the last plain write, and the reads and atomics since, as lanes of
// a warp at a clock. A cell whose bytes are not always touched together is split into four. Shared
// memory has an array of cells; global memory has pages of them, made at the first touch.
//
// Conflicts within the CTA, and in the shared memory of a cluster, are judged here, at once; those
// in global memory with other CTAs when the CTA is done (grid_shadow.c), from what is left in the
// cells and in the spill list. An access is judged by two questions: is the earlier one known to
// the thread (G), and, where an access by the generic proxy comes before one by the async proxy,
// does the async proxy see it (A)?
#include "touch.h"

#include <string.h>

// ---- order --------------------------------------------------------------------------------------

static bool ordered_with_peer(const struct touch *t, unsigned rank, uint32_t thread,
                              uint32_t generation, uint32_t clock)
{
    const struct shadow *s = t->w->cta->shadow;
    uint32_t peer = ptxm_touch_cta(t, rank)->index;
    return ptxm_knows(s->threads[ptxm_thread(t->w, t->lane)].know, peer, generation, thread,
                      clock) ||
           ptxm_knows(s->base, peer, generation, thread, clock);
}

static inline bool ordered(const struct touch *t, unsigned rank, uint32_t thread,
                           uint32_t generation, uint32_t clock)
{
    const struct shadow *s = t->w->cta->shadow;
    uint32_t self = ptxm_thread(t->w, t->lane);
    if (rank != t->rank)
        return ordered_with_peer(t, rank, thread, generation, clock);
    if (generation < s->generation || thread == self)
        return true;
    if (thread / LANES == t->w->index && clock < t->w->full_sync)
        return true;
    return s->fine && ptxm_knows(s->threads[self].know, t->w->cta->index, generation, thread,
                                 clock);
}

// A cp.async is over for others when the wait of its thread is ordered before them.
static bool copy_over(const struct touch *t, unsigned rank, uint32_t thread, uint32_t group,
                      uint32_t generation, uint32_t clock)
{
    const struct shadow *s = ptxm_touch_cta(t, rank)->shadow;
    const struct thread_clock *c = &s->threads[thread];
    if (rank == t->rank && thread == ptxm_thread(t->w, t->lane))
        if (group < c->groups_now)
            return true;
    if (c->copy_agent) {
        const struct shadow *mine = t->w->cta->shadow;
        uint32_t cta = ptxm_touch_cta(t, rank)->index;
        if (ptxm_knows_agent(mine->threads[ptxm_thread(t->w, t->lane)].know, cta,
                             c->copy_agent - 1, group) ||
            ptxm_knows_agent(mine->base, cta, c->copy_agent - 1, group))
            return true;
    }
    if (group < c->groups_before)
        return rank == t->rank || ordered(t, rank, thread, generation, clock);
    size_t first = 0, end = c->wait_count; // the first wait that covers the group
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (group < c->waits[middle].groups)
            end = middle;
        else
            first = middle + 1;
    }
    return first < c->wait_count &&
           ordered(t, rank, thread, s->generation, c->waits[first].clock);
}

static bool operation_over(const struct touch *t, unsigned rank, uint32_t id, enum async_part part)
{
    const struct cta *issuer = ptxm_touch_cta(t, rank), *cta = t->w->cta;
    return ptxm_async_over(cta, cta->shadow->threads[ptxm_thread(t->w, t->lane)].know,
                           &issuer->shadow->operations[id], part);
}

static bool writes(enum access_kind kind)
{
    return kind != ACCESS_READ && kind != ACCESS_COPY_READ && kind != ACCESS_ASYNC_READ &&
           kind != ACCESS_MAP_READ;
}

// ---- judgement ----------------------------------------------------------------------------------

static inline bool over(const struct touch *t, const struct earlier *x)
{
    if (x->kind == ACCESS_COPY_READ || x->kind == ACCESS_COPY_WRITE)
        return copy_over(t, x->rank, x->thread, x->group, x->generation, x->clock);
    if (!ptxm_is_async(x->kind))
        return ordered(t, x->rank, x->thread, x->generation, x->clock);
    return (x->group == t->operation && x->rank == t->rank) ||
           operation_over(t, x->rank, x->group,
                          x->kind == ACCESS_ASYNC_READ ? ASYNC_READS : ASYNC_WRITES);
}

// Would the two be ordered if every release and acquire between them had cluster scope?
static bool scope_missed(const struct touch *t, const struct earlier *x)
{
    const struct shadow *s = t->w->cta->shadow;
    return ptxm_knows(s->threads[ptxm_thread(t->w, t->lane)].missed,
                      ptxm_touch_cta(t, x->rank)->index, x->generation, x->thread, x->clock);
}

// Likewise, would it be known that the operation is over? Asked by the letter of the ISA only.
static bool end_missed(const struct touch *t, const struct earlier *x)
{
    const struct cta *issuer = ptxm_touch_cta(t, x->rank), *cta = t->w->cta;
    enum async_part part = x->kind == ACCESS_ASYNC_READ ? ASYNC_READS : ASYNC_WRITES;
    const struct knowledge *missed = cta->shadow->threads[ptxm_thread(t->w, t->lane)].missed;
    return ptxm_async_over(cta, missed, &issuer->shadow->operations[x->group], part);
}

static enum rule race_rule(const struct touch *t, const struct earlier *x)
{
    if (ptxm_is_async(x->kind))
        return end_missed(t, x) ? RULE_SCOPE : RULE_RACE_OPERATION;
    if (x->kind == ACCESS_COPY_READ || x->kind == ACCESS_COPY_WRITE)
        return RULE_RACE_ASYNC;
    if (x->rank != t->rank && scope_missed(t, x))
        return RULE_SCOPE;
    bool same_warp = x->rank == t->rank && x->thread / LANES == t->w->index;
    return same_warp && !ptxm_is_async(t->kind) ? RULE_RACE_WARP : RULE_RACE;
}

// One instruction by which threads of a CTA store one value: compilers do that on purpose.
static bool stored_by_many(const struct touch *t, const struct earlier *x)
{
    const struct grid *grid = t->w->cta->grid;
    return x->rank == t->rank && x->op == t->op - grid->module->ops && !grid->options.strict;
}

static inline void judge_write(const struct touch *t, const struct stamp *p)
{
    struct earlier x = {p->op, p->thread, p->generation, p->clock, p->rank, p->value,
                        (enum access_kind)p->kind};
    if (p->kind == ACCESS_BARRIER || t->kind == ACCESS_BARRIER)
        return;
    if (over(t, &x)) {
        if (t->special && ptxm_is_async(t->kind))
            ptxm_touch_judge_proxy(t, &x);
        else if (t->kind == ACCESS_MAP_READ)
            ptxm_touch_judge_map(t, &x);
        return;
    }
    if (p->strong && t->strong)
        return;
    enum rule rule = race_rule(t, &x);
    if (p->kind == ACCESS_WRITE && t->has_value && p->value == t->value)
        rule = RULE_RACE_SAME;
    if (rule == RULE_RACE_SAME && stored_by_many(t, &x))
        return;
    ptxm_touch_report(t, rule, &x);
}

static inline bool reader_relevant(const struct touch *t, const struct reader *r)
{
    return t->special || r->generation == t->cells->generation || r->kind >= ACCESS_COPY_READ ||
           r->rank != t->owner;
}

static inline void judge_reader(const struct touch *t, const struct reader *r)
{
    if ((r->strong && t->strong) || (!writes(t->kind) && !writes((enum access_kind)r->kind)) ||
        (r->kind == ACCESS_ASYNC_REDUCE && t->kind == ACCESS_ASYNC_REDUCE))
        return;
    if (r->strong && r->sequence < t->observed)
        return;
    FOR_LANES (lane, r->lanes) {
        struct earlier x = {r->op, r->warp * LANES + lane, r->generation, r->clock, r->rank,
                            r->group, (enum access_kind)r->kind};
        if (!over(t, &x)) {
            ptxm_touch_report(t, race_rule(t, &x), &x);
            return;
        }
        if (ptxm_is_async(t->kind))
            ptxm_touch_judge_proxy(t, &x);
    }
}

// The newest strong access that one before this has observed.
static uint32_t observed(const struct touch *t, const struct cell *c)
{
    const struct shadow *s = t->cells;
    uint32_t newest = c->observed;
    for (const struct reader *r = &c->reader;; r = &s->readers[t->global][r->next]) {
        if (r->observes && r->sequence > newest) {
            uint32_t thread = r->warp * LANES + (uint32_t)__builtin_ctz(r->lanes | 1u << 31);
            bool own = r->rank == t->rank && r->warp == t->w->index && r->lanes >> t->lane & 1;
            if (own || ordered(t, r->rank, thread, r->generation, r->clock))
                newest = r->sequence;
        }
        if (!r->next || (r->generation < s->generation && !s->keeps_readers))
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
    return (struct stamp){r->generation, r->clock, r->op, r->group, r->sequence, r->observed,
                          (uint16_t)(r->warp * LANES + lane), r->epoch, r->kind, r->strong,
                          r->rank, r->lasting};
}

static inline bool lasting(const struct touch *t)
{
    return t->kind >= ACCESS_COPY_READ || t->rank != t->owner;
}

// What a stamp or reader keeps beside place and time.
static inline uint32_t group_of(const struct touch *t)
{
    return t->operation ? t->operation : t->w->batch[t->lane];
}

static inline void update_write(const struct touch *t, struct cell *c)
{
    struct shadow *s = t->w->cta->shadow;
    uint32_t thread = ptxm_thread(t->w, t->lane);
    // Within one epoch the last write stands for the earlier ones.
    if (t->global && c->write.generation &&
        (c->write.epoch != s->epoch || c->write.strong != t->strong || c->write.kind != t->kind))
        spill(t, c->write);
    c->write = (struct stamp){s->generation, t->w->clock,
                              (uint32_t)(t->op - t->w->cta->grid->module->ops),
                              t->kind >= ACCESS_COPY_READ ? group_of(t) : t->value,
                              t->sequence, t->observed, (uint16_t)thread, s->epoch,
                              (uint8_t)t->kind, t->strong, t->rank, lasting(t)};
    // What comes after a write, in order, comes after those whom the write came after.
    if (!t->global && t->cells->keeps_readers && !t->strong && c->reader.generation)
        ptxm_readers_forget(t->cells, c);
}

static inline struct reader make_reader(const struct touch *t, uint32_t next, bool more_last)
{
    const struct shadow *s = t->w->cta->shadow;
    return (struct reader){s->generation, t->w->clock,
                           (uint32_t)(t->op - t->w->cta->grid->module->ops),
                           group_of(t), 1u << t->lane, next, t->sequence,
                           t->observed, s->epoch, (uint8_t)t->w->index, (uint8_t)t->kind,
                           t->strong, t->rank, t->strong && !(t->op->flags & OPF_UNIFORM),
                           more_last || lasting(t)};
}

static inline bool same_reader(const struct touch *t, const struct reader *r)
{
    const struct shadow *s = t->w->cta->shadow;
    return r->generation == s->generation && r->clock == t->w->clock && r->warp == t->w->index &&
           r->kind == t->kind && r->strong == t->strong && r->epoch == s->epoch &&
           r->rank == t->rank && (r->kind < ACCESS_COPY_READ || r->group == group_of(t));
}

// A reader of the list that the head stands for, too: whoever is behind the head is behind it. Its
// lanes have all read again since, or it is an operation whose agent the head's has passed.
static bool superseded(const struct touch *t, const struct reader *head, const struct reader *r)
{
    if (r->kind != head->kind || r->rank != head->rank || r->strong != head->strong)
        return false;
    if (ptxm_is_async((enum access_kind)r->kind)) {
        const struct async_operation *all = ptxm_touch_cta(t, r->rank)->shadow->operations;
        enum async_part part = r->kind == ACCESS_ASYNC_READ ? ASYNC_READS : ASYNC_WRITES;
        const struct async_end *old = &all[r->group].end[part], *now = &all[head->group].end[part];
        return old->agent != NO_AGENT && old->agent == now->agent && old->cta == now->cta &&
               old->ticket <= now->ticket;
    }
    return t->cells->keeps_readers && !t->global && r->kind < ACCESS_COPY_READ &&
           r->warp == head->warp && r->generation == head->generation &&
           r->clock <= head->clock && !(r->lanes & ~head->lanes);
}

// What an operation reads again may stand for what it has read before (see ptxm_async_outlasts),
// unless another CTA may have come between the two.
static inline bool outlasts(const struct touch *t, const struct reader *r)
{
    const struct shadow *s = t->w->cta->shadow;
    return t->kind == ACCESS_ASYNC_READ && r->kind == ACCESS_ASYNC_READ && r->rank == t->rank &&
           (!t->global || r->epoch == s->epoch) &&
           ptxm_async_outlasts(t->w->cta, s->threads[ptxm_thread(t->w, t->lane)].know,
                               t->operation, r->group);
}

// The map that a lane reads again: this stands for what it has read before.
static bool reads_map_again(const struct touch *t, const struct reader *r)
{
    return t->kind == ACCESS_MAP_READ && r->kind == ACCESS_MAP_READ && r->rank == t->rank &&
           r->warp == t->w->index && r->lanes == 1u << t->lane && r->group == t->operation &&
           r->epoch == t->w->cta->shadow->epoch;
}

// Puts the access at the head of a list that has others.
static void push_reader(const struct touch *t, struct cell *c)
{
    struct shadow *s = t->cells;
    struct reader *r = &c->reader;
    uint32_t room = 0;
    for (uint32_t i = r->next; i; i = s->readers[t->global][i].next) {
        struct reader *e = &s->readers[t->global][i];
        if (same_reader(t, e)) {
            e->lanes |= 1u << t->lane;
            e->sequence = t->sequence;
            return;
        }
        if (outlasts(t, e) || reads_map_again(t, e)) {
            *e = make_reader(t, e->next, e->lasting);
            return;
        }
        if (superseded(t, r, e))
            room = i;
    }
    if (room) {
        struct reader *e = &s->readers[t->global][room];
        uint32_t next = e->next;
        if (t->global && e->epoch != r->epoch)
            spill(t, stamp_of(e));
        *e = *r;
        e->next = next;
        *r = make_reader(t, r->next, r->lasting);
        return;
    }
    uint32_t fresh = ptxm_reader_new(s->cta, t->global);
    if (!fresh)
        return;
    s->readers[t->global][fresh] = *r;
    *r = make_reader(t, fresh, r->lasting);
}

static inline void update_reader(const struct touch *t, struct cell *c)
{
    struct shadow *s = t->cells;
    struct reader *r = &c->reader;
    if (outlasts(t, r) || reads_map_again(t, r)) {
        *r = make_reader(t, r->next, r->lasting);
        return;
    }
    if (same_reader(t, r)) {
        r->lanes |= 1u << t->lane;
        r->sequence = t->sequence;
        return;
    }
    bool stale = r->generation != s->generation && r->kind < ACCESS_COPY_READ &&
                 r->rank == t->owner;
    if (r->generation && !stale)
        return push_reader(t, c);
    // A page's older readers matter to other CTAs only if they differ in kind or epoch.
    if (t->global && r->generation &&
        (r->kind != t->kind || r->epoch != s->epoch || r->strong != t->strong))
        spill(t, stamp_of(r));
    if (r->observes && r->sequence > c->observed)
        c->observed = r->sequence;
    if (!t->global && s->keeps_readers)
        ptxm_readers_prune(s, c, t->owner);
    else
        r->next = 0, r->lasting = false;
    *r = make_reader(t, r->next, r->lasting);
}

static inline void judge_readers(struct touch *t, const struct cell *c)
{
    const struct reader *r = &c->reader;
    for (;;) {
        if (reader_relevant(t, r))
            judge_reader(t, r);
        if (!r->next)
            break;
        r = &t->cells->readers[t->global][r->next];
    }
}

static inline void touch_cell(struct touch *t, struct cell *c)
{
    const struct shadow *s = t->cells;
    t->observed = 0;
    if (!t->strong && (c->observed || c->reader.strong || c->reader.next))
        t->observed = observed(t, c);
    if (!c->write.generation) {
        if (!t->global && !t->discards && !c->reader.generation && t->kind != ACCESS_WRITE &&
            t->kind != ACCESS_COPY_WRITE && t->kind != ACCESS_ASYNC_WRITE &&
            t->kind != ACCESS_BARRIER)
            ptxm_touch_uninitialised(t);
    } else if (t->special || c->write.generation == s->generation || c->write.lasting) {
        if (c->write.kind == ACCESS_BARRIER && t->kind != ACCESS_BARRIER)
            ptxm_touch_barrier(t, &c->write);
        judge_write(t, &c->write);
    }
    if (c->reader.generation &&
        (t->special || c->reader.generation == s->generation || c->reader.lasting))
        judge_readers(t, c);
    if (t->kind == ACCESS_WRITE || t->kind == ACCESS_COPY_WRITE || t->kind == ACCESS_ASYNC_WRITE ||
        t->kind == ACCESS_BARRIER)
        update_write(t, c);
    else
        update_reader(t, c);
}

static void touch_bytes(struct touch *t, struct cell *c)
{
    struct shadow *s = t->cells;
    if (!c->split && !ptxm_shadow_split(s->cta, c))
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

static uint8_t strength(const struct warp *w, const struct op *op, enum access_kind kind)
{
    if (kind >= ACCESS_COPY_READ || op->sem == SEM_WEAK)
        return SCOPE_NONE;
    if (op->sem == SEM_VOLATILE)
        return w->cta->grid->options.volatile_is_relaxed || w->cta->grid->options.strict
                   ? SCOPE_SYS : SCOPE_NONE;
    return op->scope ? op->scope : SCOPE_CTA;
}

static inline void touch_all(struct touch *t, const uint8_t *bytes)
{
    struct shadow *s = t->cells;
    uint64_t start = t->place->address, end = start + t->size;
    for (uint64_t at = start & ~(uint64_t)3; at < end; at += 4) {
        uint64_t from = at < start ? start : at, to = at + 4 < end ? at + 4 : end;
        struct cell *c;
        if (t->global) {
            uint64_t number = at / PAGE_BYTES;
            struct page *page = s->last_page && s->last_page->number == number
                                    ? s->last_page : ptxm_shadow_page(t->w->cta, number);
            if (!page)
                return;
            c = &page->cells[at % PAGE_BYTES / 4];
        } else {
            c = &s->shared[at / 4];
        }
        t->address = at;
        t->bytes = (uint8_t)(((1u << (to - from)) - 1) << (from - at));
        t->value = 0;
        if (bytes)
            memcpy((uint8_t *)&t->value + (from - at), bytes + (from - start), to - from);
        if (t->bytes == 15 && !c->split)
            touch_cell(t, c);
        else
            touch_bytes(t, c);
    }
}

// One lane's access; t holds for all lanes of the instruction but for lane and place.
static inline void touch_place(struct touch *t, const void *value)
{
    struct cell *c = t->global ? NULL : &t->cells->shared[t->place->address / 4];
    if (c && t->size == 4 && !(t->place->address & 3) && !c->split) { // the frequent case
        t->address = t->place->address;
        t->bytes = 15;
        t->value = 0;
        if (value)
            memcpy(&t->value, value, 4);
        touch_cell(t, c);
    } else {
        touch_all(t, value);
    }
}

static inline bool keeps_global(const struct cta *cta, const struct place *place)
{
    return !cta->grid->options.no_global_races && !place->allocation->read_only;
}

void ptxm_shadow_access(struct warp *w, const struct op *op, unsigned lane,
                        const struct place *place, uint32_t size, enum access_kind kind,
                        const void *value)
{
    struct cta *cta = w->cta, *owner = place->owner ? place->owner : cta;
    struct touch t = {.w = w, .op = op, .lane = lane, .place = place, .size = size, .kind = kind,
                      .cells = owner->shadow, .strong = strength(w, op, kind),
                      .rank = (uint8_t)cta->rank, .owner = (uint8_t)owner->rank,
                      .has_value = value != NULL,
                      .global = place->space == SPACE_GLOBAL,
                      .special = kind == ACCESS_BARRIER || owner != cta};
    if (t.strong)
        t.sequence = atomic_fetch_add(&cta->grid->sequence, 1) + 1;
    if (t.global && cta->grid->options.check_global_init && kind != ACCESS_WRITE)
        ptxm_shadow_initialised(w, op, lane, place, size, kind);
    if (!t.global || keeps_global(cta, place))
        touch_place(&t, value);
}

void ptxm_shadow_lanes(struct warp *w, const struct op *op, uint32_t mask,
                       const struct place *start, const uint32_t *at, uint32_t size,
                       enum access_kind kind, const uint8_t *values, uint32_t pitch)
{
    struct cta *cta = w->cta;
    struct place place = *start;
    struct touch t = {.w = w, .op = op, .place = &place, .size = size, .kind = kind,
                      .cells = cta->shadow, .rank = (uint8_t)cta->rank,
                      .owner = (uint8_t)cta->rank, .has_value = values != NULL,
                      .global = start->space == SPACE_GLOBAL};
    bool initialised = t.global && cta->grid->options.check_global_init && kind != ACCESS_WRITE;
    bool kept = !t.global || keeps_global(cta, start);
    FOR_LANES (lane, mask) {
        t.lane = lane;
        place.address = start->address + at[lane];
        place.host = start->host + at[lane];
        if (initialised)
            ptxm_shadow_initialised(w, op, lane, &place, size, kind);
        if (kept)
            touch_place(&t, values ? values + lane * pitch : NULL);
    }
}

static void async_access(struct warp *w, const struct op *op, unsigned lane, uint32_t operation,
                         const struct place *place, uint32_t size, enum access_kind kind,
                         bool discards)
{
    struct cta *cta = w->cta, *owner = place->owner ? place->owner : cta;
    struct touch t = {.w = w, .op = op, .lane = lane, .place = place, .size = size, .kind = kind,
                      .rank = (uint8_t)cta->rank, .owner = (uint8_t)owner->rank,
                      .operation = operation, .global = place->space == SPACE_GLOBAL,
                      .special = true, .discards = discards};
    if (!cta->shadow || !operation)
        return;
    t.cells = owner->shadow;
    if (!t.global)
        cta->shadow->operations[operation].shared_ctas[kind != ACCESS_ASYNC_READ] |=
            1u << owner->rank;
    if (t.global && cta->grid->options.check_global_init && kind != ACCESS_ASYNC_WRITE)
        ptxm_shadow_initialised(w, op, lane, place, size, kind);
    if (t.global && (cta->grid->options.no_global_races || place->allocation->read_only))
        return;
    touch_all(&t, NULL);
}

void ptxm_async_access(struct warp *w, const struct op *op, unsigned lane, uint32_t operation,
                       const struct place *place, uint32_t size, enum access_kind kind)
{
    async_access(w, op, lane, operation, place, size, kind, false);
}

void ptxm_async_discard(struct warp *w, const struct op *op, unsigned lane, uint32_t operation,
                        const struct place *place, uint32_t size)
{
    async_access(w, op, lane, operation, place, size, ACCESS_ASYNC_READ, true);
}

void ptxm_shadow_map_read(struct warp *w, const struct op *op, unsigned lane, uint32_t use,
                          const struct place *place)
{
    struct cta *cta = w->cta;
    struct touch t = {.w = w, .op = op, .lane = lane, .place = place, .size = 128,
                      .kind = ACCESS_MAP_READ, .cells = cta->shadow, .rank = (uint8_t)cta->rank,
                      .owner = (uint8_t)cta->rank, .operation = use, .global = true,
                      .special = true};
    if (!cta->grid->options.no_global_races && !place->allocation->read_only)
        touch_all(&t, NULL);
}
