// SPDX-License-Identifier: MIT
// mbarrier.arrive, arrive_drop, expect_tx, complete_tx, test_wait, try_wait, pending_count, and
// cp.async.mbarrier.arrive.
#include "engine.h"
#include "mbarrier.h"

// The state that an arrival returns: a mark, the pending count before it, the phase.
enum { STATE_MARK = 0xb5a };
static uint64_t make_state(const struct mbarrier *b)
{
    return (uint64_t)STATE_MARK << 52 | (uint64_t)b->pending << 32 | b->phase;
}

static void misuse(struct warp *w, const struct op *op, unsigned lane, const struct mbarrier *b,
                   enum rule rule, const char *what, uint32_t number)
{
    struct place p = {.space = SPACE_SHARED, .address = b->address,
                      .owner = b->home == w->cta ? NULL : b->home};
    ptxm_finding(w, op, lane, rule, &p, 8, ACCESS_BARRIER, "%s: %s %u", ptxm_rule_message(rule),
                 what, number);
}

// ---- arrivals -----------------------------------------------------------------------------------

// Puts what these lanes release where those may hear it who are in its scope. That operations are
// over is heard by all: completion needs no scope. By the letter of the ISA it does, like anything
// that one thread hands on to another.
static void release_to(struct warp *w, struct mbarrier *b, enum scope scope, struct knowledge *told)
{
    struct allocator *a = w->cta->grid->allocator;
    struct phase_knowledge *p = &b->now;
    if (b->home == w->cta)
        return ptxm_knowledge_absorb(a, &p->near, told);
    bool letter = w->cta->grid->options.strict;
    struct knowledge *agents = told && !letter ? ptxm_knowledge_agents(a, told) : NULL;
    ptxm_knowledge_absorb(a, scope >= SCOPE_CLUSTER ? &p->far : &p->lost, told);
    ptxm_knowledge_absorb(a, &p->near, agents);
    ptxm_knowledge_free(a, agents);
}

static void release(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes)
{
    struct shadow *s = w->cta->shadow;
    struct allocator *a = w->cta->grid->allocator;
    while (s && lanes) {
        unsigned first = (unsigned)__builtin_ctz(lanes);
        const struct thread_clock *t = &s->threads[ptxm_thread(w, first)];
        enum scope scope = (enum scope)op->scope;
        uint32_t same = 1u << first;
        struct knowledge *told = NULL;
        if (op->sem == SEM_RELEASE) {
            FOR_LANES (lane, lanes)
                same |= (uint32_t)(s->threads[ptxm_thread(w, lane)].know == t->know) << lane;
            told = ptxm_clock_message(w, same, t->know, s->generation, w->clock);
        } else if (t->fenced) {
            told = ptxm_clock_message(w, same, t->at_fence, t->fence_generation, t->fence_clock);
            scope = t->fence_scope < scope ? t->fence_scope : scope;
        }
        release_to(w, b, scope, told);
        ptxm_knowledge_free(a, told);
        lanes &= ~same;
    }
}

static void check_skipped(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b)
{
    if (b->phase - b->first_phase >= 2 && b->observed < b->phase - 1)
        misuse(w, op, lane, b, RULE_MBARRIER_SKIPPED, "arrival in phase",
               b->phase - b->first_phase);
}

// One lane's arrival of `count`. False: the run ends.
static bool arrive(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b,
                   uint32_t count)
{
    if (!count || count > MBARRIER_MAX || count > b->pending ||
        (op->mode & MBARRIER_NO_COMPLETE && count == b->pending)) {
        enum rule rule = !count || count > MBARRIER_MAX ? RULE_MBARRIER_COUNT
                                                        : RULE_MBARRIER_EXCESS;
        misuse(w, op, lane, b, rule,
               op->mode & MBARRIER_NO_COMPLETE ? "a .noComplete arrival of" : "an arrival of",
               count);
        return false;
    }
    check_skipped(w, op, lane, b);
    b->last = op;
    if (op->mode & MBARRIER_DROP)
        b->count -= count < b->count ? count : b->count;
    ptxm_mbarrier_arrive(b, count, NULL);
    if (!b->pending && b->bytes < 0)
        misuse(w, op, lane, b, RULE_MBARRIER_EARLY, "bytes that nobody expects yet:",
               (uint32_t)-b->bytes);
    return true;
}

static uint32_t lane_count(const struct warp *w, const struct op *op, unsigned lane)
{
    bool counted = !(op->mode & MBARRIER_EXPECT) && op->nsrc > 1;
    return counted ? ((const uint32_t *)ptxm_src(w, op, 0))[lane] : 1;
}

static struct mbarrier *barrier_of(struct warp *w, const struct op *op, unsigned lane)
{
    return ptxm_mbarrier_at(w, op, lane, (enum space)op->space, ptxm_address(w, op, lane));
}

