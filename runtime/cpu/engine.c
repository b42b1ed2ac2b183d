// SPDX-License-Identifier: MIT
// The engine's queue: jobs in order of issue, and when they complete.
#include "engine.h"
#include "profile.h"

#include <string.h>

static struct engine_job *make(struct warp *w, const struct op *op, unsigned lane,
                               enum job_kind kind)
{
    struct engine_job *job = ptxm_alloc_zero(w->cta->grid->allocator, sizeof *job);
    if (!job) {
        ptxm_cta_out_of_memory(w->cta);
        return NULL;
    }
    *job = (struct engine_job){.kind = kind, .warp = w, .op = op, .lane = lane};
    return job;
}

static void append(struct engine_job *job)
{
    struct cluster *c = job->warp->cta->cluster;
    if (c->last_job)
        c->last_job->next = job;
    else
        c->first_job = job;
    c->last_job = job;
}

// ---- completion ---------------------------------------------------------------------------------

static void complete_arrival(struct engine_job *job)
{
    struct warp *w = job->warp;
    struct cta *cta = w->cta;
    struct knowledge *over = NULL;
    ptxm_async_land_batch(w, job->lane, job->batch);
    if (cta->shadow) {
        struct thread_clock *t = &cta->shadow->threads[ptxm_thread(w, job->lane)];
        struct clocks *agents = ptxm_clocks_new(cta->grid->allocator, t->copy_agent);
        if (agents)
            agents->v[t->copy_agent - 1] = job->batch;
        over = ptxm_knowledge_single(cta->grid->allocator,
                                     (struct known){.cta = cta->index, .agents = agents});
    }
    if (job->barrier->live)
        ptxm_mbarrier_arrive(job->barrier, 1, over);
    ptxm_knowledge_free(cta->grid->allocator, over);
}

// The sources are read now; the launch ends when there is no memory for that.
static bool read_sources(struct engine_job *job)
{
    uint8_t *at;
    if (job->has_read)
        return true;
    if (!(at = job->buffer = ptxm_alloc(job->warp->cta->grid->allocator, job->bytes))) {
        ptxm_cta_out_of_memory(job->warp->cta);
        return false;
    }
    for (size_t i = 0; i < job->piece_count; i++) {
        const struct job_piece *p = &job->pieces[i];
        if (p->from)
            memcpy(at, p->from, p->size);
        else
            memset(at, 0, p->size);
        at += p->size;
    }
    job->has_read = true;
    return true;
}

// Elements are updated one by one, whatever other CTAs do to them in the meantime.
static void reduce(const struct engine_job *job, uint8_t *to, const uint8_t *from, uint32_t size)
{
    unsigned bytes = ptxm_type_bits(job->type) / 8;
    struct grid *grid = job->warp->cta->grid;
    bool locked = grid->options.threads > 1;
    if (locked)
        pthread_mutex_lock(&grid->lock);
    for (uint32_t i = 0; i + bytes <= size; i += bytes) {
        uint64_t old = 0, value = 0;
        memcpy(&old, to + i, bytes);
        memcpy(&value, from + i, bytes);
        old = ptxm_atomic_apply((enum atomic_op)job->op->mode, job->type, old, value, 0);
        memcpy(to + i, &old, bytes);
    }
    if (locked)
        pthread_mutex_unlock(&grid->lock);
}

static void complete_copy(struct engine_job *job)
{
    struct mbarrier *b = job->barrier;
    if (!read_sources(job))
        return;
    const uint8_t *at = job->buffer;
    for (size_t i = 0; i < job->piece_count; i++) {
        const struct job_piece *p = &job->pieces[i];
        if (p->to && job->reduces)
            reduce(job, p->to, at, p->size);
        else if (p->to)
            memcpy(p->to, at, p->size);
        if (p->initialised)
            memset(p->initialised, 1, p->size);
        at += p->size;
    }
    if (b && b->live)
        ptxm_mbarrier_complete_bytes(b, job->bytes, job->warp->cta, job->operation);
    else if (b)
        ptxm_finding(job->warp, job->op, job->lane, RULE_MBARRIER_NONE, NULL, 8, ACCESS_BARRIER,
                     "the mbarrier is invalidated before the copy that completes on it is over");
}

