// SPDX-License-Identifier: MIT
// Which phases of mbarriers threads have seen, and what nobody may miss, whatever the schedule.
//
// A wait names a phase by its parity only, so a thread may ask for the current phase or the one
// before. What it means is told by what it knows: of K phases it knows that they are complete (its
// knowledge of the mbarrier's agent); one parity is that of phase K - 1, which it would ask for
// again, the other one that of phase K. When the mbarrier is further on than that allows, the
// parity is that of another phase, and the wait is reported.
//
// Whether this comes about in the run at hand does not matter: a wait that has seen a phase must
// lie before the completion of the next one, that is, some arrival of the next phase must be
// ordered behind it. So waits are kept until the next phase completes, and looked up in what its
// arrivals knew. Likewise an expect_tx must lie before some arrival of its phase, or all arrivals
// may come first and the phase may complete without the bytes.
//
// Order is meant here, not order of memory: lanes that have looked at once (unless the letter is
// asked), lanes that have met in a shuffle or a matrix instruction, and the warps that have issued
// a product that is over, are behind each other's waits. That is told by tickets of an agent of
// each warp, which no rule about memory asks for.
#include "mbarrier.h"

#include <stdio.h>

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Phases of the mbarrier that the lane knows to be complete.
static uint32_t phases_known(const struct warp *w, unsigned lane, const struct mbarrier *b)
{
    const struct shadow *s = w->cta->shadow;
    const struct knowledge *know = s->threads[ptxm_thread(w, lane)].know;
    uint32_t cta = b->home->index, n = b->first_phase;
    n = larger(n, ptxm_known_tickets(know, cta, b->agent));
    n = larger(n, ptxm_known_tickets(s->base, cta, b->agent));
    n = larger(n, ptxm_known_tickets(know, cta, b->seen_agent));
    return larger(n, ptxm_known_tickets(s->base, cta, b->seen_agent));
}

static struct place place_of(const struct mbarrier *b, const struct warp *w)
{
    return (struct place){.space = SPACE_SHARED, .address = b->address,
                          .owner = b->home == w->cta ? NULL : b->home};
}

// ---- waits --------------------------------------------------------------------------------------

static void stale(struct warp *w, const struct op *op, unsigned lane, const struct mbarrier *b,
                  uint32_t known, uint32_t parity)
{
    struct place p = place_of(b, w);
    uint32_t knows = known - b->first_phase, now = b->phase - b->first_phase;
    if ((known & 1) == parity)
        ptxm_finding(w, op, lane, RULE_MBARRIER_STALE, &p, 8, ACCESS_BARRIER,
                     "%s: parity %u means phase %u for this thread, which has not seen it, and the "
                     "mbarrier is in phase %u", ptxm_rule_message(RULE_MBARRIER_STALE), parity,
                     knows, now);
    else
        ptxm_finding(w, op, lane, RULE_MBARRIER_STALE, &p, 8, ACCESS_BARRIER,
                     "%s: nothing tells this thread that phase %u is over, for which it does not "
                     "wait; parity %u is that of the phase before, and the mbarrier is in phase %u",
                     ptxm_rule_message(RULE_MBARRIER_STALE), knows, parity, now);
}

static void repeat(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b)
{
    const struct shadow *s = w->cta->shadow;
    struct repeated_wait fresh = {op, w->index, 1u << lane, s->generation, w->clock, b->phase,
                                  (uint32_t)s->operation_count};
    size_t kept = 0;
    for (size_t i = 0; i < b->repeated_count; i++) {
        struct repeated_wait *r = &b->repeated[i];
        if (r->warp == w->index && r->op == op && r->phase == b->phase) {
            r->lanes |= fresh.lanes;
            return;
        }
        if (r->phase + 2 > b->phase) // older ones are about nothing any more
            b->repeated[kept++] = *r;
    }
    b->repeated_count = kept;
    if (PTXM_GROW(b->home->grid->allocator, b->repeated, b->repeated_count, b->repeated_capacity))
        b->repeated[b->repeated_count++] = fresh;
}

void ptxm_phases_asked(struct warp *w, const struct op *op, uint32_t mask, uint32_t done,
                       struct mbarrier *const at[LANES])
{
    const struct shadow *s = w->cta->shadow;
    const uint32_t *parities = ptxm_src(w, op, 0);
    const struct knowledge *last = NULL;
    const struct mbarrier *of = NULL;
    uint32_t known = 0;
    if (!s)
        return;
    FOR_LANES (lane, mask) {
        struct mbarrier *b = at[lane];
        const struct knowledge *know = s->threads[ptxm_thread(w, lane)].know;
        if (b != of || know != last)
            known = phases_known(w, lane, b);
        of = b;
        last = know;
        uint32_t parity = parities[lane] & 1;
        bool again = (known & 1) != parity; // for the phase that it knows already
        if (b->phase - known >= (again ? 1 : 2))
            stale(w, op, lane, b, known, parity);
        else if (again && done >> lane & 1)
            repeat(w, op, lane, b);
    }
}