// The mbarriers that the lanes name, mostly one for all of them. False after a finding.
static bool barriers_of(struct warp *w, const struct op *op, uint32_t mask,
                        struct mbarrier *at[LANES])
{
    struct mbarrier *last = NULL;
    uint64_t last_address = 0;
    FOR_LANES (lane, mask) {
        uint64_t address = ptxm_address(w, op, lane);
        if (last && address == last_address)
            ptxm_mbarrier_use(w, op, lane, at[lane] = last);
        else if (!(at[lane] = last = barrier_of(w, op, lane)))
            return false;
        last_address = address;
    }
    return true;
}

// Lanes that arrive at one mbarrier in one instruction release together.
enum step_result ptxm_step_mbarrier_arrive(struct warp *w, const struct op *op, uint32_t mask)
{
    uint32_t rest = mask;
    struct mbarrier *at[LANES];
    if (!barriers_of(w, op, mask, at))
        return STEP_ABORT;
    while (rest) {
        struct mbarrier *b = at[__builtin_ctz(rest)];
        uint32_t here = 0;
        FOR_LANES (lane, rest)
            here |= (uint32_t)(at[lane] == b) << lane;
        rest &= ~here;
        release(w, op, b, here);
        ptxm_phases_arrived(w, op, b, here);
        FOR_LANES (lane, here) {
            uint64_t state = make_state(b);
            if (op->mode & MBARRIER_EXPECT &&
                !ptxm_mbarrier_add_bytes(w, op, lane, b,
                                         ((const uint32_t *)ptxm_src(w, op, 0))[lane]))
                return STEP_ABORT;
            if (!arrive(w, op, lane, b, lane_count(w, op, lane)))
                return STEP_ABORT;
            if (op->ndst)
                ((uint64_t *)ptxm_dst(w, op, 0))[lane] = state;
        }
    }
    w->clock++;
    w->cta->stirred = w->cta->changed = true;
    return STEP_NEXT;
}

enum step_result ptxm_step_mbarrier_bytes(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        struct mbarrier *b = barrier_of(w, op, lane);
        uint32_t bytes = ((const uint32_t *)ptxm_src(w, op, 0))[lane];
        bool completes = op->mode & MBARRIER_COMPLETES;
        if (!b || !ptxm_mbarrier_add_bytes(w, op, lane, b, completes ? -(int64_t)bytes : bytes))
            return STEP_ABORT;
        if (!completes)
            ptxm_phases_expected(w, op, lane, b);
        ptxm_mbarrier_complete_bytes(b, 0, w->cta, 0); // the phase may be complete now
    }
    w->cta->stirred = w->cta->changed = true;
    return STEP_NEXT;
}

// ---- waits --------------------------------------------------------------------------------------

struct asked {
    uint32_t phase; // absolute, or a parity
    bool by_parity;
};

static struct asked question(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b)
{
    if (op->mode & MBARRIER_PARITY) {
        uint32_t parity = ((const uint32_t *)ptxm_src(w, op, 0))[lane];
        if (parity > 1)
            misuse(w, op, lane, b, RULE_MBARRIER_PHASE, "a parity is 0 or 1, this is", parity);
        return (struct asked){parity & 1, true};
    }
    uint64_t state = ((const uint64_t *)ptxm_src(w, op, 0))[lane];
    struct asked a = {(uint32_t)state, false};
    if (state >> 52 != STATE_MARK || a.phase < b->first_phase || a.phase > b->phase)
        misuse(w, op, lane, b, RULE_MBARRIER_PHASE,
               "the operand is no state of this mbarrier, which is in phase", b->phase);
    else if (b->phase > a.phase + 1)
        misuse(w, op, lane, b, RULE_MBARRIER_PHASE, "the state is older than the phase before",
               b->phase);
    return a;
}

static bool is_complete(const struct mbarrier *b, const struct asked *a)
{
    return a->by_parity ? (b->phase & 1) != a->phase : b->phase > a->phase;
}

// The lanes have seen that the phase before the current one is complete.
static void hear(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes)
{
    struct shadow *s = w->cta->shadow;
    const struct phase_knowledge *p = &b->before;
    if (b->phase > b->first_phase)
        b->observed = b->phase;
    ptxm_phases_seen(w, op, b, lanes);
    if (!s || !p->near)
        return;
    if (op->sem == SEM_ACQUIRE) {
        ptxm_clock_learn(w, lanes, p->near);
        if (op->scope >= SCOPE_CLUSTER)
            ptxm_clock_learn(w, lanes, p->far);
    } else {
        struct knowledge *agents = ptxm_knowledge_agents(s->allocator, p->near);
        ptxm_clock_learn(w, lanes, agents);
        ptxm_knowledge_free(s->allocator, agents);
    }
    FOR_LANES (lane, lanes) {
        struct thread_clock *t = &s->threads[ptxm_thread(w, lane)];
        if (op->sem != SEM_ACQUIRE)
            ptxm_knowledge_absorb(s->allocator, &t->pending, p->near);
        // What wider scopes would have told: kept to name the mistake.
        ptxm_knowledge_absorb(s->allocator, &t->missed, p->lost);
        if (op->scope < SCOPE_CLUSTER || op->sem != SEM_ACQUIRE)
            ptxm_knowledge_absorb(s->allocator, &t->missed, p->far);
    }
}

