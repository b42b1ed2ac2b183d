// SPDX-License-Identifier: MIT
// bar.sync, bar.arrive, bar.red, bar.warp.sync, fence.
//
// A barrier counts warps: one has arrived when all its live lanes have. Every generation has its
// own record; it ends when the count is reached, or, without a count, when every live thread of
// the CTA is there.
#include "shadow.h"

#include <string.h>

// ---- warp sync ----------------------------------------------------------------------------------

static void release_warp_sync(struct warp *w, uint32_t members)
{
    for (uint32_t i = 0; i < w->fragment_count; i++) {
        struct fragment *f = &w->fragments[i];
        if (f->state == FRAGMENT_WARP_SYNC && f->wait == members) {
            f->state = FRAGMENT_READY;
            f->pc++;
        }
    }
}

// True if the lanes of `members` that live are all here, or wait with the same mask.
static bool warp_sync_complete(struct warp *w, uint32_t members, uint32_t here)
{
    for (uint32_t i = 0; i < w->fragment_count; i++)
        if (w->fragments[i].state == FRAGMENT_WARP_SYNC && w->fragments[i].wait == members)
            here |= w->fragments[i].mask;
    return (members & w->live & ~here) == 0;
}

static void finish_warp_sync(struct warp *w, uint32_t members)
{
    w->cta->counters.warp_syncs++;
    if (w->cta->shadow)
        ptxm_clock_warp_sync(w, members & w->present);
    release_warp_sync(w, members);
}

enum step_result ptxm_step_warp_sync(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint32_t *named = ptxm_src(w, op, 0);
    uint32_t members = named[__builtin_ctz(mask)], others = 0;
    // Lanes that name others are another group, and come here by themselves.
    FOR_LANES (lane, mask)
        others |= (uint32_t)(named[lane] != members) << lane;
    if (others) {
        ptxm_split(w, others, w->current->pc);
        mask &= ~others;
    }
    FOR_LANES (lane, mask) {
        if (!(named[lane] >> lane & 1))
            ptxm_finding(w, op, lane, RULE_WARP_MASK, NULL, 0, ACCESS_READ,
                         "lane %u executes bar.warp.sync with mask 0x%08x, which does not name it",
                         lane, named[lane]);
    }
    if (warp_sync_complete(w, members, mask)) {
        finish_warp_sync(w, members);
        if (!others)
            return STEP_NEXT;
        w->current->pc++;
        return STEP_JUMP;
    }
    w->current->state = FRAGMENT_WARP_SYNC;
    w->current->wait = members;
    return STEP_BLOCK;
}

// ---- barriers -----------------------------------------------------------------------------------

static bool warp_arrived(const struct barrier *b, const struct warp *w)
{
    return w->live ? (w->live & ~b->lanes[w->index]) == 0 : b->lanes[w->index] != 0;
}

static bool complete(struct cta *cta, const struct barrier *b)
{
    uint32_t warps = 0;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        bool arrived = warp_arrived(b, &cta->warps[i]);
        if (!b->expected && cta->warps[i].live && !arrived)
            return false;
        warps += arrived;
    }
    return b->expected ? warps * LANES >= b->expected : warps > 0;
}

static void write_reduction(struct warp *w, const struct op *op, const struct barrier *b,
                            uint32_t mask)
{
    if (op->mode == BARRIER_SYNC || op->mode == BARRIER_ARRIVE)
        return;
    uint32_t *d = ptxm_dst(w, op, 0);
    if (op->mode == BARRIER_POPC) {
        FOR_LANES (lane, mask)
            d[lane] = b->popc;
        return;
    }
    bool value = op->mode == BARRIER_AND ? b->all : b->any;
    *d = value ? *d | mask : *d & ~mask;
}

static void release(struct cta *cta, struct barrier *b, uint32_t id)
{
    const struct op *ops = cta->grid->module->ops;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        for (uint32_t k = 0; k < w->fragment_count; k++) {
            struct fragment *f = &w->fragments[k];
            if (f->state != FRAGMENT_BARRIER || f->wait != id)
                continue;
            write_reduction(w, &ops[f->pc], b, f->mask);
            f->state = FRAGMENT_READY;
            f->pc++;
        }
    }
}

