// SPDX-License-Identifier: MIT
// A cluster: its CTAs, whose turn it is, and what happens when nobody can go on.
//
// The CTAs of a cluster run interleaved on one CPU thread; without clusters each CTA is a cluster
// of its own. A round gives every warp a turn. When a round did nothing but wait, asynchronous work
// completes (engine.c), barriers that the hardware would let pass are forced, waits with a time
// limit run into it; and when none of that helps, the cluster is deadlocked.
#include "engine.h"
#include "mbarrier.h"
#include "schedule.h"
#include "shadow.h"

#include <stdio.h>
#include <string.h>

enum { POLLS_BEFORE_YIELD = 512 };
// Rounds in which nothing happened but waiting, until that counts as a deadlock: where waits are
// all that is executed, and where threads do other things between (read a clock, sleep).
enum { IDLE_ROUNDS = 2000, IDLE_ROUNDS_BETWEEN = 20000, ROUNDS_OF_A_TIME_LIMIT = 64 };

struct cluster *ptxm_cluster_create(struct grid *grid, uint64_t index)
{
    struct cluster *c = ptxm_alloc_zero(grid->allocator, sizeof *c);
    const uint32_t *dims = grid->cluster_dims;
    uint32_t x = grid->dims[0] / dims[0], y = grid->dims[1] / dims[1];
    if (!c)
        return NULL;
    c->grid = grid;
    c->index = (uint32_t)index;
    c->id[0] = (uint32_t)(index % x);
    c->id[1] = (uint32_t)(index / x % y);
    c->id[2] = (uint32_t)(index / x / y);
    c->random = grid->options.seed * 0x9e3779b97f4a7c15 + index + 1;
    c->count = dims[0] * dims[1] * dims[2];
    for (uint32_t rank = 0; rank < c->count; rank++)
        if (!(c->ctas[rank] = ptxm_cta_create(c, rank))) {
            ptxm_cluster_free(c);
            return NULL;
        }
    return c;
}

void ptxm_cluster_free(struct cluster *c)
{
    struct allocator *a = c->grid->allocator;
    ptxm_engine_free(c);
    for (uint32_t rank = 0; rank < c->count; rank++)
        if (c->ctas[rank])
            ptxm_cta_free(c->ctas[rank]);
    ptxm_knowledge_free(a, c->barrier.released);
    ptxm_knowledge_free(a, c->barrier.done);
    ptxm_free(a, c);
}

// ---- deadlock -----------------------------------------------------------------------------------

