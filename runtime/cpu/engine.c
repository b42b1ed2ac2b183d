// SPDX-License-Identifier: MIT
// The engine's queue: jobs in order of issue, and when they complete.
#include "engine.h"

static struct engine_job *add(struct warp *w, const struct op *op, unsigned lane,
                              enum job_kind kind)
{
    struct cluster *c = w->cta->cluster;
    struct engine_job *job = ptxm_alloc_zero(c->grid->allocator, sizeof *job);
    if (!job) {
        ptxm_cta_out_of_memory(w->cta);
        return NULL;
    }
    *job = (struct engine_job){.kind = kind, .warp = w, .op = op, .lane = lane};
    if (c->last_job)
        c->last_job->next = job;
    else
        c->first_job = job;
    c->last_job = job;
    return job;
}

// ---- completion ----------------------------------------------------------------------------------

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

static void complete(struct engine_job *job)
{
    struct cta *cta = job->warp->cta;
    switch (job->kind) {
    case JOB_ARRIVAL: complete_arrival(job); break;
    default: break;
    }
    cta->stirred = cta->changed = cta->progress = true;
}

static void drop(struct cluster *c, struct engine_job *job)
{
    ptxm_free(c->grid->allocator, job);
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
    drop(c, job);
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
        drop(c, job);
    }
    c->last_job = last;
}

void ptxm_engine_free(struct cluster *c)
{
    while (c->first_job) {
        struct engine_job *next = c->first_job->next;
        drop(c, c->first_job);
        c->first_job = next;
    }
}

// ---- issue ---------------------------------------------------------------------------------------

static bool issued(struct warp *w, struct engine_job *job)
{
    if (!job)
        return false;
    if (w->cta->grid->options.completion == PTXM_EAGER)
        while (w->cta->cluster->first_job) ptxm_engine_step(w->cta->cluster);
    return true;
}

bool ptxm_engine_add_arrival(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *barrier)
{
    struct shadow *s = w->cta->shadow;
    struct engine_job *job = add(w, op, lane, JOB_ARRIVAL);
    if (!job)
        return false;
    job->barrier = barrier;
    job->batch = ++w->batch[lane]; // the copies from here on are not meant
    if (s && !s->threads[ptxm_thread(w, lane)].copy_agent)
        s->threads[ptxm_thread(w, lane)].copy_agent = ptxm_agent_create(w->cta) + 1;
    return issued(w, job);
}
