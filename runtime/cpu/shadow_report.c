// SPDX-License-Identifier: MIT
// What the shadow says of accesses that meet, and the questions of proxies between two that are
// ordered: of the async proxy, and of the one that reads tensor maps. shadow.c comes here when an
// access is not an ordinary one, or wrong.
#include "touch.h"

#include <stdio.h>
#include <string.h>

// ---- reports ------------------------------------------------------------------------------------

static void say_what_is_missing(const struct touch *t, struct finding_entry *e,
                                const struct op *other)
{
    char text[320];
    struct findings *f = &t->w->cta->findings;
    const char *space = t->global ? "global" : "shared::cta", *copy;
    snprintf(text, sizeof text,
             "the generic access at line %u is ordered before the asynchronous one at line %u, but "
             "the async proxy does not see it: fence.proxy.async.%s is missing, by the thread of "
             "line %u between its access and its arrival or release, or by the issuer between its "
             "wait and line %u",
             other->line, t->op->line, space, other->line, t->op->line);
    if ((copy = ptxm_findings_string(f, text))) {
        e->finding.message = copy;
        e->own_message = true;
    }
}

// A race with a copy that completes on an mbarrier: perhaps the thread did wait, in vain.
static PTXM_COLD explain(const struct touch *t, const struct earlier *x)
{
    if (ptxm_is_async(x->kind))
        ptxm_phases_explain(t->w, t->op, ptxm_thread(t->w, t->lane), t->w->cta->shadow->generation,
                            t->w->clock, ptxm_touch_cta(t, x->rank), x->group, true);
    else if (ptxm_is_async(t->kind))
        ptxm_phases_explain(&ptxm_touch_cta(t, x->rank)->warps[x->thread / LANES],
                            &t->w->cta->grid->module->ops[x->op], x->thread, x->generation,
                            x->clock, t->w->cta, t->operation, false);
}

void ptxm_touch_report(const struct touch *t, enum rule rule, const struct earlier *x)
{
    if (rule == RULE_RACE_OPERATION || rule == RULE_RACE)
        explain(t, x);
    struct cta *cta = t->w->cta;
    const struct op *other = &cta->grid->module->ops[x->op];
    bool swap = t->op->line < other->line, fresh;
    struct finding_entry *e = ptxm_findings_note(&cta->findings, rule,
                                                 swap ? t->op->line : other->line,
                                                 swap ? other->line : t->op->line, &fresh);
    if (!e || !fresh)
        return;
    e->optimistic = ptxm_shadow_optimistic(t->kind, (uint32_t)(t->op - cta->grid->module->ops),
                                           x->kind, x->op);
    struct ptxm_finding *f = &e->finding;
    struct ptxm_place *mine = swap ? &f->a : &f->b, *theirs = swap ? &f->b : &f->a;
    ptxm_describe(cta, mine, t->op, ptxm_thread(t->w, t->lane), t->place->space, t->place->address,
                  t->size, t->kind);
    ptxm_describe_stamp(cta, theirs, other, x->thread, t->place->space, t->address, t->bytes,
                        x->kind);
    memcpy(theirs->cta, ptxm_touch_cta(t, x->rank)->id, sizeof theirs->cta);
    if (rule == RULE_PROXY || rule == RULE_PROXY_COPY)
        say_what_is_missing(t, e, other);
}

void ptxm_touch_uninitialised(const struct touch *t)
{
    ptxm_finding(t->w, t->op, t->lane, RULE_UNINIT_SHARED, t->place, t->size, t->kind, "%s",
                 ptxm_rule_message(RULE_UNINIT_SHARED));
}

void ptxm_touch_barrier(const struct touch *t, const struct stamp *p)
{
    const struct op *init = &t->w->cta->grid->module->ops[p->op];
    ptxm_finding(t->w, t->op, t->lane, RULE_MBARRIER_BYTES, t->place, t->size, t->kind,
                 "%s: initialised at line %u", ptxm_rule_message(RULE_MBARRIER_BYTES), init->line);
}

// ---- proxies ------------------------------------------------------------------------------------

// A, of the thread that issues an asynchronous access, holds this access of the generic proxy.
static bool fenced(const struct touch *t, unsigned rank, uint32_t thread, uint32_t generation,
                   uint32_t clock)
{
    const struct shadow *s = t->w->cta->shadow;
    enum proxy_space space = t->global ? PROXY_GLOBAL : PROXY_SHARED;
    uint32_t cta = ptxm_touch_cta(t, rank)->index;
    return ptxm_knows_fenced(s->threads[ptxm_thread(t->w, t->lane)].know, space, cta, generation,
                             thread, clock) ||
           ptxm_knows_fenced(s->base, space, cta, generation, thread, clock);
}

// An asynchronous store is over; does the async proxy see that?
static bool store_fenced(const struct touch *t, const struct earlier *x)
{
    const struct shadow *s = t->w->cta->shadow;
    const struct async_end *end =
        &ptxm_touch_cta(t, x->rank)->shadow->operations[x->group].end[ASYNC_WRITES];
    const struct knowledge *know = s->threads[ptxm_thread(t->w, t->lane)].know;
    return ptxm_knows_agent_fenced(know, end->cta, end->agent, end->ticket) ||
           ptxm_knows_agent_fenced(s->base, end->cta, end->agent, end->ticket);
}

// The order is there; does the async proxy see the generic access, too? st.async and red.async are
// asynchronous, and in the generic proxy.
void ptxm_touch_judge_proxy(const struct touch *t, const struct earlier *x)
{
    bool copy = x->kind == ACCESS_COPY_READ || x->kind == ACCESS_COPY_WRITE;
    bool stored = t->w->cta->grid->module->ops[x->op].step == ptxm_step_st_async;
    if (t->op->step == ptxm_step_st_async || (ptxm_is_async(x->kind) && !stored) ||
        (stored ? store_fenced(t, x)
                : fenced(t, x->rank, x->thread, x->generation, x->clock)))
        return;
    if (!copy)
        ptxm_touch_report(t, RULE_PROXY, x);
    else if (t->w->cta->grid->options.strict)
        ptxm_touch_report(t, RULE_PROXY_COPY, x);
}

// The order is there; has the write been released to the tensormap proxy, and acquired?
void ptxm_touch_judge_map(const struct touch *t, const struct earlier *x)
{
    const struct knowledge *acquired = t->w->cta->shadow->uses[t->operation].know;
    if (!ptxm_is_async(x->kind) &&
        !ptxm_knows_fenced(acquired, PROXY_MAPS, ptxm_touch_cta(t, x->rank)->index, x->generation,
                           x->thread, x->clock))
        ptxm_touch_report(t, RULE_PROXY_TENSORMAP, x);
}