static void remember_partly(struct warp *w, struct mbarrier *b)
{
    for (uint32_t i = 0; i < w->partly_count; i++)
        if (w->partly[i] == b)
            return;
    if (w->partly_count < sizeof w->partly / sizeof *w->partly)
        w->partly[w->partly_count++] = b;
}

void ptxm_phases_seen(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes)
{
    const struct shadow *s = w->cta->shadow;
    struct watcher fresh = {op, w->index, lanes, 0, w->clock, w->meetings};
    size_t kept = 0;
    if (!s)
        return;
    fresh.generation = s->generation;
    // What comes later in a thread stands for what came before.
    for (size_t i = 0; i < b->watcher_count; i++) {
        struct watcher *x = &b->watchers[i];
        if (x->warp == w->index)
            x->lanes &= ~lanes;
        if (x->lanes)
            b->watchers[kept++] = *x;
    }
    b->watcher_count = kept;
    w->watches = true;
    if (lanes != w->live)
        remember_partly(w, b);
    if (PTXM_GROW(b->home->grid->allocator, b->watchers, b->watcher_count, b->watcher_capacity))
        b->watchers[b->watcher_count++] = fresh;
}

// ---- lanes and warps that meet ------------------------------------------------------------------

void ptxm_phases_meet(struct warp *w)
{
    struct cta *cta = w->cta;
    w->watches = false;
    if (!cta->shadow)
        return;
    if (!w->meeting_agent)
        w->meeting_agent = ptxm_agent_create(cta) + 1;
    w->meetings++;
    ptxm_agent_learn(w, w->live, cta, w->meeting_agent - 1, w->meetings);
    for (uint32_t i = 0; i < w->partly_count; i++) {
        const struct mbarrier *b = w->partly[i];
        uint32_t known = 0;
        FOR_LANES (lane, w->live)
            known = larger(known, phases_known(w, lane, b));
        ptxm_agent_learn(w, w->live, b->home, b->seen_agent, known);
    }
    w->partly_count = 0;
}

void ptxm_phases_meet_warp(struct warp *w, const struct warp *other, uint32_t tickets)
{
    if (other->meeting_agent)
        ptxm_agent_learn(w, w->live, w->cta, other->meeting_agent - 1, tickets);
}

// ---- arrivals -----------------------------------------------------------------------------------

void ptxm_phases_arrived(struct warp *w, const struct op *op, struct mbarrier *b, uint32_t lanes)
{
    struct shadow *s = w->cta->shadow;
    b->visited |= w->cta != b->home;
    if (!s || op->sem == SEM_RELEASE || !(b->watcher_count + b->expected_count))
        return;
    FOR_LANES (lane, lanes) {
        struct knowledge *told = ptxm_clock_message(
            w, 1u << lane, s->threads[ptxm_thread(w, lane)].know, s->generation, w->clock);
        ptxm_knowledge_absorb(s->allocator, &b->order, told);
        ptxm_knowledge_free(s->allocator, told);
    }
    w->clock++; // what the lanes do next is not behind this
}

void ptxm_phases_expected(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b)
{
    const struct shadow *s = w->cta->shadow;
    if (s && PTXM_GROW(b->home->grid->allocator, b->expected, b->expected_count,
                       b->expected_capacity))
        b->expected[b->expected_count++] = (struct expectation){
            op, w->cta, ptxm_thread(w, lane), s->generation, w->clock};
}

// ---- completion ---------------------------------------------------------------------------------

// Whether some arrival of the current phase is ordered behind this.
static bool behind(const struct mbarrier *b, uint32_t cta, uint32_t generation, uint32_t thread,
                   uint32_t clock)
{
    return ptxm_knows(b->now.near, cta, generation, thread, clock) ||
           ptxm_knows(b->order, cta, generation, thread, clock) ||
           ptxm_knows(b->now.far, cta, generation, thread, clock) ||
           ptxm_knows(b->now.lost, cta, generation, thread, clock);
}

// Whether some arrival may come behind this by way of a copy: who sees a copy arrive is behind its
// issue, though not in memory.
static bool sent(const struct cta *by, uint32_t generation, uint32_t thread, uint32_t clock)
{
    return ptxm_knows(by->shadow->sent, by->index, generation, thread, clock);
}

// Lanes that have looked in one instruction have looked together, as long as the letter is not
// asked: it lets them come one by one. So all are behind where one is.
static int missing_lane(const struct mbarrier *b, const struct watcher *x)
{
    int missing = -1;
    FOR_LANES (lane, x->lanes) {
        uint32_t thread = x->warp * LANES + lane;
        bool known = behind(b, b->home->index, x->generation, thread, x->clock) ||
                     sent(b->home, x->generation, thread, x->clock);
        if (known && !b->home->grid->options.strict)
            return -1;
        if (!known && missing < 0)
            missing = (int)lane;
    }
    return missing;
}

