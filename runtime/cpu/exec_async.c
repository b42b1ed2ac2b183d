// SPDX-License-Identifier: MIT
// cp.async: copies between issue and completion, their groups, and when they land.
//
// A copy reads and writes its bytes at one moment between its issue and its wait: at once (eager),
// at the wait that needs it or at the thread's exit (late), or somewhere between, by seed. What the
// checker says does not depend on the moment: it follows issue and wait.
#include "engine.h"

#include <string.h>

static void land(struct warp *w, struct async_copy *copy)
{
    struct allocation *a = copy->valid ? ptxm_device_find(w->cta->grid->device, copy->from) : NULL;
    uint8_t bytes[16] = {0};
    if (a && a->host)
        memcpy(bytes, a->host + (copy->from - a->base), copy->valid);
    memcpy(copy->to, bytes, copy->bytes);
    copy->done = true;
}

void ptxm_async_complete(struct warp *w, unsigned lane, uint32_t groups)
{
    if (groups > w->group_done[lane])
        w->group_done[lane] = groups;
    for (size_t i = 0; i < w->copy_count; i++)
        if (w->copies[i].lane == lane && w->copies[i].group < groups && !w->copies[i].done)
            land(w, &w->copies[i]);
}

void ptxm_async_land_batch(struct warp *w, unsigned lane, uint32_t batches)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->copy_count; i++) {
        struct async_copy *c = &w->copies[i];
        bool over = c->lane == lane && c->batch < batches;
        if (over && !c->done)
            land(w, c);
        if (!over)
            w->copies[kept++] = *c;
    }
    w->copy_count = kept;
}

void ptxm_async_some(struct warp *w)
{
    for (size_t i = 0; i < w->copy_count; i++)
        if (!w->copies[i].done && (ptxm_random(&w->cta->random) & 3) == 0)
            land(w, &w->copies[i]);
}

static struct async_copy *issue(struct warp *w)
{
    if (!PTXM_GROW(w->cta->grid->allocator, w->copies, w->copy_count, w->copy_capacity)) {
        ptxm_cta_out_of_memory(w->cta);
        return NULL;
    }
    return &w->copies[w->copy_count++];
}

static uint64_t lane_address(const struct warp *w, const struct op *op, unsigned k, unsigned bytes,
                             unsigned lane)
{
    return bytes == 8 ? ((const uint64_t *)ptxm_src(w, op, k))[lane]
                      : ((const uint32_t *)ptxm_src(w, op, k))[lane];
}

// Sources: shared address, global address, source size.
static bool copy_lane(struct warp *w, const struct op *op, unsigned lane)
{
    uint32_t bytes = op->immediate, valid = ((const uint32_t *)ptxm_src(w, op, 2))[lane];
    uint64_t to = lane_address(w, op, 0, op->mode, lane) + (uint64_t)(int64_t)(int32_t)op->target;
    uint64_t from = lane_address(w, op, 1, op->type2, lane) + (uint64_t)op->displacement;
    if (valid > bytes) {
        ptxm_finding(w, op, lane, RULE_COPY_SIZE, NULL, bytes, ACCESS_COPY_READ,
                     "a source size of %u for a copy of %u bytes", valid, bytes);
        valid = bytes;
    }
    struct place d = ptxm_place(w, op, lane, SPACE_SHARED, to, bytes, bytes, ACCESS_COPY_WRITE);
    struct place s = {.host = NULL};
    if (valid)
        s = ptxm_place(w, op, lane, SPACE_GLOBAL, from, valid, bytes, ACCESS_COPY_READ);
    if (!d.host || (valid && !s.host))
        return true;
    if (w->cta->shadow) {
        if (valid)
            ptxm_shadow_access(w, op, lane, &s, valid, ACCESS_COPY_READ, NULL);
        ptxm_shadow_access(w, op, lane, &d, bytes, ACCESS_COPY_WRITE, NULL);
    }
    struct async_copy *copy = issue(w);
    if (!copy)
        return false;
    w->last_copy[lane] = op;
    w->last_copy_batch[lane] = w->batch[lane];
    *copy = (struct async_copy){.to = d.host, .from = from, .shared = to, .bytes = (uint8_t)bytes,
                                .valid = (uint8_t)valid, .lane = (uint8_t)lane,
                                .group = w->group_open[lane], .batch = w->batch[lane],
                                .op = op};
    if (w->cta->grid->options.completion == PTXM_EAGER) {
        land(w, copy);
        copy->done = true;
    }
    return true;
}

