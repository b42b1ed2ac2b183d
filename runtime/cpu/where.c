// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand.
//
// What is asked for: a point between the two accesses that all threads of the CTA pass, or of the
// cluster. The text says where to look: behind the first access and up to the other one, if
// nothing there synchronizes yet; else, in a loop around both, behind the other one and up to where
// the loop goes back. Of these the last point that no branch jumps over. Branches out of a loop or
// around all of it are taken to be the same for all threads, others not; so this is a proposal, not
// a proof.
#include "where.h"

#include <stdio.h>
#include <string.h>

const struct function *ptxm_where_function(const struct ptxm_module *m, uint32_t op)
{
    for (size_t i = 0; i < m->function_count; i++) {
        const struct function *f = m->functions[i];
        if (f->has_body && op >= f->first_op && op - f->first_op < f->op_count)
            return f;
    }
    return NULL;
}

// The first op of this line that is this instruction; UINT32_MAX: none.
uint32_t ptxm_where_op(const struct ptxm_module *m, const struct ptxm_place *place)
{
    for (size_t i = 0; i < m->op_count; i++)
        if (m->ops[i].line == place->line && m->ops[i].text == place->instruction)
            return (uint32_t)i;
    return UINT32_MAX;
}

static bool is_branch(const struct op *op)
{
    return op->step == ptxm_step_branch;
}

// Whether the branch at `from` leaves a loop around p, or passes by all of it.
static bool around_loop(const struct ptxm_module *m, const struct function *f, uint32_t from,
                        uint32_t to, uint32_t p)
{
    for (uint32_t back = p; back < f->first_op + f->op_count; back++) {
        const struct op *op = &m->ops[back];
        if (is_branch(op) && op->target <= p && from <= back && back < to)
            return true;
    }
    return false;
}

// Whether all threads come by here that come to the op `since`, as far as the text tells.
bool ptxm_where_all_pass(const struct ptxm_module *m, const struct function *f, uint32_t since,
                         uint32_t p)
{
    for (uint32_t i = f->first_op; i < f->first_op + f->op_count; i++) {
        const struct op *op = &m->ops[i];
        bool some_leave = (op->step == ptxm_step_exit || op->step == ptxm_step_ret) &&
                          op->guard != OPERAND_NONE;
        if (op->step == ptxm_step_branch_indexed || (i >= since && i < p && some_leave))
            return false;
        if (is_branch(op) && i >= since && i < p && op->target > p &&
            !around_loop(m, f, i, op->target, p))
            return false;
    }
    return true;
}

// The branch that leads from behind `late` to `early` or before; UINT32_MAX: none.
uint32_t ptxm_where_back(const struct ptxm_module *m, const struct function *f, uint32_t early,
                         uint32_t late)
{
    for (uint32_t i = late; i < f->first_op + f->op_count; i++)
        if (is_branch(&m->ops[i]) && m->ops[i].target <= early)
            return i;
    return UINT32_MAX;
}

static bool synchronizes(const struct ptxm_module *m, uint32_t from, uint32_t to, enum meeting who)
{
    for (uint32_t i = from; i < to; i++) {
        step_fn *step = m->ops[i].step;
        if (step == ptxm_step_cluster_wait ||
            (who != MEET_CLUSTER && step == ptxm_step_barrier) ||
            (who == MEET_WARP && step == ptxm_step_warp_sync))
            return true;
    }
    return false;
}

bool ptxm_where(const struct ptxm_module *m, const struct ptxm_place *a,
                const struct ptxm_place *b, enum meeting who, struct where *where)
{
    uint32_t from = ptxm_where_op(m, a), to = ptxm_where_op(m, b);
    const struct function *f = from == UINT32_MAX ? NULL : ptxm_where_function(m, from);
    if (!f || to == UINT32_MAX || f != ptxm_where_function(m, to) || to < from)
        return false;
    where->back = from == to || synchronizes(m, from, to, who);
    if (where->back) {
        uint32_t back = ptxm_where_back(m, f, from, to);
        if (back == UINT32_MAX || synchronizes(m, to, back, who) ||
            synchronizes(m, m->ops[back].target, from, who))
            return false;
        from = to;
        to = back;
    }
    for (uint32_t p = to; p > from; p--)
        if (ptxm_where_all_pass(m, f, 0, p))
            return where->op = p, true;
    return false;
}