static bool met(const struct mbarrier *b, const struct watcher *x)
{
    uint32_t agent = b->home->warps[x->warp].meeting_agent, cta = b->home->index;
    return agent && (ptxm_knows_agent(b->now.near, cta, agent - 1, x->ticket) ||
                     ptxm_knows_agent(b->order, cta, agent - 1, x->ticket) ||
                     ptxm_knows_agent(b->home->shadow->sent, cta, agent - 1, x->ticket));
}

static void missed(const struct mbarrier *b, const struct watcher *x, unsigned lane)
{
    struct warp *w = &b->home->warps[x->warp];
    struct place p = place_of(b, w);
    uint32_t phase = b->phase - b->first_phase;
    char text[32] = "the phase before the first";
    if (phase)
        snprintf(text, sizeof text, "phase %u", phase - 1);
    ptxm_finding(w, x->op, lane, RULE_MBARRIER_SKIPPED, &p, 8, ACCESS_BARRIER,
                 "a thread waits for %s, and no arrival of phase %u (the last one at line %u) is "
                 "ordered behind that: phase %u may be over before the thread has looked, and then "
                 "the parity means another phase", text, phase, b->last->line, phase);
}

static void late(const struct mbarrier *b, const struct expectation *e)
{
    struct warp *w = &((struct cta *)(uintptr_t)e->cta)->warps[e->thread / LANES];
    struct place p = place_of(b, w);
    ptxm_finding(w, e->op, e->thread % LANES, RULE_MBARRIER_EARLY, &p, 8, ACCESS_BARRIER,
                 "%s: no arrival of the phase is ordered behind this expect_tx (the last one is at "
                 "line %u)", ptxm_rule_message(RULE_MBARRIER_EARLY), b->last->line);
}

void ptxm_phases_complete(struct mbarrier *b)
{
    for (size_t i = 0; i < b->watcher_count; i++) {
        const struct watcher *x = &b->watchers[i];
        int lane = met(b, x) ? -1 : missing_lane(b, x);
        if (lane >= 0)
            missed(b, x, (unsigned)lane);
    }
    for (size_t i = 0; i < b->expected_count; i++) {
        const struct expectation *e = &b->expected[i];
        if (!behind(b, e->cta->index, e->generation, e->thread, e->clock) &&
            !(b->visited && sent(e->cta, e->generation, e->thread, e->clock)))
            late(b, e);
    }
    b->watcher_count = b->expected_count = 0;
    b->visited = false;
    ptxm_knowledge_free(b->home->grid->allocator, b->order);
    b->order = NULL;
}

// Bytes that were expected behind the last arrival that there ever was.
void ptxm_phases_at_exit(struct mbarrier *b)
{
    if (b->live && b->pending == b->count && b->expected_count)
        late(b, &b->expected[0]);
}

void ptxm_phases_forget(struct mbarrier *b)
{
    b->watcher_count = b->repeated_count = b->expected_count = 0;
    b->visited = false;
    ptxm_knowledge_free(b->home->grid->allocator, b->order);
    b->order = NULL;
}

void ptxm_phases_free(struct mbarrier *b)
{
    struct allocator *a = b->home->grid->allocator;
    ptxm_phases_forget(b);
    ptxm_free(a, b->watchers);
    ptxm_free(a, b->repeated);
    ptxm_free(a, b->expected);
}

// ---- races --------------------------------------------------------------------------------------

static bool not_later(uint32_t generation, uint32_t clock, uint32_t than_generation,
                      uint32_t than_clock)
{
    return generation < than_generation || (generation == than_generation && clock <= than_clock);
}

void ptxm_phases_explain(struct warp *w, const struct op *op, uint32_t thread, uint32_t generation,
                         uint32_t clock, const struct cta *issuer, uint32_t operation,
                         bool issued_before)
{
    const struct async_operation *o = &issuer->shadow->operations[operation];
    struct mbarrier *b = o->barrier;
    if (!b || b->home != w->cta)
        return;
    const struct async_end *end = &o->end[ASYNC_WRITES];
    uint32_t phase = end->agent == NO_AGENT ? b->phase : end->ticket;
    for (size_t i = 0; i < b->repeated_count; i++) {
        const struct repeated_wait *r = &b->repeated[i];
        bool first = phase == b->first_phase; // no phase at all is complete
        bool in_flight = issued_before && issuer == w->cta && operation < r->operations;
        if (r->phase != phase || r->warp != thread / LANES || !(r->lanes >> thread % LANES & 1) ||
            !(first || in_flight) || !not_later(r->generation, r->clock, generation, clock))
            continue;
        struct place p = place_of(b, w);
        ptxm_finding(w, r->op, thread % LANES, RULE_MBARRIER_STALE, &p, 8, ACCESS_BARRIER,
                     "%s: what is touched at line %u comes with phase %u (issued at line %u), and "
                     "this wait was answered before that was complete, for %s",
                     ptxm_rule_message(RULE_MBARRIER_STALE), op->line, phase - b->first_phase,
                     o->op->line, first ? "a phase before the first one" : "the phase before");
        return;
    }
}