static void report_exited(struct cta *cta, struct barrier *b)
{
    if (b->expected || cta->exited_early_reported || cta->live_threads == cta->thread_count)
        return;
    struct warp *w = &cta->warps[b->first_thread / LANES];
    cta->exited_early_reported = true;
    ptxm_finding(w, b->first_op, b->first_thread % LANES, RULE_BARRIER_EXITED, NULL, 0, ACCESS_READ,
                 "%s: %u of %u are gone", ptxm_rule_message(RULE_BARRIER_EXITED),
                 cta->thread_count - cta->live_threads, cta->thread_count);
}

// Ends the generation if everyone is there.
void ptxm_barrier_check(struct cta *cta, uint32_t id)
{
    struct barrier *b = &cta->barriers[id];
    uint32_t waiting = 0;
    if (!b->active || !complete(cta, b))
        return;
    for (uint32_t i = 0; i < cta->warp_count; i++)
        waiting += (uint32_t)__builtin_popcount(b->waiting[i] & cta->warps[i].live);
    report_exited(cta, b);
    if (cta->shadow)
        ptxm_clock_barrier(cta, b, waiting == cta->live_threads);
    release(cta, b, id);
    cta->counters.barriers++;
    cta->progress = true;
    uint64_t generation = b->generation + 1;
    *b = (struct barrier){.generation = generation};
}

// A reduction takes part with its like only.
static bool mixed(const struct op *a, const struct op *b)
{
    bool reduces = a->mode >= BARRIER_POPC || b->mode >= BARRIER_POPC;
    return reduces && a->mode != b->mode;
}

static bool bad_barrier(struct warp *w, const struct op *op, unsigned lane, uint32_t id,
                        uint32_t count)
{
    uint32_t most = w->cta->warp_count * LANES;
    if (id >= MAX_BARRIERS) {
        ptxm_finding(w, op, lane, RULE_BARRIER_ID, NULL, 0, ACCESS_READ, "barrier %u: %s", id,
                     ptxm_rule_message(RULE_BARRIER_ID));
        return true;
    }
    struct barrier *b = &w->cta->barriers[id];
    if (count % LANES || count > most || (!count && op->mode == BARRIER_ARRIVE)) {
        ptxm_finding(w, op, lane, RULE_BARRIER_COUNT, NULL, 0, ACCESS_READ,
                     "barrier %u with a count of %u: it must be a multiple of 32, at most %u", id,
                     count, most);
        return true;
    }
    if (b->active && (b->expected ? b->expected : most) != (count ? count : most)) {
        ptxm_finding(w, op, lane, RULE_BARRIER_COUNT, NULL, 0, ACCESS_READ,
                     "barrier %u with a count of %u, while line %u waits with %u", id,
                     count ? count : most, b->first_op->line, b->expected ? b->expected : most);
        return true;
    }
    if (b->active && mixed(b->first_op, op)) {
        ptxm_finding(w, op, lane, RULE_BARRIER_MIXED, NULL, 0, ACCESS_READ,
                     "barrier %u: '%s' meets '%s' of line %u", id, op->text, b->first_op->text,
                     b->first_op->line);
        return true;
    }
    return false;
}

static void contribute(struct barrier *b, uint32_t predicate, uint32_t mask)
{
    b->popc += (uint32_t)__builtin_popcount(predicate & mask);
    b->all &= (predicate & mask) == mask;
    b->any |= (predicate & mask) != 0;
}

// Lanes that a guard keeps away go on by themselves.
static void part_from_others(struct warp *w, uint32_t mask)
{
    struct fragment *f = w->current;
    if (f->mask == mask)
        return;
    struct fragment *g = &w->fragments[w->fragment_count++];
    *g = *f;
    g->mask = f->mask & ~mask;
    g->pc = f->pc + 1;
    f->mask = mask;
}

