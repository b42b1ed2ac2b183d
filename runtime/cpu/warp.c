// SPDX-License-Identifier: MIT
// One warp: choosing the fragment to run, merging fragments, and the interpreter's loop.
//
// Among fragments that can run the deepest call goes first, then the smallest order (flow.c), so
// that lanes meet again where their paths join. A fragment that has run long while others could is
// set aside: lanes that spin until another lane of their warp writes get the write they wait for.
#include "engine.h"
#include "mbarrier.h"
#include "profile.h"

#include <string.h>

enum { FAIR_STEPS = 2000 };

void ptxm_warp_init(struct warp *w)
{
    w->live = w->present;
    w->fragments[0] = (struct fragment){.pc = w->cta->grid->kernel->first_op, .mask = w->present};
    w->fragment_count = 1;
    w->clock = 1;
}

// Fragments at one instruction and one depth become one.
static void merge(struct warp *w)
{
    for (uint32_t i = 0; i < w->fragment_count; i++) {
        struct fragment *f = &w->fragments[i];
        if (f->state != FRAGMENT_READY && f->state != FRAGMENT_CONVERGE)
            continue;
        for (uint32_t k = i + 1; k < w->fragment_count;) {
            struct fragment *g = &w->fragments[k];
            if (g->pc == f->pc && g->depth == f->depth &&
                (g->state == FRAGMENT_READY || g->state == FRAGMENT_CONVERGE)) {
                f->mask |= g->mask;
                f->state = FRAGMENT_READY;
                *g = w->fragments[--w->fragment_count];
            } else {
                k++;
            }
        }
    }
}

static void drop_empty(struct warp *w)
{
    for (uint32_t i = 0; i < w->fragment_count;) {
        if (w->fragments[i].mask)
            i++;
        else
            w->fragments[i] = w->fragments[--w->fragment_count];
    }
}

static bool before(const struct op *ops, const struct fragment *a, const struct fragment *b)
{
    if (a->depth != b->depth)
        return a->depth > b->depth;
    if (ops[a->pc].order != ops[b->pc].order)
        return ops[a->pc].order < ops[b->pc].order;
    return a->pc < b->pc;
}

static struct fragment *pick(struct warp *w, bool oldest)
{
    const struct op *ops = w->cta->grid->module->ops;
    struct fragment *best = NULL;
    for (uint32_t i = 0; i < w->fragment_count; i++) {
        struct fragment *f = &w->fragments[i];
        if (f->state != FRAGMENT_READY)
            continue;
        if (!best || (oldest ? f->last_run < best->last_run : before(ops, f, best)))
            best = f;
    }
    return best;
}

static inline void blend32(uint32_t *d, const uint32_t *s, uint32_t mask)
{
    for (int i = 0; i < LANES; i++) d[i] = mask >> i & 1 ? s[i] : d[i];
}

static inline void blend64(uint64_t *d, const uint64_t *s, uint32_t mask)
{
    for (int i = 0; i < LANES; i++) d[i] = mask >> i & 1 ? s[i] : d[i];
}

void ptxm_warp_lane_masked(struct warp *w, const struct op *op, lane_fn *lane, uint32_t mask)
{
    uint64_t result[LANES * 2];
    void *d = ptxm_dst(w, op, 0);
    lane(result, ptxm_src(w, op, 0), ptxm_src(w, op, 1), ptxm_src(w, op, 2), op->immediate);
    if (op->dst_bytes == 4) {
        blend32(d, (const uint32_t *)(const void *)result, mask);
    } else if (op->dst_bytes == 8) {
        blend64(d, result, mask);
    } else if (op->dst_bytes == 0) {
        uint32_t fresh;
        memcpy(&fresh, result, 4);
        *(uint32_t *)d = (*(uint32_t *)d & ~mask) | (fresh & mask);
    } else {
        FOR_LANES (i, mask)
            memcpy((uint8_t *)d + 16 * i, result + 2 * i, 16);
    }
}

static inline void run_lane(struct warp *w, const struct op *op, uint32_t mask)
{
    if (mask == UINT32_MAX || (mask == w->live && op->dst_bytes))
        op->lane(ptxm_dst(w, op, 0), ptxm_src(w, op, 0), ptxm_src(w, op, 1), ptxm_src(w, op, 2),
                 op->immediate);
    else
        ptxm_warp_lane_masked(w, op, op->lane, mask);
}

// A collective op under a guard, or one that some lanes may pass, waits for its lanes only.
static void block(struct warp *w, struct fragment *f, uint32_t mask)
{
    uint32_t others = f->mask & ~mask;
    if (!others)
        return;
    struct fragment *g = &w->fragments[w->fragment_count++];
    *g = *f;
    f->mask = mask;
    g->mask = others;
    g->state = FRAGMENT_READY;
    g->pc = f->pc + 1;
}

static inline uint32_t guarded(const struct warp *w, const struct op *op, uint32_t mask)
{
    if (op->guard == OPERAND_NONE)
        return mask;
    uint32_t p = *(const uint32_t *)ptxm_operand(w, op->guard);
    return mask & (op->guard_negated ? ~p : p);
}

enum run_end { RUN_AGAIN, RUN_YIELD, RUN_STOP };

// Whether an instruction that has been tried is done: one that blocks is tried again, but for the
// barriers, whose end moves the fragment on.
static bool is_done(enum step_result result, const struct fragment *f)
{
    return result != STEP_BLOCK || f->state == FRAGMENT_BARRIER || f->state == FRAGMENT_WARP_SYNC;
}

