// SPDX-License-Identifier: MIT
// mbarrier objects: the table, counts and phases, what arrivals release and waiters hear.
#include "mbarrier.h"

#include <string.h>

enum { MBARRIER_BUCKETS = 64 };
struct mbarrier_table {
    struct mbarrier *buckets[MBARRIER_BUCKETS];
};

struct mbarrier *ptxm_mbarrier_find(struct cta *home, uint32_t address)
{
    struct mbarrier *b = home->mbarriers
                             ? home->mbarriers->buckets[address / 8 % MBARRIER_BUCKETS] : NULL;
    while (b && b->address != address) b = b->next;
    return b;
}

static struct mbarrier *make(struct cta *home, uint32_t address)
{
    struct allocator *a = home->grid->allocator;
    if (!home->mbarriers && !(home->mbarriers = ptxm_alloc_zero(a, sizeof *home->mbarriers)))
        return NULL;
    struct mbarrier **bucket = &home->mbarriers->buckets[address / 8 % MBARRIER_BUCKETS];
    struct mbarrier *b = ptxm_alloc_zero(a, sizeof *b);
    if (!b)
        return NULL;
    *b = (struct mbarrier){.home = home, .address = address, .next = *bucket,
                           .agent = ptxm_agent_create(home),
                           .seen_agent = ptxm_agent_create(home)};
    *bucket = b;
    return b;
}

static void forget(struct allocator *a, struct phase_knowledge *p)
{
    ptxm_knowledge_free(a, p->near);
    ptxm_knowledge_free(a, p->far);
    ptxm_knowledge_free(a, p->lost);
    *p = (struct phase_knowledge){0};
}

void ptxm_mbarriers_free(struct cta *cta)
{
    struct allocator *a = cta->grid->allocator;
    for (int i = 0; cta->mbarriers && i < MBARRIER_BUCKETS; i++)
        while (cta->mbarriers->buckets[i]) {
            struct mbarrier *b = cta->mbarriers->buckets[i];
            cta->mbarriers->buckets[i] = b->next;
            forget(a, &b->now);
            forget(a, &b->before);
            ptxm_phases_free(b);
            ptxm_free(a, b);
        }
    ptxm_free(a, cta->mbarriers);
    cta->mbarriers = NULL;
}

// ---- phases -------------------------------------------------------------------------------------

static void wake(struct cta *cta)
{
    for (uint32_t i = 0; i < cta->warp_count; i++)
        for (uint32_t k = 0; k < cta->warps[i].fragment_count; k++)
            if (cta->warps[i].fragments[k].state == FRAGMENT_MBARRIER)
                cta->warps[i].fragments[k].state = FRAGMENT_READY;
    cta->progress = true;
}

static void complete_phase(struct mbarrier *b)
{
    struct allocator *a = b->home->grid->allocator;
    ptxm_phases_complete(b);
    forget(a, &b->before);
    b->before = b->now;
    b->now = (struct phase_knowledge){0};
    b->phase++;
    b->pending = b->count;
    if (b->home->shadow) {
        struct clocks *agents = ptxm_clocks_new(a, b->agent + 1);
        if (agents)
            agents->v[b->agent] = b->phase;
        struct knowledge *over = ptxm_knowledge_single(
            a, (struct known){.cta = b->home->index, .agents = agents});
        ptxm_knowledge_absorb(a, &b->before.near, over);
        ptxm_knowledge_free(a, over);
    }
    wake(b->home);
}

static void settle(struct mbarrier *b)
{
    b->home->stirred = b->home->changed = true;
    while (b->live && !b->pending && !b->bytes) {
        complete_phase(b);
        if (!b->count) // all have dropped: phases would complete for ever
            break;
    }
}

void ptxm_mbarrier_complete_bytes(struct mbarrier *b, uint32_t bytes, struct cta *issuer,
                                  uint32_t operation)
{
    b->bytes -= (int32_t)bytes;
    ptxm_async_end(issuer, operation, ASYNC_WRITES, b->home, b->agent, b->phase);
    ptxm_async_end(issuer, operation, ASYNC_READS, b->home, b->agent, b->phase);
    settle(b);
}

void ptxm_mbarrier_arrive(struct mbarrier *b, uint32_t count, struct knowledge *know)
{
    if (know)
        ptxm_knowledge_absorb(b->home->grid->allocator, &b->now.near, know);
    b->pending -= count < b->pending ? count : b->pending;
    settle(b);
}

// ---- protocol -----------------------------------------------------------------------------------

static struct place place_of(const struct mbarrier *b, const struct warp *w)
{
    return (struct place){.host = b->home->shared + b->address, .space = SPACE_SHARED,
                          .address = b->address, .owner = b->home == w->cta ? NULL : b->home};
}

