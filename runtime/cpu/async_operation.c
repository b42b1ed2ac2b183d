// SPDX-License-Identifier: MIT
// Asynchronous operations and the agents that say how far they have got: shadow.h explains both.
#include "shadow.h"

uint32_t ptxm_agent_create(struct cta *home)
{
    return home->shadow ? home->shadow->agent_count++ : NO_AGENT;
}

uint32_t ptxm_async_begin(struct warp *w, const struct op *op, unsigned lane)
{
    struct shadow *s = w->cta->shadow;
    if (!s)
        return 0;
    s->operation_count += !s->operation_count; // 0 is no id
    if (!PTXM_GROW(s->allocator, s->operations, s->operation_count, s->operation_capacity)) {
        ptxm_cta_out_of_memory(w->cta);
        return 0;
    }
    s->operations[s->operation_count] = (struct async_operation){
        .op = op, .thread = ptxm_thread(w, lane), .generation = s->generation, .clock = w->clock,
        .end = {{.agent = NO_AGENT}, {.agent = NO_AGENT}}};
    return (uint32_t)s->operation_count++;
}

void ptxm_async_end(struct cta *issuer, uint32_t operation, enum async_part part, struct cta *home,
                    uint32_t agent, uint32_t ticket)
{
    if (issuer->shadow && operation)
        issuer->shadow->operations[operation].end[part] =
            (struct async_end){home->index, agent, ticket};
}

void ptxm_async_counts_on(struct warp *w, unsigned lane, uint32_t operation,
                          struct mbarrier *barrier)
{
    if (!operation || !barrier)
        return;
    w->cta->shadow->operations[operation].barrier = barrier;
    ptxm_clock_sent(w, lane);
}

void ptxm_clock_sent(struct warp *w, unsigned lane)
{
    struct shadow *s = w->cta->shadow;
    struct knowledge *told = ptxm_clock_message(
        w, 1u << lane, s->threads[ptxm_thread(w, lane)].know, s->generation, w->clock);
    ptxm_knowledge_absorb(s->allocator, &s->sent, told);
    ptxm_knowledge_free(s->allocator, told);
    w->clock++; // what the lane does next is not behind this
}

void ptxm_agent_learn(struct warp *w, uint32_t mask, struct cta *home, uint32_t agent,
                      uint32_t count)
{
    struct shadow *s = w->cta->shadow;
    if (!s || agent == NO_AGENT)
        return;
    struct clocks *agents = ptxm_clocks_new(s->allocator, agent + 1);
    if (!agents)
        return ptxm_cta_out_of_memory(w->cta);
    agents->v[agent] = count;
    struct knowledge *k = ptxm_knowledge_single(
        s->allocator, (struct known){.cta = home->index, .agents = agents});
    ptxm_clock_learn(w, mask, k);
    ptxm_knowledge_free(s->allocator, k);
}

bool ptxm_async_over(const struct cta *cta, const struct knowledge *know,
                     const struct async_operation *operation, enum async_part part)
{
    const struct async_end *end = &operation->end[part];
    return end->agent != NO_AGENT &&
           (ptxm_knows_agent(know, end->cta, end->agent, end->ticket) ||
            ptxm_knows_agent(cta->shadow->base, end->cta, end->agent, end->ticket));
}

bool ptxm_async_outlasts(const struct cta *cta, const struct knowledge *know, uint32_t newer,
                         uint32_t older)
{
    const struct async_operation *operations = cta->shadow->operations;
    const struct async_end *old = &operations[older].end[ASYNC_READS];
    const struct async_end *new = &operations[newer].end[ASYNC_READS];
    bool one_agent = old->agent != NO_AGENT && old->agent == new->agent && old->cta == new->cta;
    return (one_agent && old->ticket <= new->ticket) ||
           ptxm_async_over(cta, know, &operations[older], ASYNC_READS);
}
