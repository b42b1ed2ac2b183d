// SPDX-License-Identifier: MIT
// Clusters: what is known to be wrong between CTAs. The rest of the validator looks at one CTA, as
// if all of a cluster went in step.
//
// A tile that the CTAs of a cluster bring together overwrites slots of all of them. What orders it
// behind the readers of the others are their arrivals, and only for who waits at the cluster's
// scope: a wait at the CTA's does not learn what threads of other CTAs have done.
#include "passes/validate/model.h"

typedef struct search {
    const kg_value *mbarrier;
    bool arrivals; // of other CTAs
    const kg_op *wait, *copy;
} search;

static bool find_arrivals(kg_op *op, void *user)
{
    search *s = user;
    s->arrivals |= op->code == KG_OP_MBARRIER_ARRIVE && kg_op_int(op, KG_A_CLUSTER, 0) &&
                   kg_root(op->operands[0]) == s->mbarrier;
    return !s->arrivals;
}

static bool is_wait(const kg_op *op, bool cluster)
{
    return op->code == KG_OP_MBARRIER_WAIT && (kg_op_int(op, KG_A_CLUSTER, 0) != 0) == cluster;
}

// The only wait in front of such a copy, for arrivals of other CTAs, at the CTA's scope.
static bool find_copy(kg_op *op, void *user)
{
    search *s = user;
    if (op->code != KG_OP_COPY_BULK || !kg_op_int(op, KG_A_MULTICAST, 0)) return true;
    const kg_op *wait = NULL;
    for (const kg_op *before = op->prev; before; before = before->prev) {
        if (is_wait(before, true)) return true;
        if (!wait && is_wait(before, false)) wait = before;
    }
    if (!wait) return true;
    search inner = {.mbarrier = kg_root(wait->operands[0])};
    kg_walk(op->parent->kernel->body, find_arrivals, &inner);
    if (!inner.arrivals) return true;
    s->wait = wait;
    s->copy = op;
    return false;
}

static bool reaches_others(kg_op *op, void *user)
{
    bool *found = user;
    *found |= kg_op_int(op, KG_A_CLUSTER, 0) || kg_op_int(op, KG_A_MULTICAST, 0);
    return !*found;
}

void validator_cluster(validator *v)
{
    search s = {0};
    bool together = false;
    if (!v->kernel->cluster || v->stop) return;
    kg_walk(v->kernel->body, reaches_others, &together);
    if (!together) return; // nobody touches the memory or the mbarriers of another CTA
    kg_walk(v->kernel->body, find_copy, &s);
    if (s.copy) {
        v->out->verdict = KG_WITNESS;
        v->out->what = "a tile goes to slots of all CTAs of the cluster, and the wait for their "
                       "readers does not learn of those of other CTAs without cluster=1";
        v->out->b = s.copy;
        v->out->a = s.wait;
        v->out->schedule = "on every way to it";
        v->stop = true;
        return;
    }
    if (v->in_doubt) return;
    validator_give_up(v, "within a CTA all is in order, but not shown is what the CTAs of a "
                         "cluster do to each other's shared memory");
}