#define MISUSE(w, op, lane, b, rule, ...)                                                          \
    do {                                                                                           \
        struct place misused = place_of(b, w);                                                     \
        ptxm_finding(w, op, lane, rule, &misused, 8, ACCESS_BARRIER, __VA_ARGS__);                 \
    } while (0)

// The lane may use the barrier: something orders it behind the init.
static bool published(const struct warp *w, unsigned lane, const struct mbarrier *b)
{
    if (!w->cta->shadow || ptxm_clock_ordered(w, lane, b->home, b->init_generation, b->init_thread,
                                              b->init_clock))
        return true;
    return b->published_after && w->cta->cluster->barrier.generation >= b->published_after;
}

struct mbarrier *ptxm_mbarrier_at(struct warp *w, const struct op *op, unsigned lane,
                                  enum space space, uint64_t address)
{
    struct place p = ptxm_resolve(w, op, lane, space, address, 8, 8, ACCESS_BARRIER);
    if (!p.host)
        return NULL;
    if (p.space != SPACE_SHARED) {
        ptxm_finding(w, op, lane, RULE_MBARRIER_NONE, &p, 8, ACCESS_BARRIER,
                     "an mbarrier lives in shared memory");
        return NULL;
    }
    struct cta *home = p.owner ? p.owner : w->cta;
    struct mbarrier *b = ptxm_mbarrier_find(home, (uint32_t)p.address);
    if (!b || !b->live) {
        ptxm_finding(w, op, lane, RULE_MBARRIER_NONE, &p, 8, ACCESS_BARRIER, "%s%s",
                     ptxm_rule_message(RULE_MBARRIER_NONE),
                     b ? ": it has been invalidated" : ": nobody has initialised it");
        return NULL;
    }
    ptxm_mbarrier_use(w, op, lane, b);
    return b;
}

void ptxm_mbarrier_use(struct warp *w, const struct op *op, unsigned lane, struct mbarrier *b)
{
    if (!published(w, lane, b))
        MISUSE(w, op, lane, b, RULE_MBARRIER_UNPUBLISHED, "%s: it is made at line %u",
               ptxm_rule_message(RULE_MBARRIER_UNPUBLISHED), b->init->line);
    if (b->home != w->cta) {
        b->visit.op = op;
        b->visit.thread = ptxm_thread(w, lane);
        b->visit.rank = w->cta->rank;
        b->visit.phase = b->phase;
        b->visit.cluster_generation = w->cta->cluster->barrier.generation +
                                      (w->cluster_arrived >> lane & 1);
    }
}

bool ptxm_mbarrier_add_bytes(struct warp *w, const struct op *op, unsigned lane,
                             struct mbarrier *b, int64_t bytes)
{
    int64_t sum = b->bytes + bytes;
    if (sum > MBARRIER_MAX || sum < -MBARRIER_MAX || bytes > MBARRIER_MAX) {
        MISUSE(w, op, lane, b, RULE_MBARRIER_TX,
               "%s: %lld bytes here, %lld in all", ptxm_rule_message(RULE_MBARRIER_TX),
               (long long)bytes, (long long)sum);
        return false;
    }
    b->bytes = (int32_t)sum;
    return true;
}

void ptxm_mbarriers_at_exit(struct cta *cta)
{
    for (int i = 0; cta->mbarriers && i < MBARRIER_BUCKETS; i++)
        for (struct mbarrier *b = cta->mbarriers->buckets[i]; b; b = b->next) {
            ptxm_phases_at_exit(b);
            if (!b->visit.op ||
                ptxm_knows_agent(cta->known_at_exit, cta->index, b->agent, b->visit.phase) ||
                cta->cluster_waits > b->visit.cluster_generation)
                continue;
            struct cta *who = cta->cluster->ctas[b->visit.rank];
            struct warp *w = &who->warps[b->visit.thread / LANES];
            MISUSE(w, b->visit.op, b->visit.thread % LANES, b, RULE_PEER_EXIT, "%s: CTA %u,%u,%u",
                   ptxm_rule_message(RULE_PEER_EXIT), cta->id[0], cta->id[1], cta->id[2]);
        }
}

// ---- init and inval -----------------------------------------------------------------------------