static size_t mbarrier_text(const struct warp *w, const struct fragment *f, char *out, size_t size)
{
    const struct mbarrier *b = f->awaits;
    uint64_t offset;
    const char *name = ptxm_cta_object(b->home, SPACE_SHARED, b->address, &offset);
    uint32_t phase = b->phase - b->first_phase;
    char alias[96] = "";
    if (f->by_parity && phase >= 2)
        snprintf(alias, sizeof alias,
                 " (if phase %u is meant: it is over, and its parity comes again)", phase - 2);
    int n = snprintf(out, size,
                     "; warp %u lanes 0x%08x wait for the mbarrier %s+%llu, %s %u, which is in "
                     "phase %u (line %u): %u of %u arrivals and %d bytes are missing%s",
                     w->index, f->mask, name ? name : "shared", (unsigned long long)offset,
                     f->by_parity ? "parity" : "phase",
                     f->by_parity ? f->phase : f->phase - b->first_phase, phase, f->asked->line,
                     b->pending, b->count, b->bytes, alias);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static size_t wait_text(const struct warp *w, const struct fragment *f, char *out, size_t size)
{
    const struct op *op = &w->cta->grid->module->ops[f->pc];
    int n;
    if (f->awaits && (f->state == FRAGMENT_READY || f->state == FRAGMENT_MBARRIER))
        return mbarrier_text(w, f, out, size);
    if (f->state == FRAGMENT_CLUSTER)
        n = snprintf(out, size, "; warp %u lanes 0x%08x wait at the barrier of the cluster "
                     "(line %u)", w->index, f->mask, op->line);
    else if (f->state == FRAGMENT_BARRIER)
        n = snprintf(out, size, "; warp %u lanes 0x%08x wait at barrier %u (line %u)", w->index,
                     f->mask, f->wait, op->line);
    else if (f->state == FRAGMENT_WARPGROUP)
        n = snprintf(out, size, "; warp %u waits for warps of its warpgroup, mask 0x%x (line %u)",
                     w->index, f->wait, op->line);
    else
        n = snprintf(out, size, "; warp %u lanes 0x%08x wait for lanes of mask 0x%08x (line %u)",
                     w->index, f->mask, f->wait, op->line);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

void ptxm_cta_report_deadlock(struct cta *cta)
{
    char text[600] = "";
    size_t used = 0;
    struct warp *first = NULL;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        gone += w->fragment_count == 0;
        for (uint32_t k = 0; k < w->fragment_count && used + 120 < sizeof text; k++) {
            first = first ? first : w;
            used += wait_text(w, &w->fragments[k], text + used, sizeof text - used);
        }
    }
    if (!first)
        return;
    const struct fragment *f = &first->fragments[0];
    const struct op *at = f->awaits ? f->asked : &cta->grid->module->ops[f->pc];
    ptxm_finding(first, at, (unsigned)__builtin_ctz(f->mask), RULE_DEADLOCK, NULL, 0, ACCESS_READ,
                 "%s%s; %u warps have exited", ptxm_rule_message(RULE_DEADLOCK), text, gone);
}

// ---- running ------------------------------------------------------------------------------------

// A CTA whose warps have all exited is not over the budget: who starts after it is, and says where.
static bool over_budget(struct cta *cta)
{
    struct grid *grid = cta->grid;
    uint64_t fresh = cta->counters.warp_instructions - cta->steps;
    cta->steps = cta->counters.warp_instructions;
    if (atomic_fetch_add(&grid->steps, fresh) + fresh <= grid->options.instruction_budget)
        return false;
    // Where it is: at an instruction of a warp that runs, or behind the last one.
    struct warp *w = cta->warps;
    uint32_t pc = grid->kernel->first_op + grid->kernel->op_count - 1, lane = 0;
    for (uint32_t i = 0; i < cta->warp_count; i++)
        if (cta->warps[i].fragment_count) {
            w = &cta->warps[i];
            pc = w->fragments[0].pc;
            lane = (uint32_t)__builtin_ctz(w->fragments[0].mask | 1u << 31);
            break;
        }
    ptxm_finding(w, &grid->module->ops[pc], lane, RULE_BUDGET, NULL, 0, ACCESS_READ, "%s",
                 ptxm_rule_message(RULE_BUDGET));
    return true;
}

struct round {
    bool moved;   // some warp did something
    bool busy;    // some thread ran that does not wait for a phase
    bool between; // some that do ran on after they had asked in vain
    bool done;    // all warps have exited
};

// All that runs in this warp has asked for a phase and not got it yet.
static bool awaits(const struct warp *w)
{
    for (uint32_t i = 0; i < w->fragment_count; i++)
        if (w->fragments[i].state == FRAGMENT_READY && !w->fragments[i].awaits)
            return false;
    return true;
}

static void round_of_warps(struct cta *cta, struct round *r)
{
    struct round_order order = ptxm_schedule_round(cta);
    uint64_t left = cta->grid->options.instruction_budget;
    cta->progress = cta->stirred = false;
    for (uint32_t i = 0; i < cta->warp_count && !cta->aborted; i++) {
        uint32_t number = (order.start + i * order.stride) % cta->warp_count;
        struct warp *w = &cta->warps[number];
        uint64_t quantum = ptxm_schedule_quantum(cta, number);
        w->asked = false;
        bool ran = w->fragment_count && ptxm_warp_run(w, quantum < left ? quantum : left);
        w->moved |= ran;
        r->moved |= ran;
        r->busy |= ran && !w->asked && !awaits(w);
        r->between |= ran && !w->asked;
        r->done &= !w->fragment_count;
    }
    r->moved |= cta->progress;
    r->busy |= cta->progress || cta->stirred;
}

static struct round round_of_ctas(struct cluster *c)
{
    struct round r = {.done = true};
    uint32_t start = c->grid->options.seed ? (uint32_t)(ptxm_random(&c->random) % c->count) : 0;
    for (uint32_t i = 0; i < c->count && !c->aborted; i++) {
        struct cta *cta = c->ctas[(start + i) % c->count];
        round_of_warps(cta, &r);
        c->aborted |= cta->aborted || over_budget(cta);
    }
    return r;
}

static void begin_turn(struct cluster *c)
{
    for (uint32_t rank = 0; rank < c->count; rank++) {
        struct cta *cta = c->ctas[rank];
        cta->polls = 0;
        cta->changed = false;
        for (uint32_t i = 0; i < cta->warp_count; i++)
            cta->warps[i].moved = cta->warps[i].polled = false;
    }
}

static void end_turn(struct cluster *c)
{
    for (uint32_t rank = 0; rank < c->count; rank++) {
        struct cta *cta = c->ctas[rank];
        for (uint32_t i = 0; i < cta->warp_count; i++)
            cta->changed |= cta->warps[i].moved && !cta->warps[i].polled;
    }
}

// Threads in try_wait give up for this time: it has a limit, and they may have else to do.
static bool time_out(struct cluster *c)
{
    bool any = false;
    for (uint32_t rank = 0; rank < c->count; rank++)
        for (uint32_t i = 0; i < c->ctas[rank]->warp_count; i++) {
            struct warp *w = &c->ctas[rank]->warps[i];
            for (uint32_t k = 0; k < w->fragment_count; k++) {
                struct fragment *f = &w->fragments[k];
                if (f->state != FRAGMENT_MBARRIER)
                    continue;
                f->state = FRAGMENT_READY;
                f->timeout = any = true;
            }
        }
    return any;
}

static bool force_barriers(struct cluster *c)
{
    bool forced = false;
    for (uint32_t rank = 0; rank < c->count; rank++) forced |= ptxm_barrier_force(c->ctas[rank]);
    return forced;
}

// A round did nothing but wait. False: nothing will ever happen.
static bool end_idleness(struct cluster *c, const struct round *r)
{
    uint64_t limit = r->between ? IDLE_ROUNDS_BETWEEN : IDLE_ROUNDS;
    c->idle_rounds++;
    if (ptxm_engine_step(c)) {
        c->idle_rounds = 0;
        return true;
    }
    bool helped = c->idle_rounds % ROUNDS_OF_A_TIME_LIMIT == 0 && time_out(c);
    if (c->idle_rounds < limit && (r->moved || helped || force_barriers(c) || time_out(c)))
        return true;
    for (uint32_t rank = 0; rank < c->count; rank++) ptxm_cta_report_deadlock(c->ctas[rank]);
    return false;
}

static uint64_t polls(const struct cluster *c)
{
    uint64_t most = 0;
    for (uint32_t rank = 0; rank < c->count; rank++)
        most = c->ctas[rank]->polls > most ? c->ctas[rank]->polls : most;
    return most;
}

// Until the end, or until others should run: a cluster that polls may wait for another one.
enum cta_state ptxm_cluster_run(struct cluster *c)
{
    begin_turn(c);
    c->aborted |= over_budget(c->ctas[0]);
    while (!c->aborted) {
        struct round r = round_of_ctas(c);
        if (c->aborted || atomic_load_explicit(&c->grid->abort, memory_order_relaxed))
            break;
        if (r.done) {
            while (ptxm_engine_step(c)) {
            }
            return CTA_DONE;
        }
        if (r.busy)
            c->idle_rounds = 0;
        else if (!end_idleness(c, &r))
            break;
        if (polls(c) > POLLS_BEFORE_YIELD) {
            if (ptxm_engine_step(c))
                c->ctas[0]->changed = true;
            end_turn(c);
            return CTA_YIELD;
        }
    }
    atomic_store(&c->grid->abort, true);
    for (uint32_t rank = 0; rank < c->count; rank++) c->ctas[rank]->aborted = true;
    return CTA_DONE;
}