static void complete(struct engine_job *job)
{
    struct cta *cta = job->warp->cta;
    if (job->kind == JOB_ARRIVAL)
        complete_arrival(job);
    else
        complete_copy(job);
    cta->stirred = cta->changed = cta->progress = true;
}

void ptxm_engine_drop(struct engine_job *job)
{
    struct allocator *a = job->warp->cta->grid->allocator;
    ptxm_free(a, job->pieces);
    ptxm_free(a, job->buffer);
    ptxm_free(a, job);
}

bool ptxm_engine_step(struct cluster *c)
{
    struct engine_job *job = c->first_job;
    if (!job)
        return false;
    c->first_job = job->next;
    if (!c->first_job)
        c->last_job = NULL;
    complete(job);
    ptxm_engine_drop(job);
    return true;
}

void ptxm_engine_some(struct cluster *c)
{
    struct engine_job **at = &c->first_job, *last = NULL;
    while (*at) {
        struct engine_job *job = *at;
        if (ptxm_random(&c->random) & 3) {
            last = job;
            at = &job->next;
            continue;
        }
        *at = job->next;
        complete(job);
        ptxm_engine_drop(job);
    }
    c->last_job = last;
}

bool ptxm_engine_finish(struct warp *w, unsigned lane, uint32_t groups, bool read_only)
{
    struct cluster *c = w->cta->cluster;
    struct engine_job **at = &c->first_job, *last = NULL;
    while (*at) {
        struct engine_job *job = *at;
        bool meant = job->kind == JOB_COPY && !job->barrier && job->warp == w &&
                     job->lane == lane && job->group < groups;
        if (meant && read_only && !read_sources(job))
            return false;
        if (!meant || read_only) {
            last = job;
            at = &job->next;
            continue;
        }
        *at = job->next;
        complete(job);
        ptxm_engine_drop(job);
    }
    c->last_job = last;
    return true;
}

void ptxm_engine_free(struct cluster *c)
{
    while (c->first_job) {
        struct engine_job *next = c->first_job->next;
        ptxm_engine_drop(c->first_job);
        c->first_job = next;
    }
}

// ---- issue --------------------------------------------------------------------------------------

bool ptxm_engine_issue(struct engine_job *job)
{
    const struct cta *cta = job->warp->cta;
    struct cluster *c = cta->cluster;
    if (cta->profile)
        ptxm_profile_issue(job);
    append(job);
    if (c->grid->options.completion == PTXM_EAGER)
        while (c->first_job) ptxm_engine_step(c); // which frees the job
    return !cta->aborted;
}

struct engine_job *ptxm_engine_copy(struct warp *w, const struct op *op, unsigned lane)
{
    return make(w, op, lane, JOB_COPY);
}

bool ptxm_engine_piece(struct engine_job *job, const struct place *from, const struct place *to,
                       uint64_t from_offset, uint64_t to_offset, uint32_t size)
{
    struct cta *cta = job->warp->cta;
    if (!PTXM_GROW(cta->grid->allocator, job->pieces, job->piece_count, job->piece_capacity)) {
        ptxm_cta_out_of_memory(cta);
        return false;
    }
    struct job_piece *p = &job->pieces[job->piece_count++];
    *p = (struct job_piece){.from = from ? from->host + from_offset : NULL,
                            .to = to ? to->host + to_offset : NULL, .size = size};
    if (to && to->allocation)
        p->initialised = to->allocation->initialised +
                         (to->address + to_offset - to->allocation->base);
    job->bytes += size;
    if (cta->profile && !ptxm_profile_piece(job, from, from_offset, to, to_offset, size)) {
        ptxm_cta_out_of_memory(cta);
        return false;
    }
    return true;
}

bool ptxm_engine_add_arrival(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *barrier)
{
    struct shadow *s = w->cta->shadow;
    struct engine_job *job = make(w, op, lane, JOB_ARRIVAL);
    if (!job)
        return false;
    job->barrier = barrier;
    job->batch = ++w->batch[lane]; // the copies from here on are not meant
    if (s && !s->threads[ptxm_thread(w, lane)].copy_agent)
        s->threads[ptxm_thread(w, lane)].copy_agent = ptxm_agent_create(w->cta) + 1;
    return ptxm_engine_issue(job);
}