static bool count_one(struct warp *w, const struct op *op, uint32_t mask,
                      const struct sample *sample)
{
    bool counted = ptxm_profile_count(w, op, mask, sample);
    if (!counted)
        ptxm_cta_out_of_memory(w->cta);
    return counted;
}

// The loop is made once for each: what a launch does not ask for costs it nothing.
enum loop_form { LOOP_PLAIN, LOOP_PROFILED, LOOP_NOTED };

static inline uint64_t lanes_in(uint32_t mask)
{
    return mask == UINT32_MAX ? LANES : (uint64_t)__builtin_popcount(mask);
}

static inline void note(const struct warp *w, enum loop_form form, const char *text)
{
    if (form == LOOP_NOTED)
        *w->cta->grid->options.running = text;
}

// Runs a fragment until it blocks, splits, ends, has to look for others, or the quantum is used up.
static inline __attribute__((always_inline)) enum run_end
run_loop(struct warp *w, struct fragment *f, uint64_t *left, enum loop_form form)
{
    struct sample sample;
    const struct op *ops = w->cta->grid->module->ops;
    struct ptxm_counters *counters = &w->cta->counters;
    bool alone = w->fragment_count == 1, profiled = form == LOOP_PROFILED;
    uint64_t start = alone || *left < FAIR_STEPS ? *left : FAIR_STEPS, room = start, lanes = 0;
    enum run_end end = RUN_STOP;
    bool first = true;
    w->current = f;
    while (room) {
        const struct op *op = &ops[f->pc];
        if (!alone && op->leader && !first) {
            end = RUN_AGAIN;
            break;
        }
        first = false;
        uint32_t mask = guarded(w, op, f->mask);
        --room;
        lanes += lanes_in(mask);
        note(w, form, op->text);
        if (profiled && (op->lane || !mask) && !count_one(w, op, mask, NULL))
            break;
        if (op->lane) {
            if (mask)
                run_lane(w, op, mask);
            f->pc++;
            continue;
        }
        if (!mask) {
            f->pc++;
            continue;
        }
        if (profiled)
            ptxm_profile_look(&sample, w, op, mask);
        enum step_result result = op->step(w, op, mask);
        if (profiled && is_done(result, f) && !count_one(w, op, mask, &sample))
            break;
        if (result == STEP_NEXT) {
            f->pc++;
        } else if (result == STEP_JUMP) {
            if (alone && w->fragment_count == 1)
                continue;
            end = RUN_AGAIN;
            break;
        } else if (result == STEP_YIELD) {
            f->pc++;
            end = RUN_YIELD;
            break;
        } else if (result == STEP_BLOCK) {
            // What is tried again is not counted twice.
            ++room;
            lanes -= lanes_in(mask);
            block(w, f, mask);
            end = RUN_AGAIN;
            break;
        } else if (result == STEP_EXIT) {
            end = RUN_AGAIN;
            break;
        } else {
            w->cta->aborted = true;
            break;
        }
    }
    note(w, form, NULL);
    if (!alone && !room && start == FAIR_STEPS)
        end = RUN_AGAIN;
    *left -= start - room;
    counters->warp_instructions += start - room;
    counters->lane_instructions += lanes;
    return end;
}

static enum run_end run_fragment(struct warp *w, struct fragment *f, uint64_t *left)
{
    const struct ptxm_launch_options *o = &w->cta->grid->options;
    if (w->cta->profile)
        return run_loop(w, f, left, LOOP_PROFILED);
    return o->running && o->threads == 1 ? run_loop(w, f, left, LOOP_NOTED)
                                         : run_loop(w, f, left, LOOP_PLAIN);
}

bool ptxm_warp_run(struct warp *w, uint64_t quantum)
{
    uint64_t left = quantum, before_run = quantum;
    // A turn may be shorter than what counts as long: it is counted on from turn to turn.
    uint64_t since = w->since;
    struct fragment *previous = w->previous;
    bool oldest = since > FAIR_STEPS;
    while (left && !w->cta->aborted) {
        if (w->fragment_count > 1) {
            drop_empty(w);
            merge(w);
        } else if (w->fragment_count && !w->fragments[0].mask) {
            w->fragment_count = 0;
        }
        struct fragment *f = pick(w, oldest);
        if (!f)
            break;
        if (oldest || f != previous)
            since = 0;
        oldest = false;
        previous = f;
        f->last_run = ++w->turn;
        uint64_t start = left;
        enum run_end end = run_fragment(w, f, &left);
        since += start - left;
        if (since > FAIR_STEPS)
            oldest = true;
        if (end == RUN_YIELD)
            break;
    }
    w->since = since;
    w->previous = previous;
    if (w->fragment_count > 1)
        drop_empty(w);
    else if (w->fragment_count && !w->fragments[0].mask)
        w->fragment_count = 0;
    if (w->copy_count && w->cta->grid->options.completion == PTXM_SEEDED)
        ptxm_async_some(w);
    if (w->cta->cluster->first_job && w->cta->grid->options.completion == PTXM_SEEDED)
        ptxm_engine_some(w->cta->cluster);
    if (w->flight && w->cta->grid->options.completion == PTXM_SEEDED)
        ptxm_wgmma_some(w);
    return left < before_run;
}

// The lanes that must execute a collective instruction together. A fragment that lacks some waits
// until merging brings them.
enum step_result ptxm_converge(struct warp *w, uint32_t mask, uint32_t need)
{
    need &= w->live;
    if ((need & ~mask) == 0) {
        if (w->watches && need == w->live)
            ptxm_phases_meet(w);
        return STEP_NEXT;
    }
    w->current->state = FRAGMENT_CONVERGE;
    w->current->wait = need;
    return STEP_BLOCK;
}