// ---- in words ----------------------------------------------------------------------------------

// Whose threads the two accesses are.
enum relation { IN_CTA, IN_CLUSTER, IN_GRID };

static enum relation relation_of(const struct ptxm_finding *f)
{
    if (!memcmp(f->a.cta, f->b.cta, sizeof f->a.cta))
        return IN_CTA;
    bool one = f->a.clustered && !memcmp(f->a.cluster, f->b.cluster, sizeof f->a.cluster);
    return one ? IN_CLUSTER : IN_GRID;
}

struct lack {
    const char *words, *statements;
};

// words NULL: nothing that a barrier could make up for.
static struct lack what_lacks(enum rule rule, const struct ptxm_finding *f)
{
    static const struct lack none, sync = {"a bar.sync", "bar.sync 0;"},
                                   cluster = {"a barrier.cluster (arrive and wait)",
                                              "barrier.cluster.arrive; barrier.cluster.wait;"},
                                   warp = {"a bar.warp.sync", "bar.warp.sync 0xffffffff;"},
                                   wait = {"cp.async.wait_group by the copying threads and a "
                                           "bar.sync",
                                           "cp.async.wait_all; bar.sync 0;"};
    if (relation_of(f) == IN_CLUSTER)
        return rule == RULE_RACE || rule == RULE_RACE_CTAS ? cluster : none;
    if (rule == RULE_RACE)
        return sync;
    if (rule == RULE_RACE_WARP)
        return warp;
    if (rule != RULE_RACE_ASYNC)
        return none;
    return f->a.kind && !strncmp(f->a.kind, "cp.async", 8) ? wait : sync;
}

size_t ptxm_where_line(char *text, size_t room, const struct ptxm_module *m, const struct op *op)
{
    int n = snprintf(text, room, "line %u", op->line);
    if (op->location && n > 0 && (size_t)n < room)
        n += snprintf(text + n, room - (size_t)n, " (%.120s:%u)",
                      m->locations[op->location - 1].file, m->locations[op->location - 1].line);
    return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static void describe(struct findings *findings, const struct ptxm_module *m, enum rule rule,
                     struct ptxm_finding *f)
{
    struct lack lack = what_lacks(rule, f);
    struct where where;
    char text[512], at[192];
    if (f->a.line && f->b.line && relation_of(f) == IN_GRID && rule == RULE_RACE_CTAS)
        return ptxm_where_flags(findings, m, f);
    enum meeting who = relation_of(f) == IN_CLUSTER ? MEET_CLUSTER
                     : rule == RULE_RACE_WARP       ? MEET_WARP : MEET_CTA;
    if (!lack.words || !f->a.line || !f->b.line || !ptxm_where(m, &f->a, &f->b, who, &where))
        return;
    ptxm_where_line(at, sizeof at, m, &m->ops[where.op]);
    if (where.back)
        snprintf(text, sizeof text,
                 "%s between line %u and line %u of the next trip, for example in front of %s",
                 lack.words, f->b.line, f->a.line, at);
    else
        snprintf(text, sizeof text, "%s between line %u and line %u, for example in front of %s",
                 lack.words, f->a.line, f->b.line, at);
    f->where = ptxm_findings_string(findings, text);
    f->repair = lack.statements;
    f->repair_line = m->ops[where.op].line;
}

void ptxm_findings_where(struct findings *findings, const struct ptxm_module *module)
{
    for (size_t i = 0; i < findings->count; i++) {
        struct finding_entry *e = findings->entries[i];
        describe(findings, module, e->rule, &e->finding);
    }
}