enum step_result ptxm_step_barrier(struct warp *w, const struct op *op, uint32_t mask)
{
    struct cta *cta = w->cta;
    unsigned first = (unsigned)__builtin_ctz(mask);
    uint32_t id = ((const uint32_t *)ptxm_src(w, op, 0))[first];
    uint32_t count = ((const uint32_t *)ptxm_src(w, op, 1))[first];
    if (bad_barrier(w, op, first, id, count))
        return STEP_ABORT;
    if (op->flags & OPF_ALIGNED && !w->divergent_barrier &&
        ptxm_converge(w, mask, UINT32_MAX) == STEP_BLOCK)
        return STEP_BLOCK;
    struct barrier *b = &cta->barriers[id];
    if (b->lanes[w->index] & mask) {
        ptxm_finding(w, op, first, RULE_BARRIER_EXCESS, NULL, 0, ACCESS_READ,
                     "barrier %u: warp %u arrives twice in one generation", id, w->index);
        return STEP_ABORT;
    }
    if (!b->active) {
        uint64_t generation = b->generation;
        *b = (struct barrier){.active = true, .expected = count, .all = true, .first_op = op,
                              .first_thread = ptxm_thread(w, first), .generation = generation};
    }
    b->lanes[w->index] |= mask;
    if (op->mode != BARRIER_SYNC && op->mode != BARRIER_ARRIVE)
        contribute(b, *(const uint32_t *)ptxm_src(w, op, 2), mask);
    if (cta->shadow)
        ptxm_clock_arrive(cta, w, b, mask);
    if (op->mode == BARRIER_ARRIVE) {
        b->has_arrive_only = true;
        ptxm_barrier_check(cta, id);
        return STEP_NEXT;
    }
    part_from_others(w, mask);
    b->waiting[w->index] |= mask;
    w->current->state = FRAGMENT_BARRIER;
    w->current->wait = id;
    ptxm_barrier_check(cta, id);
    return w->current->state == FRAGMENT_READY ? STEP_JUMP : STEP_BLOCK;
}

static bool at_barrier(const struct op *ops, const struct fragment *f)
{
    return f->state == FRAGMENT_BARRIER ||
           (f->state == FRAGMENT_CONVERGE && ops[f->pc].step == ptxm_step_barrier);
}

// The CTA is stuck. Where all lanes of a warp stand at barriers, only not at the same one, the
// hardware would let them through: say so, and do the same.
bool ptxm_barrier_force(struct cta *cta)
{
    const struct op *ops = cta->grid->module->ops;
    bool forced = false;
    for (uint32_t i = 0; i < cta->warp_count; i++) {
        struct warp *w = &cta->warps[i];
        uint32_t apart = 0, here = 0;
        const struct fragment *one = NULL;
        for (uint32_t k = 0; k < w->fragment_count; k++) {
            const struct fragment *f = &w->fragments[k];
            here |= at_barrier(ops, f) ? f->mask : 0;
            if (f->state == FRAGMENT_CONVERGE && at_barrier(ops, f)) {
                apart |= f->mask;
                one = f;
            }
        }
        if (!apart || (w->live & ~here) || w->divergent_barrier)
            continue;
        ptxm_finding(w, &ops[one->pc], (unsigned)__builtin_ctz(one->mask), RULE_BARRIER_DIVERGENT,
                     NULL, 0, ACCESS_READ, "%s (lanes 0x%08x of 0x%08x are here)",
                     ptxm_rule_message(RULE_BARRIER_DIVERGENT), one->mask, w->live);
        w->divergent_barrier = true;
        forced = true;
        for (uint32_t k = 0; k < w->fragment_count; k++)
            if (w->fragments[k].state == FRAGMENT_CONVERGE)
                w->fragments[k].state = FRAGMENT_READY;
    }
    return forced;
}

// Lanes are gone: what waited for them may go on.
void ptxm_cta_lanes_exit(struct cta *cta, struct warp *w, uint32_t mask)
{
    cta->live_threads -= (uint32_t)__builtin_popcount(mask);
    for (uint32_t i = 0; i < w->fragment_count; i++) {
        struct fragment *f = &w->fragments[i];
        if (f->state == FRAGMENT_CONVERGE)
            f->state = FRAGMENT_READY;
        if (f->state == FRAGMENT_WARP_SYNC && warp_sync_complete(w, f->wait, 0))
            finish_warp_sync(w, f->wait);
    }
    for (uint32_t id = 0; id < MAX_BARRIERS; id++)
        if (cta->barriers[id].active)
            ptxm_barrier_check(cta, id);
    cta->stirred = true;
    ptxm_cluster_lanes_exit(cta, w, mask);
}

enum step_result ptxm_step_fence(struct warp *w, const struct op *op, uint32_t mask)
{
    if (w->cta->shadow)
        ptxm_clock_fence(w, mask, (enum scope)op->scope);
    if (w->cta->shadow)
        ptxm_clock_fence_sc(w, mask, op->mode);
    return STEP_NEXT;
}