static enum step_result init_lane(struct warp *w, const struct op *op, unsigned lane)
{
    uint32_t count = ((const uint32_t *)ptxm_src(w, op, 0))[lane];
    struct place p = ptxm_resolve(w, op, lane, (enum space)op->space, ptxm_address(w, op, lane), 8,
                                  8, ACCESS_BARRIER);
    if (!p.host || p.space != SPACE_SHARED || p.owner) {
        if (p.host)
            ptxm_finding(w, op, lane, RULE_MBARRIER_NONE, &p, 8, ACCESS_BARRIER,
                         "an mbarrier is made in the CTA's own shared memory");
        return STEP_ABORT;
    }
    struct mbarrier *b = ptxm_mbarrier_find(w->cta, (uint32_t)p.address);
    if (!b && !(b = make(w->cta, (uint32_t)p.address))) {
        ptxm_cta_out_of_memory(w->cta);
        return STEP_ABORT;
    }
    if (b->live)
        MISUSE(w, op, lane, b, RULE_MBARRIER_REINIT, "%s: it was made at line %u",
               ptxm_rule_message(RULE_MBARRIER_REINIT), b->init->line);
    if (!count || count > MBARRIER_MAX) {
        MISUSE(w, op, lane, b, RULE_MBARRIER_COUNT, "a count of %u: 1 to %u are legal", count,
               MBARRIER_MAX);
        return STEP_ABORT;
    }
    if (w->cta->shadow)
        ptxm_shadow_access(w, op, lane, &p, 8, ACCESS_BARRIER, NULL);
    forget(w->cta->grid->allocator, &b->now);
    forget(w->cta->grid->allocator, &b->before);
    ptxm_phases_forget(b);
    // Phases go on counting where a barrier is made anew: the agent's tickets only grow.
    b->phase += b->phase & 1;
    b->observed = b->phase;
    b->first_phase = b->phase;
    b->live = true;
    b->count = b->pending = count;
    b->bytes = 0;
    b->init = b->last = op;
    b->init_thread = ptxm_thread(w, lane);
    b->init_generation = w->cta->shadow ? w->cta->shadow->generation : 0;
    b->init_clock = w->clock;
    b->init_fenced = false;
    b->published_after = 0;
    memset(p.host, 0xff, 8);
    return STEP_NEXT;
}

enum step_result ptxm_step_mbarrier_init(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->stirred = w->cta->changed = true;
    FOR_LANES (lane, mask)
        if (init_lane(w, op, lane) != STEP_NEXT)
            return STEP_ABORT;
    return STEP_NEXT;
}

static bool awaited(const struct mbarrier *b)
{
    for (uint32_t i = 0; i < b->home->warp_count; i++)
        for (uint32_t k = 0; k < b->home->warps[i].fragment_count; k++)
            if (b->home->warps[i].fragments[k].awaits == b &&
                b->home->warps[i].fragments[k].state == FRAGMENT_MBARRIER)
                return true;
    return false;
}

enum step_result ptxm_step_mbarrier_inval(struct warp *w, const struct op *op, uint32_t mask)
{
    w->cta->stirred = w->cta->changed = true;
    FOR_LANES (lane, mask) {
        struct mbarrier *b = ptxm_mbarrier_at(w, op, lane, (enum space)op->space,
                                              ptxm_address(w, op, lane));
        if (!b)
            continue;
        struct place p = place_of(b, w);
        if (awaited(b))
            MISUSE(w, op, lane, b, RULE_MBARRIER_NONE,
                   "the mbarrier is invalidated while a thread waits for it");
        b->live = false;
        ptxm_phases_forget(b);
        if (w->cta->shadow) {
            ptxm_shadow_access(w, op, lane, &p, 8, ACCESS_BARRIER, NULL);
            ptxm_shadow_plain(b->home, b->address, 8);
        }
    }
    return STEP_NEXT;
}

// ---- publication to the cluster -----------------------------------------------------------------

static void each_of_maker(struct warp *w, uint32_t mask, void (*fn)(struct mbarrier *, uint32_t),
                          uint32_t argument)
{
    for (int i = 0; w->cta->mbarriers && i < MBARRIER_BUCKETS; i++)
        for (struct mbarrier *b = w->cta->mbarriers->buckets[i]; b; b = b->next)
            if (b->live && b->init_thread / LANES == w->index &&
                mask >> b->init_thread % LANES & 1)
                fn(b, argument);
}

static void fence_one(struct mbarrier *b, uint32_t argument)
{
    b->init_fenced = true;
}

static void publish_one(struct mbarrier *b, uint32_t generation)
{
    if (b->init_fenced && !b->published_after)
        b->published_after = generation;
}

void ptxm_mbarriers_fence_init(struct warp *w, uint32_t mask)
{
    each_of_maker(w, mask, fence_one, 0);
}

void ptxm_mbarriers_publish(struct warp *w, uint32_t mask)
{
    each_of_maker(w, mask, publish_one, w->cta->cluster->barrier.generation + 1);
}
