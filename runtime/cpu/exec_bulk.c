// SPDX-License-Identifier: MIT
// cp.async.bulk, cp.reduce.async.bulk, their groups, st.async and red.async.
#include "engine.h"

#include <string.h>

uint64_t ptxm_bulk_address(const struct warp *w, const struct op *op, unsigned lane,
                           const struct bulk_address *a)
{
    const void *base = ptxm_src(w, op, (unsigned)a->source);
    return (a->width == 8 ? ((const uint64_t *)base)[lane] : ((const uint32_t *)base)[lane]) +
           (uint64_t)a->displacement;
}

uint32_t ptxm_bulk_word(const struct warp *w, const struct op *op, unsigned lane, int8_t source)
{
    return ((const uint32_t *)ptxm_src(w, op, (unsigned)source))[lane];
}

// ---- groups -------------------------------------------------------------------------------------

void ptxm_bulk_join_group(struct warp *w, unsigned lane, struct engine_job *job)
{
    struct shadow *s = w->cta->shadow;
    job->group = w->bulk_open[lane];
    if (!s || !job->operation)
        return;
    s->operations[job->operation].grouped = true;
    if (!w->bulk_first[lane])
        w->bulk_first[lane] = job->operation;
}

static void end_group(struct warp *w, unsigned lane)
{
    struct shadow *s = w->cta->shadow;
    uint32_t thread = ptxm_thread(w, lane);
    struct thread_clock *t = &s->threads[thread];
    for (size_t i = w->bulk_first[lane]; i && i < s->operation_count; i++) {
        struct async_operation *o = &s->operations[i];
        if (o->thread != thread || !o->grouped)
            continue;
        o->grouped = false;
        for (int part = 0; part < ASYNC_PARTS; part++) {
            if (!t->bulk_agents[part])
                t->bulk_agents[part] = ptxm_agent_create(w->cta) + 1;
            ptxm_async_end(w->cta, (uint32_t)i, (enum async_part)part, w->cta,
                           t->bulk_agents[part] - 1, w->bulk_open[lane]);
        }
    }
    w->bulk_first[lane] = 0;
}

enum step_result ptxm_step_bulk_commit(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        if (w->cta->shadow)
            end_group(w, lane);
        w->bulk_open[lane]++;
    }
    return STEP_NEXT;
}

enum step_result ptxm_step_bulk_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    struct shadow *s = w->cta->shadow;
    bool read_only = op->mode;
    FOR_LANES (lane, mask) {
        uint32_t open = w->bulk_open[lane];
        uint32_t groups = open > op->immediate ? open - op->immediate : 0;
        if (w->bulk_first[lane])
            ptxm_finding(w, op, lane, RULE_COPY_EMPTY_WAIT, NULL, 0, ACCESS_ASYNC_WRITE,
                         "bulk copies belong to no group: they are not waited for; the one at line "
                         "%u was never committed", s->operations[w->bulk_first[lane]].op->line);
        if (!ptxm_engine_finish(w, lane, groups, read_only))
            return STEP_ABORT;
        if (!s || !groups)
            continue;
        const uint32_t *agents = s->threads[ptxm_thread(w, lane)].bulk_agents;
        for (int part = 0; part < (read_only ? 1 : ASYNC_PARTS); part++)
            if (agents[part])
                ptxm_agent_learn(w, 1u << lane, w->cta, agents[part] - 1, groups);
    }
    w->clock++;
    return STEP_NEXT;
}

// ---- copies -------------------------------------------------------------------------------------

// The mbarrier of a copy must lie in the CTA that the bytes go to.
struct mbarrier *ptxm_bulk_barrier(struct warp *w, const struct op *op, unsigned lane,
                                   enum space space, uint64_t at, const struct place *to)
{
    struct mbarrier *b = ptxm_mbarrier_at(w, op, lane, space, at);
    struct cta *owner = to->owner ? to->owner : w->cta;
    if (b && b->home != owner) {
        ptxm_finding(w, op, lane, RULE_BULK_MBARRIER, to, 8, ACCESS_BARRIER, "%s",
                     ptxm_rule_message(RULE_BULK_MBARRIER));
        return NULL;
    }
    return b;
}

// The CTAs that a multicast names, a bit each. False after a finding.
bool ptxm_bulk_ranks(struct warp *w, const struct op *op, unsigned lane, uint32_t *ranks)
{
    *ranks = ptxm_bulk_word(w, op, lane, ptxm_bulk_form(op)->mask) & 0xffff;
    if (!(*ranks >> w->cta->cluster->count))
        return true;
    ptxm_finding(w, op, lane, RULE_BULK_MASK, NULL, 0, ACCESS_ASYNC_WRITE,
                 "%s: 0x%04x, the cluster has %u", ptxm_rule_message(RULE_BULK_MASK), *ranks,
                 w->cta->cluster->count);
    return false;
}

struct bulk {
    struct warp *w;
    const struct op *op;
    unsigned lane;
    uint32_t size;
    enum access_kind write;
};