enum step_result ptxm_step_cp_async(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->counters.async_copies++;
    w->cta->changed = true;
    FOR_LANES (lane, mask)
        if (!copy_lane(w, op, lane))
            return STEP_ABORT;
    if (w->cta->grid->options.completion == PTXM_SEEDED)
        for (size_t i = 0; i < w->copy_count; i++)
            if (!w->copies[i].done && (ptxm_random(&w->cta->random) & 7) == 0)
                land(w, &w->copies[i]);
    return STEP_NEXT;
}

enum step_result ptxm_step_cp_commit(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask)
        w->group_batch[lane][w->group_open[lane]++ % 8] = ++w->batch[lane];
    return STEP_NEXT;
}

static void drop_waited(struct warp *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->copy_count; i++)
        if (w->copies[i].group >= w->group_done[w->copies[i].lane])
            w->copies[kept++] = w->copies[i];
    w->copy_count = kept;
}

// The batches that end with the group before `groups`. Beyond the last eight, all that is known
// is what was waited for before, unless batches and groups are the same.
static void wait_batches(struct warp *w, unsigned lane, uint32_t groups)
{
    uint32_t done = w->batch_done[lane], open = w->group_open[lane];
    if (w->batch[lane] == open)
        done = groups > done ? groups : done;
    else if (groups && open - groups < 8 && w->group_batch[lane][(groups - 1) % 8] > done)
        done = w->group_batch[lane][(groups - 1) % 8];
    w->batch_done[lane] = done;
}

enum step_result ptxm_step_cp_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    for (size_t i = 0; i < w->copy_count; i++) {
        const struct async_copy *c = &w->copies[i];
        if (mask >> c->lane & 1 && c->group == w->group_open[c->lane]) {
            ptxm_finding(w, op, c->lane, RULE_COPY_EMPTY_WAIT, NULL, c->bytes, ACCESS_COPY_WRITE,
                         "%s; the copy at line %u was never committed",
                         ptxm_rule_message(RULE_COPY_EMPTY_WAIT), c->op->line);
            break;
        }
    }
    FOR_LANES (lane, mask) {
        uint32_t open = w->group_open[lane];
        uint32_t groups = open > op->immediate ? open - op->immediate : 0;
        ptxm_async_complete(w, lane, groups);
        wait_batches(w, lane, groups);
        if (w->cta->shadow)
            ptxm_clock_wait_groups(w, lane);
    }
    w->clock++;
    drop_waited(w);
    return STEP_NEXT;
}

// All copies of the thread, committed or not.
enum step_result ptxm_step_cp_wait_all(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        w->group_batch[lane][w->group_open[lane]++ % 8] = w->batch_done[lane] = ++w->batch[lane];
        ptxm_async_complete(w, lane, w->group_open[lane]);
        if (w->cta->shadow)
            ptxm_clock_wait_groups(w, lane);
    }
    w->clock++;
    drop_waited(w);
    return STEP_NEXT;
}

// An arrival at an mbarrier will tell of the copy: others may wait for it when its thread is gone.
static bool announced(const struct warp *w, const struct async_copy *c)
{
    for (const struct engine_job *job = w->cta->cluster->first_job; job; job = job->next)
        if (job->kind == JOB_ARRIVAL && job->warp == w && job->lane == c->lane &&
            job->batch > c->batch)
            return true;
    return false;
}

// Threads exit: the copies that nobody is told of are findings, and over now.
void ptxm_async_at_exit(struct warp *w, uint32_t mask)
{
    uint32_t silent = 0;
    for (size_t i = 0; i < w->copy_count; i++) {
        const struct async_copy *c = &w->copies[i];
        if (mask >> c->lane & 1 && !announced(w, c))
            silent |= 1u << c->lane;
    }
    for (size_t i = 0; i < w->copy_count && silent; i++) {
        struct async_copy *c = &w->copies[i];
        if (!(silent >> c->lane & 1))
            continue;
        struct place p = {.space = SPACE_SHARED, .address = c->shared};
        if (!announced(w, c))
            ptxm_finding(w, c->op, c->lane, RULE_COPY_AT_EXIT, &p, c->bytes, ACCESS_COPY_WRITE,
                         "%s", ptxm_rule_message(RULE_COPY_AT_EXIT));
        if (!c->done)
            land(w, c);
        c->group = 0;
        w->group_done[c->lane] = UINT32_MAX;
    }
    drop_waited(w);
}