static enum step_result wait_on(struct warp *w, const struct op *op, uint32_t done,
                                struct mbarrier *first, const struct asked *asked)
{
    struct fragment *f = w->current;
    f->awaits = NULL;
    if (done) {
        f->timeout = false;
        return STEP_NEXT;
    }
    f->awaits = first;
    f->asked = op;
    f->phase = asked->phase;
    f->by_parity = asked->by_parity;
    w->asked = true;
    if (op->mode & MBARRIER_TRY && !f->timeout) {
        f->state = FRAGMENT_MBARRIER;
        return STEP_BLOCK;
    }
    f->timeout = false;
    w->polled = true;
    w->cta->polls++;
    return STEP_YIELD;
}

enum step_result ptxm_step_mbarrier_wait(struct warp *w, const struct op *op, uint32_t mask)
{
    struct mbarrier *at[LANES], *first = NULL;
    struct asked asked = {0};
    uint32_t done = 0, *d = ptxm_dst(w, op, 0);
    if (!barriers_of(w, op, mask, at))
        return STEP_ABORT;
    FOR_LANES (lane, mask) {
        struct asked a = question(w, op, lane, at[lane]);
        if (is_complete(at[lane], &a))
            done |= 1u << lane;
        else if (!first)
            first = at[lane], asked = a;
    }
    if (op->mode & MBARRIER_PARITY)
        ptxm_phases_asked(w, op, mask, done, at);
    for (uint32_t rest = done; rest;) {
        struct mbarrier *b = at[__builtin_ctz(rest)];
        uint32_t here = 0;
        FOR_LANES (lane, rest)
            here |= (uint32_t)(at[lane] == b) << lane;
        hear(w, op, b, here);
        rest &= ~here;
    }
    enum step_result result = wait_on(w, op, done, first, &asked);
    if (result != STEP_BLOCK)
        *d = (*d & ~mask) | done;
    return result;
}

enum step_result ptxm_step_mbarrier_pending(struct warp *w, const struct op *op, uint32_t mask)
{
    const uint64_t *state = ptxm_src(w, op, 0);
    FOR_LANES (lane, mask) {
        if (state[lane] >> 52 != STATE_MARK)
            ptxm_finding(w, op, lane, RULE_MBARRIER_PHASE, NULL, 8, ACCESS_BARRIER,
                         "the operand is no state that an arrival returned");
        ((uint32_t *)ptxm_dst(w, op, 0))[lane] = (uint32_t)(state[lane] >> 32) & MBARRIER_MAX;
    }
    return STEP_NEXT;
}

// ---- cp.async.mbarrier.arrive -------------------------------------------------------------------

// Arrives when the lane's earlier copies are done; releases those, and nothing else.
enum step_result ptxm_step_cp_async_arrive(struct warp *w, const struct op *op, uint32_t mask)
{
    FOR_LANES (lane, mask) {
        struct mbarrier *b = barrier_of(w, op, lane);
        if (!b)
            return STEP_ABORT;
        if (!(op->mode & MBARRIER_NO_INCREMENT)) {
            if (b->pending >= MBARRIER_MAX) {
                misuse(w, op, lane, b, RULE_MBARRIER_COUNT, "a pending count beyond", MBARRIER_MAX);
                return STEP_ABORT;
            }
            b->pending++;
        } else if (!b->pending) {
            misuse(w, op, lane, b, RULE_MBARRIER_EXCESS, "an arrival of", 1);
            return STEP_ABORT;
        }
        ptxm_phases_arrived(w, op, b, 1u << lane);
        if (w->cta->shadow)
            ptxm_clock_sent(w, lane);
        if (!ptxm_engine_add_arrival(w, op, lane, b))
            return STEP_ABORT;
    }
    w->cta->stirred = w->cta->changed = true;
    return STEP_NEXT;
}

// ---- fences -------------------------------------------------------------------------------------

enum step_result ptxm_step_fence_init(struct warp *w, const struct op *op, uint32_t mask)
{
    ptxm_mbarriers_fence_init(w, mask);
    return STEP_NEXT;
}

enum step_result ptxm_step_fence_proxy(struct warp *w, const struct op *op, uint32_t mask)
{
    if (w->cta->shadow)
        ptxm_clock_proxy_fence(w, mask, op->mode);
    return STEP_NEXT;
}

// fence.proxy.async::generic: one half by who has written, one by who issues what the async proxy
// does.
enum step_result ptxm_step_fence_half(struct warp *w, const struct op *op, uint32_t mask)
{
    if (!w->cta->shadow)
        return STEP_NEXT;
    if (op->sem == SEM_RELEASE)
        ptxm_clock_proxy_fence(w, mask, FENCES_RELEASED);
    ptxm_clock_fence(w, mask, (enum scope)op->scope);
    if (op->sem == SEM_ACQUIRE)
        ptxm_clock_proxy_acquire(w, mask);
    return STEP_NEXT;
}