static enum step_result copy_to(const struct bulk *b, enum space space, uint64_t to_address,
                                const struct place *from, uint64_t barrier)
{
    struct warp *w = b->w;
    const struct bulk_form *form = ptxm_bulk_form(b->op);
    struct place to = ptxm_resolve(w, b->op, b->lane, space, to_address, b->size, 16, b->write);
    if (!to.host)
        return STEP_ABORT;
    struct engine_job *job = ptxm_engine_copy(w, b->op, b->lane);
    if (!job)
        return STEP_ABORT;
    job->reduces = b->write == ACCESS_ASYNC_REDUCE;
    job->type = (enum type)b->op->type;
    bool grouped = form->address[BULK_BARRIER].source < 0;
    if ((!grouped && !(job->barrier = ptxm_bulk_barrier(w, b->op, b->lane, space, barrier, &to))) ||
        !ptxm_engine_piece(job, from, &to, 0, 0, b->size)) {
        ptxm_engine_drop(job);
        return STEP_ABORT;
    }
    job->operation = ptxm_async_begin(w, b->op, b->lane);
    ptxm_async_counts_on(w, b->lane, job->operation, job->barrier);
    if (grouped)
        ptxm_bulk_join_group(w, b->lane, job);
    ptxm_async_access(w, b->op, b->lane, job->operation, from, b->size, ACCESS_ASYNC_READ);
    ptxm_async_access(w, b->op, b->lane, job->operation, &to, b->size, b->write);
    return ptxm_engine_issue(job) ? STEP_NEXT : STEP_ABORT;
}

static enum step_result bulk_lane(struct warp *w, const struct op *op, unsigned lane)
{
    const struct bulk_form *form = ptxm_bulk_form(op);
    const struct bulk_address *a = form->address;
    struct bulk b = {w, op, lane, ptxm_bulk_word(w, op, lane, form->size),
                     op->flags & OPF_REDUCES ? ACCESS_ASYNC_REDUCE : ACCESS_ASYNC_WRITE};
    if (!b.size || b.size % 16) {
        ptxm_finding(w, op, lane, RULE_BULK_SIZE, NULL, b.size, b.write, "%s: %u",
                     ptxm_rule_message(RULE_BULK_SIZE), b.size);
        return STEP_ABORT;
    }
    struct place from = ptxm_resolve(w, op, lane, (enum space)a[BULK_FROM].space,
                                     ptxm_bulk_address(w, op, lane, &a[BULK_FROM]), b.size, 16,
                                     ACCESS_ASYNC_READ);
    if (!from.host)
        return STEP_ABORT;
    if (a[BULK_TO].source < 0) // a prefetch
        return STEP_NEXT;
    uint64_t to = ptxm_bulk_address(w, op, lane, &a[BULK_TO]);
    uint64_t barrier = a[BULK_BARRIER].source < 0
                           ? 0 : ptxm_bulk_address(w, op, lane, &a[BULK_BARRIER]);
    if (form->mask < 0)
        return copy_to(&b, (enum space)a[BULK_TO].space, to, &from, barrier);
    uint32_t ranks = 0;
    if (!ptxm_bulk_ranks(w, op, lane, &ranks))
        return STEP_ABORT;
    FOR_LANES (rank, ranks)
        if (copy_to(&b, SPACE_CLUSTER, ptxm_bulk_at_rank(to, rank), &from,
                    ptxm_bulk_at_rank(barrier, rank)) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}

enum step_result ptxm_step_bulk(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->counters.async_copies++;
    w->cta->stirred = w->cta->changed = true;
    FOR_LANES (lane, mask)
        if (bulk_lane(w, op, lane) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}

// ---- st.async and red.async ---------------------------------------------------------------------

static enum step_result store_lane(struct warp *w, const struct op *op, unsigned lane)
{
    const struct bulk_form *form = ptxm_bulk_form(op);
    unsigned bytes = ptxm_type_bits((enum type)op->type) / 8, size = bytes * op->vector;
    enum access_kind kind = op->flags & OPF_REDUCES ? ACCESS_ASYNC_REDUCE : ACCESS_ASYNC_WRITE;
    struct place to = ptxm_resolve(w, op, lane, SPACE_CLUSTER,
                                   ptxm_bulk_address(w, op, lane, &form->address[BULK_TO]), size,
                                   size, kind);
    if (!to.host)
        return STEP_ABORT;
    struct engine_job *job = ptxm_engine_copy(w, op, lane);
    if (!job)
        return STEP_ABORT;
    job->reduces = kind == ACCESS_ASYNC_REDUCE;
    job->type = (enum type)op->type;
    job->barrier = ptxm_bulk_barrier(w, op, lane, SPACE_CLUSTER,
                              ptxm_bulk_address(w, op, lane, &form->address[BULK_BARRIER]), &to);
    job->buffer = ptxm_alloc(w->cta->grid->allocator, size);
    if (!job->barrier || !job->buffer || !ptxm_engine_piece(job, NULL, &to, 0, 0, size)) {
        ptxm_engine_drop(job);
        return STEP_ABORT;
    }
    for (unsigned k = 0; k < op->vector; k++)
        memcpy(job->buffer + k * bytes,
                         (const uint8_t *)ptxm_src(w, op, (unsigned)form->size + k) +
                             (size_t)lane * bytes, bytes);
    job->has_read = true;
    job->operation = ptxm_async_begin(w, op, lane);
    ptxm_async_access(w, op, lane, job->operation, &to, size, kind);
    ptxm_async_counts_on(w, lane, job->operation, job->barrier);
    return ptxm_engine_issue(job) ? STEP_NEXT : STEP_ABORT;
}

enum step_result ptxm_step_st_async(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->stirred = w->cta->changed = true;
    FOR_LANES (lane, mask)
        if (store_lane(w, op, lane) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}
