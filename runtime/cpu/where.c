// SPDX-License-Identifier: MIT
// Where what a finding lacks could stand.
//
// What is asked for: a point between the two accesses that all threads of the CTA pass. The text
// says where to look: behind the first access and up to the other one, if nothing there
// synchronizes yet; else, in a loop around both, behind the other one and up to where the loop goes
// back. Of these the last point that no branch jumps over. Branches out of a loop or around all of
// it are taken to be the same for all threads, others not; so this is a proposal, not a proof.
#include "where.h"

#include <stdio.h>
#include <string.h>

static const struct function *function_of(const struct ptxm_module *m, uint32_t op)
{
    for (size_t i = 0; i < m->function_count; i++) {
        const struct function *f = m->functions[i];
        if (f->has_body && op >= f->first_op && op - f->first_op < f->op_count)
            return f;
    }
    return NULL;
}

// The first op of this line that is this instruction; UINT32_MAX: none.
static uint32_t find_op(const struct ptxm_module *m, const struct ptxm_place *place)
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

// Whether all threads come by here, as far as the text tells.
static bool all_pass(const struct ptxm_module *m, const struct function *f, uint32_t p)
{
    for (uint32_t i = f->first_op; i < f->first_op + f->op_count; i++) {
        const struct op *op = &m->ops[i];
        bool some_leave = (op->step == ptxm_step_exit || op->step == ptxm_step_ret) &&
                          op->guard != OPERAND_NONE;
        if (op->step == ptxm_step_branch_indexed || (i < p && some_leave))
            return false;
        if (is_branch(op) && i < p && op->target > p && !around_loop(m, f, i, op->target, p))
            return false;
    }
    return true;
}

// The branch that leads from behind `late` to `early` or before; UINT32_MAX: none.
static uint32_t branch_back(const struct ptxm_module *m, const struct function *f, uint32_t early,
                            uint32_t late)
{
    for (uint32_t i = late; i < f->first_op + f->op_count; i++)
        if (is_branch(&m->ops[i]) && m->ops[i].target <= early)
            return i;
    return UINT32_MAX;
}

static bool synchronizes(const struct ptxm_module *m, uint32_t from, uint32_t to, bool warp)
{
    for (uint32_t i = from; i < to; i++)
        if (m->ops[i].step == ptxm_step_barrier || (warp && m->ops[i].step == ptxm_step_warp_sync))
            return true;
    return false;
}

bool ptxm_where(const struct ptxm_module *m, const struct ptxm_place *a,
                const struct ptxm_place *b, bool warp, struct where *where)
{
    uint32_t from = find_op(m, a), to = find_op(m, b);
    const struct function *f = from == UINT32_MAX ? NULL : function_of(m, from);
    if (!f || to == UINT32_MAX || f != function_of(m, to) || to < from)
        return false;
    where->back = from == to || synchronizes(m, from, to, warp);
    if (where->back) {
        uint32_t back = branch_back(m, f, from, to);
        if (back == UINT32_MAX || synchronizes(m, to, back, warp) ||
            synchronizes(m, m->ops[back].target, from, warp))
            return false;
        from = to;
        to = back;
    }
    for (uint32_t p = to; p > from; p--)
        if (all_pass(m, f, p))
            return where->op = p, true;
    return false;
}

// ---- in words ----------------------------------------------------------------------------------

struct lack {
    const char *words, *statements;
};

// words NULL: nothing that a barrier could make up for.
static struct lack what_lacks(enum rule rule, const struct ptxm_finding *f)
{
    static const struct lack none, sync = {"a bar.sync", "bar.sync 0;"},
                                   warp = {"a bar.warp.sync", "bar.warp.sync 0xffffffff;"},
                                   wait = {"cp.async.wait_group by the copying threads and a "
                                           "bar.sync",
                                           "cp.async.wait_all; bar.sync 0;"};
    if (rule == RULE_RACE)
        return sync;
    if (rule == RULE_RACE_WARP)
        return warp;
    if (rule != RULE_RACE_ASYNC)
        return none;
    return f->a.kind && !strncmp(f->a.kind, "cp.async", 8) ? wait : sync;
}

static size_t line_text(char *text, size_t room, const struct ptxm_module *m, const struct op *op)
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
    if (!lack.words || !f->a.line || !f->b.line ||
        !ptxm_where(m, &f->a, &f->b, rule == RULE_RACE_WARP, &where))
        return;
    line_text(at, sizeof at, m, &m->ops[where.op]);
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
